# A command that enters a sandbox which runs: with what the first one has, under what binds it, for as long as it lives.

load lib
load daemons

: "${SANDBOXCTL_UNSAFE:=$SANDBOXD_SOURCE/build-unsafe/ctl/sandboxctl}"

# enter WHO NAME COMMAND…
enter() {
    local who=$1 name=$2
    shift 2
    as "$who" "$SANDBOXCTL" enter "$name" -- "$@"
}

entered_are() {
    is "$1" "$2" entered "$3"
}

same_place() {
    local who=$1 tier=$2 inside
    folder "$who"
    echo "kept out" > "$work/secret"
    chmod 644 "$work/secret"
    serve "$who"
    detach "$who" "$tier" one -- sh -c 'echo made > /tmp/file; read -r a b < /proc/self/stat; for n in user mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done > /tmp/spaces
        cat /proc/self/limits > /tmp/limits; cat /proc/self/cgroup > /tmp/cgroup; readlink /proc/self/root > /tmp/root; hostname > /tmp/host; sleep 1000 & echo $! > /tmp/pid; wait'
    eventually enter "$who" one test -s /tmp/pid
    # shellcheck disable=SC2016
    inside=$(enter "$who" one sh -c 'cat /tmp/file; for n in user mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done | cmp - /tmp/spaces && cat /proc/self/limits | cmp - /tmp/limits &&
        cat /proc/self/cgroup | cmp - /tmp/cgroup && readlink /proc/self/root | cmp - /tmp/root && hostname | cmp - /tmp/host && test -d "/proc/$(cat /tmp/pid)" && echo same')
    [ "$inside" = $'made\nsame' ]
    # And bound by the same.
    enter "$who" one sh -c 'grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp|Seccomp_filters):" /proc/self/status' > "$work/status"
    [ "$(grep -c 'Cap.*0000000000000000$' "$work/status")" -eq 5 ]
    grep -q '^NoNewPrivs:.1$' "$work/status"
    grep -q '^Seccomp_filters:.2$' "$work/status"
    run -1 enter "$who" one cat "$work/secret"
    [[ $output == *"No such file"* ]]
    run -2 enter "$who" one sh -c 'echo x > /etc/hosts'
    # Its environment is made as exec makes it; its umask is the caller's.
    [ "$(SECRET=x as "$who" "$SANDBOXCTL" enter --env SHOWN=y one -- sh -c 'echo "${SECRET:-none} $SHOWN"')" = "none y" ]
    [ "$(umask 27 && enter "$who" one sh -c umask)" = 0027 ]
    [ "$(as "$who" "$SANDBOXCTL" enter --chdir /usr one -- pwd)" = /usr ]
    [ "$(echo given | enter "$who" one cat)" = given ]
    enter "$who" one sh -c 'ls -l /proc/self/fd | wc -l' > "$work/fds"
    # 0 to 2, the directory that is listed, and the line above.
    [ "$(cat "$work/fds")" -le 5 ]
    ctl "$who" kill one
}

@test "it has the same files, processes, names and bounds: user, view" { same_place user view; }
@test "it has the same files, processes, names and bounds: user, broker" { same_place user broker; }
@test "it has the same files, processes, names and bounds: root, view" { same_place root view; }
@test "it has the same files, processes, names and bounds: root, broker" { same_place root broker; }

@test "exit codes are the command's own, and 125 to 127" {
    local words
    serve user
    detach user broker one -- sleep 1000
    for words in "0:true" "3:exit 3" "143:kill -TERM \$\$" "137:kill -KILL \$\$"; do
        run "-${words%%:*}" enter user one sh -c "${words#*:}"
    done
    run -127 enter user one no-such-command
    [[ $output == *"there is no such command in the sandbox"* ]]
    run -127 enter user one /no/such
    run -126 enter user one /etc/hosts
    run -125 ctl user enter --chdir /nowhere one -- true
    [[ $output == *"/nowhere"* ]]
    run -125 enter user other true
    [[ $output == *"there is no sandbox other of yours"* ]]
    run -125 ctl user enter one
    run -125 ctl user enter --chdir usr one true
    run -125 ctl user enter --nothing one true
    run -125 enter user 'o ne' true
    run -125 enter user one true 0< .
    [[ $output == *"directories"* ]]
    ctl user kill one
    eventually is user one state ended
    run -125 enter user one true
    [[ $output == *"has ended"* ]]
}

@test "another user's sandbox is not there; root enters any" {
    need_root
    serve root
    detach user broker mine -- sleep 1000
    run -125 other "$SANDBOXCTL" enter mine -- true
    run -125 other "$SANDBOXCTL" enter "$SANDBOXD_TEST_USER/mine" -- true
    [[ $output == *"there is no sandbox"* ]]
    [ "$(ctl root enter "$SANDBOXD_TEST_USER/mine" -- id -u)" = "$SANDBOXD_TEST_USER" ]
    ctl user kill mine
}

@test "it dies with the sandbox, and with its own sandboxctl" {
    serve user
    detach user broker one -- sleep 1000
    start user "$SANDBOXCTL" enter one -- sleep 2000
    eventually enter user one pgrep -x -f 'sleep 2000'
    entered_are user one 1
    kill -9 "$started"
    eventually entered_are user one 0
    run -1 enter user one pgrep -x -f 'sleep 2000'
    # What it has left behind goes on, and its calls are answered.
    enter user one sh -c 'while :; do cat /etc/hosts > /dev/null; echo x >> /tmp/beats; sleep 0.05; done > /dev/null 2>&1 &'
    eventually enter user one test -s /tmp/beats
    entered_are user one 1
    start user "$SANDBOXCTL" enter one -- sleep 2000
    eventually entered_are user one 2
    ctl user kill one
    ends 137
    grep -q "the sandbox one has ended" "$work/err"
}

@test "it may signal who is there, and is none of theirs" {
    serve user
    # shellcheck disable=SC2016
    detach user view one -- sh -c 'trap "echo hit >> /tmp/hit" USR1; while :; do [ -s /tmp/pid ] && kill -0 "$(cat /tmp/pid)" 2> /dev/null && echo reached > /tmp/reached; sleep 0.05; done'
    # The first command's number.
    eventually enter user one kill -USR1 2
    eventually enter user one test -s /tmp/hit
    # shellcheck disable=SC2016
    start user "$SANDBOXCTL" enter one -- sh -c 'echo $$ > /tmp/pid; sleep 2; [ ! -e /tmp/reached ]'
    [ "$(cat /sys/kernel/security/lsm 2> /dev/null)" = "" ] || grep -q landlock /sys/kernel/security/lsm || skip "there is no Landlock"
    ends 0
    ctl user kill one
}

# peer.py PID: what one process may do to another, a word each, and ok or the error.
write_peer() {
    cat > "$work/user/peer.py" << 'PYTHON'
import ctypes, errno, os, resource, sys

pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def check(r):
    if r < 0:
        raise OSError(ctypes.get_errno(), "")

def vm_readv():
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    text = ctypes.create_string_buffer(16)
    own, other = Vector(ctypes.addressof(text), 16), Vector(0, 16)
    check(libc.syscall(310, pid, ctypes.byref(own), 1, ctypes.byref(other), 1, 0))

def attempt(what, f):
    try:
        f()
        print(what, "ok")
    except OSError as e:
        print(what, errno.errorcode[e.errno])

for name in "environ", "maps", "mem":
    attempt(name, lambda: open(f"/proc/{pid}/{name}", "rb").close())
attempt("exe", lambda: os.readlink(f"/proc/{pid}/exe"))
attempt("fd", lambda: os.open(f"/proc/{pid}/fd/0", os.O_RDONLY))
attempt("vm_readv", vm_readv)
attempt("attach", lambda: check(libc.ptrace(16, pid, 0, 0)))
attempt("signal", lambda: os.kill(pid, 0))
attempt("limits", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 10))
PYTHON
    chmod 644 "$work/user/peer.py"
}

