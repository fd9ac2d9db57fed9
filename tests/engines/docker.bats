#!/usr/bin/env bats
# Docker. What works on crun works the same under sandbox-runtime, and what leads out of a container is refused.

load lib

setup_file() {
    engine_world v1
    docker_runtimes "\"crun\": { \"path\": \"/usr/bin/crun\" }, \"sandboxd\": { \"path\": \"$RUNTIME\" },
        \"broken\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=nothing-like-it\"] },
        \"untrusted\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=container-untrusted\"] },
        \"wrong\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=wrong\"] },
        \"onrunc\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--runtime=/usr/sbin/runc\"] }"
    docker_start
    daemon_start
    docker_image busybox 'CMD ["sh"]'
    docker_image nginx 'CMD ["nginx", "-g", "daemon off;"]'
    docker_image redis 'CMD ["redis-server", "--protected-mode", "no", "--dir", "/data"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    docker_remove_all
}

# both COMMAND…: `docker run --rm OPTION… IMAGE COMMAND…` gives the same on crun and under sandbox-runtime.
both() {
    local status_crun=0 status_ours=0
    docker run --rm --runtime=crun --network=none --hostname=box "$@" > crun.out 2> crun.err < /dev/null || status_crun=$?
    docker run --rm --runtime=sandboxd --network=none --hostname=box "$@" > ours.out 2> ours.err < /dev/null || status_ours=$?
    diff crun.out ours.out
    # Docker's own client says this at times, of a container that ended soon or never began.
    sed -i '/error waiting for container: context canceled/d' crun.err ours.err
    diff crun.err ours.err
    [ "$status_crun" -eq "$status_ours" ]
}

# world_curl URL: from outside of the containers, inside of the world.
world_curl() {
    inside curl -s -m 5 "$@"
}

@test "a container's output, errors and exit status are those on crun" {
    both busybox sh -c 'id; pwd; ls / /etc /dev; cat /etc/passwd; env | sort; echo error >&2
        mount | cut -d" " -f1-5 | grep -v "on /proc/" | sort; cat /proc/1/cmdline; hostname; ls -l /proc/self/fd | wc -l
        cd /tmp && echo a > b && ln -s b c && mv b d && mkfifo f && chmod 600 d && stat -c "%a %F" * && rm -r /tmp/* && mkdir -p x/y && find .; exit 7'
    both busybox nonexistent-program
    both --user 33:33 --tmpfs /t:size=1m busybox sh -c 'id; touch /root/x; touch /tmp/x; ls -ln /tmp/x; dd if=/dev/zero of=/t/x bs=1k count=2000 2>&1 | grep -c left; df /t | tail -1'
    both --read-only --cap-drop ALL --init busybox sh -c 'touch /x; chown 5 /etc/passwd; ping -c1 127.0.0.1; grep ^Cap /proc/self/status; cat /proc/1/comm; exit 3'
    grep -q . ours.out
}

@test "the filter is there, with a listener" {
    run docker run --rm --runtime=sandboxd --network=none busybox grep Seccomp /proc/self/status
    [ "$status" -eq 0 ]
    [[ $output == *"Seccomp:"*2* ]]
    docker run -d --runtime=sandboxd --name one busybox sleep 100
    eventually_shows one
    [ "$(inside "$SANDBOXCTL" ps --json | jq -r '.[0].policy')" = container-default ]
}

@test "a terminal" {
    run inside script -qec "DOCKER_HOST=unix:///run/docker.sock $DOCKER run --rm -it --runtime=sandboxd busybox sh -c 'tty; stty size > /dev/null && echo terminal'" /dev/null
    [ "$status" -eq 0 ]
    [[ $output == */dev/pts/0*terminal* ]]
}

