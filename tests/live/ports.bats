# Ports below 1024 of sandboxes that sandboxd owns: as far as their owner could bind them, and a rule names them.

load lib
load daemons

setup_test() {
    cat > "$work/bind.py" <<'PYTHON'
import errno, os, socket, sys, time
kept = []
def bind(port, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", port))
        kept.append(s)
        return "bound"
    except OSError as e:
        return errno.errorcode[e.errno]
print(bind(983), bind(984), bind(983, socket.SOCK_DGRAM), flush=True)
while not os.path.exists("/tmp/again"):
    time.sleep(0.05)
print(bind(985), flush=True)
time.sleep(60)
PYTHON
    chmod 644 "$work/bind.py"
    printf 'version: 1\ndescription: for a test\nextends: [python]\nfiles: { read: [%s], private: [/tmp] }\nnetwork: { mode: host, bind: ["tcp:127.0.0.1:983", "tcp:127.0.0.1:985"] }\n' "$work/bind.py" > "$work/ports.yaml"
    chmod 644 "$work/ports.yaml"
}

# binds WHO NAME: starts it.
binds() {
    XDG_STATE_HOME=$work/$1/state as "$1" "$SANDBOXCTL" exec --policy "$work/ports.yaml" --detach --name "$2" --chdir / -- /usr/bin/python3 "$work/bind.py"
}

said() {
    [ "$(ctl "$1" logs "$2")" = "$3" ]
}

need_low_ports() {
    need_root
    [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 985 ] || skip "anybody may bind these ports here"
}

@test "root's sandbox binds the low ports that its rules name, and no other; also after its worker was killed" {
    local worker
    need_low_ports
    serve root
    binds root web
    # What no rule names, and what only another protocol's rule names.
    eventually said root web "bound EACCES EACCES"
    worker=$(field root web worker)
    kill -9 "$worker"
    eventually is root web workers 2
    # The process that bound for the old one is gone, and there is one for the new.
    eventually one_process_for_ports
    pid=$(field root web pid)
    touch "/proc/$(pgrep -P "$pid" | head -1)/root/tmp/again"
    eventually said root web $'bound EACCES EACCES\nbound'
    # It has that one right.
    process=$(pgrep -x sandboxd-ports -P "$keeper")
    [ "$(awk '/^CapEff/ { print $2 }' "/proc/$process/status")" = 0000000000000400 ]
    [ "$(find "/proc/$process/fd" -mindepth 1 | wc -l)" -le 5 ]
    ctl root kill web
    run -137 ctl root wait web
    eventually no_process_for_ports
}

one_process_for_ports() {
    [ "$(pgrep -c -x sandboxd-ports -P "$keeper")" -eq 1 ]
}

no_process_for_ports() {
    ! pgrep -x sandboxd-ports -P "$keeper"
}

@test "a sandbox of root's without such rules has no process for them" {
    need_low_ports
    serve root
    detach root broker plain -- sh -c 'while :; do cat /etc/hosts > /dev/null; sleep 0.1; done'
    eventually counts root plain
    no_process_for_ports
    ctl root kill plain
}

@test "who couldn't bind them gets none: an ordinary user, and root without the capability" {
    need_low_ports
    serve root
    run -125 binds user web
    [[ $output == *"the policy binds port 983, and you may bind no port below"* ]]
    # An ordinary user with the right: nothing of it goes to the daemon.
    run -125 setpriv --reuid="$SANDBOXD_TEST_USER" --regid="$SANDBOXD_TEST_USER" --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service -- \
        env "HOME=$work/home/user" "$SANDBOXCTL" exec --policy "$work/ports.yaml" --detach --name web --chdir / -- true
    [[ $output == *"sandboxd does that for root's sandboxes only"* ]]
    # A client that doesn't look itself: as one that lost the right after it looked.
    XDG_STATE_HOME=$work/root/state setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service -- "$SANDBOXCTL" exec --policy "$work/ports.yaml" --daemon --chdir / -- true > "$work/out" 2>&1 || :
    grep -q "you may bind no port below" "$work/out"
}

@test "the daemon goes by the right that its client has, not by its uid" {
    need_low_ports
    need_command cc
    serve root
    # The client is let believe that every port is free for all.
    cat > lie.c <<'C'
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static int lie(const char *path, int flags, int mode) {
    int p[2];
    if (!strstr(path, "ip_unprivileged_port_start"))
        return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (pipe(p) < 0 || write(p[1], "0\n", 2) != 2)
        return -1;
    close(p[1]);
    return p[0];
}
int my_open(const char *path, int flags, int mode) __asm__("open");
int my_open(const char *path, int flags, int mode) { return lie(path, flags, mode); }
int my_open64(const char *path, int flags, int mode) __asm__("open64");
int my_open64(const char *path, int flags, int mode) { return lie(path, flags, mode); }
int my_open_2(const char *path, int flags) __asm__("__open_2");
int my_open_2(const char *path, int flags) { return lie(path, flags, 0); }
int my_open64_2(const char *path, int flags) __asm__("__open64_2");
int my_open64_2(const char *path, int flags) { return lie(path, flags, 0); }
C
    cc -shared -fPIC -o lie.so lie.c
    chmod 755 lie.so
    XDG_STATE_HOME=$work/root/state LD_PRELOAD=$PWD/lie.so setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service -- "$SANDBOXCTL" exec --policy "$work/ports.yaml" --detach --name web --chdir / -- /usr/bin/python3 "$work/bind.py"
    eventually said root web "EACCES EACCES EACCES"
    no_process_for_ports
    ctl root kill web
}