# peers TIER: what _/proc_ has is as the tier answers it; the rest is the kernel's in either.
peers() {
    local files=EACCES
    [ "$1" = view ] || files=ok
    landlock_scopes || skip "this kernel's Landlock doesn't bound signals"
    folder user
    write_peer
    serve user
    # shellcheck disable=SC2016
    detach user "$1" one --read "$work/user" -- sh -c 'until [ -s /tmp/pid ]; do sleep 0.05; done; /usr/bin/python3 "$0" "$(cat /tmp/pid)" > /tmp/first; : > /tmp/done; sleep 1000' "$work/user/peer.py"
    enter user one /usr/bin/python3 "$work/user/peer.py" 2 > entered
    diff entered - << EOF
environ $files
maps $files
mem $files
exe $files
fd $files
vm_readv EPERM
attach EPERM
signal ok
limits ok
priority ok
EOF
    # shellcheck disable=SC2016
    enter user one sh -c 'echo $$ > /tmp/pid; until [ -e /tmp/done ]; do sleep 0.05; done; cat /tmp/first' > first
    sed 's/^signal ok$/signal EPERM/' entered | diff first -
    ctl user kill one
}

# landlock_scopes: the kernel is of Linux 6.12 or later, with Landlock.
landlock_scopes() {
    "$SANDBOXCTL" doctor --json | /usr/bin/python3 -c 'import json, re, sys
f = [f["found"] for f in json.load(sys.stdin) if f["name"] == "Landlock"][0]
sys.exit(int((re.findall("ABI ([0-9]+)$", f) or [0])[0]) < 6)'
}

