# What runtimes execute in a container later: each a further listener of the container's one sandbox.

load ../live/lib
load ../live/daemons
load lib-agent

metadata='{"sandboxd":1,"policy":"box"}'

setup_test() {
    engine
}

# A runtime that still ends would make its folder anew.
teardown_test() {
    local of
    for of in crun runc; do
        [ ! -e "$work/state-$of/long" ] || runtime "$of" kill long KILL || :
    done
    eventually no_runtime
}

no_runtime() {
    ! pgrep -f -- "--root $work/state-" > /dev/null
}

# long RUNTIME: a container that makes calls without end.
long() {
    [ "$1" = crun ] || metadata=${metadata/\{/\{\"wait-killable\":true,}
    bundle "$metadata" "$1" -- sh -c 'while cat /etc/file > /dev/null; do sleep 0.1; done'
    box "$1" long
}

notified() {
    ctl root status long | awk '$1 == "notified" { print $2 }'
}

sandboxes() {
    ctl root ps --all --json | jq length
}

# session RUNTIME: what is executed in the background, and counts to /tmp/count.
session() {
    # shellcheck disable=SC2016
    runtime "$1" exec long sh -c 'i=0; while i=$((i + 1)); do echo $i > /tmp/count || exit 1; cat /secret/key && exit 2; sleep 0.05; done' < /dev/null > "$work/session" 2>&1 3>&- &
    background+=("$!")
    eventually is root long entered 1
    eventually counted 2
}

counted() {
    local count
    count=$(cat "/proc/$(field root long pid)/root/tmp/count")
    [ -n "$count" ] && [ "$count" -ge "$1" ]
}

# goes_on: the session's calls are answered still.
goes_on() {
    eventually counted $(($(cat "/proc/$(field root long pid)/root/tmp/count") + 5))
    [[ $(< "$work/session") != *$'\nsecret'* ]]
}

one_after_the_other() {
    local i before now
    long "$1"
    before=$(notified)
    for ((i = 1; i <= $2; i++)); do
        [ "$(runtime "$1" exec long cat /etc/file)" = content ]
    done
    [ "$(sandboxes)" = 1 ]
    now=$(notified)
    [ "$now" -gt $((before + i)) ]
    eventually is root long entered 0
    [ "$(field root long state)" = running ]
    counts root long
    run runtime "$1" exec long cat /secret/key
    [ "$status" -ne 0 ]
    [[ $output == *"can't open '/secret/key': No such file or directory"* ]]
}

@test "crun: two hundred execs leave one sandbox, with all their calls counted" {
    one_after_the_other crun 200
}

@test "runc: the same with twenty" {
    need_command runc
    one_after_the_other runc 20
}

@test "an exec session outlives its worker and the daemon" {
    local worker
    long crun
    session crun
    worker=$(field root long worker)
    kill -KILL "$worker"
    goes_on
    [ "$(field root long worker)" != "$worker" ]
    # A killed daemon finds both listeners again, and so does the worker that it starts.
    kill -KILL "$(daemon_of)"
    eventually is root long entered 1
    goes_on
    worker=$(field root long worker)
    kill -KILL "$worker"
    goes_on
    counts root long
    [ "$(runtime crun exec long cat /etc/file)" = content ]
    [ "$(sandboxes)" = 1 ]
    runtime crun kill long KILL
    eventually is root long state ended
}

@test "a daemon that is executed anew keeps a session" {
    local before
    long crun
    session crun
    before=$(daemon_of)
    kill -HUP "$keeper"
    ended "$before" 100
    eventually is root long entered 1
    goes_on
    counts root long
}

@test "in a user namespace of its own, and with what may not be executed" {
    bundle "$metadata" crun userns=1 caps=CAP_SYS_ADMIN,CAP_DAC_OVERRIDE -- sh -c 'while cat /etc/file > /dev/null; do sleep 0.1; done'
    box crun long
    run runtime crun exec long sh -c 'cat /etc/file /secret/key; id -u'
    [[ $output == *content*"can't open '/secret/key': No such file or directory"*0 ]]
    cp "$bundle/rootfs/bin/busybox" "$bundle/rootfs/secret/cat"
    run runtime crun exec long /secret/cat /etc/file
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    [ "$(runtime crun exec --user 7 long id -u)" = 7 ]
    [ "$(sandboxes)" = 1 ]
    counts root long
}

@test "an ordinary user's, in a user namespace of the engine's" {
    stop_agent
    give user "$bundle" "$work/policies" "$work/sandboxd.yaml"
    start_agent user
    bundle "$metadata" crun caps=CAP_DAC_OVERRIDE -- sh -c 'while cat /etc/file > /dev/null; do sleep 0.1; done'
    identity user
    # shellcheck disable=SC2016
    run inside "${identity[@]}" unshare -r -m sh -c 'crun="crun --cgroup-manager=disabled --root $1/state"
        $crun run --detach --bundle "$2" long < /dev/null > /dev/null 2>&1
        for i in 1 2 3 4 5; do $crun exec long sh -c "cat /etc/file /secret/key"; done
        $crun kill long KILL' sh "$work/user" "$bundle"
    [ "$(grep -c content <<< "$output")" = 5 ]
    [ "$(grep -c "can't open '/secret/key': No such file or directory" <<< "$output")" = 5 ]
    eventually is user long state ended
    [ "$(ctl user ps --all --json | jq length)" = 1 ]
}

@test "several at once, started by the same words" {
    local i
    long crun
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        runtime crun exec long sh -c 'cat /etc/file; cat /secret/key' < /dev/null > "$work/at-once-$i" 2>&1 3>&- &
        background+=("$!")
    done
    for i in "${background[@]: -12}"; do
        wait "$i" || :
    done
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        [ "$(head -1 "at-once-$i")" = content ]
        [[ $(< "at-once-$i") == *"can't open '/secret/key': No such file or directory"* ]]
    done
    eventually is root long entered 0
    [ "$(sandboxes)" = 1 ]
    counts root long
}

@test "there is room for so many at once, and a place is free when its session has ended" {
    local i
    long crun
    # shellcheck disable=SC2016
    for ((i = 1; i <= 63; i++)); do
        runtime crun exec long sh -c 'while ! cat /tmp/end$1; do sleep 0.2; done' sh "$i" < /dev/null > /dev/null 2>&1 3>&- &
        background+=("$!")
        eventually is root long entered "$i"
    done
    run runtime crun exec long cat /etc/file
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    say "long: an exec in the container is not started: 63 are in it already besides its own program"
    counts root long
    touch "/proc/$(field root long pid)/root/tmp/end7"
    eventually is root long entered 62
    [ "$(runtime crun exec long cat /etc/file)" = content ]
}

# stranger ID [mounts]: a process of nobody's container sends a listener as if it were executed in that one.
stranger() {
    run inside /usr/bin/python3 "$BATS_TEST_DIRNAME/stranger.py" "$agent" "$metadata" "$1" "$(field root long pid)" "${@:2}"
    [ "$status" -eq 137 ]
    [ "$output" = sent ]
}

@test "who isn't of the container doesn't join its sandbox" {
    long crun
    stranger long
    say "long: an exec in the container is not started: its root is another one than the container's"
    stranger other
    say "other: an exec in the container is not started: sandboxd has no sandbox of that container"
    metadata='{"sandboxd":1,"policy":"other"}'
    stranger long
    say "the sandbox of this name is of another container, or its profile names another policy"
    metadata='{"sandboxd":1,"policy":"box","name":"long"}'
    stranger another-id
    [ "$(grep -c "the sandbox of this name is of another container" "$work/daemon.log")" = 2 ]
    # The same root alone is not enough.
    metadata='{"sandboxd":1,"policy":"box"}'
    stranger long mounts
    say "it is in another namespace (pid) than the container's first process"
    [ "$(field root long entered)" = 0 ]
    counts root long
}
