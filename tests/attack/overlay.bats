# What an attacker puts into a layer, and what he does beside it while it is committed. Each attack that a protection stands against alone
# must succeed with that protection switched off.

load attack

if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
    milliseconds=60000
else
    milliseconds=2000
fi

every() {
    local who
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        echo "-- $who"
        rm -rf "${work:?}/$who"
        mkdir "$work/$who"
        give $who "$work/$who"
        folder $who
        "$@" $who
    done
}

# layer WHO: the folder app with a layer above it, in keep, that has nothing in it yet; what is put into $upper is the attacker's. outside
# belongs to the same user, so that nothing but commit stands between.
layer() {
    rm -rf app keep outside
    as "$1" mkdir app outside
    as "$1" sh -c 'echo canary > outside/canary; echo mine > app/mine'
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- true)
    upper=$PWD/keep/0/upper
    [ -d "$upper" ]
}

commit() {
    as "$1" "$2" commit keep < /dev/null > "$work/commit.out" 2> "$work/commit.err"
}

# leaves_out WHO NAME TEXT: commit says so, applies the rest, and NAME is not there.
leaves_out() {
    local code=0
    commit "$1" "$SANDBOXCTL" || code=$?
    cat "$work/commit.out" "$work/commit.err"
    [ "$code" -eq 1 ]
    grep -qF "left out: $PWD/app/$2: $3" "$work/commit.err"
    [ ! -e "app/$2" ] && [ ! -L "app/$2" ]
    [ "$(cat app/good)" = good ]
    [ "$(cat outside/canary)" = canary ]
    # It stays in the layer.
    [ -e "$upper/$2" ]
}

setid() {
    local bits
    for bits in 4755 2755 6711; do
        layer "$1"
        as "$1" sh -c 'cp /bin/true "$0/tool"; chmod "$1" "$0/tool"; echo good > "$0/good"' "$upper" $bits
        leaves_out "$1" tool "it has the set-user-ID or set-group-ID bit"
    done
    SANDBOXD_UNSAFE=overlay-refuse commit "$1" "$SANDBOXCTL_UNSAFE"
    [ -u app/tool ]
    # The same from inside: nothing keeps a program from setting the bit in its layer.
    layer "$1"
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- sh -c 'cp /bin/true tool; chmod 4755 tool; echo good > good')
    [ -u "$upper/tool" ]
    leaves_out "$1" tool "it has the set-user-ID or set-group-ID bit"
}

@test "set-user-ID and set-group-ID files don't leave a layer" { every setid; }

replaces_setid() {
    layer "$1"
    as "$1" sh -c 'cp /bin/true app/tool; chmod 4755 app/tool'
    sleep 0.02
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- sh -c 'cp /bin/false new; chmod 4755 new; mv new tool')
    run -1 as "$1" "$SANDBOXCTL" commit keep
    cmp app/tool /bin/true
}

@test "a set-user-ID file isn't replaced by another" { every replaces_setid; }

nodes() {
    layer "$1"
    as "$1" sh -c 'mkfifo "$0/fifo"; echo good > "$0/good"' "$upper"
    leaves_out "$1" fifo "it is a FIFO"
    layer "$1"
    as "$1" sh -c 'echo good > "$0/good"' "$upper"
    as "$1" /usr/bin/python3 -c 'import os, socket, sys; os.chdir(sys.argv[1]); socket.socket(socket.AF_UNIX).bind("socket")' "$upper"
    leaves_out "$1" socket "it is a socket"
    [ "$1" = root ] || return 0
    for node in "c 1 3" "b 7 0" "c 0 1"; do
        layer root
        # shellcheck disable=SC2086
        mknod "$upper/node" $node
        echo good > "$upper/good"
        leaves_out root node "it is a device node"
    done
}

@test "device nodes, FIFOs and sockets don't leave a layer" { every nodes; }

# attribute WHO NAME ATTRIBUTE VALUE: sets it on an object of the layer.
attribute() {
    as "$1" /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$upper/$2" "$3" "$4"
}

redirect() {
    local name text="it has an attribute of overlayfs that stands for another object"
    for name in redirect metacopy whiteout overlay.opaque verity; do
        layer "$1"
        as "$1" sh -c 'echo good > "$0/good"; echo x > "$0/file"' "$upper"
        attribute "$1" file "user.overlay.$name" /outside/canary
        leaves_out "$1" file "$text"
        layer "$1"
        as "$1" sh -c 'echo good > "$0/good"; mkdir "$0/folder"; echo below > "$0/folder/below"' "$upper"
        attribute "$1" folder "user.overlay.$name" /outside
        leaves_out "$1" folder "$text"
    done
    SANDBOXD_UNSAFE=overlay-refuse commit "$1" "$SANDBOXCTL_UNSAFE"
    [ -e app/folder/below ]
    # Nor does the kernel follow one while a sandbox runs.
    layer "$1"
    as "$1" sh -c 'mkdir "$0/folder"; mkdir app/secret; echo secret > app/secret/file' "$upper"
    attribute "$1" folder user.overlay.redirect /secret
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- sh -c 'cat folder/file; grep " - overlay " /proc/self/mountinfo') \
        > "$work/out" 2>&1 || :
    cat "$work/out"
    run ! grep -q secret "$work/out"
    grep -q 'redirect_dir=nofollow' "$work/out"
    run ! grep -q 'metacopy=on' "$work/out"
}

