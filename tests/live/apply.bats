# Another policy for a sandbox that runs: at once and atomically, or not at all.

load lib
load daemons

# rules NAME [LINE…]: a policy like shell, with every path sent to the broker, and these lines below `files:`; its path is in $made.
rules() {
    made=$work/$1.yaml
    {
        printf 'version: 1\nextends: [shell]\nfiles:\n  enforce: broker\n'
        printf '  %s\n' "${@:2}"
    } > "$made"
    chmod 644 "$made"
}

# started WHO NAME POLICY COMMAND…
started() {
    local who=$1 name=$2 of=$3
    shift 3
    XDG_STATE_HOME=$work/$who/state as "$who" "$SANDBOXCTL" exec --policy "$of" --detach --name "$name" -- "$@"
}

# Reads a file again and again, and says how it went last.
reads='while :; do if read -r l < secret; then echo "$l"; else echo denied; fi > last.new 2> /dev/null; mv last.new last; sleep 0.02; done'

says() {
    [ "$(cat "$work/user/last")" = "$1" ]
}

two_policies() {
    folder user
    echo known > secret
    give user .
    rules open
    open=$made
    rules closed "deny: [\"$PWD/secret\"]"
    closed=$made
}

@test "rules of the broker are put in force, and taken back" {
    local worker
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    eventually says known
    worker=$(field user one worker)
    [ -z "$(ctl user policy apply one "$closed")" ]
    [ "$(field user one policy)" = "$closed" ]
    [ "$(field user one worker)" != "$worker" ]
    eventually says denied
    ctl user policy apply one "$open"
    eventually says known
    # Not a death among them.
    run ! grep -q "was killed" "$work/daemon.log"
    ctl user kill one
}

@test "--dry-run and --json say what would change, and change nothing" {
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    [ "$(ctl user policy apply --dry-run one "$closed")" = "+ files: deny: $PWD/secret" ]
    ctl user policy apply --dry-run --json one "$closed" > "$work/json"
    [ "$(/usr/bin/python3 -c 'import json, sys; v = json.load(sys.stdin); print(v["applied"], v["changes"], v["refused"])' < "$work/json")" = \
        "False ['+ files: deny: $PWD/secret'] []" ]
    [ "$(field user one policy)" = "$open" ]
    eventually says known
    ctl user policy apply --json one "$closed" | grep -q '"applied": *true'
    ctl user kill one
}

@test "what only a new start can change is refused, and listed; nothing changes" {
    local before line
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    eventually says known
    before=$(field user one workers)
    {
        cat "$closed"
        echo "  private: [/srv]"
        printf 'network: { mode: host }\nlimits: { open-files: 100, processes: 50 }\nkernel: { hostname: other }\n'
        printf 'environment: { keep: [MORE] }\non-broker-loss: kill\n'
    } > "$work/more.yaml"
    run -1 ctl user policy apply one "$work/more.yaml"
    for line in "/srv:" "network: mode:" "limits: open-files:" "limits: processes:" "kernel:" "environment:" "on-broker-loss:"; do
        [[ $output == *"  $line"* ]] || { echo "not listed: $line"; return 1; }
    done
    # Mounts instead of the broker; more to execute; other calls.
    run -1 ctl user policy apply one shell
    [[ $output == *"files: enforce:"* ]]
    rules wider "exec: [\"/opt/sandboxd-test\"]"
    run -1 ctl user policy apply one "$made"
    [[ $output == *"/opt/sandboxd-test: "*"Landlock"* ]]
    { cat "$open"; echo 'syscalls: { rules: [ { match: getpid, action: errno EPERM } ] }'; } > "$work/calls.yaml"
    ctl user policy check "$work/calls.yaml"
    run -1 ctl user policy apply one "$work/calls.yaml"
    [[ $output == *"syscalls: "* ]]
    [ "$(field user one workers)" = "$before" ]
    [ "$(field user one policy)" = "$open" ]
    eventually says known
    ctl user kill one
}

@test "ports below 1024 of root's go on, and can be taken away; others only a new start can bring" {
    local binds='import socket, time
while True:
    said = []
    for port in (983, 985, 984):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            said.append("bound")
        except OSError as e:
            said.append(e.strerror)
        s.close()
    print(*said, sep=", ", flush=True)
    time.sleep(0.05)'
    need_root
    [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 985 ] || skip "anybody may bind these ports here"
    serve root
    # ports NAME PORT…: its path is in $made.
    ports() {
        made=$work/$1.yaml
        printf 'version: 1\nextends: [python]\nfiles: { enforce: broker }\nnetwork: { mode: host, bind: [%s] }\n' "$(printf '"tcp:127.0.0.1:%s", ' "${@:2}")" > "$made"
        chmod 644 "$made"
    }
    ports both 983 985
    started root web "$made" /usr/bin/python3 -c "$binds"
    eventually last_of web "bound, bound, Permission denied"
    ports one 983
    ctl root policy apply web "$made"
    eventually last_of web "bound, Permission denied, Permission denied"
    ports other 983 984
    run -1 ctl root policy apply web "$made"
    [[ $output == *"network: bind: port 984: it is below 1024, and the policy in force doesn't have it"* ]]
    [[ $output != *"983"* ]]
    [ "$(field root web policy)" = "$work/one.yaml" ]
    ctl root kill web
}

last_of() {
    [ "$(ctl root logs "$1" | tail -1)" = "$2" ]
}

