# execve where Landlock can't say what the rules say: something below a directory of programs is denied. The path is swapped between the decision
# and the kernel's own reading of it; what the kernel took is looked at before it runs.

load attack

exec_policy() { # KIND
    attack_policy=$work/attack-exec-$1.yaml
    cat > "$attack_policy" << EOF
version: 1
extends: [base]
files:
  enforce: broker
  write: [$ground/a, $ground/w]
  exec: [$attacks, $ground, $ground/a]
  $1: [$ground/b]
EOF
    chmod 644 "$attack_policy"
}

holds() { # WHO CALL TIME
    local line
    line=$(inside "$1" "$SANDBOXCTL" -- "$attacks/race" "$2" "$3" "$ground" 0 0) || { echo "$2: $line"; return 1; }
    echo "$2, $1: $line"
    [[ $line =~ ^wins\ 0\ tries\ ([0-9]+)$ ]]
    [ "${BASH_REMATCH[1]}" -ge 20 ]
}

outcome() { # KIND CALL
    local line time=1000
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || time=60000
    playground user
    exec_policy "$1"
    line=$(SANDBOXD_UNSAFE=exec-event inside user "$SANDBOXCTL_UNSAFE" -- "$attacks/race" "$2" 40000 "$ground" 0 0 100) || :
    echo "$2 without the check: $line"
    [[ $line =~ ^wins\ ([0-9]+)\ tries ]]
    [ "${BASH_REMATCH[1]}" -ge 100 ]
    holds user "$2" $time
    [ "$EUID" -eq 0 ] || return 0
    playground root
    exec_policy "$1"
    holds root "$2" $time
}

@test "execve: a denied program below an executable directory" { outcome deny execve; }
@test "execveat: a denied program below an executable directory" { outcome deny execveat; }
@test "execve: a hidden program below an executable directory" { outcome hide execve; }

@test "a traced process executes nothing that can't be checked" {
    playground user
    exec_policy deny
    cat > "$ground/a/traced.py" << 'EOF'
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
pid = os.fork()
if pid == 0:
    libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
    try:
        os.execv("/bin/true", ["true"])
    except PermissionError as error:
        os._exit(7 if error.errno == 1 else 8)
    os._exit(9)
while True:
    pid, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        raise SystemExit(0 if os.WEXITSTATUS(status) == 7 else 1)
    libc.ptrace(7, pid, 0, 0)  # PTRACE_CONT
EOF
    inside user "$SANDBOXCTL" -- /usr/bin/python3 "$ground/a/traced.py"
}

@test "whether something may be executed can be asked" {
    local policy
    playground user
    cat > "$ground/a/check.py" << 'EOF'
import ctypes, errno, sys

libc = ctypes.CDLL(None, use_errno=True)


def check(path):  # AT_EXECVE_CHECK
    if libc.syscall(322, -100, path.encode(), None, None, 0x10000) == 0:
        return "ok"
    return errno.errorcode[ctypes.get_errno()]


print(*(check(path) for path in sys.argv[1:]))
EOF
    if [ "$(/usr/bin/python3 "$ground/a/check.py" /bin/true)" != ok ]; then
        skip "this kernel has no AT_EXECVE_CHECK (6.14)"
    fi
    # By Landlock, and by the outcome.
    attack_policy broker
    policy=$attack_policy
    exec_policy deny
    for attack_policy in "$policy" "$attack_policy"; do
        inside user "$SANDBOXCTL" -- /usr/bin/python3 "$ground/a/check.py" /bin/true "$ground/a/program" "$ground/a/file" "$ground/b/program" > seen
        cat seen
        [[ $(cat seen) =~ ^ok\ ok\ EACCES\ (ENOENT|EACCES)$ ]]
    done
}
