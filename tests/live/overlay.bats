# Layers: what is changed inside stays off the host until somebody commits it, in both tiers, as root and as an ordinary user.

load lib

every() {
    local who tier
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        for tier in view broker; do
            echo "-- $who, $tier"
            rm -rf "${work:?}/$who"
            mkdir "$work/$who"
            give $who "$work/$who"
            folder $who
            "$@" $who $tier
        done
    done
}

# site WHO: the folder app, with something of everything in it.
site() {
    as "$1" /usr/bin/python3 - << 'EOF2'
import os
os.makedirs("app/d/e"); os.makedirs("app/gone/deep/er"); os.makedirs("app/again/sub"); os.makedirs("app/closed")
def put(name, text, mode=0o644):
    with open("app/" + name, "w") as f:
        f.write(text)
    os.chmod("app/" + name, mode)
for name in ("f", "same", "touched", "removed", "d/g", "d/e/h", "gone/a", "gone/deep/b", "gone/deep/er/c", "again/one", "again/two", "again/sub/x",
             "tolink", "todir", "closed/x", "moved", "strange\n\x1b[31mname"):
    put(name, name + "\n")
put("program", "#!/bin/sh\necho hi\n", 0o600)
os.mkdir("app/tofile"); put("tofile/in", "in\n")
os.symlink("f", "app/link"); os.symlink("d", "app/dirlink"); os.symlink("f", "app/lnk2file")
os.setxattr("app/f", "user.note", b"old")
os.mkdir("app/renamed"); put("renamed/r", "r\n")
EOF2
}

# What is done to it: by the same script outside, in a layer that is discarded, and in one that is committed.
edits() {
    cat > "$work/edits.py" << 'EOF2'
import errno, os, shutil, sys
os.chdir(sys.argv[1])
def put(name, text):
    with open(name, "w") as f:
        f.write(text)
put("new", "new\n"); put("f", "changed, and longer\n"); os.setxattr("f", "user.note", b"new")
open("same", "r+").close()
with open("d/g", "a") as f: f.write("more\n")
os.chmod("program", 0o755); os.unlink("removed"); shutil.rmtree("gone")
shutil.rmtree("again"); os.makedirs("again/sub"); put("again/two", "two, anew\n"); put("again/sub/y", "y\n")
os.unlink("tolink"); os.symlink("new", "tolink")
os.unlink("todir"); os.makedirs("todir/below"); put("todir/below/z", "z\n")
shutil.rmtree("tofile"); put("tofile", "a file now\n")
os.unlink("link"); os.symlink("elsewhere", "link")
os.unlink("dirlink"); os.mkdir("dirlink"); put("dirlink/inside", "inside\n")
os.unlink("lnk2file"); put("lnk2file", "file\n")
os.makedirs("empty/er"); os.mkdir("ro"); put("ro/file", "ro\n"); os.chmod("ro", 0o555); os.chmod("closed", 0o700)
put("strange\n\x1b[31mname", "stranger\n"); put("other\tname", "t\n")
with open("sparse", "wb") as f: f.truncate(1 << 26); f.seek(1 << 25); f.write(b"middle")
with open("big", "wb") as f: f.write(os.urandom(1 << 12) * 2048)
put("saved.tmp", "saved\n"); os.rename("saved.tmp", "moved")
os.link("new", "new2"); os.utime("new", (1000000000, 1000000000))
try:
    os.rename("renamed", "renamed2")
except OSError as e:
    if e.errno != errno.EXDEV: raise
    shutil.move("renamed", "renamed2")
EOF2
    chmod 644 "$work/edits.py"
}

# tree FOLDER: what counts, a line for each object, without times of directories and numbers of inodes.
tree() {
    (cd "$1" && find . ! -name '.' \( -type f -printf '%P|%y|%m|%s|%U|%G\n' -o -printf '%P|%y|%m|%l|%U|%G\n' \) | sort
        find . -type f ! -name big ! -name sparse -print0 | sort -z | xargs -0 sha256sum)
}

# everything FOLDER: also what shows that nobody touched it.
everything() {
    find "$1" -printf '%p %i %y %m %s %l %U %G %T@ %C@\n' | sort
}

