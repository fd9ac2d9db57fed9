# Root's sandboxd between users: what one of them can do to another, or make the daemon do.
#
# The user of the tests and 65531 (`other`) are the two. Whatever is tried, root's daemon is the same process in the end, and answers others meanwhile.

load lib
load daemons

: "${HOSTILE:=$SANDBOXD_BUILD/tests/live/hostile}"

# quick WHO COMMAND…: within five seconds; 65531 is "other".
quick() {
    local who=$1 identity=(env "HOME=$work/home/other" setpriv --reuid=65531 --regid=65531 --clear-groups --inh-caps=-all --)
    shift
    [ "$who" = other ] || identity "$who"
    timeout 5 "${identity[@]}" "$@" > "$work/quick.out" 2>&1 || {
        echo "failed, or took too long: $*"
        cat "$work/quick.out"
        return 1
    }
}

# hostile WORD…: as the user of the tests.
hostile() {
    as user timeout 30 "$HOSTILE" "$@" < /dev/null 2> "$work/hostile.err"
}

serve_all() {
    need_root
    [ -x "$HOSTILE" ] || skip "the programs of the tests are not built"
    mkdir -p "$work/home/other" "$work/other"
    chown -R 65531:65531 "$work/home/other" "$work/other"
    serve root "$@"
    daemon=$(daemon_of)
}

# other_starts NAME: 65531 starts a sandbox, which runs.
other_starts() {
    (cd "$work/other" && XDG_STATE_HOME=$work/other quick other "$SANDBOXCTL" exec --policy shell --detach --name "$1" --chdir / -- sleep 60)
}

# stands: the daemon is who it was, and serves somebody else at once.
stands() {
    quick other "$SANDBOXCTL" ps
    other_starts "after-$RANDOM"
    [ "$(daemon_of)" -eq "$daemon" ]
}

@test "a user can't see, signal, wait for or forget another's sandbox, nor take or probe its name" {
    local init worker object property process none who
    serve_all
    detach user view mine -- sleep 60
    init=$(field user mine pid)
    worker=$(field user mine worker)
    object=/org/sandboxd/sandbox/u$SANDBOXD_TEST_USER
    for verb in "status" "stop" "kill" "kill --signal TERM" "wait" "logs"; do
        # shellcheck disable=SC2086
        run -125 other "$SANDBOXCTL" $verb "$SANDBOXD_TEST_USER/mine"
        [[ $output == *"there is no sandbox $SANDBOXD_TEST_USER/mine of yours"* ]]
        none=$output
        # shellcheck disable=SC2086
        run -125 other "$SANDBOXCTL" $verb "$SANDBOXD_TEST_USER/none"
        # What is somebody else's and what isn't there look the same.
        [ "${output//none/mine}" = "$none" ]
    done
    for method in "Signal i 9" "Continue" "Kill" "Wait" "Attach" "Forget"; do
        # shellcheck disable=SC2086
        run ! other busctl "--address=unix:path=$SANDBOXD_SOCKET" call org.sandboxd "$object/mine" org.sandboxd.Sandbox1 $method
    done
    for property in Name Denied Latency Tiers Command; do
        run ! other busctl "--address=unix:path=$SANDBOXD_SOCKET" get-property org.sandboxd "$object/mine" org.sandboxd.Sandbox1 $property
    done
    run -0 other busctl "--address=unix:path=$SANDBOXD_SOCKET" --list tree org.sandboxd
    [[ $output != *mine* ]]
    # The processes are closed as well.
    for process in "$init" "$worker"; do
        run ! other kill -0 "$process"
        run ! other cat "/proc/$process/environ"
        run ! other ls "/proc/$process/fd"
    done
    # Nor to its owner is the worker open: it has the listener.
    run ! as user ls "/proc/$worker/fd"
    for who in "as user" other; do
        for process in "$init" "$worker"; do
            # shellcheck disable=SC2086
            run -1 $who /usr/bin/python3 -c 'import ctypes, sys; PTRACE_SEIZE = 0x4206; sys.exit(ctypes.CDLL(None).ptrace(PTRACE_SEIZE, int(sys.argv[1]), 0, 0) != 0)' "$process"
        done
    done
    # The same name for somebody else.
    other_starts mine
    is user mine state running
    [ "$(field user mine pid)" -eq "$init" ]
    stands
}

