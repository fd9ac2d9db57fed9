# Who dies with whom: worker, sandboxctl, sandbox; and signals.

load lib

start_caller() {
    start_sandbox "$1" broker shell --exec "$SANDBOXD_BUILD/tests/live" -- "$SANDBOXD_BUILD/tests/live/caller" /etc/hosts
    eventually grep -q ready "$work/out" || {
        cat "$work/out" "$work/err"
        return 1
    }
}

# The processes right below sandboxctl: the worker is in our pid namespace, init in the sandbox's.
worker_of() {
    local pid
    for pid in $(ps -o pid= --ppid "$1"); do
        if [ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink /proc/self/ns/pid)" ]; then
            echo "$pid"
        fi
    done
}

init_of() {
    local pid
    for pid in $(ps -o pid= --ppid "$1"); do
        if [ "$(readlink "/proc/$pid/ns/pid")" != "$(readlink /proc/self/ns/pid)" ]; then
            echo "$pid"
        fi
    done
}

all_ended() {
    local pid
    for pid in "$@"; do
        ended "$pid" 30 || { echo "still there: $pid $(tr '\0' ' ' < "/proc/$pid/cmdline")"; return 1; }
    done
}

worker_killed() {
    local all worker
    folder "$1"
    start_caller "$1"
    worker=$(worker_of "$started")
    [ "$(wc -w <<< "$worker")" -eq 1 ]
    mapfile -t all < <(children "$started")
    [ "${#all[@]}" -ge 3 ]
    kill -9 "$worker"
    ends 125
    all_ended "${all[@]}"
    cat "$work/err"
    grep -q 'sandboxctl: the broker was killed' "$work/err"
    [ "$(cat "$work/out")" = ready ]
}

@test "the worker is killed: the sandbox dies, sandboxctl says so and exits 125: user" { worker_killed user; }
@test "the worker is killed: the sandbox dies, sandboxctl says so and exits 125: root" { worker_killed root; }

sandboxctl_killed() {
    local all i rounds=10
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || rounds=100
    folder "$1"
    for ((i = 0; i < rounds; i++)); do
        start_caller "$1"
        mapfile -t all < <(children "$started")
        [ "${#all[@]}" -ge 3 ]
        kill -9 "$started"
        all_ended "${all[@]}"
        if [ "$(cat "$work/out")" != ready ]; then
            echo "round $i:"
            cat "$work/out"
            return 1
        fi
        wait "$started" || :
        background=()
    done
}

@test "sandboxctl is killed: the sandbox dies, and none of its calls ends in ENOSYS: user" { sandboxctl_killed user; }
@test "sandboxctl is killed: the sandbox dies, and none of its calls ends in ENOSYS: root" { sandboxctl_killed root; }

init_killed() {
    local all
    folder "$1"
    start_caller "$1"
    mapfile -t all < <(children "$started")
    kill -9 "$(init_of "$started")"
    ends 137
    all_ended "${all[@]}"
    grep -q 'sandboxctl: the sandbox was killed' "$work/err"
}

@test "the sandbox is killed: the broker ends, and sandboxctl exits 137: user" { init_killed user; }
@test "the sandbox is killed: the broker ends, and sandboxctl exits 137: root" { init_killed root; }

@test "signals are passed on: TERM ends the command, exit code 143" {
    folder user
    start_caller user
    kill -TERM "$started"
    ends 143
}

@test "a handled signal reaches the command, and its exit code comes back" {
    folder user
    start_sandbox user view shell -- bash -c 'trap "echo got it; exit 7" USR1; echo ready; while :; do sleep 0.1; done'
    eventually grep -q ready "$work/out"
    kill -USR1 "$started"
    ends 7
    grep -q 'got it' "$work/out"
}

@test "what the command leaves running is killed with its end" {
    folder user
    start_sandbox user view shell -- bash -c 'setsid sleep 300 & setsid nohup sleep 301 > /dev/null 2>&1 & sleep 2'
    sleep 1
    mapfile -t all < <(children "$started")
    [ "${#all[@]}" -ge 5 ]
    ends 0
    all_ended "${all[@]}"
}

@test "no descriptor of ours gets in" {
    folder user
    exec 17< /etc/hostname
    run -0 sandbox user view shell -- /usr/bin/python3 -c '
import os
print(sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")))'
    exec 17<&-
    [ "$output" = "[0, 1, 2]" ]
}

@test "--pass-fd lets one in, but no directory" {
    folder user
    echo "through 17" > passed
    give user passed
    exec 17< passed
    run -0 sandbox user view shell --pass-fd 17 -- bash -c 'cat <&17'
    [ "$output" = "through 17" ]
    exec 17< /
    run -125 sandbox user view shell --pass-fd 17 -- true
    exec 17<&-
    [[ $output == *17* ]]
}
