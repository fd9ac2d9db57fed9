# What the attacks share, on top of the live tests' lib.bash: a folder with what the sandbox may reach and what it may not, a policy for it,
# and the builds that make an attack worth something.
#
#   SANDBOXCTL         the program as it is
#   SANDBOXCTL_UNSAFE  single protections can be switched off, by SANDBOXD_UNSAFE

load ../live/lib

: "${SANDBOXCTL_UNSAFE:=$SANDBOXD_SOURCE/build-unsafe/ctl/sandboxctl}"

# The programs run from a copy beside the playground: where the checkout lies below /tmp, a sandbox that is the whole tree but for a private
# /tmp wouldn't have them.
setup_test() {
    attacks=$work/attacks
    mkdir "$attacks"
    find "$SANDBOXD_BUILD/tests/attack" -maxdepth 1 -type f -perm -u+x -exec cp -t "$attacks" {} +
    chmod -R a+rX "$attacks"
}

# playground WHO: $ground/a is allowed to read, write and execute, w to write, r to read; p may be appended to and w/list has hidden names where
# the policy of a test says so; b is not named. All of it belongs to WHO and could be read by anybody: nothing but the sandbox stands between.
playground() {
    ground=$work/$1/g
    mkdir -p "$ground"/{a,b/olddir,r,p,w/one/two/three,w/b,w/x,w/list}
    echo allowed | tee "$ground"/{a,w,w/b,w/x}/file > /dev/null
    echo canary | tee "$ground"/b/{file,absent,old} > /dev/null
    echo readonly | tee "$ground"/r/{file,other} "$ground/p/log" > /dev/null
    ln -s other1 "$ground/a/link"
    ln -s other1 "$ground/w/x/link"
    ln -s canary "$ground/b/link"
    cp "$attacks/program-allowed" "$ground/a/program"
    cp "$attacks/program-canary" "$ground/b/program"
    cp "$attacks/program-canary" "$ground/r/program"
    touch "$ground"/w/list/{1,2,3}{.hid,-shown,-also-shown.hid}
    chmod -R a+rX "$ground"
    give "$1" "$ground"
}

# witness WHO: starts the witness of the playground; sets $port and $taken.
witness() {
    start "$1" "$attacks/witness" "$ground"
    eventually test -s "$work/out"
    read -r port taken < "$work/out"
    witness=$started
}

# attack_policy TIER [PATH]: sets $attack_policy to a file for the playground, in which PATH may be written as well. Lines of YAML in $attack_files are
# added to its section `files`, those in $attack_rules as they are.
attack_policy() {
    attack_policy=$work/attack-$1.yaml
    {
        echo "version: 1"
        echo "extends: [base]"
        echo "files:"
        [ "$1" = view ] || echo "  enforce: broker"
        echo "  read: [$ground/r]"
        echo "  write: [$ground/a, $ground/w${2:+, $2}]"
        echo "  exec: [$attacks, $ground/a${attack_exec:-}]"
        printf '%s' "${attack_files:-}" "${attack_rules:-}"
        if [ -n "${port:-}" ]; then
            echo "network:"
            echo "  mode: host"
            echo "  connect: [\"tcp:127.0.0.1:$port\", \"udp:127.0.0.1:$port\", \"unix:$ground/a/stream\", \"unix:$ground/a/dgram\"]"
            echo "  bind: [\"tcp:127.0.0.1:$taken\", \"unix:$ground/a/taken\"]"
        fi
    } > "$attack_policy"
    chmod 644 "$attack_policy"
}

# inside WHO CTL [OPTION…] -- COMMAND…: under $attack_policy.
inside() {
    local who=$1 ctl=$2
    shift 2
    [ -x "$ctl" ] || { echo "$ctl is not built"; return 1; }
    as "$who" "$ctl" exec --policy "$attack_policy" --quiet --chdir "$ground/a" "$@"
}

# referee_for WHO CTL [OPTION…] -- COMMAND…: the same behind the referee, who counts what changes where nothing may.
referee_for() {
    local who=$1 ctl=$2
    shift 2
    [ -x "$ctl" ] || { echo "$ctl is not built"; return 1; }
    as "$who" "$attacks/referee" "$ground" "$ctl" exec --policy "$attack_policy" --quiet --chdir "$ground/a" "$@"
}

# tree PATH…: all that is there, with what it holds and when it was changed last.
tree() {
    find "$@" -printf '%p %y %m %u %g %n %s %C@ %l\n' | sort
    find "$@" -type f -exec sha256sum {} + | sort
}
