# Rules that no mount can hold: patterns, names hidden below what is shown, `default: deny`, and what one program alone doesn't get.

load lib

# What calls on paths give, as ok or the error's name, a path a line. usage: look.py CALL PATH…
setup_test() {
    cat > "$work/look.py" << 'EOF'
import errno, os, sys

calls = {
    "stat": os.lstat,
    "read": lambda path: os.read(os.open(path, os.O_RDONLY), 100),
    "list": lambda path: print(*sorted(os.listdir(path)), end=" "),
    "chdir": os.chdir,
    "access": lambda path: os.access(path, os.R_OK) or os.stat(path) and print("no", end=" "),
    "readlink": os.readlink,
    "write": lambda path: os.open(path, os.O_WRONLY),
    "create": lambda path: os.open(path, os.O_WRONLY | os.O_CREAT, 0o600),
}
for path in sys.argv[2:]:
    try:
        calls[sys.argv[1]](path)
        print("ok", path)
    except OSError as e:
        print(errno.errorcode[e.errno], path)
EOF
    for who in user root; do
        mkdir -p "$work/$who/t/sub/deep" "$work/$who/t/opened"
        for name in a.txt a.key sub/b.txt sub/b.key sub/deep/c.log opened/o.txt; do
            echo "$name" > "$work/$who/t/$name"
        done
        ln -s sub "$work/$who/t/link"
        ln -s /etc "$work/$who/t/out"
        cp /bin/cat "$work/$who/t/reader"
        give $who "$work/$who/t"
    done
}

# rules WHO: the policy is what is read from standard input, on top of base.
rules() {
    {
        echo 'version: 1'
        echo 'extends: [base]'
        sed "s|@|$work/$1/t|g"
    } > "$work/rules.yaml"
    chmod 644 "$work/rules.yaml" "$work/look.py"
}