@test "what they may do to each other, who is there and who enters, is what the manual says: view" { peers view; }
@test "what they may do to each other, who is there and who enters, is what the manual says: broker" { peers broker; }

@test "what can't come in, and what can't be entered, is said" {
    serve user
    detach user view one -- sleep 1000
    run -125 enter user one true < /
    [[ $output == *"can't be directories"* ]]
    # No descriptor but the three.
    [ "$(enter user one ls /proc/self/fd 7< /etc/passwd | wc -l)" -le 4 ]
    as user "$SANDBOXCTL" enter --help > help
    run -1 grep -E -- '--(read|write|exec|bind|net|pass-fd|policy)' help
    run -125 as user "$SANDBOXCTL" enter --pass-fd 0 one -- true
    [[ $output == *"there is no option"* ]]
    ctl user kill one
}

@test "several at once, and none is left over" {
    local i pids=()
    serve user
    detach user broker one -- sleep 1000
    for i in 1 2 3 4 5 6 7 8; do
        enter user one sh -c "cat /etc/hosts > /dev/null; exit $i" &
        pids+=($!)
    done
    for i in 1 2 3 4 5 6 7 8; do
        wait "${pids[i - 1]}" && return 1
        [ $? -ne "$i" ] || continue
    done
    eventually entered_are user one 0
    [ "$(find "/proc/$(daemon_of)/fd" -lname 'anon_inode:seccomp notify' | wc -l)" -eq 1 ]
    ctl user kill one
}

# NAME as its first word: until /tmp/stop.NAME is there.
makes_calls='i=0; while [ ! -e "/tmp/stop.$1" ]; do mkdir "/tmp/d$$.$i" && rmdir "/tmp/d$$.$i" && read -r l < /etc/hosts || exit 9; i=$((i + 1)); done; exit 0'

@test "killed workers: calls of both are answered, once" {
    local i
    serve user
    detach user broker one -- sh -c "$makes_calls" sh first
    start user "$SANDBOXCTL" enter one -- sh -c "$makes_calls" sh second
    eventually entered_are user one 1
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        kill -9 "$(field user one worker)"
        sleep "0.0$((RANDOM % 9 + 1))"
        eventually is user one state running
    done
    # Others come and go meanwhile.
    enter user one true
    enter user one touch /tmp/stop.second
    ends 0
    enter user one touch /tmp/stop.first || [ $? -eq 137 ]
    run -0 ctl user wait one
}

@test "a killed and a restarted daemon: what has entered goes on, and more can" {
    serve user
    detach user broker one -- sh -c "$makes_calls" sh first
    start user "$SANDBOXCTL" enter one -- sh -c "$makes_calls" sh second
    eventually entered_are user one 1
    kill -9 "$(daemon_of)"
    eventually entered_are user one 1
    counts user one
    kill -9 "$(field user one worker)"
    eventually counts user one
    enter user one true
    kill -HUP "$keeper"
    eventually entered_are user one 1
    kill -9 "$(field user one worker)"
    eventually counts user one
    kill -0 "$started"
    enter user one touch /tmp/stop.second
    ends 0
    enter user one touch /tmp/stop.first || [ $? -eq 137 ]
    run -0 ctl user wait one
}

# Killed at any instant of it: the command runs or it is said why not, and nothing hangs.
@test "a daemon that is killed while somebody enters" {
    local i code
    serve user
    detach user broker one -- sleep 1000
    for ((i = 0; i < $([ -n "${SANDBOXD_TEST_FULL:-}" ] && echo 100 || echo 5); i++)); do
        start user "$SANDBOXCTL" enter one -- sh -c 'cat /etc/hosts > /dev/null; exit 7'
        sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
        kill -9 "$(daemon_of)"
        code=0
        ended "$started" 200 || { echo "it hangs"; return 1; }
        wait "$started" || code=$?
        [ "$code" -eq 7 ] || [ "$code" -eq 125 ]
        eventually enter user one true
    done
    eventually entered_are user one 0
    ctl user kill one
}

