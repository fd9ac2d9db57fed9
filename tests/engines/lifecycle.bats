#!/usr/bin/env bats
# A container's life below Docker's real daemon: what each of Docker's commands does and says is what it does and says on crun, and nothing of a
# sandbox is left when its container is.

load lib

setup_file() {
    engine_world v1
    # shellcheck disable=SC2153
    printf '{ "live-restore": true, "runtimes": { "crun": { "path": "/usr/bin/crun" }, "sandboxd": { "path": "%s" } } }\n' "$RUNTIME" > "$world/daemon.json"
    docker_start
    daemon_start
    docker_image busybox 'CMD ["sh"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    # Both sides of what was compared.
    tail -n +1 crun.out sandboxd.out 2> /dev/null || :
    docker_remove_all
}

# What Docker says of a container: says FORMAT NAME.
says() {
    docker inspect -f "$1" "$2"
}

# shows VALUE FORMAT NAME: for `eventually`.
shows() {
    [ "$(says "$2" "$3")" = "$1" ]
}

sandboxes() {
    inside "$SANDBOXCTL" ps --json | jq length
}

no_sandbox() {
    [ "$(sandboxes)" -eq 0 ]
}

# count NAME: the number that `counting` has come to.
count() {
    docker exec "$1" cat /tmp/count
}

# A program whose calls the broker answers, and which counts them: it stops where one isn't answered, or not as it should be.
# shellcheck disable=SC2016
counting='i=0; while i=$((i + 1)); do mknod /tmp/disk b 8 0 2> /dev/null && exit 1; echo "$i" > /tmp/next && mv /tmp/next /tmp/count; echo "line $i"; sleep 0.1; done'

# The stack's end. A first process gets no such signal from anybody but the kernel.
crash='f() { f; }; f'

# goes_on NAME: it counts, and its calls go to the broker.
goes_on() {
    local before notified
    eventually count "$1"
    before=$(count "$1")
    notified=$(notified "$(sandbox_of "$1")")
    eventually counted "$1" $((before + 3))
    notified_more "$(sandbox_of "$1")" "$notified"
}

# counted NAME NUMBER: it has come to more.
counted() {
    [ "$(count "$1")" -gt "$2" ]
}

# notified SANDBOX: how many calls of it the broker has had.
notified() {
    inside "$SANDBOXCTL" status "$1" | awk '$1 == "notified" { print $2 }'
}

# notified_more SANDBOX NUMBER
notified_more() {
    [ "$(notified "$1")" -gt "$2" ]
}

# sandbox_of NAME: its name, the beginning of the container's id.
sandbox_of() {
    says '{{.Id}}' "$1" | head -c 12
}

# same STORY: the function, called with each runtime, writes the same. What differs by nature (ids) it leaves out.
same() {
    local runtime
    for runtime in crun sandboxd; do
        "$1" $runtime > $runtime.out 2>&1
        docker_remove_all
    done
    diff crun.out sandboxd.out
    [ -s crun.out ]
}

# ---- Docker's daemon ----

docker_gone() {
    ! inside pgrep -x dockerd
}

@test "Docker's daemon is restarted, and killed, with live-restore: the container goes on, and exec, logs, stop work after" {
    local sandbox signal pid
    docker run -d --runtime=sandboxd --name long busybox sh -c "trap 'echo stopped; exit 3' TERM; $counting"
    sandbox=$(sandbox_of long) pid=$(says '{{.State.Pid}}' long)
    for signal in TERM KILL; do
        goes_on long
        inside pkill -$signal -x dockerd
        eventually docker_gone
        # Nobody but the broker is there for it: its calls are answered.
        eventually notified_more "$sandbox" $(($(notified "$sandbox") + 5))
        docker_start
        [ "$(says '{{.State.Pid}} {{.State.Running}}' long)" = "$pid true" ]
        goes_on long
        [ "$(docker exec long echo through)" = through ]
        run docker exec long sh -c 'mknod /tmp/x b 8 0'
        [ "$status" -ne 0 ]
        eventually logs_line long "line $(count long)"
    done
    # A container that begins now, beside it.
    [ "$(docker run --rm --runtime=sandboxd --network=none busybox echo new)" = new ]
    docker stop -t 10 long
    [ "$(says '{{.State.ExitCode}}' long)" = 3 ]
    docker logs long | grep -qx stopped
    docker start long
    goes_on long
    [ "$(sandboxes)" -eq 1 ]
}

