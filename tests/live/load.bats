# Many sandboxes under load, while their workers and the daemon are killed: every program ends well, nothing is lost, nothing is done twice.

load lib
load systemd

setup_file() {
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || boot_systemd
}

teardown_file() {
    end_systemd
}

setup_test() {
    [ "$(cat /proc/sys/kernel/io_uring_disabled 2> /dev/null || echo 0)" = 0 ] || skip "io_uring is forbidden here"
    policy_extra=$'network: { mode: none, connect: [any] }\n'
}

# held KILLS ROUNDS CODE OUTPUT: EIO comes less than once in a hundred kills (one for those that are left over), successors answer in time.
held() {
    local kills=$1 rounds=$2 figures
    echo "$4"
    echo "$4" >&3
    [ "$3" -eq 0 ]
    [ "$(sed -n 's/.* undecided \([0-9]*\) .*/\1/p' <<< "$4")" -le $(((kills + rounds) / 100 + 1)) ]
    [[ "$4" == *" poisoned 0"* ]]
    [ "$(sed -n 's/^inherited \([0-9]*\) .*/\1/p' <<< "$4")" -gt 0 ]
    read -r -a figures <<< "$(sed -n 's/^kills [0-9]* measured \([0-9]*\) median \([0-9]*\)[.].* most \([0-9]*\)[.].*/\1 \2 \3/p' <<< "$4")"
    [ "${figures[0]}" -gt $((kills / 3)) ]
    [ "${figures[1]}" -lt "$5" ]
    [ "${figures[2]}" -le "$6" ]
}

# The daemon below its own parent process: killed, and executed anew.
under_keeper() {
    local who=$1 code=0 said
    shift
    folder "$who"
    export SANDBOXD_SOCKET=$work/$who/control SANDBOXCTL SANDBOXD_BUILD
    identity "$who"
    "${identity[@]}" "$SANDBOXD" --socket "$SANDBOXD_SOCKET" < /dev/null > "$work/daemon.log" 2>&1 3>&- &
    keeper=$!
    background+=("$keeper")
    eventually test -S "$SANDBOXD_SOCKET"
    said=$(POLICY=$(policy broker shell) as "$who" "$BATS_TEST_DIRNAME/load" "$work/$who/load" "$1" "$2" "$3" "$4" \
        "pkill -KILL -x sandboxd -P $keeper" "kill -HUP $keeper" 3>&-) || code=$?
    grep -vE 'it has been started|it is here again|its worker was killed' "$work/daemon.log" || :
    held "$2" "$4" "$code" "$said" 500 5000
}

@test "ten sandboxes, killed workers and a killed daemon: user" { under_keeper user 10 40 150 4; }
