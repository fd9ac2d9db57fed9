# A thread that swaps what a call is about while it is decided on. Each race first wins with the handling switched off (else it proves
# nothing); then it must not win a single time: where the broker alone holds, and where the view does.

load attack

# Milliseconds: where the broker alone holds (user, root), where the view does.
if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
    times=(60000 20000 5000)
else
    times=(1500 700 300)
fi

run_race() {
    local who=$1 ctl=$2 name=$3 time=$4 enough=${5:-}
    # shellcheck disable=SC2086
    inside "$who" "$ctl" -- "$attacks/race" "$name" "$time" "$ground" "${port:-0}" "${taken:-0}" $enough
}

holds() {
    local line
    line=$(run_race "$@") || { echo "$3: $line"; return 1; }
    echo "$3, $1: $line"
    [[ $line =~ ^wins\ 0\ tries\ ([0-9]+)$ ]]
    # A race that was hardly run has shown nothing.
    [ "${BASH_REMATCH[1]}" -ge 20 ]
}

# race NAME HANDLING [NETWORK]: HANDLING is what is switched off for the self-check.
race() {
    local who line
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        if [ -n "${3:-}" ]; then
            witness $who
        fi
        attack_policy broker
        if [ $who = user ]; then
            line=$(SANDBOXD_UNSAFE=$2 run_race user "$SANDBOXCTL_UNSAFE" "$1" 40000 100) || :
            echo "$1 without the handling: $line"
            [[ $line =~ ^wins\ ([0-9]+)\ tries ]]
            [ "${BASH_REMATCH[1]}" -ge 100 ]
            holds user "$SANDBOXCTL" "$1" "${times[0]}"
        else
            holds root "$SANDBOXCTL" "$1" "${times[1]}"
        fi
        attack_policy view
        holds $who "$SANDBOXCTL" "$1" "${times[2]}"
    done
}

@test "open: the path is swapped" { race open proceed; }
@test "openat: the path is swapped" { race openat proceed; }
@test "openat2: the path is swapped" { race openat2 proceed; }
@test "openat2: the flags are swapped" { race openat2-how proceed; }
@test "creat: the path is swapped" { race creat proceed; }
@test "open-exclusive: the path is swapped" { race open-exclusive proceed; }
@test "open-tmpfile: the path is swapped" { race open-tmpfile proceed; }
@test "open with O_PATH: the path is swapped" { race open-path proceed; }
@test "stat: the path is swapped" { race stat proceed; }
@test "lstat: the path is swapped" { race lstat proceed; }
@test "newfstatat: the path is swapped" { race newfstatat proceed; }
@test "statx: the path is swapped" { race statx proceed; }
@test "access: the path is swapped" { race access proceed; }
@test "faccessat: the path is swapped" { race faccessat proceed; }
@test "faccessat2: the path is swapped" { race faccessat2 proceed; }
@test "readlink: the path is swapped" { race readlink proceed; }
@test "readlinkat: the path is swapped" { race readlinkat proceed; }

# The kernel reads the path of execve after the broker; Landlock bounds what it can be.
@test "execve: the path is swapped" { race execve landlock; }
@test "execveat: the path is swapped" { race execveat landlock; }

@test "a symlink is swapped under open" { race symlink-open proceed; }
@test "a symlink is swapped under stat" { race symlink-stat proceed; }
@test "a symlink is swapped under access" { race symlink-access proceed; }
@test "a symlink on the way is swapped under openat" { race symlink-folder proceed; }
@test "a dangling symlink is swapped under O_CREAT" { race symlink-dangling proceed; }
@test "a directory is moved while .. leads out of it" { race dotdot proceed; }
@test "another thread changes the current directory" { race cwd proceed; }

@test "connect, TCP: the address is swapped" { race connect-tcp proceed network; }
@test "connect, UDP: the address is swapped" { race connect-udp proceed network; }
@test "connect, Unix stream: the path is swapped" { race connect-stream proceed network; }
@test "connect, Unix datagram: the path is swapped" { race connect-dgram proceed network; }
@test "bind: the address is swapped" { race bind-tcp proceed network; }
@test "sendto, UDP: the address is swapped" { race sendto-udp proceed network; }
@test "sendmsg, UDP: the address is swapped" { race sendmsg-udp proceed network; }
@test "sendmmsg, UDP: the address is swapped" { race sendmmsg-udp proceed network; }
@test "sendto, Unix datagram: the path is swapped" { race sendto-dgram proceed network; }
@test "sendmsg, Unix datagram: the path is swapped" { race sendmsg-dgram proceed network; }
@test "sendmmsg, Unix datagram: the path is swapped" { race sendmmsg-dgram proceed network; }
