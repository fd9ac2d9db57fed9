# Sandboxes that sandboxd owns: started, listed, waited for, ended; by their owner alone; and who lives on when what is killed.

load lib
load daemons

: "${SANDBOXCTL_UNSAFE:=$SANDBOXD_SOURCE/build-unsafe/ctl/sandboxctl}"

in_foreground() {
    local code words
    serve "$1"
    for words in "0:true" "3:exit 3" "143:kill -TERM \$\$" "137:kill -KILL \$\$"; do
        code=0
        sandbox "$1" "$2" shell --daemon --chdir / -- sh -c "cat /etc/hosts > /dev/null; ${words#*:}" || code=$?
        [ "$code" -eq "${words%%:*}" ]
    done
    run -127 sandbox "$1" "$2" shell --daemon --chdir / -- no-such-command
    [[ $output == *"there is no such command"* ]]
    run -125 sandbox "$1" "$2" shell --daemon --chdir /nowhere -- true
    [[ $output == *"/nowhere"* ]]
    [ "$(echo given | sandbox "$1" "$2" shell --daemon --chdir / -- cat)" = given ]
    sandbox "$1" "$2" shell --daemon --chdir / --stats "$work/$1/stats" -- cat /etc/hosts > /dev/null
    [ "$2" = view ] || [ "$(counter "$work/$1/stats" notified)" -gt 0 ]
    # In the foreground nothing is left of them.
    nothing_left "$1"
}

@test "exec --daemon gives what exec gives: user, view" { in_foreground user view; }
@test "exec --daemon gives what exec gives: user, broker" { in_foreground user broker; }
@test "exec --daemon gives what exec gives: root, view" { in_foreground root view; }
@test "exec --daemon gives what exec gives: root, broker" { in_foreground root broker; }

@test "a detached sandbox is listed, shown, logged, stopped, waited for" {
    serve user
    [ "$(detach user broker web -- sh -c 'echo begun; while :; do sleep 0.1; cat /etc/hosts > /dev/null; done')" = web ]
    ctl user ps | grep -q '^web .*running'
    [ "$(field user web state)" = running ]
    [ "$(field user web policy)" = "$(policy broker shell)" ]
    eventually logged user web begun
    ctl user stop web
    run -143 ctl user wait web
    [ "$(ctl user ps --json | tr -d '[:space:]')" = "[]" ]
    ctl user ps --all | grep -q '^web .*killed by signal 15'
    [ "$(ctl user logs --follow web)" = begun ]
    run -125 ctl user kill web
    [[ $output == *"has ended already"* ]]
    # Its name is free again.
    detach user view web -- sh -c 'exit 7'
    run -7 ctl user wait web
    run -7 ctl user wait --json web
    [ "$(echo "$output" | /usr/bin/python3 -c 'import json, sys; v = json.load(sys.stdin); print(v["name"], v["outcome"], v["code"], v["signal"])')" = "web exited 7 None" ]
}

@test "stop kills what takes no notice of SIGTERM" {
    serve user
    detach user view deaf -- sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    eventually grep -q ready "$work/user/state/sandboxd/deaf.log"
    ctl user stop --time 300ms deaf
    run -137 ctl user wait deaf
}

# json EXPRESSION: of the JSON in $output, as v; it must be true.
json() {
    /usr/bin/python3 -c 'import json, sys; v = json.loads(sys.argv[1]); sys.exit(not eval(sys.argv[2]))' "$output" "$1" || {
        echo "$output"
        return 1
    }
}

