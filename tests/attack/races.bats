# A thread that swaps what a call is about while it is decided on. Each race first wins with the handling switched off (else it proves
# nothing); then it must not win a single time: where the broker alone holds, and where the view does.

load attack

# Milliseconds: where the broker alone holds (user, root), where the view does (each). The long ones make a minute in each tier.
if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
    times=(30000 30000 30000)
else
    times=(250 150 100)
fi

# run_race WHO CTL NAME TIME [ENOUGH]: behind the referee. It prints "wins N tries M" as its last line.
run_race() {
    local who=$1 ctl=$2 name=$3 time=$4 enough=${5:-}
    # shellcheck disable=SC2086
    referee_for "$who" "$ctl" -- "$attacks/race" "$name" "$time" "$ground" "${port:-0}" "${taken:-0}" $enough
}

# figures WHAT LINE: sets $won and $tried; what is worth a figure in a note goes to $SANDBOXD_TEST_FIGURES.
figures() {
    echo "$1: $2"
    [[ $2 =~ wins\ ([0-9]+)\ tries\ ([0-9]+)$ ]] || return 1
    won=${BASH_REMATCH[1]} tried=${BASH_REMATCH[2]}
    [ -z "${SANDBOXD_TEST_FIGURES:-}" ] || printf '%s\t%s\t%s\n' "$1" "$won" "$tried" >> "$SANDBOXD_TEST_FIGURES"
}

holds() {
    local what=$1 line
    shift
    line=$(run_race "$@") || { echo "$what: $line"; return 1; }
    figures "$what" "$line"
    [ "$won" -eq 0 ]
    # A race that was hardly run has shown nothing.
    [ "$tried" -ge 20 ]
}

# race NAME[:WAY] HANDLING [KIND]: HANDLING is what is switched off for the self-check. KIND: network, append, list;
# when: b may be written, but not by the race's program; broker: where the view holds there is nothing to get to.
race() {
    local who line attack_files='' attack_rules='' attack_exec='' also=''
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        case ${3:-} in
        network) witness $who ;;
        append) attack_files="  append: [$ground/p]"$'\n' ;;
        when)
            also=$ground/b
            attack_exec=", $ground/b"
            attack_rules="rules: [{ when: { exe: $attacks/race }, files: { hide: [$ground/b] } }]"$'\n'
            ;;
        list) attack_files="  hide: [\"$ground/w/list/*.hid\"]"$'\n' ;;
        esac
        attack_policy broker "$also"
        if [ $who = user ]; then
            line=$(SANDBOXD_UNSAFE=$2 run_race user "$SANDBOXCTL_UNSAFE" "$1" 120000 100) || :
            figures "$1, without the handling" "$line"
            [ "$won" -ge 100 ]
            holds "$1, user, broker" user "$SANDBOXCTL" "$1" "${times[0]}"
        else
            holds "$1, root, broker" root "$SANDBOXCTL" "$1" "${times[1]}"
        fi
        [ "${3:-}" != broker ] || continue
        attack_policy view "$also"
        holds "$1, $who, view" $who "$SANDBOXCTL" "$1" "${times[2]}"
    done
}

# ---- Opening, looking, reading ----

