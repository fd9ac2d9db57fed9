# What runs for long: the worker doesn't grow.

load lib

# memory PID: the worker's own PSS, in KiB. Not that of files: how much of a library counts depends on how many others have it mapped just now.
memory() {
    awk '/^Pss_(Anon|Shmem):/ { n += $2 } END { print n }' "/proc/$1/smaps_rollup"
}

# pss PID
pss() {
    awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"
}

steady() {
    local who=$1 counts=(20000 200000) pid child worker='' reached before after pss
    # The worker can't be looked at by its owner.
    need_root
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || counts=(1000000 10000000)
    folder "$who"
    mkdir work
    give "$who" work
    cp "$SANDBOXD_BUILD/tests/live/steady" .
    mkfifo input output
    sandbox "$who" broker shell --quiet --net none --stats stats --exec "$PWD/steady" --write "$PWD/work" -- "$PWD/steady" "$PWD/work" "${counts[@]}" \
        < input > output 2> errors 3>&- &
    pid=$!
    background+=("$pid")
    exec 8> input 9< output
    read -r -t 600 -u 9 reached
    for child in $(children "$pid"); do
        [ "$(cat "/proc/$child/comm")" != sandboxd-worker ] || worker=$child
    done
    before=$(memory "$worker") pss=$(pss "$worker")
    echo go >&8
    read -r -t 3000 -u 9 reached
    [ "$reached" -eq "${counts[1]}" ]
    after=$(memory "$worker") pss="$pss, $(pss "$worker")"
    echo go >&8
    exec 8>&- 9<&-
    wait "$pid"
    cat stats
    echo "the worker's own: $before KiB after ${counts[0]} calls, $after KiB after ${counts[1]}; PSS with libraries: $pss KiB"
    [ "$(counter stats notified)" -ge "${counts[1]}" ]
    [ $((after - before)) -lt 64 ]
}

@test "the worker doesn't grow: user" { steady user; }
@test "the worker doesn't grow: root" {
    need_full
    steady root
}