# inside WHO TIER [OPTION]… -- COMMAND…: with app as the current directory, which it may change.
inside() {
    local who=$1 tier=$2
    shift 2
    (cd app && sandbox "$who" "$tier" shell --quiet "$@" < /dev/null)
}

python() {
    inside "$1" "$2" "${@:4}" -- /usr/bin/python3 -c "$3"
}

discard() {
    site "$1"
    edits
    cp "$work/edits.py" app/
    give "$1" app
    everything . > "$work/before"
    inside "$1" "$2" --overlay discard -- /usr/bin/python3 edits.py . > out
    inside "$1" "$2" --overlay discard -- sh -c 'cat f; echo x > f; cat f; rm -r d; ls' > "$work/out" 2>&1
    rm -f out
    printf 'f\nx\n' | diff - <(head -2 "$work/out")
    run ! grep -qx d "$work/out"
    everything . > "$work/after"
    diff "$work/before" "$work/after" | grep -v ' \. ' | grep '^[<>]' && return 1
    return 0
}

@test "--overlay discard leaves no trace outside" { every discard; }

rules() {
    site "$1"
    cat > "$work/rules.yaml" << EOF2
version: 1
extends: [shell]
files: { overlay: [$PWD/app]$([ "$2" = view ] || echo ", enforce: broker") }
EOF2
    chmod 644 "$work/rules.yaml"
    everything app > "$work/before"
    as "$1" "$SANDBOXCTL" exec --quiet --policy "$work/rules.yaml" --chdir "$PWD/app" -- sh -c 'echo x > f; rm removed; cat f' > "$work/out"
    [ "$(cat "$work/out")" = x ]
    everything app | diff "$work/before" -
    # It isn't executable without a rule, and is with one.
    run -126 as "$1" "$SANDBOXCTL" exec --quiet --policy "$work/rules.yaml" --chdir "$PWD/app" -- sh -c 'chmod +x program; exec ./program'
    run -0 as "$1" "$SANDBOXCTL" exec --quiet --policy "$work/rules.yaml" --exec "$PWD/app" --chdir "$PWD/app" -- sh -c 'chmod +x program; exec ./program'
    [ "$output" = hi ]
}

@test "a rule \`overlay\` discards what is changed" { every rules; }

dry_run() {
    local code=0
    as "$1" mkdir app
    (cd app && as "$1" sh -c 'echo 1234567 > old; echo "echo hi" > f; mkdir d; echo x > d/x; echo yy > d/y')
    everything . > "$work/before"
    (cd app && sandbox "$1" "$2" shell --quiet --dry-run -- sh -c 'echo a > new; rm old; chmod 755 f; echo more >> d/x; rm -r d; echo out; echo err >&2; exit 7') \
        > "$work/out" 2> "$work/err" < /dev/null || code=$?
    cat "$work/err"
    [ "$code" -eq 7 ]
    [ "$(cat "$work/out")" = out ]
    # Its own words come first.
    [ "$(head -1 "$work/err")" = err ]
    sed -n "s,$PWD/app/,,p" "$work/err" > "$work/lines"
    diff "$work/lines" - << EOF2
D  d/  5
M  f  8  mode 644 → 755
A  new  2
D  old  8
EOF2
    grep -q '1 added, 1 modified, 2 deleted' "$work/err"
    everything . | diff "$work/before" -
    (cd app && sandbox "$1" "$2" shell --quiet --dry-run --changes "$work/$1/json" -- sh -c 'echo a > new; rm old; ln -s x y') < /dev/null
    /usr/bin/python3 - "$work/$1/json" "$PWD/app" << 'EOF2'
import json, sys
o = json.load(open(sys.argv[1]))
seen = [(c["change"], c["path"].removeprefix(sys.argv[2]), c["type"], c.get("size"), c.get("old_size")) for c in o["changes"]]
assert seen == [("A", "/new", "file", 2, None), ("D", "/old", "file", None, 8), ("A", "/y", "link", None, None)], seen
assert (o["added"], o["modified"], o["deleted"]) == (2, 0, 1), o
EOF2
    (cd app && sandbox "$1" "$2" shell --quiet --dry-run -- true) 2> "$work/err" < /dev/null
    grep -q '0 added, 0 modified, 0 deleted' "$work/err"
    # Without a policy, the current directory may be changed.
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --dry-run -- sh -c 'echo 1 > f; echo 2 > g') 2> "$work/err" < /dev/null
    grep -q '1 added, 1 modified, 0 deleted' "$work/err"
    grep -q 'echo hi' app/f
}