@test "open: the path is swapped" { race open proceed; }
@test "openat: the path is swapped" { race openat proceed; }
@test "openat2: the path is swapped" { race openat2 proceed; }
@test "openat2: the flags are swapped" { race openat2-how proceed; }
@test "creat: the path is swapped" { race creat proceed; }
@test "open with O_EXCL: the path is swapped" { race open-exclusive proceed; }
@test "open with O_TRUNC: the path is swapped" { race open-truncate proceed; }
@test "open with O_TMPFILE: the path is swapped" { race open-tmpfile proceed; }
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
@test "open: a link is swapped" { race open:link proceed; }
@test "stat: a link is swapped" { race stat:link proceed; }
@test "access: a link is swapped" { race access:link proceed; }
@test "openat: a link on the way is swapped" { race openat:folder proceed; }
@test "open with O_CREAT: a dangling link is swapped" { race open-create:link proceed; }
@test "open with O_TRUNC: a link is swapped" { race open-truncate:link proceed; }
@test "open: a directory on the way is exchanged with a link" { race open:exchange proceed; }
@test "statx: a directory on the way is exchanged with a link" { race statx:exchange proceed; }
@test "open: a directory is moved while .. leads out of it" { race open:dotdot proceed; }
@test "readlinkat: a directory on the way is exchanged with a link" { race readlinkat:exchange proceed; }
@test "another thread changes the current directory" { race cwd proceed; }
# The kernel goes on with both; where the caller has got to is looked at whenever a path begins there.
@test "chdir: the path is swapped, and the thread is where it may not be" { race chdir match broker; }
@test "chdir: a link is swapped, and the thread is where it may not be" { race chdir:link match broker; }
@test "open with O_PATH: the path is swapped to a directory, and paths begin there" { race open-directory match broker; }

# ---- Executing: the kernel reads the path after the broker; Landlock, or what is looked at before the program runs, bounds what it can be ----

@test "execve: the path is swapped" { race execve landlock,exec-event; }
@test "execveat: the path is swapped" { race execveat landlock,exec-event; }
@test "execve: a link is swapped" { race execve:link landlock,exec-event; }
@test "execve: a link on the way is swapped" { race execve:folder landlock,exec-event; }
@test "execve: the interpreter of a script is a link that is swapped" { race interpreter:link landlock,exec-event; }
@test "execve: the script is exchanged with another one" { race script landlock,exec-event; }
@test "execveat of a number: it comes to mean another program" { race execveat-number landlock,exec-event; }
@test "execve of /proc/self/fd/N: it comes to mean another program" { race execve-number landlock,exec-event; }

# ---- Creating, removing, renaming ----

@test "mkdir: the path is swapped" { race mkdir proceed; }
@test "mkdirat: the path is swapped" { race mkdirat proceed; }
@test "mknod: the path is swapped" { race mknod proceed; }
@test "mknodat: the path is swapped" { race mknodat proceed; }
@test "symlink: the path is swapped" { race symlink proceed; }
@test "symlinkat: the path is swapped" { race symlinkat proceed; }
@test "rmdir: the path is swapped" { race rmdir proceed; }
@test "unlinkat of a directory: the path is swapped" { race unlinkat-directory proceed; }
@test "unlink: the path is swapped" { race unlink proceed; }
@test "unlinkat: the path is swapped" { race unlinkat proceed; }
@test "rename: the old path is swapped" { race rename-old proceed; }
@test "rename: the new path is swapped" { race rename-new proceed; }
@test "renameat: the old path is swapped" { race renameat-old proceed; }
@test "renameat: the new path is swapped" { race renameat-new proceed; }
@test "renameat2: the old path is swapped" { race renameat2-old proceed; }
@test "renameat2: the new path is swapped" { race renameat2-new proceed; }
@test "renameat2 with RENAME_EXCHANGE: the old path is swapped" { race exchange-old proceed; }
@test "renameat2 with RENAME_EXCHANGE: the new path is swapped" { race exchange-new proceed; }
@test "renameat2 with RENAME_EXCHANGE of directories: the new path is swapped" { race exchange-directory proceed,landlock; }
@test "link: the old path is swapped" { race link-old proceed; }
@test "link: the new path is swapped" { race link-new proceed; }
@test "linkat: the old path is swapped" { race linkat-old proceed; }
@test "linkat: the new path is swapped" { race linkat-new proceed; }
@test "linkat: a link as the old path is swapped" { race linkat-old:link-outside proceed; }
@test "mkdir: a link on the way is swapped" { race mkdir:folder proceed; }
@test "rmdir: a link on the way is swapped" { race rmdir:folder proceed; }
@test "symlink: a link on the way is swapped" { race symlink:folder proceed; }
@test "unlink: a link on the way is swapped" { race unlink:folder proceed; }
@test "rename: a link on the way of the old path is swapped" { race rename-old:folder proceed; }
@test "rename: a link on the way of the new path is swapped" { race rename-new:folder-outside proceed; }
@test "link: a link on the way of the old path is swapped" { race link-old:folder-outside proceed; }
@test "mkdir: a directory on the way is exchanged with a link" { race mkdir:exchange proceed; }
@test "mknod: a directory on the way is exchanged with a link" { race mknod:exchange proceed; }
@test "unlink: a directory on the way is exchanged with a link" { race unlink:exchange proceed; }
@test "rename: a directory on the way of the old path is exchanged with a link" { race rename-old:exchange proceed; }
@test "rename: a directory on the way of the new path is exchanged with a link" { race rename-new:exchange proceed; }
@test "link: a directory on the way of the new path is exchanged with a link" { race link-new:exchange proceed; }
@test "mkdir: a directory is moved while .. leads out of it" { race mkdir:dotdot proceed; }
@test "unlink: a directory is moved while .. leads out of it" { race unlink:dotdot proceed; }
@test "rename: a directory is moved while .. leads out of it" { race rename-old:dotdot proceed; }

