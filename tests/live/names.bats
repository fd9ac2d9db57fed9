# Names under the rules, and mount points: the calls that make, remove, rename and link names.

load lib

# run_names WHO TIER PART: names.py in a sandbox with the rules of $rules, started by the words of $by.
run_names() {
    {
        echo 'version: 1'
        echo 'extends: [base]'
        echo 'files:'
        printf '%s' "$rules"
        [ "$2" = view ] || echo '  enforce: broker'
    } > "$work/names.yaml"
    chmod 644 "$work/names.yaml"
    as "$1" "${by[@]}" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/names.yaml" -- /usr/bin/python3 "$work/names.py" "$3" "$work/$1/w"
}

setup_test() {
    by=()
    cp "$SANDBOXD_SOURCE/tests/live/names.py" "$work/"
    chmod 644 "$work/names.py"
}

# The kernel sees the sandbox's mounts only from within; the broker, from outside, must give the same. What lies under the mounts is the host's.
mount_points() {
    local who=$1 tier
    folder "$who"
    for tier in view broker; do
        mkdir -p w/private w/folder w/above/mounted bound
        echo host > w/private/host
        echo host > w/folder/host
        echo host > w/file
        echo bound > bound/file
        give "$who" w bound
        rules="  read: [\"$work/names.py\"]
  write: [\"$work/$who/w\"]
  private: [\"$work/$who/w/private\", \"$work/$who/w/above/mounted\"]
  binds: { \"$work/$who/w/folder\": { from: \"$work/$who/bound\", write: true }, \"$work/$who/w/file\": { from: \"$work/$who/bound/file\", write: true } }
"
        run_names "$who" $tier mounts > "$work/$tier" < /dev/null
        [ "$(cat w/private/host w/folder/host w/file bound/file)" = "$(printf 'host\nhost\nhost\nbound')" ]
        [ -d w/above/mounted ]
        rm -rf w bound
    done
    diff "$work/view" "$work/broker"
    grep -qx 'rmdir private EBUSY' "$work/broker"
    grep -qx 'unlink file EBUSY' "$work/broker"
    grep -qx 'rename private absent 0 EBUSY' "$work/broker"
    grep -qx 'rename empty private 0 EBUSY' "$work/broker"
    grep -qx 'rename private private 0 ok' "$work/broker"
    grep -qx 'rename f private/f EXDEV' "$work/broker"
    [ "$(grep -c EBUSY "$work/broker")" -gt 30 ]
}

@test "what is mounted on is busy, as natively: user" { mount_points user; }
@test "what is mounted on is busy, as natively: root" { mount_points root; }

rules_folder() {
    local who=$1
    folder "$who"
    rm -rf w append
    mkdir -p w/hidden w/denied w/ro w/run append
    echo x | tee w/hidden/secret w/denied/secret w/ro/f w/run/f outside > /dev/null
    give "$who" w append outside
    rules="  read: [\"$work/names.py\", \"$work/$who/w/ro\"]
  write: [\"$work/$who/w\"]
  append: [\"$work/$who/append\"]
  exec: [\"$work/$who/w/run\"]
  hide: [\"$work/$who/w/hidden/secret\"]
  deny: [\"$work/$who/w/denied/secret\"]
"
}

names_by_rule() {
    rules_folder "$1"
    # A file that no rule names, as a descriptor.
    run_names "$1" broker rules < outside
    [ "$(cat w/hidden/secret w/denied/secret w/ro/f outside)" = "$(printf 'x\nx\nx\nx')" ]
    [ ! -e new ]
    # And one without any name, which could be given one.
    rules_folder "$1"
    by=(/usr/bin/python3 -c 'import os, sys
os.dup2(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600), 0)
os.execv(sys.argv[1], sys.argv[1:])')
    run_names "$1" broker rules
}

@test "names by rule: user" { names_by_rule user; }
@test "names by rule: root" { names_by_rule root; }

# What was opened to be read isn't made writable by a new name, though its old one is gone.
name_of_deleted() {
    rules_folder "$1"
    echo x > w/ro/other
    ln w/ro/other w/other
    give "$1" w
    run_names "$1" broker deleted > given < /dev/null &
    background+=($!)
    for _ in $(seq 500); do
        [ ! -e w/ready ] || break
        sleep 0.01
    done
    rm w/ro/other
    wait "${background[0]}"
    [ "$(cat given)" = "EACCES ok" ]
}

@test "a name for what was deleted: user" { name_of_deleted user; }
@test "a name for what was deleted: root" { name_of_deleted root; }

# A thread that has just been started shares its umask with the one that has started it.
@test "files are made with their caller's umask while the broker's threads come and go" {
    local seconds=4
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || seconds=60
    folder user
    mkdir made
    cp "$SANDBOXD_SOURCE/tests/live/umask.py" .
    give user made umask.py
    cat > "$work/umask.yaml" << EOF
version: 1
extends: [base]
files: { enforce: broker, read: ["$PWD"], write: ["$PWD/made"] }
EOF
    chmod 644 "$work/umask.yaml"
    as user "$SANDBOXCTL" exec --quiet --policy "$work/umask.yaml" --chdir / -- /usr/bin/python3 "$PWD/umask.py" "$PWD/made" "$seconds"
}
