# sandboxctl status: by what a policy is held, how long calls take, what was denied.

load lib
load daemons

# status WHO NAME EXPRESSION: a Python expression over what --json says, as s; it must be true.
status() {
    ctl "$1" status --json "$2" > "$work/status.json"
    /usr/bin/python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$work/status.json" "$3" || {
        cat "$work/status.json"
        return 1
    }
}

# detach_with NAME RULES COMMAND…: with the rules for files below $work/user, held by the broker.
detach_with() {
    local name=$1
    printf 'version: 1\ndescription: for a test\nextends: [shell]\nfiles: { enforce: broker, read: [%s], %s }\nlimits: { time: 5m }\n' "$work/user" "$2" > "$work/$name.yaml"
    chmod 644 "$work/$name.yaml"
    shift 2
    XDG_STATE_HOME=$work/user/state as user "$SANDBOXCTL" exec --policy "$work/$name.yaml" --detach --name "$name" --chdir / -- "$@"
}

@test "tiers, latencies and denied calls are shown, for people and as JSON" {
    local calls
    serve user
    mkdir -p "$work/user/secrets"
    echo x > "$work/user/secrets/key"
    # A name that would clear the screen.
    touch "$work/user/secrets/"$'\e[2Jwipe'
    give user "$work/user/secrets"
    detach_with web "deny: [$work/user/secrets]" sh -c 'while ! [ -e /tmp/end ]; do cat '"$work/user/secrets/key"' '"$work"'/user/secrets/"$(printf "\033[2Jwipe")" /etc/hosts; sleep 0.1; done'
    eventually status user web 'len(s["denied"]) >= 2 and all(d["times"] >= 3 for d in s["denied"] if "secrets" in d.get("subject", ""))'
    status user web '"broker" in s["tiers"]["files"]["by"] and "timer" in s["tiers"]["limits"]["by"] and "filter" in s["tiers"]["syscalls"]["by"]'
    status user web '[d for d in s["denied"] if d["subject"].endswith("/secrets/key") and d["errno"] == "EACCES" and d["call"].startswith("open") and d["rule"].startswith("deny /")]'
    status user web '[d for d in s["denied"] if d["subject"].endswith("/secrets/\\x1b[2Jwipe")]'
    # Each call that was answered is in one bucket; those that are being answered meanwhile make no difference of more than a few.
    status user web 'abs(sum(b["calls"] for b in s["latency"]) - s["counters"]["notified"]) < 20 and sum(b["calls"] for b in s["latency"]) > 50'
    status user web 'all(b["from_ns"] < b["to_ns"] for b in s["latency"])'
    ctl user status web > text
    grep -q '^held by:' text
    grep -q '^  files *broker' text
    grep -q '^calls by the time until their reply:' text
    grep -q '^denied last:' text
    grep -qF '/secrets/\x1b[2Jwipe: EACCES, ' text
    run ! grep -q $'\e' text
    # They outlive the worker, and the daemon.
    calls=$(/usr/bin/python3 -c 'import json; print(sum(b["calls"] for b in json.load(open("'"$work"'/status.json"))["latency"]))')
    kill -9 "$(field user web worker)"
    eventually is user web workers 2
    status user web "sum(b['calls'] for b in s['latency']) >= $calls and len(s['denied']) >= 2"
    kill -9 "$(daemon_of)"
    eventually is user web state running
    status user web "sum(b['calls'] for b in s['latency']) >= $calls and len(s['denied']) >= 2"
    ctl user kill web
    # And are still there when it has ended.
    run -137 ctl user wait web
    status user web "sum(b['calls'] for b in s['latency']) >= $calls and len(s['denied']) >= 2"
}

@test "a sandbox held by its view says so; lists don't carry what is large" {
    serve user
    detach user view quiet -- sleep 60
    status user quiet '"view" in s["tiers"]["files"]["by"] and "netns" in s["tiers"]["network"]["by"] and s["denied"] == []'
    ctl user ps --json > list
    run ! grep -q latency list
    ctl user kill quiet
}

@test "the last 32 denied calls are kept, the oldest makes room" {
    serve user
    mkdir -p "$work/user/many"
    touch "$work/user/many/f"{1..50}
    give user "$work/user/many"
    detach_with flood "deny: [$work/user/many]" sh -c 'i=1; while [ $i -le 50 ]; do cat '"$work"'/user/many/f$i 2> /dev/null; i=$((i + 1)); done; echo done; sleep 60'
    eventually logged user flood "done"
    status user flood 'len(s["denied"]) == 32 and s["denied"][0]["subject"].endswith("/f50") and not [d for d in s["denied"] if d["subject"].endswith("/f2")]'
    ctl user kill flood
}