@test "--dry-run says what would have changed, and changes nothing" { every dry_run; }

keep() {
    local who=$1 tier=$2
    site "$who"
    edits
    as "$who" cp -a app native
    as "$who" /usr/bin/python3 "$work/edits.py" native
    as "$who" cp "$work/edits.py" app/
    as "$who" cp "$work/edits.py" native/
    everything app > "$work/before"
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- /usr/bin/python3 edits.py .
    everything app | diff "$work/before" -
    # What a second run sees is what it would be.
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- /usr/bin/python3 -c 'import os
for top, folders, files in os.walk("."):
    for name in folders + files: print(os.path.join(top, name).encode())' | sort > "$work/seen"
    (cd native && /usr/bin/python3 -c 'import os
for top, folders, files in os.walk("."):
    for name in folders + files: print(os.path.join(top, name).encode())' | sort) | diff - "$work/seen"
    as "$who" "$SANDBOXCTL" diff keep > "$work/diff" 2> "$work/count"
    cat "$work/diff" "$work/count"
    run ! grep -q 'same$\|touched\|left\|commit leaves' "$work/diff"
    grep -q "^M  $PWD/app/f  2 → 20$" "$work/diff"
    grep -q "^M  $PWD/app/todir/  file → directory$" "$work/diff"
    grep -q "^M  $PWD/app/tofile  directory → file$" "$work/diff"
    grep -q "^D  $PWD/app/gone/  34$" "$work/diff"
    grep -qF "$PWD/app/strange\n\x1b[31mname" "$work/diff"
    as "$who" "$SANDBOXCTL" diff --json keep | /usr/bin/python3 -c 'import json, sys; o = json.load(sys.stdin); assert len(o["changes"]) == int(sys.argv[1]), o' "$(wc -l < "$work/diff")"
    everything app | diff "$work/before" -
    as "$who" "$SANDBOXCTL" commit --dry-run keep > "$work/out" 2>&1
    everything app | diff "$work/before" -
    as "$who" "$SANDBOXCTL" commit keep > "$work/out" 2> "$work/err" || { cat "$work/err"; return 1; }
    [ "$(wc -l < "$work/out")" -eq "$(wc -l < "$work/diff")" ]
    tree native > "$work/expected"
    tree app | diff "$work/expected" -
    cmp native/sparse app/sparse
    [ "$(stat -c %b app/sparse)" -lt 4096 ]
    [ "$(stat -c %Y app/new)" -eq 1000000000 ]
    /usr/bin/python3 -c 'import os; assert os.getxattr("app/f", "user.note") == b"new"; assert not [n for n in os.listxattr("app/f") if "overlay" in n]'
    as "$who" "$SANDBOXCTL" diff keep > "$work/diff" 2> "$work/err"
    [ ! -s "$work/diff" ]
    # Nothing is left in the layer, nor beside what was committed.
    [ -z "$(find keep/0/upper -mindepth 1)" ]
    [ -z "$(find app -name '.sandboxd-*')" ]
    # The folder serves again, and can be removed by its owner.
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -c 'echo again > f'
    as "$who" "$SANDBOXCTL" commit keep 2> "$work/err"
    [ "$(cat app/f)" = again ]
    as "$who" rm -rf keep
}

@test "--overlay keep, diff and commit: the host gets what the program would have done to it" { every keep; }

git_work() {
    local who=$1 tier=$2
    need_command git
    as "$who" mkdir app
    (cd app && as "$who" sh -c 'git init -q . && git config user.email a@b && git config user.name n && seq 1000 > numbers && git add . && git commit -qm one')
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -ec 'seq 2000 > numbers; git commit -qam two; git checkout -qb side; git mv numbers n; git commit -qm three
        git checkout -q -; git merge -q side; git gc -q; git fsck --strict; git log --oneline' > "$work/inside"
    [ "$(cd app && as "$who" git log --oneline | wc -l)" -eq 1 ]
    as "$who" "$SANDBOXCTL" commit keep > "$work/out" 2> "$work/err" || { cat "$work/err"; return 1; }
    (cd app && as "$who" git fsck --strict && as "$who" git log --oneline) 2>&1 | diff - "$work/inside"
    [ -z "$(cd app && as "$who" git status --porcelain)" ]
}

@test "a git repository is worked on in a layer, and committed" { every git_work; }

# Both tiers give in a layer what the other gives.
calls() {
    local who=$1 tier=$2
    as "$who" mkdir -p app/d
    (cd app && as "$who" sh -c 'echo content > f; ln -s f l; echo x > d/x; ln f hard')
    python "$who" "$tier" '
import os, errno, stat, fcntl, mmap
def t(what, f):
    try: r = f()
    except OSError as e: r = errno.errorcode[e.errno]
    print(what, r)
root = os.open("/", os.O_RDONLY); fd = os.open("f", os.O_RDONLY); before = os.fstat(fd)
t("copy-up keeps the number", lambda: (os.close(os.open("f", os.O_WRONLY)), os.stat("f").st_ino == before.st_ino, os.stat("f").st_dev == before.st_dev))
t("tmpfile", lambda: os.write(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600), b"x"))
def linked():
    n = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640); os.write(n, b"abc")
    os.link("/proc/self/fd/%d" % n, "linked", src_dir_fd=root, follow_symlinks=True); return open("linked").read(), oct(os.stat("linked").st_mode)