# logs_line NAME LINE
logs_line() {
    docker logs "$1" 2> /dev/null | grep -qxF "$2"
}

gone() {
    ! inside test -e "$1"
}

@test "what ended while Docker's daemon was away has ended, with its code" {
    ended_meanwhile() {
        docker run -d --runtime="$1" --name short busybox sh -c 'while ! test -e /tmp/end; do sleep 0.1; done; exit 5'
        docker exec short true
        local root
        root=/proc/$(says '{{.State.Pid}}' short)/root
        inside pkill -TERM -x dockerd
        eventually docker_gone
        inside touch "$root/tmp/end"
        eventually gone "$root"
        docker_start
        eventually shows '5 exited' '{{.State.ExitCode}} {{.State.Status}}' short
        says '{{.State.ExitCode}} {{.State.Status}} {{.State.Error}}' short
    }
    ended_meanwhile crun | tail -1 > crun.out
    docker_remove_all
    ended_meanwhile sandboxd | tail -1 > sandboxd.out
    diff crun.out sandboxd.out
    grep -q '^5 exited' crun.out
    eventually no_sandbox
}

# ---- Many ----

# What is there for sandboxes: control groups, processes, Docker's folders of containers, and the fds of the daemon and of its keeper, which is its FD store. One in
# each is the record of a sandbox that has ended.
traces() {
    local fds
    find /sys/fs/cgroup -type d -path "*/$world_cgroup/*" | sed "s,/$world_cgroup.*,," | sort | uniq -c
    inside pgrep -c '^sandboxd'
    # shellcheck disable=SC2016
    fds=$(inside sh -c 'for pid in $(pgrep "^sandboxd"); do ls /proc/$pid/fd; done' | wc -l)
    echo "fds $((fds - 2 * $(inside "$SANDBOXCTL" ps --all --json | jq length)))"
    inside find /run/docker /run/containerd -type d -name '*[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]' 2> /dev/null | wc -l
    inside ls /run/sandboxd
    inside grep -c . /proc/self/mountinfo
}

as_before() {
    traces > now
    diff before now > difference
}

@test "twenty containers at once, and nothing is left of them" {
    local i
    # A first one, so that what is made once is there.
    docker run --rm --runtime=sandboxd --network=none busybox true
    eventually no_sandbox
    traces > before
    for ((i = 1; i <= 20; i++)); do
        docker run -d --runtime=sandboxd --name "many$i" --network=none busybox sh -c "trap 'exit $i' TERM; echo $i > /tmp/x; while :; do mknod /tmp/disk b 8 0 2> /dev/null && exit 1; sleep 0.1; done" > "run$i" 2>&1 3>&- &
    done
    wait
    cat run*
    [ "$(docker ps -q | wc -l)" -eq 20 ]
    [ "$(sandboxes)" -eq 20 ]
    [ "$(inside "$SANDBOXCTL" ps --json | jq -r '.[].name' | sort)" = "$(docker ps -q | sort)" ]
    for ((i = 1; i <= 20; i++)); do
        [ "$(docker exec "many$i" cat /tmp/x)" = "$i" ]
        notified_more "$(sandbox_of "many$i")" 0
    done
    # All stop at once as well, each by its own code.
    # shellcheck disable=SC2046
    docker stop -t 30 $(docker ps -q) > /dev/null
    for ((i = 1; i <= 20; i++)); do
        [ "$(says '{{.State.ExitCode}}' "many$i")" = "$i" ]
    done
    eventually no_sandbox
    docker_remove_all
    eventually as_before || { cat difference; return 1; }
}

# ---- Restarts ----

# of_one NAME: how many sandboxes, ended ones too, are the container's.
of_one() {
    inside "$SANDBOXCTL" ps --all --json | jq --arg name "$(sandbox_of "$1")" '[.[] | select(.name | startswith($name))] | length'
}

# begun_again NAME PID: it runs, with another first process than that.
begun_again() {
    [ "$(says '{{.State.Restarting}}' "$1")" = false ] && [ "$(says '{{.State.Pid}}' "$1")" != "$2" ]
}

