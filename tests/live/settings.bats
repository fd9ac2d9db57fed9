# sandboxd.yaml: read, refused, kept; and the quotas in it.

load lib
load daemons

# settings WHO TEXT: writes $work/WHO/sandboxd.yaml.
settings() {
    printf '%s\n' "$2" > "$work/$1/sandboxd.yaml"
    chmod 644 "$work/$1/sandboxd.yaml"
    give "$1" "$work/$1/sandboxd.yaml"
}

logs() {
    grep -qF -- "$1" "$work/daemon.log"
}

refuses_to_start() {
    run -1 as "$1" "$SANDBOXD" --socket "$work/$1/control" --config "$work/$1/sandboxd.yaml"
    [[ $output == *"$2"* ]]
    [ ! -e "$work/$1/control" ]
}

@test "settings that are wrong: it doesn't start, and says where and why; --check-config as well" {
    settings user $'quota:\n  sandboxs: 3'
    refuses_to_start user "$work/user/sandboxd.yaml:2:3: quota has no key \`sandboxs\`; did you mean \`sandboxes\`?"
    run -1 as user "$SANDBOXD" --config "$work/user/sandboxd.yaml" --check-config
    [[ $output == *"sandboxd.yaml:2:3: error: "*"sandboxs: 3"*"^"* ]]
    settings user $'quota:\n  sandboxes: 3'
    run -0 as user "$SANDBOXD" --config "$work/user/sandboxd.yaml" --check-config
    [[ $output == *"in order"* ]]
    chmod g+w "$work/user/sandboxd.yaml"
    refuses_to_start user "others may write to it"
    rm "$work/user/sandboxd.yaml"
    refuses_to_start user "there is no such file"
    mkfifo "$work/user/sandboxd.yaml"
    refuses_to_start user "not a regular file"
}

@test "a user's own sandboxd reads ~/.config/sandboxd/sandboxd.yaml; so does sandboxctl for policies" {
    export XDG_CONFIG_HOME=$work/user/config
    mkdir -p "$XDG_CONFIG_HOME/sandboxd" "$work/user/mine"
    printf 'quota: { sandboxes: 1 }\npolicies: [%s]\n' "$work/user/mine" > "$XDG_CONFIG_HOME/sandboxd/sandboxd.yaml"
    printf 'version: 1\ndescription: mine\nextends: [shell]\n' > "$work/user/mine/special.yaml"
    chmod -R go-w "$work/user/config" "$work/user/mine"
    give user "$work/user/config" "$work/user/mine"
    run -0 as user "$SANDBOXD" --check-config
    [[ $output == *"config/sandboxd/sandboxd.yaml: in order"* ]]
    serve user
    [ "$(XDG_STATE_HOME=$work/user/state as user "$SANDBOXCTL" exec --policy special --detach --name one --chdir / -- sleep 60)" = one ]
    run -125 detach user view two -- sleep 60
    [[ $output == *"may have 1 sandboxes (quota: sandboxes in $XDG_CONFIG_HOME/sandboxd/sandboxd.yaml:1)"* ]]
    ctl user kill one
    # Wrong ones: nothing is started by half of them.
    echo 'policies: mine' > "$XDG_CONFIG_HOME/sandboxd/sandboxd.yaml"
    run -125 as user "$SANDBOXCTL" exec --policy shell --chdir / -- true
    [[ $output == *"sandboxd.yaml:1:11: error: policies: expected a list"* ]]
    run ! as user "$SANDBOXCTL" policy list
    [[ $output == *"sandboxd.yaml:1:11"* ]]
    # Another's home, as setpriv and the like leave it: there are no settings in it.
    mkdir -m 700 "$work/closed"
    printf 'version: 1\ndescription: enough for true\nfiles: { exec: [/usr, /bin, /lib, /lib64], read: [/etc/ld.so.cache] }\n' > "$work/true.yaml"
    XDG_CONFIG_HOME=$work/closed run -0 as user "$SANDBOXCTL" exec --policy "$work/true.yaml" --chdir / -- true
    [ -z "$output" ]
    # Nor policies: a name is looked up in the other folders.
    XDG_CONFIG_HOME=$work/closed run -0 as user "$SANDBOXCTL" exec --quiet --policy shell --chdir / -- echo found
    [ "$output" = found ]
    XDG_CONFIG_HOME=$work/closed run ! as user "$SANDBOXCTL" policy check no-such-policy
    [[ $output == *"there is no policy \`no-such-policy\`"* ]]
}

