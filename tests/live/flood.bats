# A sandbox that makes as many calls as it can costs another one little more than processes outside that need as much of the machine.

load lib

# measure: the median of a call, in nanoseconds.
measure() {
    local ns
    echo go >&8
    read -r -t 300 -u 9 ns
    echo "$ns"
}

# median NUMBER…
median() {
    printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

@test "a flood of eight threads costs another sandbox's median call at most half more than eight spinning processes do: user" {
    local calls=3000 rounds=9 i alone=() spun=() flooded=() inside identity pid
    need_full
    folder user
    cp "$SANDBOXD_BUILD/tests/live/flood" .
    give user flood
    mkfifo input output
    # Words, so that the process in the background is the command itself.
    identity user
    inside=("${identity[@]}" "$SANDBOXCTL" exec --policy "$(policy broker shell)" --quiet --exec "$PWD/flood" -- "$PWD/flood")
    "${inside[@]}" measure "$calls" < input > output 3>&- &
    background+=("$!")
    exec 8> input 9< output
    measure > /dev/null
    for ((i = 0; i < rounds; i++)); do
        alone+=("$(measure)")
        "${identity[@]}" ./flood spin 8 3>&- 8>&- 9<&- &
        pid=$!
        background+=("$pid")
        sleep 0.2
        spun+=("$(measure)")
        kill "$pid"
        wait "$pid" || :
        "${inside[@]}" calls 8 < /dev/null 3>&- 8>&- 9<&- &
        pid=$!
        background+=("$pid")
        sleep 0.5
        flooded+=("$(measure)")
        kill "$pid"
        wait "$pid" || :
    done
    exec 8>&- 9<&-
    echo "median of a call: alone $(median "${alone[@]}") ns, beside eight spinning processes $(median "${spun[@]}"), beside a flood $(median "${flooded[@]}")" |
        tee /dev/fd/3
    [ $(($(median "${flooded[@]}") * 2)) -le $(($(median "${spun[@]}") * 3)) ]
}
