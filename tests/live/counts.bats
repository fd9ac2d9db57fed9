# The number of notified calls is the number of calls that a program makes, neither one more nor one less: counted by strace in a sandbox where
# nothing is brokered, and by the broker where every path call is.

load lib

# connect is one: a Unix socket needs a rule in every mode.
brokered='open|openat|openat2|creat|stat|fstat|lstat|newfstatat|statx|access|faccessat|faccessat2|readlink|readlinkat|execve|execveat|connect'
brokered+='|mkdir|mkdirat|rmdir|mknod|mknodat|unlink|unlinkat|rename|renameat|renameat2|link|linkat|symlink|symlinkat|bind'
brokered+='|chmod|fchmod|fchmodat|fchmodat2|chown|lchown|fchown|fchownat|utime|utimes|futimesat|utimensat|l?setxattr|fsetxattr|l?getxattr|l?listxattr'
brokered+='|l?removexattr|fremovexattr|(set|get|list|remove)xattrat|file_[gs]etattr|statfs|truncate|chdir|chroot|getdents|getdents64|inotify_add_watch'

# calls FILE: how many calls of those an strace -c counted. Its table: % time, seconds, usecs/call, calls, [errors,] name.
calls() {
    awk -v names="^($brokered)\$" '$NF ~ names { n += $4 } END { print n + 0 }' "$1"
}

# again WHO: both runs are to find the same.
again() { :; }

# counts WHO POLICY COMMAND…: absolute paths, since a look-up in PATH is the launcher's.
counts() {
    local who=$1 names=$2
    shift 2
    need_command strace
    # Not in the current directory, which the command may look at.
    local side=$work/side
    mkdir -p "$side"
    give "$who" "$side"
    again "$who"
    sandbox "$who" view "$names" --quiet --write "$side" -- /usr/bin/strace -f -c -o "$side/strace" "$@" > "$side/strace.stdout" 2> "$side/strace.stderr" < /dev/null || {
        cat "$side/strace.stderr"
        return 1
    }
    rm -f "$side/stats"
    again "$who"
    sandbox "$who" broker "$names" --quiet --write "$side" --stats "$side/stats" -- "$@" > "$side/broker.stdout" 2> "$side/broker.stderr" < /dev/null
    cmp "$side/strace.stdout" "$side/broker.stdout"
    echo "strace: $(calls "$side/strace"), notified: $(counter "$side/stats" notified)"
    if [ "$(calls "$side/strace")" -ne "$(counter "$side/stats" notified)" ]; then
        cat "$side/strace"
        return 1
    fi
    [ "$(counter "$side/stats" notified)" -gt 20 ]
}

count_find() {
    folder "$1"
    counts "$1" shell /usr/bin/find /usr/include -newer /usr/include/stdio.h
}

@test "find: user" { count_find user; }
@test "find: root" { count_find root; }

count_tar() {
    folder "$1"
    counts "$1" shell /usr/bin/tar -cf /dev/null --sort=name /usr/include/linux
    counts "$1" shell /usr/bin/tar -cf archive.tar --sort=name /usr/include/linux
}

@test "tar: user" { count_tar user; }
@test "tar: root" { count_tar root; }

# Calls that make and change: an archive with directories, links and permissions is unpacked, copied, moved about and removed.
count_changes() {
    folder "$1"
    mkdir source
    for i in $(seq 1 10); do
        mkdir -p "source/folder$i/sub"
        echo "$i" > "source/folder$i/file"
        ln -s file "source/folder$i/symlink"
        ln "source/folder$i/file" "source/folder$i/sub/link"
        chmod "7$((i % 8))0" "source/folder$i/sub"
    done
    tar -cf archive.tar source
    give "$1" source archive.tar
    again() {
        rm -rf there copy source
        as "$1" tar -xf archive.tar
        as "$1" mkdir there
    }
    counts "$1" shell /usr/bin/tar -xf archive.tar -C there
    # FICLONE is one of those ioctls that are the broker's, too; strace's table knows ioctls as one.
    counts "$1" shell /usr/bin/cp -a --reflink=never source copy
    counts "$1" shell /usr/bin/mv -v source/folder1 source/folder2 source/folder3/file there
    counts "$1" shell /usr/bin/rm -r source
    counts "$1" shell /usr/bin/chmod -R g+w source
    counts "$1" shell /usr/bin/find source -exec /usr/bin/touch -h -d @5 '{}' +
}

@test "tar, cp, mv, rm, chmod: user" { count_changes user; }
@test "tar, cp, mv, rm, chmod: root" { count_changes root; }

count_git() {
    folder "$1"
    # Commands of git that answer with one thread and no helper.
    git init -q repository
    for i in $(seq 1 200); do echo "$i" > "repository/file$i"; done
    git -C repository add .
    git -C repository -c user.name=A -c user.email=a@example.org commit -q -m first
    touch repository/new
    give "$1" repository
    cd repository || return 1
    counts "$1" git /usr/bin/git -c index.threads=1 -c core.preloadIndex=false --no-optional-locks status --porcelain
}

@test "git status: user" { count_git user; }
@test "git status: root" { count_git root; }

count_cc1() {
    local cc1
    cc1=$(gcc -print-prog-name=cc1)
    folder "$1"
    printf '#include <stdio.h>\n#include <stdlib.h>\n#include <sys/socket.h>\nint main(void) { puts("x"); return 0; }\n' > program.c
    give "$1" program.c
    counts "$1" build "$cc1" -quiet -imultiarch "$(gcc -print-multiarch)" program.c -o program.s
    [ -s program.s ]
}

@test "cc1: user" { count_cc1 user; }
@test "cc1: root" { count_cc1 root; }

@test "one call more is one notification more" {
    folder user
    for n in 10 11; do
        sandbox user broker shell --quiet --stats "stats$n" -- /usr/bin/bash --norc -c 'for ((i = 0; i < '$n'; i++)); do [ -e /etc/passwd ]; done'
    done
    [ $(($(counter stats11 notified) - $(counter stats10 notified))) -eq 1 ]
}

@test "the counters add up, and the log has a line for each decision" {
    folder user
    sandbox user broker shell --quiet --stats stats --log log -- /usr/bin/find /etc > found 2> errors || :
    cat stats
    [ "$(wc -l < log)" -eq "$(counter stats notified)" ]
    [ "$(counter stats notified)" -eq $(($(counter stats allowed) + $(counter stats denied) + $(counter stats failed) + $(counter stats gone))) ]
    [ "$(grep -c '"verdict": *"deny"' log)" -eq "$(counter stats denied)" ]
    /usr/bin/python3 -c 'import json, sys
for line in open("log"): json.loads(line)'
    [ "$(counter stats refused)" -eq 0 ]
}