@test "restart policies: on-failure ends after its three times, always comes back from a kill and from a crash" {
    restarts() {
        docker run -d --runtime="$1" --name failing --restart=on-failure:3 busybox sh -c 'echo begun; exit 7' > /dev/null
        eventually shows 'exited 3' '{{.State.Status}} {{.RestartCount}}' failing
        says '{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}' failing
        docker logs failing
        docker run -d --runtime="$1" --name fine --restart=on-failure:3 busybox sh -c 'exit 0' > /dev/null
        docker wait fine
        says '{{.State.Status}} {{.RestartCount}}' fine
        docker run -d --runtime="$1" --name back --restart=always --cap-drop MKNOD busybox sh -c "trap '$crash' USR1; $counting" > /dev/null
        for signal in USR1 KILL; do
            eventually count back
            pid=$(says '{{.State.Pid}}' back)
            inside kill -$signal "$pid"
            eventually begun_again back "$pid"
            eventually docker exec back true
        done
        says '{{.RestartCount}} {{.State.Running}}' back
        # What the administrator kills stays dead.
        docker kill back
        eventually shows exited '{{.State.Status}}' back
        says '{{.State.Status}} {{.State.ExitCode}}' back
        docker start back
        eventually docker exec back true
        docker restart -t 1 back
        eventually count back
        if [ "$1" = sandboxd ]; then
            goes_on back >&3
            [ "$(of_one back)" -eq 1 ]
            [ "$(of_one failing)" -le 1 ]
        fi
    }
    same restarts
    grep -q '^exited 3 7$' crun.out
    eventually no_sandbox
}

# ---- One command after the other ----

@test "cp, top, stats, pause, commit, diff, rename, update, wait, attach, logs -f: as on crun" {
    commands() {
        docker run -d --runtime="$1" --name one --memory 256m -v "$PWD:/volume" busybox sh -c 'while ! test -e /tmp/end; do echo waiting; sleep 0.1; done; echo over; exit 6' > /dev/null
        docker exec one true
        # In and out, files and folders, by a running and a paused one.
        mkdir -p in/folder
        echo content > in/folder/file
        chmod 640 in/folder/file
        docker cp "$PWD/in/folder" one:/root/
        docker exec one ls -ln /root/folder | awk '{ print $1, $3, $4, $5, $9 }'
        docker exec one sh -c 'echo inside > /root/folder/made; ln -s made /root/folder/link'
        rm -rf out
        docker cp one:/root/folder "$PWD/out"
        find out | sort
        cat out/made
        readlink out/link
        docker cp - one:/tmp < <(tar -C in -c folder)
        docker exec one cat /tmp/folder/file
        docker cp one:/nothing "$PWD/out" || echo "cp: $?"
        docker top one -o pid,comm | awk 'NR > 1 { print $2 }' | sort -u | grep -v sleep
        docker stats --no-stream --format '{{.Name}} {{.PIDs}}' one | sed 's/[12]$/1 or 2/'
        docker pause one
        says '{{.State.Status}}' one
        docker exec one true || echo "exec: $?"
        docker cp "$PWD/in/folder/file" one:/root/paused
        docker unpause one
        docker exec one cat /root/paused
        docker diff one | sort
        docker commit -c 'CMD ["cat", "/root/folder/made"]' one committed > /dev/null
        docker run --rm --runtime="$1" --network=none committed
        docker rmi committed > /dev/null
        docker rename one two
        docker exec two hostname | grep -c .
        docker update --memory 300m --cpu-shares 512 two
        docker exec two cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares
        # Whoever waits, is attached, and follows sees its end.
        docker wait two > waited &
        local wait=$!
        inside env DOCKER_HOST=unix:///run/docker.sock timeout 60 "$DOCKER" attach --no-stdin two > attached 2>&1 &
        local attach=$!
        inside env DOCKER_HOST=unix:///run/docker.sock timeout 60 "$DOCKER" logs -f two > followed 2>&1 &
        local follow=$!
        eventually grep -q waiting attached
        eventually grep -q waiting followed
        docker exec two touch /tmp/end
        wait "$wait"
        wait "$attach" || echo "attach: $?"
        wait "$follow"
        sort -u waited attached
        uniq followed
        says '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' two
        docker start -a two > said || echo "start: $?"
        uniq said
        docker rm two
    }
    same commands
    grep -qx 314572800 crun.out
    grep -qx over crun.out
}