t("linked tmpfile", linked)
t("rename dir", lambda: os.rename("d", "e"))
t("rename file over", lambda: (os.rename("f", "d/x"), open("d/x").read(), os.path.exists("f")))
t("excl over whiteout", lambda: os.close(os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)))
t("mode", lambda: oct(os.stat("f").st_mode))
t("whiteouts do not list", lambda: sorted(os.listdir(".")))
t("mknod whiteout", lambda: os.mknod("w", stat.S_IFCHR, 0))
t("own attribute", lambda: os.setxattr("f", "user.overlay.opaque", b"y"))
t("rmdir", lambda: os.rmdir("d"))
t("append", lambda: os.write(os.open("l", os.O_CREAT | os.O_APPEND | os.O_WRONLY), b"z"))
t("truncate", lambda: os.truncate("hard", 3))
t("nlink", lambda: os.stat("hard").st_nlink)
t("utime", lambda: (os.utime("hard", (5, 5)), os.stat("hard").st_mtime))
t("statfs", lambda: os.statvfs(".").f_namemax)
m = open("m", "w+b"); m.truncate(4096); mm = mmap.mmap(m.fileno(), 4096); mm[0:3] = b"abc"; mm.flush()
t("mmap", lambda: open("m", "rb").read(3))
t("lock", lambda: fcntl.flock(m, fcntl.LOCK_EX))
' --overlay discard > "$work/calls.$who.$tier" 2>&1 || { cat "$work/calls.$who.$tier"; return 1; }
    cat "$work/calls.$who.$tier"
    grep -q "linked tmpfile ('abc', '0o100640')" "$work/calls.$who.$tier"
    if [ "$tier" = broker ]; then diff "$work/calls.$who.view" "$work/calls.$who.broker"; fi
}

@test "calls on a layer give the same in both tiers" { every calls; }

# ---- Conflicts ----

conflicts() {
    local who=$1 tier=$2
    as "$who" mkdir -p app/tree/sub app/kept
    (cd app && as "$who" sh -c 'for f in a b c d tree/sub/x kept/k; do echo $f > $f; done')
    sleep 0.05
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -c 'for f in a b; do echo inside > $f; done; rm c; echo inside > made; rm -r tree; echo inside > fine; echo k >> kept/k'
    (cd app && as "$who" sh -c 'echo outside > a; mv d b; echo outside > c; echo outside > made; echo outside > tree/sub/x')
    everything app > "$work/before"
    run -1 as "$who" "$SANDBOXCTL" commit --dry-run keep
    everything app | diff "$work/before" -
    run -1 as "$who" "$SANDBOXCTL" commit keep
    echo "$output"
    for name in a b c made tree; do
        [[ $output == *"left out: $PWD/app/$name: it was changed there since the layer was made"* ]]
    done
    [[ $output == *"2 applied, 5 left out"* ]]
    [ "$(cd app && cat a b c made tree/sub/x fine | tr '\n' ' ')" = 'outside d outside outside outside inside ' ]
    [ "$(tail -1 app/kept/k)" = k ]
    run -0 as "$who" "$SANDBOXCTL" diff keep
    [ "$(grep -c 'commit leaves it out' <<< "$output")" -eq 5 ]
}

