# What the live tests share. Loaded by each bats file: `load lib` (or `load ../live/lib`).
#
# Each test has $work, a folder of its own that root and the ordinary user reach; whatever runs in the background is started by
# `background` and is ended after the test.

: "${SANDBOXD_SOURCE:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)}"
: "${SANDBOXD_BUILD:=$SANDBOXD_SOURCE/build}"
: "${SANDBOXCTL:=$SANDBOXD_BUILD/ctl/sandboxctl}"
# Beside it in a build folder, or in a private installation (tools/run-tests).
SANDBOXD=${SANDBOXCTL%/*/*}/daemon/sandboxd
[ -x "$SANDBOXD" ] || SANDBOXD=${SANDBOXCTL%/*/*}/sbin/sandboxd
: "${SANDBOXD_TEST_USER:=65532}"
: "${TMPDIR:=/srv}"
export TMPDIR

bats_require_minimum_version 1.5.0

setup() {
    work=$(mktemp -d "$TMPDIR/live.XXXXXX")
    chmod 755 "$work"
    for who in root user; do
        mkdir -p "$work/$who" "$work/home/$who"
        [ "$EUID" -ne 0 ] || [ $who = root ] || chown -R "$SANDBOXD_TEST_USER:$SANDBOXD_TEST_USER" "$work/$who" "$work/home/$who"
    done
    background=()
    cd "$work" || return 1
    if declare -F setup_test > /dev/null; then
        setup_test
    fi
}

teardown() {
    local pid
    if declare -F teardown_test > /dev/null; then
        teardown_test
    fi
    for pid in "${background[@]}"; do
        kill "$pid" 2> /dev/null || :
    done
    for pid in "${background[@]}"; do
        ended "$pid" 50 || kill -9 "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
    done
    cd / || return 1
    [ -n "${SANDBOXD_TEST_KEEP:-}" ] || rm -rf "$work"
}

# ---- Who runs ----

need_root() {
    [ "$EUID" -eq 0 ] || skip "needs root"
}

need_command() {
    local c
    for c in "$@"; do
        command -v "$c" > /dev/null || skip "$c is not installed"
    done
}

need_full() {
    [ -n "${SANDBOXD_TEST_FULL:-}" ] || skip "only in ./dev test full"
}

# identity WHO: sets the array `identity` to the words that make a command WHO's: root, or user, who is a number without an account and
# groups, with a home of its own. Words, not a function, so that a process in the background is the command itself.
identity() {
    case $1 in
    root)
        need_root
        identity=(env "HOME=$work/home/root")
        ;;
    user)
        identity=(env "HOME=$work/home/user")
        if [ "$EUID" -eq 0 ]; then
            identity+=(USER=user LOGNAME=user setpriv "--reuid=$SANDBOXD_TEST_USER" "--regid=$SANDBOXD_TEST_USER" --clear-groups
                --inh-caps=-all --)
        fi
        ;;
    esac
}

# as WHO COMMAND…
as() {
    local identity
    identity "$1"
    shift
    "${identity[@]}" "$@"
}

# folder WHO: a folder that belongs to who runs. It becomes the current one.
folder() {
    if [ "$1" = root ]; then
        need_root
    fi
    cd "$work/$1" || return 1
}

# give WHO PATH…: hands files that the test has made to who runs.
give() {
    local who=$1
    shift
    if [ "$who" = user ] && [ "$EUID" -eq 0 ]; then
        chown -R "$SANDBOXD_TEST_USER:$SANDBOXD_TEST_USER" "$@"
    fi
}

# ---- Sandboxes ----