@test "quotas: one user's sandboxes, connections and waiting calls leave another's alone" {
    local i pid
    echo "quota: { users: { $SANDBOXD_TEST_USER: { sandboxes: 3, connections: 20, calls: 16 } } }" > "$work/root/sandboxd.yaml"
    serve_all --config "$work/root/sandboxd.yaml"
    # sleep first: a call that comes while no thread is left to receive it can be interrupted.
    for i in 1 2 3; do
        detach user broker "s$i" -- sh -c 'mkfifo /tmp/f; sleep 60 & i=0; while [ $i -lt 30 ]; do cat < /tmp/f & i=$((i + 1)); done; wait'
    done
    run -125 detach user view s4 -- sleep 60
    [[ $output == *"uid $SANDBOXD_TEST_USER may have 3 sandboxes"* ]]
    # Silent connections, as many as there may be; then one more is closed at once.
    start user "$HOSTILE" connections 60
    eventually test -s "$work/out"
    [ "$(cat "$work/out")" -eq 20 ]
    grep -q "a connection was refused: uid $SANDBOXD_TEST_USER may have 20 connections (quota: connections in $work/root/sandboxd.yaml:1)" "$work/daemon.log"
    [ "$(grep -c "a connection was refused" "$work/daemon.log")" -le 5 ]
    run -125 ctl user ps
    stands
    kill "$started"
    eventually ctl user ps
    [ "$(ctl user ps --json | grep -c '"name"')" -eq 3 ]
}

@test "descriptors of any kind in any place: no adoption, and the daemon goes on" {
    local kind what place
    serve_all
    # Each place, with what isn't meant for it.
    for place in plan init control listener user; do
        for kind in directory path device pipe file proc event stream unsealed half-sealed huge namespace; do
            run -0 hostile adopt "x-$place-$kind" "$place" "$kind"
            case $place-$kind in
            *) [ "$output" = org.sandboxd.Error.Failed ] || [ "$output" = org.freedesktop.DBus.Error.NoReply ] || [ "$output" = org.freedesktop.DBus.Error.Disconnected ] || [ "$output" = org.freedesktop.DBus.Error.ConnectionReset ] || [[ $output == ECONN* ]] || { echo "$place $kind: $output"; return 1; } ;;
            esac
        done
        stands
    done
    for kind in directory device pipe file proc event stream namespace; do
        run -0 hostile adopt "x-root-$kind" root "$kind"
        [ "$output" != taken ] || { echo "root $kind is taken"; return 1; }
    done
    for kind in directory path event namespace proc; do
        run -0 hostile adopt "x-log-$kind" log "$kind"
        [ "$output" != taken ] || { echo "log $kind is taken"; return 1; }
    done
    stands
    [ "$(ctl user ps --json | tr -d '[:space:]')" = "[]" ]
}

@test "a file on a file system of the sender's own, whose close never ends, holds nobody up" {
    local place words client server clients=()
    serve_all
    [ -c /dev/fuse ] || skip "there is no FUSE"
    for place in log plan init control listener root user call; do
        words=(adopt "hang-$place" "$place" 9)
        [ $place != call ] || words=(call 9)
        /usr/bin/python3 "$BATS_TEST_DIRNAME/hang.py" "$SANDBOXD_TEST_USER" 60 "$HOSTILE" "${words[@]}" < /dev/null > "$work/hang-$place" 2>&1 3>&- &
        clients+=($!)
    done
    for place in log plan init control listener root user call; do
        eventually grep -q sending "$work/hang-$place"
    done
    sleep 1
    stands
    # Also of the same user.
    detach user view mine -- sleep 60
    ctl user kill mine
    stands
    # All the time nobody has answered, and nothing was taken.
    for place in log plan init control listener root user call; do
        run ! grep -E 'taken|no FUSE|Traceback|hostile:' "$work/hang-$place"
    done
    for client in "${clients[@]}"; do
        server=$(pgrep -P "$client" -f hang.py)
        kill "$server"
    done
    for client in "${clients[@]}"; do
        wait "$client" || :
    done
}

@test "an init that reads nothing, and blocks whoever sends, holds nobody up" {
    serve_all
    # It takes what lets it go, and then sees to it that nothing more can be sent, and that who sends waits.
    hostile adopt deaf control deaf > "$work/deaf.out" &
    background+=($!)
    for _ in 1 2 3 4 5; do
        quick other "$SANDBOXCTL" ps
        sleep 0.3
    done
    eventually test -s "$work/deaf.out"
    [ "$(cat "$work/deaf.out")" = taken ]
    grep -q "$SANDBOXD_TEST_USER/deaf: it is killed" "$work/daemon.log"
    stands
}