@test "nginx serves on a published port, logs, restarts and stops" {
    docker run -d --runtime=sandboxd --name web -p 127.0.0.1:8080:80 nginx
    eventually world_curl http://127.0.0.1:8080/
    [ "$(world_curl http://127.0.0.1:8080/)" = "hello from nginx" ]
    [ "$(world_curl -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/nothing)" = 404 ]
    docker logs web 2>&1 | grep -q 'open() "/www/nothing" failed'
    docker exec web nginx -s reload
    docker restart -t 5 web
    eventually world_curl http://127.0.0.1:8080/
    docker stop -t 5 web
    [ "$(docker inspect -f '{{.State.ExitCode}}' web)" = 0 ]
    [ "$(docker inspect -f '{{.State.Status}}' web)" = exited ]
}

@test "redis keeps its data in a volume" {
    docker volume create data
    docker run -d --runtime=sandboxd --name db -v data:/data redis
    eventually docker exec db redis-cli set key value
    [ "$(docker exec db redis-cli get key)" = value ]
    docker exec db redis-cli save
    docker rm -f db
    docker run -d --runtime=sandboxd --name db -v data:/data redis redis-server --dir /data --unixsocket /tmp/redis.sock
    eventually docker exec db redis-cli ping
    # A socket that lies in the container's own files needs no rule.
    [ "$(docker exec db redis-cli -s /tmp/redis.sock ping)" = PONG ]
    [ "$(docker exec db redis-cli get key)" = value ]
    docker rm -f db
    docker volume rm data
}

@test "exec, kill, and a health check" {
    docker run -d --runtime=sandboxd --name one --health-cmd 'test -e /tmp/well' --health-interval 1s busybox sh -c 'touch /tmp/well; sleep 100'
    run docker exec one sh -c 'grep Seccomp: /proc/self/status; exit 9'
    [ "$status" -eq 9 ]
    [[ $output == *2* ]]
    [ "$(docker exec -i one cat <<< through)" = through ]
    [ "$(docker exec --user 33 --workdir /tmp one sh -c 'id -u; pwd' | paste -sd' ')" = "33 /tmp" ]
    run docker exec one mount -t tmpfs none /tmp
    [ "$status" -ne 0 ]
    healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' one)" = healthy ]; }
    eventually healthy
    docker kill --signal KILL one
    [ "$(docker inspect -f '{{.State.ExitCode}}' one)" = 137 ]
    docker start one
    docker exec one true
}

@test "containers find each other by name in a network of their own" {
    docker network create net
    docker run -d --runtime=sandboxd --name web --network net nginx
    [ "$(docker run --rm --runtime=sandboxd --network net busybox sh -c 'for i in 1 2 3 4 5; do wget -q -O - http://web/ && break; sleep 1; done')" = "hello from nginx" ]
    docker rm -f web
    docker network rm net
}

@test "eight containers at once" {
    local i
    for i in 1 2 3 4 5 6 7 8; do
        docker run -d --runtime=sandboxd --name "many$i" --network=none busybox sh -c "echo $i > /tmp/x; cat /tmp/x; sleep 100" &
    done
    wait
    for i in 1 2 3 4 5 6 7 8; do
        [ "$(docker exec "many$i" cat /tmp/x)" = "$i" ]
    done
}

# ---- What leads out ----

@test "a device node of the host's disk can't be made and opened, with CAP_MKNOD" {
    local device
    device=$(lsblk -ndo MAJ:MIN | head -1 | tr -d ' ')
    # crun lets it be made: the control group alone refuses the open.
    run docker run --rm --runtime=crun --network=none busybox sh -c "mknod /tmp/disk b ${device/:/ } && echo made"
    [[ $output == *made* ]]
    run docker run --rm --runtime=sandboxd --network=none --device-cgroup-rule "b $device rwm" busybox sh -c "mknod /tmp/disk b ${device/:/ } && head -c 1 /tmp/disk | wc -c"
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output != *1* ]]
}

@test "kernel parameters that lead to the host can't be written" {
    local before
    before=$(cat /proc/sys/kernel/core_pattern)
    # Even where the container has all of /proc writable.
    run docker run --rm --runtime=sandboxd --network=none --security-opt systempaths=unconfined busybox sh -c 'echo "|/tmp/x" > /proc/sys/kernel/core_pattern && echo written'
    [[ $output != *written* ]]
    [ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ]
}