@test "redirects, metadata copies and other marks of overlayfs are dropped" { every redirect; }

@test "file capabilities and trusted attributes don't leave a layer" {
    need_root
    folder root
    for name in trusted.x trusted.overlay.redirect; do
        layer root
        echo good > "$upper/good"
        echo x > "$upper/tool"
        attribute root tool "$name" value
        leaves_out root tool "it has trusted attributes"
    done
    layer root
    cp /bin/true "$upper/tool"
    echo good > "$upper/good"
    /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex("0100000202000000000000000000000000000000"))' "$upper/tool"
    leaves_out root tool "it has file capabilities"
}

changed() {
    layer "$1"
    as "$1" sh -c 'echo theirs > "$0/mine"; echo good > "$0/good"; echo later > app/mine' "$upper"
    run -1 as "$1" "$SANDBOXCTL" commit keep
    echo "$output"
    [ "$(cat app/mine)" = later ]
    SANDBOXD_UNSAFE=overlay-conflict commit "$1" "$SANDBOXCTL_UNSAFE"
    [ "$(cat app/mine)" = theirs ]
}

@test "what was changed meanwhile isn't overwritten" { every changed; }

links() {
    # A folder of the layer stands where there is a link below: the link is replaced, and nothing goes through it.
    layer "$1"
    as "$1" sh -c 'ln -s ../outside app/way; mkdir "$0/way"; echo theirs > "$0/way/canary"; echo theirs > "$0/way/new"' "$upper"
    commit "$1" "$SANDBOXCTL" || :
    [ "$(cat outside/canary)" = canary ]
    [ ! -e outside/new ]
    # The link came up when the layer was there already.
    layer "$1"
    as "$1" sh -c 'mkdir "$0/way"; echo theirs > "$0/way/canary"; mknod "$0/way/gone" c 0 0; ln -s ../outside app/way; echo here > outside/gone' "$upper"
    commit "$1" "$SANDBOXCTL" || :
    [ "$(cat outside/canary outside/gone | tr '\n' ' ')" = 'canary here ' ]
    # Links of the layer are just links.
    layer "$1"
    as "$1" sh -c 'ln -s ../outside "$0/way"; ln -s /etc/passwd "$0/file"; ln -s ../../../outside/canary "$0/mine"' "$upper"
    commit "$1" "$SANDBOXCTL"
    [ "$(readlink app/way app/file app/mine | tr '\n' ' ')" = '../outside /etc/passwd ../../../outside/canary ' ]
    [ "$(cat outside/canary)" = canary ]
}

@test "nothing is written through links" { every links; }

# Between one file and the next, a directory becomes a link to outside, and a directory again.
round() {
    local who=$1 ctl=$2
    rm -rf app/d app/l
    as "$who" /usr/bin/python3 - "$upper" << 'EOF2'
import os, shutil, stat, sys
def put(name, text):
    with open(name, "w") as f: f.write(text)
upper = sys.argv[1] + "/d"
os.mkdir("app/d"); os.symlink("../outside", "app/l"); shutil.rmtree(upper, ignore_errors=True); os.mkdir(upper)
for i in range(1, 151):
    put(f"app/d/{i}", "mine\n"); put(f"outside/{i}", "canary\n")
for i in range(1, 101): put(f"{upper}/{i}", "theirs\n")
for i in range(101, 151): os.mknod(f"{upper}/{i}", stat.S_IFCHR, 0)
for i in range(151, 181): put(f"{upper}/{i}", "theirs\n")
EOF2
    start "$who" "$attacks/exchange" app/d app/l 20000
    commit "$who" "$ctl" || :
    kill "$started"
    wait "$started" || :
    tries=$((tries + $(grep -c . "$work/commit.out" || :) + $(grep -c 'left out:' "$work/commit.err" || :)))
    wins=$((wins + 150 - $(find outside -name '[0-9]*' -type f | head -150 | xargs cat | grep -c canary) + $(find outside -name '1[5-8][0-9]' | awk -F/ '$NF > 150' | wc -l)))
    rm -f outside/[0-9]*
}

rounds() {
    local who=$1 ctl=$2 end=$(($(date +%s%3N) + $3)) enough=${4:-1000000000}
    tries=0 wins=0
    while [ "$(date +%s%3N)" -lt $end ] && [ "$wins" -lt "$enough" ]; do
        round "$who" "$ctl"
    done
    echo "wins $wins tries $tries"
}

# The times of files are the setting up's, not an attack's: conflicts are off in both.
parents() {
    layer "$1"
    export SANDBOXD_UNSAFE=overlay-conflict,overlay-beneath
    rounds "$1" "$SANDBOXCTL_UNSAFE" 40000 100
    [ "$wins" -ge 100 ]
    export SANDBOXD_UNSAFE=overlay-conflict
    rounds "$1" "$SANDBOXCTL_UNSAFE" "$milliseconds"
    unset SANDBOXD_UNSAFE
    [ "$wins" -eq 0 ]
    [ "$tries" -ge 20 ]
    [ "$(cat outside/canary)" = canary ]
    [ -z "$(find outside -type f ! -name canary)" ]
    rounds "$1" "$SANDBOXCTL" 500
    [ "$wins" -eq 0 ]
}