@test "stop --json and kill --json say what has become of each, also of those that failed" {
    serve user
    detach user view mild -- sleep 60
    detach user view deaf -- sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    eventually logged user deaf ready
    detach user view over -- true
    ctl user wait over
    run --separate-stderr -125 ctl user stop --json --time 300ms mild deaf over none
    json '[(o["name"], o["stopped"]) for o in v] == [("mild", True), ("deaf", True), ("over", True), ("none", False)]'
    json 'v[0] == {"name": "mild", "stopped": True, "killed": False, "outcome": "exited", "code": None, "signal": 15}'
    json 'v[1] == {"name": "deaf", "stopped": True, "killed": True, "outcome": "init-died", "code": None, "signal": None}'
    json 'v[2] == {"name": "over", "stopped": True, "killed": False} and v[3] == {"name": "none", "stopped": False, "errno": "ENOENT"}'
    [[ $stderr == *"there is no sandbox none of yours"* ]]

    detach user view mild -- sh -c 'trap "echo got" USR1; echo ready; while :; do sleep 0.1; done'
    eventually logged user mild ready
    run --separate-stderr -0 ctl user kill --json --signal USR1 mild
    json 'v == [{"name": "mild", "sent": True, "signal": 10}]'
    eventually grep -qx got "$work/user/state/sandboxd/mild.log"
    run --separate-stderr -125 ctl user kill --json mild over
    json 'v == [{"name": "mild", "sent": True, "signal": 9}, {"name": "over", "sent": False, "errno": "ESRCH", "signal": 9}]'
    [[ $stderr == *"over has ended already"* ]]
}

@test "logs --json is an object for each line, whatever is in it" {
    serve user
    # Something that no terminal should get, no UTF-8, a NUL, an empty line, one of 70,000 bytes, and an end without a newline.
    detach user view talks -- sh -c 'printf "one\n\033[2J \303\244 \377 \000.\n\n"; head -c 70000 /dev/zero | tr "\000" x; printf "\n"; sleep 0.5; printf "\"end\""'
    ctl user logs --json --follow talks > followed
    ctl user logs --json talks > shown
    cmp followed shown
    run ! grep -q $'\e' shown
    /usr/bin/python3 - shown << 'PYTHON'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
assert all(line["name"] == "talks" for line in lines)
assert [(line["line"], line.get("partial")) for line in lines] == [
    ("one", None), ("\x1b[2J \u00e4 \ufffd \0.", None), ("", None), ("x" * 65536, True), ("x" * (70000 - 65536), None), ('"end"', True)], lines
PYTHON
}

@test "a command that can't be executed: --detach says so and leaves nothing running" {
    serve user
    run -127 detach user broker bad -- no-such-command
    [[ $output == *"there is no such command"* ]]
    [ "$(ctl user ps --json | tr -d '[:space:]')" = "[]" ]
}

@test "a name is had once at a time" {
    serve user
    detach user view one -- sleep 60
    run -125 detach user view one -- sleep 60
    [[ $output == *"there is a sandbox of the name one already"* ]]
    ctl user kill one
}

@test "no daemon: exec --daemon says how to start one, and runs nothing" {
    folder user
    export SANDBOXD_SOCKET=$work/none
    run -125 sandbox user view shell --daemon --chdir / -- touch "$work/user/ran"
    [[ $output == *"no sandboxd listens on $work/none"* ]]
    [ ! -e "$work/user/ran" ]
}

@test "the client of a foreground sandbox is killed: the sandbox dies" {
    local init
    serve user
    start_sandbox user broker shell --daemon --name mine --chdir / -- sleep 60
    eventually is user mine state running
    init=$(field user mine pid)
    kill -9 "$started"
    ended "$init" 50
    eventually nothing_left user
}

@test "the time limit holds for a detached sandbox" {
    serve user
    detach user view timed --time 500ms -- sleep 60
    run -137 ctl user wait timed
    ctl user ps --all | grep -q '^timed .*time limit reached'
}

worker_replaced() {
    local before
    serve "$1"
    detach "$1" broker goes-on -- sh -c 'while ! [ -e /tmp/end ]; do sleep 0.05; cat /etc/hosts > /tmp/now || exit 9; done'
    before=$(field "$1" goes-on worker)
    kill -9 "$before"
    eventually is "$1" goes-on workers 2
    [ "$(field "$1" goes-on worker)" -ne "$before" ]
    eventually counts "$1" goes-on
    is "$1" goes-on state running
    ctl "$1" kill goes-on
    run -137 ctl "$1" wait goes-on
}