@test "SIGHUP with wrong settings keeps the old ones; so does who comes after a killed daemon; mended ones count" {
    local before
    settings user 'quota: { sandboxes: 1 }'
    serve user --config "$work/user/sandboxd.yaml"
    detach user view one -- sleep 60
    before=$(daemon_of)
    settings user 'quota: { sandboxes: few }'
    kill -HUP "$keeper"
    eventually logs "it keeps the settings that it has"
    logs "sandboxd.yaml:1:21: sandboxes: expected a whole number"
    [ "$(daemon_of)" -eq "$before" ]
    kill -9 "$before"
    ended "$before" 50
    eventually is user one state running
    logs "it goes on with the settings that it had before"
    run -125 detach user view two -- sleep 60
    [[ $output == *"may have 1 sandboxes (quota: sandboxes in the settings kept from before:1)"* ]]
    settings user 'quota: { sandboxes: 2 }'
    before=$(daemon_of)
    kill -HUP "$keeper"
    ended "$before" 50
    eventually is user one state running
    detach user view two -- sleep 60
    run -125 detach user view three -- sleep 60
    [[ $output == *"may have 2 sandboxes"* ]]
    # Made smaller: what is there goes on.
    settings user 'quota: { sandboxes: 0 }'
    before=$(daemon_of)
    kill -HUP "$keeper"
    ended "$before" 50
    eventually is user two state running
    is user one state running
    ctl user kill one two
}

@test "quotas are of each user: one that is full takes nothing from another" {
    need_root
    settings root "quota: { sandboxes: 5, users: { $SANDBOXD_TEST_USER: { sandboxes: 1 }, root: { sandboxes: 2 } } }"
    serve root --config "$work/root/sandboxd.yaml"
    detach user view one -- sleep 60
    run -125 detach user view two -- sleep 60
    [[ $output == *"uid $SANDBOXD_TEST_USER may have 1 sandboxes (quota: sandboxes in $work/root/sandboxd.yaml:1)"* ]]
    # Of the same names.
    detach root view one -- sleep 60
    detach root view two -- sleep 60
    run -125 detach root view three -- sleep 60
    [[ $output == *"uid 0 may have 2 sandboxes"* ]]
    # What has ended doesn't count.
    ctl user kill one
    run -137 ctl user wait one
    detach user view two -- sleep 60
    ctl user kill two
    ctl root kill one two
}

@test "the quota of calls bounds a worker's threads, and its memory is bounded" {
    local worker threads
    settings user 'quota: { calls: 16, memory: 64M }'
    serve user --config "$work/user/sandboxd.yaml"
    # sleep first: a call that comes while no thread is left to receive it can be interrupted.
    detach user broker many -- sh -c 'mkfifo /tmp/f; sleep 60 & i=0; while [ $i -lt 40 ]; do cat < /tmp/f & i=$((i + 1)); done; echo ready; wait'
    eventually grep -q ready "$work/user/state/sandboxd/many.log"
    worker=$(field user many worker)
    [ "$(awk '/^Max data size/ { print $4, $5 }' "/proc/$worker/limits")" = "67108864 67108864" ]
    # The monitor, and 16; whoever would be one too many has been told so.
    eventually threads_are "$worker" 17
    sleep 1
    threads_are "$worker" 17
    grep -q "Resource temporarily unavailable" "$work/user/state/sandboxd/many.log"
    # Other calls are answered as before.
    is user many state running
    ctl user kill many
    run -137 ctl user wait many
}

# The kernel's own threads for io_uring don't count.
threads_are() {
    [ "$(cat /proc/"$1"/task/*/comm | grep -vc '^iou-')" -eq "$2" ]
}

# usage WHO UID QUOTA: how much of it is taken.
usage() {
    ctl "$1" ps --usage --json | /usr/bin/python3 -c 'import json, sys
print(*[l["used"] for l in json.load(sys.stdin) if l["uid"] == int(sys.argv[1]) and l["quota"] == sys.argv[2]])' "$2" "$3"
}

in_flight() {
    [ "$(usage root "$SANDBOXD_TEST_USER" calls)" = "$1" ]
}

# waiters WHO NAME N: a sandbox with so many calls that wait, or were refused. sleep first, so that it doesn't end.
waiters() {
    detach "$1" broker "$2" -- sh -c "mkfifo /tmp/f; sleep 60 & i=0; while [ \$i -lt $3 ]; do cat < /tmp/f & i=\$((i + 1)); done; echo ready; wait"
    eventually grep -q ready "$work/$1/state/sandboxd/$2.log"
}

refused() {
    cat "$work/user/state/sandboxd/"*.log | { grep -o "Resource temporarily unavailable" || :; } | wc -l
}

# All but those that were refused wait, and no more than may be.
full() {
    local waits=$(($1 - $(refused)))
    [ "$waits" -le 20 ] && [ "$waits" -ge 16 ] && in_flight "$waits"
}