@test "a policy with errors, a sandbox that isn't there, wrong words" {
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    echo 'nonsense: 1' >> "$closed"
    run -1 ctl user policy apply one "$closed"
    [[ $output == *nonsense* ]]
    run -125 ctl user policy apply two "$open"
    [[ $output == *"there is no sandbox two of yours"* ]]
    run -125 ctl user policy apply one
    run -125 ctl user policy apply 'o/ne' "$open"
    run -125 ctl user policy show --dry-run shell
    ctl user kill one
    eventually is user one state ended
    run -125 ctl user policy apply one "$open"
    [[ $output == *"has ended"* ]]
}

# A plan straight to the bus, without what sandboxctl looks at first.
@test "the daemon has a plan looked at, whoever sends it" {
    need_root
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    eventually says known
    detach user view other -- sleep 60
    # As root, for the daemon's descriptors; peers of root's may steer all sandboxes.
    "$SANDBOXD_BUILD/tests/live/apply_raw" "$SANDBOXD_SOCKET" "$(daemon_of)" "$SANDBOXD_TEST_USER/one" "$open" > "$work/said" 2>&1
    cat "$work/said"
    grep -q '^garbage: .*can.t be compiled' "$work/said"
    grep -q '^open: .*can.t be applied' "$work/said"
    grep -q '^no memfd: .*can.t be applied' "$work/said"
    [ "$(grep -c '^plan: applied' "$work/said")" -eq 1 ]
    [ "$(grep -c '^plan: .*only a new start can change' "$work/said")" -eq 1 ]
    says known
    [ "$(field user one state)" = running ]
    ctl user kill one other
}

@test "another user's sandbox is not there, and root is told whose it is" {
    need_root
    folder root
    echo known > secret
    rules open
    serve root
    XDG_STATE_HOME=$work/root/state as root "$SANDBOXCTL" exec --policy "$made" --detach --name mine -- sleep 60
    run -125 ctl user policy apply mine "$made"
    [[ $output == *"there is no sandbox mine of yours"* ]]
    cd "$work/user"
    started user theirs "$made" sleep 60
    run -125 ctl root policy apply "$SANDBOXD_TEST_USER/theirs" "$made"
    [[ $output == *"apply the policy as that user"* ]]
    ctl root kill mine "$SANDBOXD_TEST_USER/theirs"
}

under_load() {
    local who=$1 times=$2 i wanted asked
    two_policies
    [ "$who" = user ] || { cd "$work/root" && cp "$work/user/secret" . && rules open && rules closed "deny: [\"$PWD/secret\"]"; }
    mkdir names
    cp "$BATS_TEST_DIRNAME/apply-load.py" .
    give "$who" .
    serve "$who"
    started "$who" load "$open" /usr/bin/python3 apply-load.py 3
    eventually test -s seen.0
    /usr/bin/python3 -c 'import time; t = time.monotonic_ns(); print(t, t, 1)' > "$work/times"
    for ((i = 0; i < times; i++)); do
        wanted=$((i % 2))
        asked=$(/usr/bin/python3 -c 'import time; print(time.monotonic_ns())')
        if [ $wanted -eq 1 ]; then
            ctl "$who" policy apply load "$open"
        else
            ctl "$who" policy apply load "$closed"
        fi
        echo "$asked $(/usr/bin/python3 -c 'import time; print(time.monotonic_ns())') $wanted" >> "$work/times"
        sleep 0.05
    done
    touch stop
    ctl "$who" wait load || { cat "$work/$who/state/sandboxd/load.log"; return 1; }
    [ "$(wc -l < "$work/$who/state/sandboxd/load.log")" -eq 3 ]
    /usr/bin/python3 apply-load.py --judge "$work/times"
    [ -z "$(ls names)" ]
    ctl "$who" status --json load > "$work/json"
    [ "$(/usr/bin/python3 -c 'import json, sys; v = json.load(sys.stdin); c = v["counters"]; print(c["undecided"], c["poisoned"], v["workers"])' \
        < "$work/json")" = "0 0 $((times + 1))" ]
}

@test "under load no call is decided by the old policy, fails or is done twice: user" { under_load user "$([ -n "${SANDBOXD_TEST_FULL:-}" ] && echo 300 || echo 20)"; }
@test "under load no call is decided by the old policy, fails or is done twice: root" { under_load root "$([ -n "${SANDBOXD_TEST_FULL:-}" ] && echo 300 || echo 20)"; }

@test "what was applied outlives a killed worker and a killed daemon" {
    local daemon
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    eventually says known
    ctl user policy apply one "$closed"
    eventually says denied
    kill -9 "$(field user one worker)"
    eventually counts user one
    says denied
    daemon=$(daemon_of)
    kill -9 "$daemon"
    eventually is user one policy "$closed"
    counts user one
    says denied
    kill -9 "$(field user one worker)"
    eventually counts user one
    says denied
    # And again, by the daemon that has found it.
    ctl user policy apply one "$open"
    eventually says known
    kill -HUP "$keeper"
    eventually is user one policy "$open"
    says known
    ctl user kill one
    eventually is user one state ended
    kill -9 "$(daemon_of)"
    eventually is user one policy "$open"
}

# Killed at any instant of it: it is in force or it is not, and what is said is what holds.
@test "a daemon that is killed while it applies a policy" {
    local i now
    two_policies
    serve user
    started user one "$open" sh -c "$reads"
    eventually says known
    for ((i = 0; i < $([ -n "${SANDBOXD_TEST_FULL:-}" ] && echo 100 || echo 4); i++)); do
        ctl user policy apply one "$closed" 2> /dev/null &
        background+=($!)
        sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
        kill -9 "$(daemon_of)"
        wait $! || :
        eventually is user one state running
        now=$(field user one policy)
        if [ "$now" = "$closed" ]; then
            eventually says denied
            sleep 0.1
            says denied
        else
            [ "$now" = "$open" ]
            eventually says known
        fi
        eventually ctl user policy apply one "$open"
        eventually says known
    done
    ctl user kill one
}
