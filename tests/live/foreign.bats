# Sandboxes whose namespaces are not ours, as wrapped services are: the process loads the filter into itself (foreign.c) and keeps its pid, its view and
# its rights; sandboxd decides each call.

load lib
load daemons

setup_test() {
    need_root
    foreign=$SANDBOXD_BUILD/tests/live/foreign
    serve root
    mkdir -p "$work/data/jail/in"
    echo -n content > "$work/data/jail/file"
    echo -n secret > "$work/data/jail/secret"
    ln -s /file "$work/data/jail/absolute"
    echo -n private > "$work/data/private"
    chmod 600 "$work/data/private"
    mknod "$work/data/memory" c 1 1
    cat > "$work/policy.yaml" << END
version: 1
files:
  exec: [/usr, /bin, /sbin, /lib, /lib64]
  read: [/etc, $SANDBOXD_SOURCE/tests/live]
  write: [$work/data]
  deny: [$work/data/jail/secret]
devices: [null, zero, urandom, tty]
network: { mode: host, connect: ["unix:$work/data/stream", "unix:$work/data/datagram"] }
END
}

# says NAME OUTCOME: of the tries.
says() {
    grep -qx "$1 $2" "$work/tries" || { echo "not '$1 $2', but:"; cat "$work/tries"; return 1; }
}

@test "a process that puts itself behind the broker keeps its rights, and is decided on" {
    /usr/bin/python3 - "$work/data" > "$work/peers" << 'END' &
import os, socket, struct, sys
os.chdir(sys.argv[1])
stream, datagram = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagram.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
datagram.bind("datagram"); stream.bind("stream"); stream.listen()
os.chmod("stream", 0o777); os.chmod("datagram", 0o777)
for _ in range(3):
    data, control, _, _ = datagram.recvmsg(64, 64)
    print(data.decode(), *struct.unpack("3i", control[0][2]), flush=True)
for _ in range(2):
    print("stream", *struct.unpack("3i", stream.accept()[0].getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:], flush=True)
END
    background+=("$!")
    eventually test -S "$work/data/stream"
    "$foreign" tries "$work/policy.yaml" - /usr/bin/python3 "$SANDBOXD_SOURCE/tests/live/foreign.py" "$work/data" "$(daemon_of)" > "$work/tries"
    says read content
    says denied EACCES
    says hidden ENOENT
    says core-pattern EACCES
    says null ok
    says node EACCES
    says mknod EPERM
    # Sandboxd's own processes are out of reach, whatever the service is allowed.
    says kill-daemon EPERM
    says kill-all EPERM
    says kill-self ok
    says pidfd-daemon EPERM
    says folder-daemon EACCES
    says limit-daemon EPERM
    says memory-of-1 EACCES
    says memory-own ok
    says trace-1 EPERM
    says unshare EPERM
    says setns EPERM
    says connect-none EACCES
    # Rules hold where an object lies, whatever root the caller has.
    says jail-list absolute,file,in,secret
    says jail-up absolute,file,in,secret
    says jail-link content
    says jail-relative content
    says jail-write ok
    says jail-secret EACCES
    says jail-etc ENOENT
    says jail-rename ok
    says user-create EACCES
    says user-read-0600 EACCES
    says user-read content
    says user-chroot EPERM
    # Who is on the other end sees who it is.
    local pid
    pid=$(awk '$1 == "pid" { print $2 }' "$work/tries")
    eventually grep -q "stream 65532 65532" "$work/peers"
    grep -qx "root $pid 0 0" "$work/peers"
    grep -qx "for 1 1 0 0" "$work/peers"
    grep -q "^user [0-9]* 65532 65532$" "$work/peers"
    grep -qx "stream 0 0" "$work/peers"
    eventually is root tries outcome gone
    [ "$(field root tries workers)" = 1 ]
}

@test "programs that give other ids give them, and what may not be executed is not" {
    [ "$("$foreign" ids "$work/policy.yaml" - setpriv --reuid 65532 --regid 65532 --clear-groups sh -c 'id -u; exec /usr/bin/passwd -S nobody' 2>&1 |
        head -1)" = 65532 ]
    if command -v sudo > /dev/null; then
        [ "$("$foreign" sudo "$work/policy.yaml" - sudo -n -u nobody id -u)" = 65534 ]
    fi
    # A copy that lies where nothing may be executed; and it is set-uid: passwd runs as root for somebody who isn't.
    cp /usr/bin/true "$work/data/true"
    run -126 "$foreign" exec "$work/policy.yaml" - sh -c "$work/data/true"
    cp /usr/bin/id "$work/data/id"
    chmod 4755 "$work/data/id"
    sed -i "s|^  exec: .*|  exec: [/usr, /bin, /sbin, /lib, /lib64, $work/data/id]|" "$work/policy.yaml"
    [ "$("$foreign" setuid "$work/policy.yaml" - setpriv --reuid 65532 --regid 65532 --clear-groups "$work/data/id" -u)" = 0 ]
}