# look WHO CALL PATH…: in the sandbox, from its root; paths begin in the test's folder.
look() {
    local who=$1 call=$2
    shift 2
    as "$who" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/rules.yaml" --read "$work/look.py" -- /usr/bin/python3 "$work/look.py" \
        "$call" "${@/#/$work/$who/t}" < /dev/null 2>&1 | sed "s| $work/$who/t| |"
}

# gives TEXT COMMAND…: that is what the command prints; lines stand for words.
gives() {
    local wanted=$1 got
    shift
    got=$("$@" | tr '\n' ',')
    [ "$got" = "$wanted," ] || { echo "$*: $got, not $wanted"; return 1; }
}

patterns() {
    rules "$1" << 'EOF'
files:
  read:  ["@/**/*.txt", "@/link/*.key"]
  write: ["@/sub/**/*.log"]
  hide:  ["@/**/a.*"]
EOF
    gives 'ok /sub/b.txt,ok /opened/o.txt,ok /sub/b.key,ok /sub/deep/c.log,ENOENT /a.txt,ENOENT /a.key,ENOENT /reader,ENOENT /none,ok /link/b.txt' \
        look "$1" read /sub/b.txt /opened/o.txt /sub/b.key /sub/deep/c.log /a.txt /a.key /reader /none /link/b.txt || return 1
    # The link leads on for the rule that names it; it is no way around another.
    gives 'ok ,ok /sub,ok /sub/deep,ENOENT /reader,ENOENT /a.txt/x,ENOENT /reader/x,ENOENT /out,ok /link' \
        look "$1" stat '' /sub /sub/deep /reader /a.txt/x /reader/x /out /link || return 1
    gives 'link opened sub ok ,b.key b.txt deep ok /sub,c.log ok /sub/deep' look "$1" list '' /sub /sub/deep || return 1
    gives 'ok /sub/deep/c.log,EACCES /sub/b.txt,ENOENT /sub/b.log' look "$1" write /sub/deep/c.log /sub/b.txt /sub/b.log || return 1
    gives 'ok /sub/deep/new.log,EACCES /sub/deep/new.txt,EACCES /a.new,EACCES /sub/new' \
        look "$1" create /sub/deep/new.log /sub/deep/new.txt /a.new /sub/new || return 1
    [ -f "$work/$1/t/sub/deep/new.log" ] && [ ! -e "$work/$1/t/a.new" ]
}

@test "patterns: user" { patterns user; }
@test "patterns: root" { patterns root; }

below() {
    rules "$1" << 'EOF'
files:
  write: [@]
  hide:  [@/sub/deep]
  deny:  [@/not-there]
EOF
    gives 'ok /sub/b.txt,ENOENT /sub/deep/c.log,ok /a.key' look "$1" read /sub/b.txt /sub/deep/c.log /a.key || return 1
    gives 'b.key b.txt ok /sub,ENOENT /sub/deep' look "$1" list /sub /sub/deep || return 1
    gives 'ENOENT /sub/deep/new,EACCES /not-there,ok /there' look "$1" create /sub/deep/new /not-there /there || return 1
    [ ! -e "$work/$1/t/not-there" ] && [ ! -e "$work/$1/t/sub/deep/new" ]
}

@test "hidden below what is shown, denied before it exists: user" { below user; }
@test "hidden below what is shown, denied before it exists: root" { below root; }

unnamed() {
    rules "$1" << 'EOF'
files:
  default: deny
  read: [@/opened]
  hide: [@/a.key]
EOF
    gives 'ok /a.txt,ok /sub/deep/c.log,ok /sub,ok /link,ENOENT /a.key,ENOENT /none,ENOTDIR /a.txt/x' \
        look "$1" stat /a.txt /sub/deep/c.log /sub /link /a.key /none /a.txt/x || return 1
    gives 'EACCES /a.txt,EACCES /sub/deep/c.log,ENOENT /a.key,ok /opened/o.txt,EACCES /link/b.txt' \
        look "$1" read /a.txt /sub/deep/c.log /a.key /opened/o.txt /link/b.txt || return 1
    gives 'b.key b.txt deep ok /sub,a.txt link opened out reader sub ok ,EACCES /link' look "$1" list /sub '' /link || return 1
    gives 'EACCES /link' look "$1" readlink /link || return 1
    gives 'EACCES /a.txt' look "$1" write /a.txt || return 1
    gives 'EACCES /new' look "$1" create /new || return 1
    gives 'no ok /a.txt,ok /sub' look "$1" access /a.txt /sub
}

@test "default: deny: user" { unnamed user; }
@test "default: deny: root" { unnamed root; }

program() {
    rules "$1" << 'EOF'
files: { write: [@], exec: [@/reader] }
rules:
  - when: { exe: @/reader }
    files: { hide: ["@/**/*.key"], deny: [@/sub/b.txt] }
EOF
    run as "$1" "$SANDBOXCTL" exec --quiet --chdir "$work/$1/t" --policy "$work/rules.yaml" -- /bin/sh -c '
        export LC_ALL=C
        for reader in cat ./reader "/lib64/ld-linux-x86-64.so.2 ./reader"; do
            $reader a.txt a.key sub/b.key sub/b.txt 2>&1
        done
        ./reader < a.key'
    wanted=$(cat << 'EOF'
a.txt
a.key
sub/b.key
sub/b.txt
a.txt
./reader: a.key: No such file or directory
./reader: sub/b.key: No such file or directory
./reader: sub/b.txt: Permission denied
a.txt
a.key
sub/b.key
sub/b.txt
a.key
EOF
    )
    [ "$output" = "$wanted" ] || { echo "$output"; return 1; }
}

@test "what one program doesn't get: user" { program user; }
@test "what one program doesn't get: root" { program root; }

replaced() {
    rules "$1" << 'EOF'
files: { read: [@] }
rules: [{ when: { exe: @/reader }, files: { hide: [@/a.key] } }]
EOF
    rm "$work/$1/t/reader"
    run as "$1" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/rules.yaml" -- /bin/true
    echo "$status: $output"
    [ "$status" -eq 125 ]
    [[ $output == *"/reader can't be told from other programs: it doesn't exist"* ]]
}

@test "a program that isn't there is an error: user" { replaced user; }