@test "a killed worker is replaced: user" { worker_replaced user; }
@test "a killed worker is replaced: root" { worker_replaced root; }

# helper_of WHO NAME: of one who has no other.
helper_of() {
    pgrep -x sandboxd-helper -P "$(daemon_of)"
}

helper_replaced() {
    local helper worker
    serve "$1"
    detach "$1" broker goes-on -- sh -c 'while ! [ -e /tmp/end ]; do sleep 0.05; cat /etc/hosts > /tmp/now; done'
    eventually counts "$1" goes-on
    helper=$(helper_of) worker=$(field "$1" goes-on worker)
    kill -9 "$helper"
    ended "$helper" 50
    eventually is "$1" goes-on workers 2
    [ "$(helper_of)" -ne "$helper" ]
    [ "$(field "$1" goes-on worker)" -ne "$worker" ]
    eventually counts "$1" goes-on
    is "$1" goes-on state running
    helper=$(helper_of)
    ctl "$1" kill goes-on
    run -137 ctl "$1" wait goes-on
    ended "$helper" 10
}

@test "a killed helper is replaced, with the worker: user" { helper_replaced user; }
@test "a killed helper is replaced, with the worker: root" { helper_replaced root; }

@test "programs that are being executed live on when the worker is killed" {
    local i
    serve user
    mkdir -p "$work/user/run"
    cp "$SANDBOXD_BUILD/tests/live/survivor" "$work/user/run"
    give user "$work/user/run"
    (cd "$work/user/run" && XDG_STATE_HOME=$work/user/state sandbox user broker shell --detach --name programs --exec "$PWD/survivor" -- \
        ./survivor programs)
    for ((i = 1; i <= 30; i++)); do
        kill -9 "$(field user programs worker)"
        eventually is user programs workers "$((i + 1))"
        sleep "0.0$((RANDOM % 10))"
    done
    touch "$work/user/run/stop"
    run -0 ctl user wait programs
    ctl user logs programs
    ctl user logs programs | grep -q 'by the death of their tracer 0$'
    ctl user logs programs | grep -qE '^programs: calls [0-9]{2,} eio 0 wrong 0$'
}

@test "a call at which two workers have crashed is answered with EIO, and the sandbox goes on" {
    [ -x "$SANDBOXCTL_UNSAFE" ] || skip "there is no build with switches: ./dev test makes it"
    local SANDBOXCTL=$SANDBOXCTL_UNSAFE SANDBOXD=${SANDBOXCTL_UNSAFE%/*/*}/daemon/sandboxd
    [ -x "$SANDBOXD" ] || SANDBOXD=${SANDBOXCTL_UNSAFE%/*/*}/sbin/sandboxd
    SANDBOXD_UNSAFE=crash serve user
    cat > try.py <<'PYTHON'
import errno, os
open("/tmp/f", "w").write("text")
try:
    os.truncate("/tmp/f", 0)
except OSError as e:
    print(errno.errorcode[e.errno], open("/tmp/f").read())
PYTHON
    policy_extra=$'on-broker-loss: wait\n'
    [ "$(sandbox user broker python,shell --daemon --name poisoned --read "$PWD/try.py" --chdir / -- /usr/bin/python3 "$PWD/try.py" < /dev/null)" = "EIO text" ]
    cat "$work/daemon.log"
    [ "$(grep -c 'poisoned: its worker was killed (signal 6)' "$work/daemon.log")" -eq 2 ]
}

@test "on-broker-loss: kill: a killed worker takes the sandbox along" {
    serve user
    policy_extra=$'on-broker-loss: kill\n'
    detach user broker fragile -- sleep 60
    kill -9 "$(field user fragile worker)"
    run -125 ctl user wait fragile
    ctl user ps --all | grep -q '^fragile .*broker failed'
}