# policy TIER NAME…: the argument for --policy: a shipped policy (or several), as it is, or with every path call sent to the broker. What
# is in $policy_extra is added as it stands, lines of YAML.
policy() {
    local tier=$1 file names
    shift
    if [ "$tier" = view ] && [ $# -eq 1 ] && [ -z "${policy_extra:-}" ]; then
        echo "$1"
        return
    fi
    names=$(printf '%s, ' "$@")
    file=$work/$tier-$(printf '%s-' "$@" | tr -d '/').yaml
    {
        echo "version: 1"
        echo "description: ${names%, } for a test, tier $tier"
        echo "extends: [${names%, }]"
        [ "$tier" = view ] || echo "files: { enforce: broker }"
        printf '%s' "${policy_extra:-}"
    } > "$file"
    chmod 644 "$file"
    echo "$file"
}

# sandbox WHO TIER POLICY[,POLICY…] [OPTION…] [--] COMMAND…
sandbox() {
    local who=$1 tier=$2 names
    IFS=, read -r -a names <<< "$3"
    shift 3
    as "$who" "$SANDBOXCTL" exec --policy "$(policy "$tier" "${names[@]}")" "$@"
}

# native WHO COMMAND…: outside, but as root without capabilities, which a sandbox never has.
native() {
    local who=$1
    shift
    if [ "$who" = root ]; then
        as root setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- "$@"
    else
        as "$who" "$@"
    fi
}

# same WHO TIER POLICY COMMAND…: the command gives the same output and exit code in the sandbox as outside of it. Standard error is compared
# as well. What it printed is in $output, its code in $status.
same() {
    local who=$1 tier=$2 of=$3 native_status=0 inside_status=0
    shift 3
    native "$who" "$@" > "$work/native.out" 2> "$work/native.err" < /dev/null || native_status=$?
    sandbox "$who" "$tier" "$of" --quiet -- "$@" > "$work/inside.out" 2> "$work/inside.err" < /dev/null || inside_status=$?
    if ! cmp "$work/native.out" "$work/inside.out" || ! cmp "$work/native.err" "$work/inside.err" || [ "$native_status" -ne "$inside_status" ]; then
        echo "outside: exit code $native_status; inside: $inside_status"
        diff "$work/native.out" "$work/inside.out" | head -20
        diff "$work/native.err" "$work/inside.err" | head -20
        return 1
    fi
    # shellcheck disable=SC2034
    output=$(head -c 65536 "$work/inside.out") status=$inside_status
}

# counter FILE NAME: one number of what --stats wrote.
counter() {
    sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$1"
}

# ---- Processes ----

# start WHO COMMAND…: in the background, with nothing as its input; its number is in $started, what it prints in $work/out and $work/err.
start() {
    local identity
    identity "$1"
    shift
    : > "$work/out"
    : > "$work/err"
    "${identity[@]}" "$@" < /dev/null > "$work/out" 2> "$work/err" 3>&- &
    started=$!
    background+=("$started")
}

# start_sandbox WHO TIER POLICY[,POLICY…] [OPTION…] [--] COMMAND…
start_sandbox() {
    local who=$1 tier=$2 names
    IFS=, read -r -a names <<< "$3"
    shift 3
    start "$who" "$SANDBOXCTL" exec --policy "$(policy "$tier" "${names[@]}")" "$@"
}

# ends CODE: the process that was started ends by itself, with this exit code.
ends() {
    local code=0
    ended "$started" 300 || { echo "$started does not end"; return 1; }
    wait "$started" || code=$?
    if [ "$code" -ne "$1" ]; then
        echo "exit code $code, not $1; it said:"
        cat "$work/out" "$work/err"
        return 1
    fi
}

# ended PID [TENTHS]: waits until the process is gone (or is a zombie of ours).
ended() {
    local i state
    for ((i = 0; i < ${2:-100}; i++)); do
        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2> /dev/null) || :
        case $state in
        '' | Z) return 0 ;;
        esac
        sleep 0.1
    done
    return 1
}

# eventually COMMAND…: until it succeeds, 15 seconds at most.
eventually() {
    local i
    for ((i = 0; i < 150; i++)); do
        if "$@" > /dev/null 2>&1; then
            return 0
        fi
        sleep 0.1
    done
    echo "never: $*"
    return 1
}

# free_port: one that nobody uses at the moment.
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# children PID: all below it, one a line.
children() {
    local child
    for child in $(ps -o pid= --ppid "$1"); do
        echo "$child"
        children "$child"
    done
}