@test "a plan that is garbage, deep, or as large as it may be takes its own sandbox only, and bounded memory" {
    local what
    serve_all
    cat > bombs.py <<'PYTHON'
import sys
most = 4 << 20
open("garbage", "wb").write(bytes(range(256)) * 1000)
open("deep", "w").write("[" * 1000000)
open("deep-objects", "w").write('{"a":' * 500000)
open("many", "w").write("[" + "1," * 2000000 + "1]")
open("lists", "w").write("[" + "[]," * 1300000 + "[]]")
open("strings", "w").write('["' + "\\u0041" * 690000 + '"]')
open("empty", "w").write("")
PYTHON
    /usr/bin/python3 bombs.py
    for what in garbage deep deep-objects many lists strings empty; do
        chmod 644 "$what"
        run -0 hostile adopt "plan-$what" none none "$PWD/$what"
        [ "$output" = taken ] || [ "$output" = org.sandboxd.Error.Failed ] || { echo "$what: $output"; return 1; }
        eventually ends_failed "plan-$what"
    done
    stands
}

# ends_failed NAME: its worker couldn't serve it, and was within its bounds.
ends_failed() {
    ctl root ps --all | grep -q "^$SANDBOXD_TEST_USER/$1 .*broker failed" || ! ctl root ps --all | grep -q "^$SANDBOXD_TEST_USER/$1 "
}

@test "a slow, a silent and a noisy client, and messages without end, hold nobody up" {
    local memory
    serve_all
    cat > noise.py <<'PYTHON'
import os, socket, struct, sys, time
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(10)
    return s
hello = b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
kept = []
def send(data, slow=False):
    s = connect()
    kept.append(s)
    try:
        if slow:
            for b in data[:200]:
                s.sendall(bytes([b]))
                time.sleep(0.005)
        else:
            s.sendall(data)
    except OSError:
        pass
    return s
header = lambda body, fields: struct.pack("<cBBBIII", b"l", 1, 0, 1, body, 1, fields)
send(b"")
send(b"\0AUTH")
send(hello, slow=True)
send(hello + header(0xffffffff, 0xffffffff) + b"x" * 70000)
send(hello + header(64 << 20, 16) + b"x" * 1000)
for s in [send(hello + header(100 << 20, 16)) for _ in range(20)]:
    try:
        for _ in range(100):
            s.sendall(b"y" * (1 << 20))
    except OSError:
        pass
for _ in range(20):
    send(hello + os.urandom(5000))
# Calls whose answers nobody reads.
call = lambda serial: b"l\1\0\1" + struct.pack("<III", 0, serial, 0x6d) + b"\1\1o\0\x0d\0\0\0/org/sandboxd\0\0\0" + b"\3\1s\0\x11\0\0\0GetManagedObjects\0\0\0\0\0\0\0" + b"\2\1s\0\x22\0\0\0org.freedesktop.DBus.ObjectManager\0\0\0\0\0\0"[:0]
s = send(hello)
try:
    s.settimeout(3)
    n = 0
    while n < 20000:
        body = b"\1\1o\0\x0d\0\0\0/org/sandboxd\0" + b"\0" * 2 + b"\2\1s\0\x22\0\0\0org.freedesktop.DBus.ObjectManager\0" + b"\0" * 5 + b"\3\1s\0\x11\0\0\0GetManagedObjects\0"
        s.sendall(b"l\1\0\1" + struct.pack("<III", 0, n + 1, len(body)) + body + b"\0" * (-len(body) % 8))
        n += 1
except OSError:
    pass
print("sent", flush=True)
time.sleep(20)
PYTHON
    start user /usr/bin/python3 "$work/root/noise.py" "$SANDBOXD_SOCKET"
    for _ in 1 2 3 4 5; do
        quick other "$SANDBOXCTL" ps
        sleep 0.3
    done
    eventually grep -q sent "$work/out"
    memory=$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status")
    [ "$memory" -lt 200000 ] || { echo "the daemon has $memory KB"; return 1; }
    stands
}

@test "paths that a client names are not opened by the daemon: not its policy, output, cgroup, root" {
    serve_all
    need_command strace
    # The daemon itself, not the processes that it starts.
    strace -e trace=%file -p "$daemon" -o trace 2> attached &
    background+=($!)
    eventually grep -q attached attached
    XDG_STATE_HOME=$work/user/state detach user view traced -- sleep 60
    run -0 hostile adopt liar none none
    ctl user kill traced
    eventually ended_all
    [ "$(wc -l < trace)" -gt 0 ]
    run ! grep -E "\"($work/user|$work/home|hostile|/sys/fs/cgroup|/root)" trace
}

ended_all() {
    [ "$(ctl root ps --json | tr -d '[:space:]')" = "[]" ]
}