daemon_back() {
    local init before
    serve "$1"
    detach "$1" broker kept -- sh -c 'while :; do sleep 0.05; cat /etc/hosts > /dev/null || exit 9; done'
    detach "$1" view over -- sh -c 'exit 4'
    run -4 ctl "$1" wait over
    init=$(field "$1" kept pid)
    before=$(daemon_of)
    if [ "$2" = killed ]; then
        kill -9 "$before"
    else
        kill -HUP "$keeper"
    fi
    ended "$before" 50
    eventually is "$1" kept state running
    [ "$(daemon_of)" -ne "$before" ]
    [ "$(field "$1" kept pid)" -eq "$init" ]
    # Its calls are answered again.
    eventually counts "$1" kept
    # What had ended is known, too.
    run -4 ctl "$1" wait over
    ctl "$1" kill kept
    run -137 ctl "$1" wait kept
}

@test "a killed daemon finds its sandboxes again: user" { daemon_back user killed; }
@test "a killed daemon finds its sandboxes again: root" { daemon_back root killed; }
@test "SIGHUP executes the daemon anew, and its sandboxes go on" { daemon_back user renewed; }

@test "a foreground sandbox and its client outlive a killed daemon" {
    serve user
    start_sandbox user broker shell --daemon --name fore --chdir / -- sh -c 'sleep 1.5; exit 5'
    eventually is user fore state running
    kill -9 "$(daemon_of)"
    ends 5
}

@test "SIGTERM to the daemon: all sandboxes are dead when it has ended" {
    local inits=() i
    serve user
    for i in 1 2 3; do
        detach user broker "s$i" -- sleep 60
        inits+=("$(field user "s$i" pid)")
    done
    kill -TERM "$keeper"
    ended "$keeper" 100
    [ ! -e "$SANDBOXD_SOCKET" ]
    for i in "${inits[@]}"; do
        ended "$i" 1
    done
}

@test "SIGTERM just after the daemon was killed: all sandboxes are dead when it has ended, and none has seen ENOSYS" {
    local i n
    for i in 0 1 2 3 4 5; do
        serve user
        for n in 1 2 3; do
            detach user broker "caught$n" -- sh -c 'while cat /etc/passwd > /dev/null; do :; done; echo "it has failed"; sleep 1000; :' "$work" > /dev/null
        done
        # In the first round its parent process learns of both at once.
        [ "$i" -gt 0 ] || kill -STOP "$keeper"
        kill -KILL "$(daemon_of)"
        sleep "0.00$((2 * i))"
        kill -TERM "$keeper"
        [ "$i" -gt 0 ] || kill -CONT "$keeper"
        ended "$keeper" 100
        # A daemon has done it, not just the close of what was stored.
        [ ! -e "$SANDBOXD_SOCKET" ]
        if pgrep -f "it has failed.*$work"; then
            echo "they are left, in round $i"
            return 1
        fi
        if grep -rx 'it has failed' "$work/user/state"; then
            return 1
        fi
    done
}

@test "root's daemon serves everybody, who see and steer their own alone" {
    local init
    need_root
    serve root
    detach user broker theirs -- sleep 60
    detach root view roots -- sleep 60
    init=$(field user theirs pid)
    [ "$(stat -c %u "/proc/$(field user theirs worker)")" -eq "$SANDBOXD_TEST_USER" ] || [ "$(awk '/^Uid/ { print $2 }' "/proc/$(field user theirs worker)/status")" -eq "$SANDBOXD_TEST_USER" ]
    [ "$(ctl user ps --json | grep -c '"name"')" -eq 1 ]
    [ "$(ctl root ps --json | grep -c '"name"')" -eq 2 ]
    [ "$(other "$SANDBOXCTL" ps --all --json | tr -d '[:space:]')" = "[]" ]
    for verb in status stop kill wait logs; do
        run -125 other "$SANDBOXCTL" "$verb" theirs
        [[ $output == *"there is no sandbox theirs of yours"* ]]
        run -125 ctl user "$verb" roots
        [[ $output == *"there is no sandbox roots of yours"* ]]
    done
    # By the bus itself, too.
    run ! other busctl "--address=unix:path=$SANDBOXD_SOCKET" call org.sandboxd "/org/sandboxd/sandbox/u$SANDBOXD_TEST_USER/theirs" org.sandboxd.Sandbox1 Kill
    [ -d "/proc/$init" ]
    run -125 ctl root kill theirs
    ctl root ps | grep -q "^$SANDBOXD_TEST_USER/theirs .* $SANDBOXD_TEST_USER "
    # A name is taken for its owner alone.
    detach root view theirs -- sleep 60
    ctl root kill theirs
    is user theirs state running
    ctl root kill "$SANDBOXD_TEST_USER/theirs"
    run -137 ctl user wait theirs
    ctl root kill roots
}