@test "it lives while anybody is under its filter, and dies when it is told to" {
    # As a service that forks: who has started it goes.
    "$foreign" forks "$work/policy.yaml" - sh -c '(while cat /etc/hosts > /dev/null; do sleep 0.05; done) > /dev/null 2>&1 & echo $!' > "$work/pid"
    local pid before
    read -r pid < "$work/pid"
    background+=("$pid")
    is root forks state running
    before=$(field root forks workers)
    kill -KILL "$(field root forks worker)"
    eventually is root forks workers $((before + 1))
    kill -0 "$pid"
    # A new daemon finds it, and a worker that comes after the death of its init has its root all the same.
    kill -KILL "$(daemon_of)"
    eventually is root forks state running
    kill -KILL "$(field root forks worker)"
    eventually is root forks workers $((before + 2))
    sleep 0.3
    kill -0 "$pid"
    "$SANDBOXCTL" kill forks
    ended "$pid" 50
    eventually is root forks state ended
    is root forks outcome gone
    [ "$("$SANDBOXCTL" ps)" = "" ] || ! "$SANDBOXCTL" ps | grep -q forks
}

# none_of NAME: of its worker and helper; who is dead, and not reaped, has no words any more.
none_of() {
    ! pgrep -f -- "-(worker|helper) $1 "
}

# goes_on NAME: starts one that writes down each call that failed; its pid is in `pid`.
goes_on() {
    "$foreign" "$1" "$work/policy.yaml" - sh -c 'while cat /etc/hosts > /dev/null; do sleep 0.02; done; echo failed >> "$0"; sleep 1000' "$work/data/failed" \
        > "$work/said.$1" 2>&1 3>&- &
    pid=$!
    background+=("$pid")
    eventually is root "$1" state running
}

@test "where nobody supervises it any more, and nobody is going to, it is killed before a call of it could fail" {
    local pid helper
    goes_on left
    # A helper that has been replaced does so too.
    helper=$(pgrep -f -- '--helper left')
    kill -KILL "$helper"
    eventually pgrep -f -- '--helper left'
    kill -KILL "$(daemon_of)"
    eventually is root left state running
    kill -STOP "$keeper"
    kill -KILL "$(daemon_of)"
    sleep 0.5
    # The keeper has what is stored, and would start the daemon again.
    kill -0 "$pid"
    kill -KILL "$keeper"
    ended "$pid" 50
    [ ! -e "$work/data/failed" ]
    eventually none_of left
}

@test "one that has ended leaves alone what is in its control group by then" {
    local group pid
    group=/sys/fs/cgroup/sandboxd-test-$BASHPID
    [ -e /sys/fs/cgroup/cgroup.procs ] || group=/sys/fs/cgroup/unified/sandboxd-test-$BASHPID
    mkdir "$group" 2> /dev/null || skip "no control group of version 2 can be made here"
    sleep 1000 3>&- &
    background+=("$!")
    echo "$!" > "$group/cgroup.procs"
    SANDBOXD_TEST_CGROUP=$group "$foreign" ends "$work/policy.yaml" - sleep 0.3
    eventually is root ends state ended
    eventually none_of ends
    kill -0 "$!"
    # While it runs all in there are killed with it.
    SANDBOXD_TEST_CGROUP=$group "$foreign" killed "$work/policy.yaml" - sleep 1000 3>&- &
    pid=$!
    background+=("$pid")
    eventually is root killed state running
    kill -KILL "$keeper" "$(daemon_of)"
    ended "$pid" 50
    ended "${background[-2]}" 50
    eventually rmdir "$group"
}

@test "a successor has the root of the sandbox, not that of a caller that has another" {
    start root "$foreign" jail "$work/policy.yaml" "$work/data/jail" /bin/sh
    # There is nothing to execute in the jail: it ends, and says so.
    ends 125
    grep -q "/bin/sh: No such file or directory" "$work/err"
    /usr/bin/python3 - "$work/data/jail" > "$work/script.py" << 'END'
import sys
print(f"""import os, time
os.chroot({sys.argv[1]!r}); os.chdir("/")
open("/ready", "w").close()
while not os.path.exists("/go"):
    time.sleep(0.05)
for path in "/file", "/secret", "/etc/hosts":
    try:
        print(path, open(path).read(), flush=True)
    except OSError as e:
        print(path, e.strerror, flush=True)
""")
END
    cp "$work/script.py" "$work/data/script.py"
    start root "$foreign" successor "$work/policy.yaml" - /usr/bin/python3 "$work/data/script.py"
    eventually test -e "$work/data/jail/ready"
    local before
    before=$(field root successor workers)
    kill -KILL "$(field root successor worker)"
    eventually is root successor workers $((before + 1))
    touch "$work/data/jail/go"
    ends 0
    [ "$(cat "$work/out")" = $'/file content\n/secret Permission denied\n/etc/hosts No such file or directory' ]
}

@test "only the daemon's own user hands over a process of his own making, and what has no tier is refused by name" {
    run -125 setpriv --reuid "$SANDBOXD_TEST_USER" --regid "$SANDBOXD_TEST_USER" --clear-groups "$foreign" other "$work/policy.yaml" - true
    chmod 777 "$SANDBOXD_SOCKET"
    run -125 setpriv --reuid "$SANDBOXD_TEST_USER" --regid "$SANDBOXD_TEST_USER" --clear-groups "$foreign" other "$work/policy.yaml" - true
    [[ $output == *"can't be taken over: Operation not permitted"* ]]
    sed -i 's|^  read: .*|  private: [/tmp]|' "$work/policy.yaml"
    run -125 "$foreign" refused "$work/policy.yaml" - true
    [[ $output == *"no tier: /tmp: \`private\`"* ]]
}