@test "what was changed outside since is a conflict, and stays" { every conflicts; }

runs() {
    local who=$1 tier=$2
    as "$who" mkdir app
    (cd app && as "$who" sh -c 'for f in early late both; do echo $f > $f; done')
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -c 'echo inside > early; echo inside > both'
    (cd app && as "$who" sh -c 'echo outside > late; echo outside > both')
    sleep 0.05
    # `late` is taken up as it is now; `both` is saved once more, from what the first run had made of it.
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -c 'echo inside >> late; cp both x; mv x both'
    run -1 as "$who" "$SANDBOXCTL" commit keep
    echo "$output"
    [[ $output == *"left out: $PWD/app/both: it was changed"* ]]
    [[ $output == *"2 applied, 1 left out"* ]]
    [ "$(cat app/late app/early app/both | tr '\n' ' ')" = 'outside inside inside outside ' ]
}

@test "each change counts from the run that made it" { every runs; }

some() {
    local who=$1 tier=$2
    need_command jq
    as "$who" mkdir -p app/d
    inside "$who" "$tier" --overlay "keep=$PWD/keep" -- sh -c 'mkdir -p n/m; for f in a b d/c n/m/e n/f; do echo $f > $f; done'
    as "$who" "$SANDBOXCTL" commit keep app/a "$PWD/app/n/m" 2> "$work/err"
    (cd app && find . -type f | sort | tr '\n' ' ') > "$work/out"
    [ "$(cat "$work/out")" = './a ./n/m/e ' ]
    run -1 as "$who" "$SANDBOXCTL" commit keep app/nosuch
    [[ $output == *"app/nosuch: no layer changes it"* ]]
    run -1 --separate-stderr as "$who" "$SANDBOXCTL" commit --json keep app/b app/nosuch
    # shellcheck disable=SC2016
    [ "$(jq -c --arg app "$PWD/app" '[[.applied[] | .change + .path], [.left_out[] | .path + ": " + .left_out]] | map(map(sub($app; "")))' <<< "$output")" = \
        '[["A/b"],["/nosuch: no layer changes it"]]' ]
    as "$who" "$SANDBOXCTL" commit --dry-run --json keep 2> "$work/err" | jq -r '.would_be_applied[].path' > "$work/out"
    [ "$(sed "s,^$PWD/app,," "$work/out" | tr '\n' ' ')" = '/d/c /n/f ' ]
    as "$who" "$SANDBOXCTL" commit keep 2> "$work/err"
    [ "$(cd app && find . -type f | sort | tr '\n' ' ')" = './a ./b ./d/c ./n/f ./n/m/e ' ]
    [ -z "$(find keep/0/upper -mindepth 1)" ]
}

@test "commit takes paths" { every some; }

@test "a layer of thousands of files is committed" {
    folder user
    as user mkdir app
    as user sh -c 'cd app && for i in $(seq 40); do mkdir $i; for j in $(seq 50); do echo $i.$j > $i/$j; done; done'
    inside user view --overlay "keep=$PWD/keep" -- sh -c 'for i in $(seq 40); do for j in $(seq 25); do echo more >> $i/$j; done; rm $i/50; done; cp -r 1 new; rm -r 2'
    as user "$SANDBOXCTL" commit keep > "$work/out" 2> "$work/err"
    cat "$work/err"
    [ "$(find app -type f | wc -l)" -eq $((38 * 49 + 49 + 49)) ]
    [ "$(cat app/*/25 | grep -c more)" -eq 40 ]
    [ -z "$(as user "$SANDBOXCTL" diff keep 2> "$work/err")" ]
}

# ---- What is refused, and what is left behind ----

refused() {
    local text=$1
    shift
    run -125 "$@"
    echo "$output"
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$text"* ]]
}