@test "a mounted docker.sock can't be reached" {
    inside curl -s --unix-socket /run/docker.sock http://docker/version > /dev/null
    rootfs_add "$world/rootfs-curl" /usr/bin/curl
    tar -C "$world/rootfs-curl" -c . | docker import - curl > /dev/null
    run docker run --rm --runtime=crun --network=none -v /run/docker.sock:/x.sock curl /usr/bin/curl -s --unix-socket /x.sock http://docker/_ping
    [ "$output" = OK ]
    run docker run --rm --runtime=sandboxd --network=none -v /run/docker.sock:/x.sock curl /usr/bin/curl -s --unix-socket /x.sock http://docker/_ping
    [ "$status" -ne 0 ]
    [[ $output != *OK* ]]
    run docker run --rm --runtime=sandboxd --network=none -v /run:/host curl /usr/bin/curl -s --unix-socket /host/docker.sock http://docker/_ping
    [ "$status" -ne 0 ]
}

# ---- What doesn't start ----

@test "a missing policy: docker run says why, in one line" {
    run docker run --rm --runtime=broken --network=none busybox echo started
    [ "$status" -eq 125 ]
    [[ $output != *started* ]]
    grep -c 'sandbox-runtime: the policy .nothing-like-it.: there is no policy' <<< "$output"
}

@test "on runc: docker run says that crun is needed" {
    run docker run --rm --runtime=onrunc --network=none busybox echo started
    [ "$status" -eq 125 ]
    [[ $output == *"install crun"* ]]
}

# says TEXT OPTION…: `docker run` starts nothing, and its one line beside Docker's hint has the text.
says() {
    local text=$1
    shift
    run docker run --rm --network=none "$@" busybox echo started
    echo "$output"
    [ "$status" -eq 125 ]
    [[ $output != *$'\n'started* && $output == *"$text"* ]]
    [ "$(grep -c 'sandbox-runtime: ' <<< "$output")" -eq 1 ]
    [ "$(grep -vc "See 'docker run --help'" <<< "$output")" -le 2 ]
}

@test "a broken policy: docker run says which file, where, and why, in one line" {
    local folder
    folder=$(strings "$RUNTIME" | grep -m1 '^/.*/sandboxd\.yaml$')
    folder=${folder%/*}/policies
    # shellcheck disable=SC2016
    inside sh -c 'mkdir -p "$1" && printf "version: 1\ndescription: x\nfiles: { reed: [/] }\n" > "$1/wrong.yaml"' sh "$folder"
    says "$folder/wrong.yaml:3:" --runtime=wrong
    # Mended, it starts.
    # shellcheck disable=SC2016
    inside sh -c 'printf "version: 1\ndescription: x\nfiles: { read: [/], exec: [/] }\n" > "$1/wrong.yaml"' sh "$folder"
    [ "$(docker run --rm --runtime=wrong --network=none busybox echo started)" = started ]
}

# all_killed: the daemon, its keeper and its workers, all of them the world's. Those that one has started while the other was killed, the next time.
all_killed() {
    inside pkill -KILL '^sandboxd' || :
    ! inside pgrep '^sandboxd'
}

@test "sandboxd is gone: it is started for the next container; where it can't be, docker run says so in one line" {
    docker run -d --runtime=sandboxd --name one --network=none busybox sh -c 'while :; do date > /tmp/x; sleep 0.1; done'
    eventually_shows one
    # Killed hard, with all that belongs to it.
    eventually all_killed
    [ "$(docker run --rm --runtime=sandboxd --network=none busybox echo started)" = started ]
    inside test -S /run/sandboxd/agent
    # A file in the socket's folder's place: neither it nor anybody else can listen there.
    eventually all_killed
    inside sh -c 'mv /run/sandboxd /run/sandboxd.away && : > /run/sandboxd'
    says "sandboxd" --runtime=sandboxd
    inside sh -c 'rm /run/sandboxd && mv /run/sandboxd.away /run/sandboxd'
    [ "$(docker run --rm --runtime=sandboxd --network=none busybox echo started)" = started ]
}
