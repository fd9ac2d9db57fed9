# The daemon is replaced by another version of itself while sandboxes run: those whose stored state it knows go on, the others die.

load lib

# build_previous: the sandboxd of the commit before the last one that has changed it, in $work/previous.
build_previous() {
    local commit
    need_command git meson ninja
    commit=${SANDBOXD_TEST_PREVIOUS:-}
    [ -n "$commit" ] || commit=$(git -C "$SANDBOXD_SOURCE" -c safe.directory='*' log -2 --format=%H -- daemon lib 2> /dev/null | sed -n 2p) || :
    [ -n "$commit" ] || skip "there is no history here: the checkout is none of git's, or a shallow one"
    mkdir previous
    git -C "$SANDBOXD_SOURCE" -c safe.directory='*' archive "$commit" | tar -x -C previous
    echo "the previous version is $commit"
    meson setup previous/build previous -Dtests=false -Dman=disabled > setup.log || { cat setup.log; return 1; }
    ninja -C previous/build daemon/sandboxd > build.log || { tail -20 build.log; return 1; }
}

# serve_with PROGRAM: as root's daemon; the program is a copy in $work/bin, where it can be replaced.
serve_with() {
    export SANDBOXD_SOCKET=$work/root/control XDG_STATE_HOME=$work/root/state
    mkdir -p "$work/bin"
    cp "$1" "$work/bin/sandboxd"
    "$work/bin/sandboxd" --socket "$SANDBOXD_SOCKET" < /dev/null > "$work/daemon.log" 2>&1 3>&- &
    keeper=$!
    background+=("$keeper")
    eventually test -S "$SANDBOXD_SOCKET"
}

daemon_of() {
    pgrep -x sandboxd -P "$keeper"
}

# renewed: executes the daemon anew.
renewed() {
    local before
    before=$(daemon_of)
    kill -HUP "$keeper"
    ended "$before" 100
    eventually daemon_of
    eventually "$SANDBOXCTL" ps
}

field() {
    "$SANDBOXCTL" status --json "$1" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

# counting NAME: a sandbox that makes directories 1, 2, 3… in $work/root/NAME.
counting() {
    mkdir -p "$work/root/$1"
    # shellcheck disable=SC2016
    (cd "$work/root/$1" && sandbox root broker shell --detach --name "$1" -- \
        sh -c 'i=0; while i=$((i + 1)); do mkdir $i || exit 1; sleep 0.02; done')
}

reached() {
    find "$work/root/$1" -mindepth 1 -maxdepth 1 | wc -l
}

# goes_on NAME: it counts on, and has left nothing out.
goes_on() {
    local before i
    before=$(reached "$1")
    for ((i = 0; i < 100; i++)); do
        if [ "$(reached "$1")" -gt $((before + 2)) ]; then
            [ -d "$work/root/$1/$((before + 2))" ]
            return
        fi
        sleep 0.1
    done
    echo "$1 stays at $before"
    cat "$work/daemon.log"
    return 1
}

@test "sandboxes of the version before go on under this one, and their workers are replaced by this one's" {
    local init worker
    need_root
    build_previous
    serve_with previous/build/daemon/sandboxd
    counting one
    counting two
    goes_on one
    init=$(field one pid) worker=$(field one worker)
    cp "$SANDBOXD" "$work/bin/new"
    mv "$work/bin/new" "$work/bin/sandboxd"
    renewed
    [ "$(stat -L -c %i "/proc/$(daemon_of)/exe")" = "$(stat -c %i "$work/bin/sandboxd")" ]
    goes_on one
    goes_on two
    [ "$(field one pid)" -eq "$init" ]
    [ "$(field one worker)" -eq "$worker" ]
    kill -KILL "$worker"
    eventually test "$(stat -L -c %i "/proc/$worker/exe" 2> /dev/null)" = ''
    goes_on one
    [ "$(stat -L -c %i "/proc/$(field one worker)/exe")" = "$(stat -c %i "$work/bin/sandboxd")" ]
    renewed
    goes_on one
    goes_on two
    [ "$("$SANDBOXCTL" ps --json | grep -c '"running"')" -eq 2 ]
}

# Writes another version over what is stored of a sandbox, as the daemon has it open.
other_version() { # NAME state|slots
    /usr/bin/python3 - "$(daemon_of)" "$(field "$1" worker)" "$1" "$2" << 'EOF'
import os, struct, sys
daemon, worker, name, what = sys.argv[1:]
# The slots are those that its worker has mapped; the state says what the command is, with the name in it.
mapped = {int(line.split()[4]) for line in open(f"/proc/{worker}/maps") if "sandboxd-slots" in line}
done = 0
for number in os.listdir(f"/proc/{daemon}/fd"):
    path = f"/proc/{daemon}/fd/{number}"
    if f"sandboxd-{what}" not in os.readlink(path):
        continue
    with open(path, "r+b", buffering=0) as f:
        if what == "slots" and os.fstat(f.fileno()).st_ino not in mapped:
            continue
        if what == "state" and f"named-{name}".encode() not in f.read():
            continue
        f.seek(0)
        version, = struct.unpack("I", f.read(4))
        f.seek(0)
        f.write(struct.pack("I", version + 1000))
        done += 1
assert done == 1, done
EOF
}

@test "what is stored with another version is refused: that sandbox dies, and the others go on" {
    local what init
    need_root
    folder root
    serve_with "$SANDBOXD"
    for what in state slots; do
        counting stays
        sandbox root broker shell --detach --name "old-$what" --chdir / -- sh -c "sleep 1000; : named-old-$what"
        init=$(field "old-$what" pid)
        other_version "old-$what" "$what"
        renewed
        grep -q "old-$what: what was stored of it can't be used, it dies" "$work/daemon.log"
        ended "$init" 50
        goes_on stays
        [ "$("$SANDBOXCTL" ps --all --json | grep -c '"name"')" -eq 1 ]
        "$SANDBOXCTL" kill stays
        run -137 "$SANDBOXCTL" wait stays
        rm -rf "$work/root/stays"
        renewed
        # Its store is empty again, too.
        [ "$("$SANDBOXCTL" ps --json | tr -d '[:space:]')" = "[]" ]
    done
}