@test "a folder that can't hold the layers is refused, and says why" {
    folder user
    as user mkdir app app/in other full
    keep_in() { inside user view --overlay "keep=$1" -- true; }
    refused "may not lie in one another" keep_in "$PWD/app/in"
    refused "may not lie in one another" keep_in "$PWD/app/new"
    refused "may not lie in one another" keep_in "$PWD"
    as user touch full/something
    refused "has other things in it" keep_in "$PWD/full"
    refused "can't be made" keep_in "$PWD/no/such"
    as user mkdir -m 777 open
    as user chmod 777 open
    refused "can be written by others" keep_in "$PWD/open"
    refused "expected discard, or keep=DIR" inside user view --overlay nothing -- true
    refused "leave --overlay out" inside user view --overlay discard --dry-run -- true
    refused "goes with --dry-run" inside user view --changes - -- true
    keep_in "$PWD/keep"
    mv app was
    mv other app
    refused "there is another directory by now" keep_in "$PWD/keep"
    mv app other
    mv was app
    keep_other() { (cd other && sandbox user view shell --quiet --overlay "keep=$1" -- true); }
    refused "has layers for other directories" keep_other "$PWD/keep"
    # A copy of it names directories that it wasn't made for.
    as user cp -a keep copy
    refused "is a copy" as user "$SANDBOXCTL" commit copy
    refused "has no manifest" as user "$SANDBOXCTL" diff other
    as user mv app was
    as user mkdir app
    refused "there is another directory by now" as user "$SANDBOXCTL" commit keep
    if [ "$EUID" -eq 0 ]; then
        refused "belongs to another user" "$SANDBOXCTL" commit keep
    fi
}

@test "a folder is used by one at a time" {
    folder user
    as user mkdir app
    # In no subshell, so that its end is seen to.
    cd app
    start_sandbox user view shell --quiet --overlay "keep=$work/user/keep" -- sh -c 'echo > up; sleep 60'
    cd "$work/user"
    eventually test -e keep/0/upper/app/up -o -e keep/0/upper/up
    refused "is in use" as user "$SANDBOXCTL" commit keep
    # It can be looked at.
    run -0 as user "$SANDBOXCTL" diff keep
    [[ $output == *"A  $PWD/app/up"* ]]
    refused "is in use" inside user view --overlay "keep=$PWD/keep" -- true
}

@test "mounts below a directory with a layer are an error that says so" {
    need_root
    folder root
    mkdir -p app/below other
    mount --bind other app/below
    run -125 inside root view --overlay discard -- true
    umount app/below
    echo "$output"
    [[ $output == *"another file system is mounted below it, on $PWD/app/below"* ]]
}

@test "the layers' folder can't be seen inside" {
    local who
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        folder $who
        as $who mkdir app
        for tier in view broker; do
            inside $who $tier --read "$PWD" --overlay "keep=$PWD/keep" -- sh -c 'echo secret > f; ls ../keep/ 2>&1; cat ../keep/manifest 2>&1; cat ../keep/0/upper/f 2>&1; ls .. ' > "$work/out" || :
            cat "$work/out"
            grep -qx app "$work/out"
            [ "$(grep -c 'Permission denied\|No such file' "$work/out")" -eq 3 ]
        done
    done
}

@test "nothing is left when sandboxctl is killed" {
    folder user
    as user mkdir app
    as user mkdir tmp
    (cd app && TMPDIR=$work/user/tmp start_sandbox user view shell --quiet --dry-run -- sh -c 'echo > up; echo started; sleep 60'; echo "$started" > "$work/pid")
    eventually grep -q started "$work/out"
    kill -9 "$(cat "$work/pid")"
    sleep 0.5
    [ -z "$(ls -A app)" ]
    [ -z "$(ls -A tmp)" ]
    [ "$(find . -mindepth 1 -maxdepth 1 | sort | tr '\n' ' ')" = './app ./tmp ' ]
    run ! grep -q "overlay.*$work" /proc/self/mountinfo
    # One that keeps can be looked at, and used again.
    (cd app && start_sandbox user view shell --quiet --overlay "keep=$work/user/keep" -- sh -c 'echo > up; echo started; sleep 60'; echo "$started" > "$work/pid")
    eventually grep -q started "$work/out"
    kill -9 "$(cat "$work/pid")"
    # Not while the last of its processes dies.
    eventually as user "$SANDBOXCTL" commit keep
    [ -e app/up ]
}
