# Metadata, listings, leases, watches and directories where the broker is the file system's gate.

load lib

setup_test() {
    local who
    for who in user root; do
        mkdir -p "$work/$who/t"/{a,b,r,w,p,d}/folder "$work/$who/t/b/below"
        for folder in a b r w p d; do
            echo content > "$work/$who/t/$folder/file"
            ln -s file "$work/$who/t/$folder/link"
        done
        cp "$SANDBOXD_SOURCE/tests/live/metadata.py" "$work/$who/t/a/"
        chmod -R a+rX "$work/$who/t"
        give $who "$work/$who/t"
        tree=$work/$who/t
        cat > "$work/$who.yaml" << END
version: 1
extends: [base]
files:
  enforce: broker
  read: [$tree/a, $tree/r]
  write: [$tree/w]
  append: [$tree/p]
  deny: [$tree/r/denied]
END
        chmod 644 "$work/$who.yaml"
    done
}

# run_inside WHO ARGUMENT…: metadata.py, in the sandbox.
run_inside() {
    local who=$1
    shift
    tree=$work/$who/t
    as "$who" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/$who.yaml" -- /usr/bin/python3 "$tree/a/metadata.py" "$@" < /dev/null
}

unchanged() {
    local who=$1
    folder "$who"
    tree=$work/$who/t
    /usr/bin/python3 "$tree/a/metadata.py" snapshot "$tree/r" > before
    run_inside "$who" changes "$tree/r" > seen
    # Nothing succeeds, and each kind of call has really been made.
    run grep -P '\tok$' seen
    [ "$status" -eq 1 ]
    [ "$(wc -l < seen)" -gt 140 ]
    [ "$(grep -cP '\tEACCES$' seen)" -gt 70 ]
    /usr/bin/python3 "$tree/a/metadata.py" snapshot "$tree/r" > after
    diff before after
    # The same calls do change what may be written: the test could fail.
    /usr/bin/python3 "$tree/a/metadata.py" snapshot "$tree/w" > before
    run_inside "$who" changes "$tree/w" > seen
    [ "$(grep -cP '\tok$' seen)" -gt 60 ]
    run grep -P '\tEACCES$' seen
    [ "$status" -eq 1 ]
    /usr/bin/python3 "$tree/a/metadata.py" snapshot "$tree/w" > after
    run diff -q before after
    [ "$status" -eq 1 ]
}

@test "what may only be read changes by no descriptor and no path of its owner's: user" { unchanged user; }
@test "what may only be read changes by no descriptor and no path of its owner's: root" { unchanged root; }

listings() {
    local who=$1 i
    folder "$who"
    tree=$work/$who/t
    mkdir "$tree/many" "$tree/hidden-all"
    {
        echo "  hide:"
        for i in $(seq 1 400); do
            touch "$tree/many/name-that-is-a-little-longer-$i"
            if [ $((i % 3)) -eq 0 ] || [ $((i / 100)) -eq 2 ]; then
                echo "    - $tree/many/name-that-is-a-little-longer-$i"
            else
                echo "name-that-is-a-little-longer-$i" >> visible
            fi
        done
        for i in $(seq 1 40); do
            touch "$tree/hidden-all/$i"
            echo "    - $tree/hidden-all/$i"
        done
        echo "    - $tree/r/file"
    } >> "$work/$who.yaml"
    sed -i "s,read: \[,&$tree/many\, $tree/hidden-all\, ," "$work/$who.yaml"
    mkdir "$tree/r/denied"
    chmod -R a+rX "$tree"
    give "$who" "$tree"
    run_inside "$who" list "$tree/many" > seen
    diff <({ echo .; echo ..; cat visible; } | sort) <(sort seen)
    run_inside "$who" list "$tree/hidden-all" > seen
    diff <(printf '.\n..\n') seen
    # What is denied shows; what no rule names doesn't, in the directories above those that are named.
    diff <(printf '.\n..\ndenied\nfolder\nlink\n') <(run_inside "$who" list "$tree/r")
    diff <(printf '.\n..\na\nhidden-all\nmany\np\nr\nw\n') <(run_inside "$who" list "$tree")
    diff <(printf '.\n..\n') <(run_inside "$who" list /tmp)
    run_inside "$who" list /proc/self/ns | grep -qx mnt
    run_inside "$who" list /dev | grep -qx null
}

@test "listings leave out what is hidden, whatever the buffer: user" { listings user; }
@test "listings leave out what is hidden, whatever the buffer: root" { listings root; }

leases() {
    folder "$1"
    tree=$work/$1/t
    run_inside "$1" lease "$tree/w/file" > seen
    cat seen
    diff <(printf 'open EAGAIN EINTR\ninterrupted EINTR\nwaited ok True\nsize 3\nothers 0 holder 0\n') seen
}

@test "open and truncate wait for a lease, and nobody else does: user" { leases user; }
@test "open and truncate wait for a lease, and nobody else does: root" { leases root; }

watches() {
    folder "$1"
    tree=$work/$1/t
    mkdir "$tree/r/denied"
    touch "$tree/r/denied/file"
    give "$1" "$tree/r/denied"
    run_inside "$1" watch "$tree/r" "$tree/w" "$tree/p" "$tree/b" "$tree" "$tree/r/denied" "$tree/a/link" > seen
    diff <(printf 'r ok\nw ok\np EACCES\nb ENOENT\nt EACCES\ndenied EACCES\nlink ok\n') seen
}

@test "watches take the right to read: user" { watches user; }
@test "watches take the right to read: root" { watches root; }

attributes() {
    local file
    folder "$1"
    tree=$work/$1/t
    mkdir "$tree/r/denied"
    touch "$tree/r/denied/file"
    give "$1" "$tree/r/denied"
    for file in r/file p/file b/file r/denied r/denied/file; do
        /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.x", b"value")' "$tree/$file"
    done
    run_inside "$1" attributes "$tree/r/file" "$tree/p/file" "$tree/b/file" "$tree/r/denied" "$tree/r/denied/file" > seen
    # user.* are content, and the rest is what stat tells.
    diff - seen << 'END'
r/file ok ENODATA ok ok ok
p/file EACCES ENODATA ok ok ok
b/file ENOENT ENOENT ENOENT ENOENT ENOENT
r/denied EACCES ENODATA ok ok ok
denied/file EACCES EACCES EACCES EACCES EACCES
END
}

@test "attributes are read where stat is, and the users' where the file is: user" { attributes user; }
@test "attributes are read where stat is, and the users' where the file is: root" { attributes root; }

swapped() {
    local line
    folder "$1"
    tree=$work/$1/t
    line=$(run_inside "$1" chdir "$tree/a" "$tree/b" 3)
    echo "$line"
    # The kernel goes on with the call: so the hidden directory is entered at times. Nothing of it is seen.
    [[ $line =~ ^entered\ ([0-9]+)\ seen\ 0\ tries ]]
    [ "${BASH_REMATCH[1]}" -ge 20 ]
    [ "$(cat "$tree/b/file")" = content ]
}

@test "from a hidden directory that a race has led to nothing is seen: user" { swapped user; }
@test "from a hidden directory that a race has led to nothing is seen: root" { swapped root; }