@test "an attached container gets what it is given, and signals that docker run passes on" {
    attached() {
        docker run -i --rm --runtime="$1" --network=none busybox sh -c 'read a; echo "got $a"; cat | wc -c' < <(echo word; head -c 200000 /dev/zero)
        inside env DOCKER_HOST=unix:///run/docker.sock "$DOCKER" run --runtime="$1" --name signalled --network=none busybox sh -c \
            'trap "echo term; exit 4" TERM; touch /tmp/ready; while :; do sleep 0.1; done' > said 2>&1 &
        local client=$!
        eventually docker exec signalled test -e /tmp/ready
        inside pkill -TERM -f "[-]-name signalled"
        wait "$client" || echo "run: $?"
        cat said
    }
    same attached
    grep -qx 'run: 4' crun.out
}

# ---- Exit codes ----

@test "exit codes and the lines that go with them are those on crun" {
    codes() {
        local command
        code() {
            local code=0
            docker run --network=none --hostname=box --runtime="$runtime" --name code "$@" > said 2> said.err || code=$?
            # One stream after the other: they come separately. Docker's own client says this at times, of a container that ended soon or never began.
            sed '/error waiting for container: context canceled/d' said said.err
            echo "$* : $code $(says '{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}' code | sed 's/[0-9a-f]\{64\}/ID/g')"
            docker rm -f code > /dev/null
        }
        runtime=$1
        code busybox true
        code busybox false
        code busybox sh -c 'exit 42'
        # Its own, though Docker has a meaning for it.
        code busybox sh -c 'exit 125'
        code busybox /etc/passwd
        code busybox /etc
        code busybox no-such-program
        code busybox /no/such/program
        code --entrypoint /bin/sh busybox -c 'exec /no/such/program'
        code --workdir /etc/passwd busybox true
        code --user nobody-of-that-name busybox true
        code -v "$PWD/none.so:/bin/sh/x" busybox true
        code --init busybox sh -c 'kill -SEGV $$'
        code --init busybox sh -c 'kill -KILL $$'
        code --init busybox sh -c 'kill -ABRT $$'
        code busybox sh -c 'sh -c "kill -SEGV \$\$"; echo $?'
        code busybox sh -c "$crash"
        code --init busybox sh -c "$crash"
        for command in 'kill' 'kill -s TERM' 'stop -t 20' 'stop -t 0' 'kill -s USR1'; do
            docker run -d --init --network=none --runtime="$runtime" --name code busybox sleep 1000 > /dev/null
            # shellcheck disable=SC2086
            docker $command code
            echo "$command: $(docker wait code) $(says '{{.State.ExitCode}} {{.State.Error}}' code)"
            docker rm -f code > /dev/null
        done
        # Without an init, who doesn't know a signal doesn't get it.
        docker run -d --network=none --runtime="$runtime" --name code busybox sleep 1000 > /dev/null
        docker stop -t 1 code
        says '{{.State.ExitCode}}' code
        docker start code
        local exec=0
        for command in true false /etc/passwd no-such-program; do
            exec=0
            docker exec code $command || exec=$?
            echo "exec $command: $exec"
        done
        exec=0
        docker exec code sh -c 'kill -SEGV $$' || exec=$?
        echo "exec of what crashes: $exec"
    }
    same codes
    local code
    for code in 0 1 42 125 126 127 134 137 139 143; do
        grep -qE "(: |^)$code( |\$)" crun.out
    done
    eventually no_sandbox
}

@test "out of memory: killed, and Docker says so" {
    exhausted() {
        docker run --network=none --runtime="$1" --name code --memory 16m --memory-swap 16m busybox sh -c 'tail -c 100m /dev/zero | wc -c' > said 2>&1 || echo "run: $?"
        sort said
        says '{{.State.ExitCode}} {{.State.OOMKilled}}' code
    }
    same exhausted
    grep -q true crun.out
}
