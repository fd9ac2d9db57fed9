# What goes wrong in a broker that serves many callers at once: who is who, who waits, who dies, who is interrupted.

load attack

seconds=2
[ -z "${SANDBOXD_TEST_FULL:-}" ] || seconds=60

# alone WHO PROGRAM [ARGUMENT…]: where every path call is the broker's.
alone() {
    local who=$1 program=$2
    shift 2
    playground "$who"
    attack_policy broker
    inside "$who" "$SANDBOXCTL" -- "$attacks/$program" "$ground" "$@"
}

each() {
    alone user "$@"
    [ "$EUID" -ne 0 ] || alone root "$@"
}

@test "whose directory, /proc/self, umask, limits; errnos of odd paths and flags" {
    local who tier
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        # What holds under the broker is what the kernel does under the view, and outside of any sandbox.
        as $who "$attacks/semantics" "$ground" > natively || :
        grep -v 'named\|read only\|reopening' natively > without-rules || :
        cat without-rules
        if grep '^NOT HELD' without-rules; then
            return 1
        fi
        for tier in view broker; do
            attack_policy $tier
            echo "-- $who, $tier"
            inside $who "$SANDBOXCTL" -- "$attacks/semantics" "$ground"
        done
    done
}

@test "opens that wait: FIFOs meet, others are answered behind them, signals end them" { each blocking 64 600; }
@test "a signal in the middle of a call: done once or not at all" { each interrupts $((seconds * 1000)); }
# crowded WHO CALLS MICROSECONDS restart|interrupt: sets $received, what the program says that the broker has received; $notified, what it has.
crowded() {
    local who=$1
    shift
    rm -f "$work/$who/stats"
    inside "$who" "$SANDBOXCTL" --stats "$work/$who/stats" -- timeout 300 "$attacks/crowd" "$ground" "$@" > "$work/crowd" || {
        tail -20 "$work/crowd"
        return 1
    }
    grep SA_RESTART "$work/crowd"
    received=$(sed -n 's/^received //p' "$work/crowd") notified=$(counter "$work/$who/stats" notified)
}

crowd() {
    local who=$1 calls=1000 microseconds how start
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || calls=10000
    playground "$who"
    attack_policy broker
    crowded "$who" 0 1000 restart
    # What its start takes.
    start=$notified
    # A thousand signals a second for all of the twelve, and for each of them.
    for microseconds in 12000 1000; do
        for how in restart interrupt; do
            echo "$who, a signal every $microseconds us for each:"
            crowded "$who" $calls $microseconds $how
            # What was interrupted is exactly what wasn't received.
            [ "$((notified - start))" -eq "$received" ] || { echo "$notified received, $start of them at the start, not $received"; return 1; }
        done
    done
}

@test "four threads and eight processes under signals: done once, and interrupted only where nobody had the call yet: user" { crowd user; }
@test "four threads and eight processes under signals: done once, and interrupted only where nobody had the call yet: root" { crowd root; }

@test "callers die in the middle of their calls, and their numbers are used again" { each storm $((seconds * 1000)); }

@test "a flood of calls from one sandbox doesn't keep another one waiting" {
    local begin took
    playground user
    attack_policy broker
    start user "$SANDBOXCTL" exec --policy "$attack_policy" --quiet --chdir "$ground/a" -- "$attacks/flood" "$ground" 64 $((seconds * 1000 + 2000))
    sleep 1
    begin=$(date +%s%N)
    for _ in 1 2 3 4 5; do
        inside user "$SANDBOXCTL" -- /usr/bin/cat "$ground/a/file" > text
        grep -qx allowed text
    done
    took=$((($(date +%s%N) - begin) / 1000000))
    echo "five runs beside the flood took $took ms"
    [ "$took" -lt 5000 ]
    ends 0
}

@test "odd names leave the log one record a line" {
    playground user
    attack_policy broker
    echo "audit: { record: all }" >> "$attack_policy"
    inside user "$SANDBOXCTL" --log "$work/user/log" -- "$attacks/semantics" "$ground"
    /usr/bin/python3 - "$work/user/log" <<'PYTHON'
import json, sys

data = open(sys.argv[1], "rb").read()
assert data.endswith(b"\n"), "the last record has no end"
records = 0
odd = 0
for line in data.split(b"\n")[:-1]:
    text = line.decode("utf-8")
    assert not any(ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or 0x202a <= ord(c) <= 0x202e for c in text), repr(text)
    record = json.loads(text)
    assert isinstance(record, dict) and "evil" not in record and "record" not in record, record
    records += 1
    odd += "evil" in text
print(records, "records,", odd, "with the name that looks like one")
assert records > 50 and odd >= 1
PYTHON
}
