# Many sandboxes that do nothing: what each of them takes, and what the daemon takes for them.

load lib

# ran PID: nanoseconds for which it has run.
ran() {
    cut -d ' ' -f 1 "/proc/$1/schedstat"
}

# Each with a worker, its helper, and init; and its share of the daemon and of the daemon's parent process.
idle() {
    local who=$1 n=100 seconds=5 keeper daemon i found sum most own ns times=() began
    # Nobody else may look into them.
    need_root
    if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
        n=1000 seconds=20
    fi
    [ "$(ulimit -Hn)" -ge $((n * 14 + 1000)) ] || skip "$n sandboxes need more descriptors than there may be"
    folder "$who"
    export SANDBOXD_SOCKET=$work/$who/control XDG_STATE_HOME=$work/$who/state
    identity "$who"
    "${identity[@]}" "$SANDBOXD" --socket "$SANDBOXD_SOCKET" < /dev/null > "$work/daemon.log" 2>&1 3>&- &
    keeper=$!
    background+=("$keeper")
    eventually test -S "$SANDBOXD_SOCKET"
    for ((i = 0; i < n; i++)); do
        sandbox "$who" broker shell --detach --name "idle-$i" -- sleep 10000 > /dev/null
    done
    daemon=$(pgrep -x sandboxd -P "$keeper")
    sleep 1
    ns=$(ran "$daemon")
    sleep "$seconds"
    ns=$(($(ran "$daemon") - ns))

    as "$who" "$SANDBOXCTL" ps --json > list
    read -r found sum most own <<< "$(/usr/bin/python3 - "$daemon" "$keeper" << 'EOF'
import json, os, re, sys
def private(pid):
    return sum(int(n) for n in re.findall(r"^Private_\w+: *(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M))
def comm(pid):
    return open(f"/proc/{pid}/comm").read().strip()
daemon, keeper = sys.argv[1:]
sandboxes = [private(s["worker"]) + private(s["pid"]) for s in json.load(open("list"))]
helpers = [private(pid) for pid in open(f"/proc/{daemon}/task/{daemon}/children").read().split() if comm(pid) == "sandboxd-helper"]
assert len(helpers) == len(sandboxes), (len(helpers), len(sandboxes))
n = len(sandboxes)
print(n, (sum(sandboxes) + sum(helpers)) // n, max(sandboxes) + max(helpers), (private(daemon) + private(keeper)) // n)
EOF
    )"
    [ "$found" -eq "$n" ]
    for ((i = 0; i < 5; i++)); do
        began=${EPOCHREALTIME/[.,]/}
        as "$who" "$SANDBOXCTL" ps > /dev/null
        times+=($((${EPOCHREALTIME/[.,]/} - began)))
    done
    began=$(printf '%s\n' "${times[@]}" | sort -n | sed -n 3p)
    echo "$n sandboxes: $sum KiB each of their own, $most at most, $own of the daemon's; daemon $((ns / seconds / 1000)) us of CPU a second; ps $((began / 1000)) ms" | tee /dev/fd/3
    [ $((sum + own)) -lt 1536 ]
    [ "$most" -lt 1536 ]
    # One in a thousand.
    [ $((ns / seconds)) -le 1000000 ]
    [ "$began" -lt 200000 ]
    kill "$keeper"
    ended "$keeper" 300
}

@test "idle sandboxes take less than 1.5 MiB each, and no time: user" { idle user; }
@test "idle sandboxes take less than 1.5 MiB each, and no time: root" {
    need_full
    idle root
}