@test "the ends of a FIFO meet, whoever opens them" {
    serve user
    detach user broker one -- sh -c 'mkfifo /tmp/there /tmp/back; while :; do read -r l < /tmp/there; echo "got $l" > /tmp/back; done'
    eventually enter user one test -p /tmp/back
    [ "$(enter user one sh -c 'echo one > /tmp/there; cat /tmp/back')" = "got one" ]
    # One that waits is not lost when others enter.
    start user "$SANDBOXCTL" enter one -- cat /tmp/back
    eventually entered_are user one 1
    enter user one true
    enter user one true
    enter user one sh -c 'echo two > /tmp/there'
    ends 0
    [ "$(cat "$work/out")" = "got two" ]
    ctl user kill one
}

@test "what was applied binds who enters afterwards" {
    serve user
    echo known > "$work/file"
    chmod 644 "$work/file"
    detach user broker one --read "$work/file" -- sleep 1000
    [ "$(enter user one cat "$work/file")" = known ]
    start user "$SANDBOXCTL" enter one -- sh -c "while read -r l < '$work/file'; do sleep 0.05; done"
    eventually entered_are user one 1
    # Without the option of exec's.
    ctl user policy apply one "$(policy broker shell)"
    run -1 enter user one cat "$work/file"
    ends 0
    ctl user kill one
}

@test "an interactive shell that has entered has a terminal of its own" {
    need_command tmux
    local session=sandboxd-enter-$$
    serve user
    detach user broker one -- sleep 1000
    mkdir -m 700 "$work/user/tmux"
    give user "$work/user/tmux"
    tm() { as user env "TMUX_TMPDIR=$work/user/tmux" TERM=screen tmux -L "$session" -f /dev/null "$@"; }
    sees() { tm capture-pane -p -J -t main | grep -qE -- "$1"; }
    tm new-session -d -s main -x 80 -y 24 "'$SANDBOXCTL' enter --env PS1='in> ' one -- bash --norc --noprofile -i; echo code \$?; sleep 100" 3>&-
    eventually sees '^in>'
    tm send-keys -t main 'tty; stty size' Enter
    eventually sees '^24 80'
    sees '^/dev/pts/'
    # Ctrl-C ends the job in the foreground; Ctrl-Z stops it.
    tm send-keys -t main 'sleep 100; echo code $?' Enter
    sleep 0.5
    tm send-keys -t main C-c
    tm send-keys -t main 'clear; cat' Enter
    sleep 0.5
    tm send-keys -t main C-z
    eventually sees 'Stopped'
    tm send-keys -t main fg Enter
    sleep 0.5
    tm send-keys -t main C-c
    tm send-keys -t main 'exit 4' Enter
    eventually sees '^code 4'
    tm kill-server
    ctl user kill one
}

# peeked WHAT…: how often that was seen in a sandbox that looks into all that enters, without Landlock, which would forbid it as well.
peeked() {
    local i name=peek$1
    shift
    SANDBOXD_UNSAFE=landlock,$1 detach user view "$name" --exec "$SANDBOXD_BUILD/tests/live" -- "$SANDBOXD_BUILD/tests/live/peek"
    eventually grep -q ready "$work/user/state/sandboxd/$name.log"
    for ((i = 0; i < 20; i++)); do
        enter user "$name" true
    done
    ctl user kill "$name"
    sort "$work/user/state/sandboxd/$name.log" | uniq -c
}

@test "nobody inside looks into what is about to enter" {
    [ -x "$SANDBOXCTL_UNSAFE" ] || skip "there is no build with switches: ./dev test makes it"
    local SANDBOXCTL=$SANDBOXCTL_UNSAFE
    serve user
    peeked 1 none > "$work/seen"
    cat "$work/seen"
    grep -q seen "$work/seen"
    run ! grep -qE "environment|descriptors|traced" "$work/seen"
    # Were it not for the capability that it keeps until then, they would.
    peeked 2 entering > "$work/seen"
    cat "$work/seen"
    grep -q environment "$work/seen"
    grep -q traced "$work/seen"
}