@test "a user's own daemon takes nobody else's sandboxes" {
    need_root
    serve user
    run -125 detach root view intruder -- sleep 60
    [[ $output == *"can't be taken over"* ]]
    [ "$(ctl user ps --json | tr -d '[:space:]')" = "[]" ]
}

@test "the bus can be introspected, and says its version" {
    need_command busctl
    serve user
    run -0 as user busctl "--address=unix:path=$SANDBOXD_SOCKET" introspect org.sandboxd /org/sandboxd
    [[ $output == *org.sandboxd.Manager1* && $output == *Adopt* && $output == *GetManagedObjects* ]]
    detach user view seen -- sleep 60
    run -0 as user busctl "--address=unix:path=$SANDBOXD_SOCKET" --list tree org.sandboxd
    [[ $output == */org/sandboxd/sandbox/u*/seen* ]]
    ctl user kill seen
}

# bus COMMAND WORD…: busctl's.
bus() {
    as user busctl "--address=unix:path=$SANDBOXD_SOCKET" "$@"
}

@test "the control interface is what sandboxd(8) says: methods, properties and signals with their types, keys and errors" {
    local object
    need_command busctl
    serve user
    detach user view seen -- sleep 60
    object=$(bus --list tree org.sandboxd | grep '/seen$')
    bus --xml-interface introspect org.sandboxd /org/sandboxd > manager.xml
    bus --xml-interface introspect org.sandboxd "$object" > sandbox.xml
    /usr/bin/python3 - manager.xml sandbox.xml "$SANDBOXD_SOURCE" << 'PYTHON'
import glob, re, sys
import xml.etree.ElementTree as tree

man = open(sys.argv[3] + "/man/sandboxd.8.scd").read()
man = man[man.index("# D-BUS INTERFACE"):man.index("# RECORDS")]

def interfaces(path):
    return {i.get("name"): i for i in tree.parse(path).getroot().iter("interface")}

def types(text):
    """Of "s name, a{sv} more": sa{sv}."""
    return "".join(word.split(" ")[0] for word in text.split(", ")) if text else ""

def said(name):
    section = re.search(rf"^## {re.escape(name)}, on .*?(?=^## |\Z)", man, re.M | re.S).group()
    calls = {m[1]: (types(m[2]), types(m[3] or "")) for m in re.finditer(r"^\*(\w+)\*\((.*?)\)(?: -> \((.*)\))?$", section, re.M)}
    properties = dict(re.findall(r"\*([A-Z][a-z]+)\* ([a-z(){}]+)(?=[, .\n])", section))
    return calls, properties

def offered(interface):
    calls, properties = {}, {}
    for member in interface:
        args = [(a.get("direction", "in"), a.get("type")) for a in member.findall("arg")]
        if member.tag in ("method", "signal"):
            calls[member.get("name")] = tuple("".join(t for d, t in args if d == way) for way in ("in", "out"))
        elif member.tag == "property":
            properties[member.get("name")] = member.get("type")
    return calls, properties

found = 0
for path in sys.argv[1:3]:
    for name, interface in interfaces(path).items():
        if name.startswith("org.sandboxd."):
            assert said(name) == offered(interface), (name, said(name), offered(interface))
            found += 1
        else:
            assert name.removeprefix("org.freedesktop.DBus") in man, name
assert found == 2, found

source = {path: open(path).read() for path in glob.glob(sys.argv[3] + "/daemon/*.c") + [sys.argv[3] + "/lib/control/control.h"]}
keys = [key for path, text in source.items() if path.endswith("/manager.c") for key in re.findall(r'str_equal\(key, "([a-z-]+)"\)', text)]
assert len(keys) >= 14, keys
for key in keys:
    assert re.search(rf"[:,] {key} [a-z]+[ ,.]", man.replace("\n\t", " ")), "not in the manual: the key " + key
errors = {error for text in source.values() for error in re.findall(r'"(org\.sandboxd\.Error\.\w+)"', text)}
assert errors == set(re.findall(r"^\*(org\.sandboxd\.Error\.\w+)\*$", man, re.M)) and len(errors) >= 5, errors
outcomes = re.findall(r'#define CONTROL_\w+ "([a-z-]+)"', source[sys.argv[3] + "/lib/control/control.h"])
assert len(outcomes) >= 6
for outcome in outcomes:
    assert f"*{outcome}*" in man, "not in the manual: the outcome " + outcome
PYTHON
    # And errors come where it says.
    refused() {
        run -1 bus call org.sandboxd "${@:2}"
        [[ $output == *"$1"* ]]
    }
    refused 'stop it first' "$object" org.sandboxd.Sandbox1 Forget
    refused 'there is no signal 999' "$object" org.sandboxd.Sandbox1 Signal i 999
    refused 'waits for nobody' "$object" org.sandboxd.Sandbox1 Attach
    refused 'Unknown object' "${object}2" org.sandboxd.Sandbox1 Kill
    refused 'Invalid arguments' "$object" org.sandboxd.Sandbox1 Signal s TERM
    bus call org.sandboxd "$object" org.sandboxd.Sandbox1 Kill
    bus call org.sandboxd "$object" org.sandboxd.Sandbox1 Wait
    refused 'has ended' "$object" org.sandboxd.Sandbox1 Kill
    refused 'has ended' "$object" org.sandboxd.Sandbox1 Plan
    bus call org.sandboxd "$object" org.sandboxd.Sandbox1 Forget
    refused 'Unknown object' "$object" org.sandboxd.Sandbox1 Forget
}