is_full() {
    eventually full "$1" || {
        echo "$(refused) of $1 refused, $(usage root "$SANDBOXD_TEST_USER" calls) in flight"
        tail -n 30 "$work/user/state/sandboxd/"*.log
        ctl root ps --json
        return 1
    }
}

@test "the quota of calls is of all sandboxes of a user together, and neither a killed worker nor a killed daemon changes what counts" {
    local i before waits
    need_root
    settings root "quota: { users: { $SANDBOXD_TEST_USER: { calls: 20 } } }"
    serve root --config "$work/root/sandboxd.yaml"
    for i in 1 2 3; do
        waiters user "s$i" 12
    done
    is_full 36
    waits=$((36 - $(refused)))
    # Others have nothing to do with that, and see nothing of it.
    waiters root free 40
    eventually test "$(usage root 0 calls)" -ge 40
    run ! grep "temporarily unavailable" "$work/root/state/sandboxd/free.log"
    [ "$(ctl user ps --usage --json | grep -c '"uid"')" -eq 4 ]
    [ "$(ctl root ps --usage | awk 'NR > 1 { print $1 }' | sort -u | wc -l)" -eq 2 ]
    # Calls that don't wait are answered, in a full one as well.
    [ "$(sandbox user broker shell --quiet --daemon --chdir / -- sh -c 'for f in /etc/*; do test -e "$f"; done; echo done')" = "done" ]
    before=$(field user s1 worker)
    kill -9 "$before"
    ended "$before" 50
    eventually is user s1 workers 2
    eventually in_flight "$waits"
    before=$(daemon_of)
    kill -9 "$before"
    ended "$before" 50
    eventually is user s1 state running
    eventually in_flight "$waits"
    waiters user s4 12
    is_full 48
    # What has ended gives back what it had.
    ctl user kill s1 s2 s3 s4
    for i in 1 2 3 4; do
        run -137 ctl user wait "s$i"
    done
    eventually in_flight 0
    before=$(refused)
    waiters user s5 12
    eventually in_flight 12
    [ "$(refused)" -eq "$before" ]
    # While no daemon is there.
    waits=$(field user s5 pid)
    before=$(daemon_of)
    kill -STOP "$keeper"
    kill -9 "$before"
    kill -9 "$waits"
    ended "$waits" 50
    kill -CONT "$keeper"
    eventually in_flight 0
    ctl root kill free
}

@test "the quota of memory is of all sandboxes of a user together: one that doesn't fit is not started" {
    need_root
    settings root "quota: { users: { $SANDBOXD_TEST_USER: { memory: 130M, sandbox-memory: 64M } } }"
    serve root --config "$work/root/sandboxd.yaml"
    detach user view one -- sleep 60
    detach user view two -- sleep 60
    run -125 detach user view three -- sleep 60
    [[ $output == *"no memory left for one more: uid $SANDBOXD_TEST_USER may have 130M of memory in workers, of which each sandbox takes 64M (quota: memory in $work/root/sandboxd.yaml:1; sandbox-memory)"* ]]
    [ "$(usage user "$SANDBOXD_TEST_USER" memory)" -eq $((128 << 20)) ]
    [ "$(awk '/^Max data size/ { print $5 }' "/proc/$(field user one worker)/limits")" = 67108864 ]
    detach root view other -- sleep 60
    ctl user kill one
    run -137 ctl user wait one
    detach user view three -- sleep 60
    ctl user kill two three
    ctl root kill other
}

@test "512 calls that wait fit into the memory that a worker has by default" {
    local worker
    serve user
    cat > "$work/user/wait.py" <<'PYTHON'
import os, resource, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
threading.stack_size(65536)
os.mkfifo("/tmp/f")
done = []
def wait():
    fd = os.open("/tmp/f", os.O_RDONLY)
    done.append(1)
    os.close(fd)
threads = [threading.Thread(target=wait) for _ in range(500)]
for t in threads:
    t.start()
print("ready", flush=True)
time.sleep(2)
fd = os.open("/tmp/f", os.O_WRONLY)
for t in threads:
    t.join()
print("opened", len(done), flush=True)
PYTHON
    chmod 644 "$work/user/wait.py"
    policy_extra=$'limits: { processes: 2000 }\n'
    XDG_STATE_HOME=$work/user/state sandbox user broker python,shell --detach --name deep --read "$work/user/wait.py" --chdir / -- /usr/bin/python3 "$work/user/wait.py"
    eventually grep -q ready "$work/user/state/sandboxd/deep.log"
    worker=$(field user deep worker)
    eventually threads_are_more "$worker" 500
    run -0 ctl user wait deep
    [ "$(ctl user logs deep | tail -1)" = "opened 500" ]
    [ "$(field user deep workers)" -eq 1 ]
}

threads_are_more() {
    [ "$(awk '/^Threads/ { print $2 }' "/proc/$1/status")" -gt "$2" ]
}