# ---- Metadata ----

@test "chmod: the path is swapped" { race chmod proceed; }
@test "fchmodat: the path is swapped" { race fchmodat proceed; }
@test "fchmodat2: the path is swapped" { race fchmodat2 proceed; }
@test "chown: the path is swapped" { race chown proceed; }
@test "lchown: the path is swapped" { race lchown proceed; }
@test "fchownat: the path is swapped" { race fchownat proceed; }
@test "truncate: the path is swapped" { race truncate proceed; }
@test "utime: the path is swapped" { race utime proceed; }
@test "utimes: the path is swapped" { race utimes proceed; }
@test "futimesat: the path is swapped" { race futimesat proceed; }
@test "utimensat: the path is swapped" { race utimensat proceed; }
@test "setxattr: the path is swapped" { race setxattr proceed; }
@test "lsetxattr: the path is swapped" { race lsetxattr proceed; }
@test "setxattrat: the path is swapped" { race setxattrat proceed; }
@test "removexattr: the path is swapped" { race removexattr proceed; }
@test "lremovexattr: the path is swapped" { race lremovexattr proceed; }
@test "removexattrat: the path is swapped" { race removexattrat proceed; }
@test "getxattr: the path is swapped" { race getxattr proceed; }
@test "lgetxattr: the path is swapped" { race lgetxattr proceed; }
@test "getxattrat: the path is swapped" { race getxattrat proceed; }
@test "listxattr: the path is swapped" { race listxattr proceed; }
@test "llistxattr: the path is swapped" { race llistxattr proceed; }
@test "listxattrat: the path is swapped" { race listxattrat proceed; }
@test "file_getattr: the path is swapped" { race file_getattr proceed; }
@test "file_setattr: the path is swapped" { race file_setattr proceed; }
@test "statfs: the path is swapped" { race statfs proceed; }
@test "inotify_add_watch: the path is swapped" { race inotify_add_watch proceed; }
@test "chmod: a link is swapped" { race chmod:link proceed; }
@test "truncate: a link is swapped" { race truncate:link proceed; }
@test "utimensat: a link on the way is swapped" { race utimensat:folder proceed; }
@test "setxattr: a link is swapped" { race setxattr:link proceed; }
@test "getxattr: a link is swapped" { race getxattr:link proceed; }
@test "inotify_add_watch: a link is swapped" { race inotify_add_watch:link proceed; }
@test "chmod: a directory on the way is exchanged with a link" { race chmod:exchange proceed; }
@test "truncate: a directory on the way is exchanged with a link" { race truncate:exchange proceed; }
@test "chown: a directory on the way is exchanged with a link" { race chown:exchange proceed; }
@test "chmod: a directory is moved while .. leads out of it" { race chmod:dotdot proceed; }