@test "what is no adoption is refused, and the daemon goes on" {
    need_command busctl
    serve user
    detach user view stays -- sleep 60
    /usr/bin/python3 - "$SANDBOXD_SOCKET" <<'PYTHON'
import os, socket, sys
for noise in (b"\0", b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"l\1\0\1" + b"\xff" * 200, os.urandom(4096), b"A" * 70000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.sendall(noise)
    except OSError:
        pass
    s.close()
PYTHON
    is user stays state running
    ctl user kill stays
}

@test "wrong words are refused with what to do" {
    serve user
    run -125 ctl user ps extra
    [[ $output == *"ps wants no name"* ]]
    run -125 ctl user status
    [[ $output == *"the name of one sandbox"* ]]
    run -125 ctl user stop --time soon x
    [[ $output == *"--time soon: expected a time"* ]]
    run -125 ctl user kill --signal NOPE x
    [[ $output == *"there is no such signal"* ]]
    run -125 ctl user logs Not/A/Name
    [[ $output == *"can't be a sandbox"* ]]
    run -125 ctl user status none
    [[ $output == *"there is no sandbox none of yours"* ]]
    run -125 sandbox user view shell --detach --dry-run --chdir / -- true
    [[ $output == *"--overlay keep=DIR"* ]]
    run -2 as user "$SANDBOXD" --nonsense
    run -2 as user "$SANDBOXD" word
    [[ $output == *"it takes options only"* ]]
    run -1 as user "$SANDBOXD" --socket "$SANDBOXD_SOCKET"
    [[ $output == *"another sandboxd listens on $SANDBOXD_SOCKET already"* ]]
}
