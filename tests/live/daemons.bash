# What tests of sandboxd share: `load lib`, then `load daemons`.

# serve WHO [OPTION…]: starts that user's daemon; $keeper is its first process.
serve() {
    local folder=$work/$1
    folder "$1"
    export SANDBOXD_SOCKET=$folder/control
    identity "$1"
    "${identity[@]}" "$SANDBOXD" --socket "$SANDBOXD_SOCKET" "${@:2}" < /dev/null > "$work/daemon.log" 2>&1 3>&- &
    keeper=$!
    background+=("$keeper")
    eventually test -S "$SANDBOXD_SOCKET"
}

daemon_of() {
    pgrep -x sandboxd -P "$keeper"
}

# ctl WHO WORD…
ctl() {
    local who=$1
    shift
    as "$who" "$SANDBOXCTL" "$@"
}

# detach WHO TIER NAME [OPTION…] -- COMMAND…
detach() {
    local who=$1 tier=$2 name=$3
    shift 3
    XDG_STATE_HOME=$work/$who/state sandbox "$who" "$tier" shell --detach --name "$name" --chdir / "$@"
}

# field WHO NAME KEY
field() {
    ctl "$1" status --json "$2" | /usr/bin/python3 -c 'import json, sys; v = json.load(sys.stdin)[sys.argv[1]]; print("" if v is None else v)' "$3"
}

# is WHO NAME KEY VALUE: for `eventually`.
is() {
    [ "$(field "$1" "$2" "$3")" = "$4" ]
}

logged() {
    [ "$(ctl "$1" logs "$2")" = "$3" ]
}

# counts WHO NAME: calls go on being answered.
counts() {
    local before after
    before=$(ctl "$1" status "$2" | awk '$1 == "allowed" { print $2 }')
    sleep 0.3
    after=$(ctl "$1" status "$2" | awk '$1 == "allowed" { print $2 }')
    [ "$after" -gt "$before" ]
}

nothing_left() {
    [ "$(ctl "$1" ps --all --json | tr -d '[:space:]')" = "[]" ]
}

# other COMMAND…: as somebody who is neither root nor the user of the tests.
other() {
    env "HOME=$work/home/root" setpriv --reuid=65531 --regid=65531 --clear-groups --inh-caps=-all -- "$@"
}