# ---- Numbers that come to mean another file; listings ----

@test "fchmod: the number comes to mean another file" { race fchmod proceed; }
@test "fchown: the number comes to mean another file" { race fchown proceed; }
@test "futimens: the number comes to mean another file" { race futimens proceed; }
@test "fsetxattr: the number comes to mean another file" { race fsetxattr proceed; }
@test "fremovexattr: the number comes to mean another file" { race fremovexattr proceed; }
@test "fchownat with AT_EMPTY_PATH: the number comes to mean another file" { race fchownat-number proceed; }
@test "chmod of /proc/self/fd/N: the number comes to mean another file" { race chmod-number proceed; }
@test "opening /proc/self/fd/N: the number comes to mean another file" { race reopen-number proceed; }
@test "linkat of /proc/self/fd/N: the number comes to mean another file" { race link-number proceed; }
@test "openat: the directory's number comes to mean another one" { race dirfd-create proceed; }
@test "unlinkat: the directory's number comes to mean another one" { race dirfd-unlink proceed; }
@test "mkdirat: the directory's number comes to mean another one" { race dirfd-mkdir proceed; }
@test "ftruncate: the number comes to mean a file to append to" { race ftruncate proceed append; }
@test "fallocate: the number comes to mean a file to append to" { race fallocate proceed append; }
@test "fcntl: the number comes to mean a file to append to" { race setfl proceed append; }
@test "getdents: the number comes to mean another directory" { race getdents proceed list; }
@test "getdents: names come and go meanwhile" { race getdents-renamed proceed list; }
@test "getdents: another thread moves the position" { race getdents-position proceed list; }

# ---- A look that fails is an error, never a call that goes on ----

@test "open: the path can't be read at first" { race open:unreadable proceed; }
@test "execve: the path can't be read at first" { race execve:unreadable proceed,landlock,exec-event; }
@test "mkdir: the path can't be read at first" { race mkdir:unreadable proceed; }
@test "unlink: the path can't be read at first" { race unlink:unreadable proceed; }
@test "rename: the old path can't be read at first" { race rename-old:unreadable proceed; }
@test "chmod: the path can't be read at first" { race chmod:unreadable proceed; }
@test "getxattr: the path can't be read at first" { race getxattr:unreadable proceed; }
@test "open: there is no room for the descriptor at first" { race open:full proceed; }

# ---- Rules for one program ----

@test "open: the path is swapped, and another program might" { race open proceed when; }
@test "unlink: the path is swapped, and another program might" { race unlink proceed when; }
@test "chdir: the path is swapped, and another program might go there" { race chdir match when; }
@test "execve: the path is swapped, and another program might" { race execve landlock,exec-event when; }

# ---- Addresses ----

@test "connect, TCP: the address is swapped" { race connect-tcp proceed network; }
@test "connect, UDP: the address is swapped" { race connect-udp proceed network; }
@test "connect, Unix stream: the path is swapped" { race connect-stream proceed network; }
@test "connect, Unix datagram: the path is swapped" { race connect-dgram proceed network; }
@test "bind: the address is swapped" { race bind-tcp proceed network; }
@test "bind, Unix: the path is swapped" { race bind-path proceed network; }
@test "sendto, UDP: the address is swapped" { race sendto-udp proceed network; }
@test "sendmsg, UDP: the address is swapped" { race sendmsg-udp proceed network; }
@test "sendmmsg, UDP: the address is swapped" { race sendmmsg-udp proceed network; }
@test "sendto, Unix datagram: the path is swapped" { race sendto-dgram proceed network; }
@test "sendmsg, Unix datagram: the path is swapped" { race sendmsg-dgram proceed network; }
@test "sendmmsg, Unix datagram: the path is swapped" { race sendmmsg-dgram proceed network; }