@test "a directory on the way becomes a link while its files are committed" { every parents; }

# What a file is may change under the comparison, too: a host's file that is written between is never lost.
objects() {
    layer "$1"
    as "$1" sh -c 'mkdir app/d; for i in $(seq 100); do echo mine > app/d/$i; done; echo kept > app/other; mkdir "$0/d"; for i in $(seq 100); do echo theirs > "$0/d/$i"; done' "$upper"
    start "$1" "$attacks/exchange" app/d/50 app/other 5000
    for _ in 1 2 3 4 5; do
        SANDBOXD_UNSAFE=overlay-conflict commit "$1" "$SANDBOXCTL_UNSAFE" || :
    done
    kill "$started"
    wait "$started" || :
    # Whatever won: at most the one object went that was compared; nothing is left beside.
    [ -z "$(find app -name '.sandboxd-*')" ]
    [ "$(cat app/d/* app/other | grep -c .)" -eq 101 ]
}

@test "a name that gets another object between comparison and replacement" { every objects; }

forged() {
    # Links in the place of the layer's own folders.
    layer "$1"
    as "$1" sh -c 'rm -r "$0"; ln -s "$PWD/outside" "$0"' "$upper"
    run -125 as "$1" "$SANDBOXCTL" commit keep
    (cd app && run -125 as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- sh -c 'echo theirs > canary')
    [ "$(cat outside/canary)" = canary ]
    for place in outside "/old$PWD/outside"; do
        layer "$1"
        as "$1" sh -c 'cd keep/0; rm -rf work; ln -s "$0" work' "$place"
        (cd app && run -125 as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- sh -c 'echo theirs > canary')
        [ "$(ls -A outside)" = canary ]
    done
    layer "$1"
    as "$1" sh -c 'mv keep/0 keep/was; ln -s was keep/0'
    run -125 as "$1" "$SANDBOXCTL" commit keep
    # work/work is set to a mode that rm can cope with: never through a link.
    layer "$1"
    as "$1" sh -c 'chmod 644 outside/canary; rm -rf keep/0/work/work; ln -s "$PWD/outside/canary" keep/0/work/work'
    (cd app && as "$1" "$SANDBOXCTL" exec --quiet --policy shell --overlay "keep=$PWD/../keep" -- true) || :
    [ "$(stat -c %a outside/canary)" = 644 ]
    # A manifest that names another directory, or is nonsense.
    layer "$1"
    for text in "s,$PWD/app,$PWD/outside," 's/"inode":[0-9]*/"inode":"x"/' 's/"version":1/"version":2/' 's/{/[/' 's/"path":"/"path":"relative/'; do
        as "$1" cp keep/manifest manifest
        as "$1" sed -i "$text" keep/manifest
        as "$1" sh -c 'echo theirs > "$0/canary"' "$upper"
        run -125 as "$1" "$SANDBOXCTL" commit keep
        [ "${#lines[@]}" -eq 1 ]
        [ "$(cat outside/canary)" = canary ]
        as "$1" mv manifest keep/manifest
    done
}

@test "forged folders and manifests are refused" { every forged; }

strange() {
    # Deeper than a path can be, longer names than fit with ours, names that look like options and escapes.
    layer "$1"
    as "$1" /usr/bin/python3 - "$upper" << 'EOF2'
import os, sys
os.chdir(sys.argv[1])
open("good", "w").write("good\n")
open("n" * 255, "w").close(); open("--help", "w").close(); open("\x1b[2J\n", "w").close(); open(os.fsdecode(b"\xff\xfe"), "w").close()
for i in range(2100):
    os.mkdir("deep"); os.chdir("deep")
open("bottom", "w").close()
EOF2
    run as "$1" "$SANDBOXCTL" commit keep
    [ "$status" -eq 1 ]
    [ "$(cat app/good)" = good ]
    [ -e "app/$(printf 'n%.0s' $(seq 255))" ] && [ -e app/--help ]
    # Lines that we print have nothing in them that a terminal would obey.
    printf '%s\n' "${lines[@]}" > "$work/text"
    run ! grep -qP '\x1b|\xff' "$work/text"
    run as "$1" "$SANDBOXCTL" diff --json keep
    /usr/bin/python3 -c 'import json, sys; json.loads(sys.argv[1])' "$output"
    /usr/bin/python3 - "$PWD" << 'EOF2'
import os, sys
for top in (sys.argv[1] + "/keep/0/upper", sys.argv[1] + "/app"):
    os.chdir(top)
    depth = 0
    while os.path.isdir("deep"): os.chdir("deep"); depth += 1
    if os.path.exists("bottom"): os.unlink("bottom")
    while depth: os.chdir(".."); os.rmdir("deep"); depth -= 1
EOF2
}

@test "names and depths that no path can say" { every strange; }
