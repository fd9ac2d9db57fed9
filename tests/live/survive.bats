# A worker is killed at any instant, again and again: its successor finishes what it was at, once.

load lib

kills() {
    if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
        echo 2000
    else
        echo "$1"
    fi
}

# run_killed WHO KILLS [--retire] WORK: the harness ends well, and what was wrong is nothing.
run_killed() {
    local who=$1 n=$2 how=()
    shift 2
    if [ "${1:-}" = --retire ]; then
        how=(--retire)
        shift
    fi
    folder "$who"
    [ "$(cat /proc/sys/kernel/io_uring_disabled 2> /dev/null || echo 0)" = 0 ] || skip "io_uring is forbidden here"
    mkdir open names compete list
    touch compete/source
    mkfifo fifo
    truncate -s 4M board
    cp "$SANDBOXD_BUILD/tests/live/survivor" .
    give "$who" .
    SANDBOXD_POLICIES=$SANDBOXD_SOURCE/policies as "$who" "$SANDBOXD_BUILD/tests/live/survive" --kills "$n" "${how[@]}" \
        "$(policy broker shell)" "$SANDBOXD_BUILD/tests/live/survivor" "$PWD/survivor" "$@" > "$work/said" 2> "$work/errors" < /dev/null || {
        echo "exit code $?"
        cat "$work/said" "$work/errors"
        return 1
    }
    as "$who" "$SANDBOXD_BUILD/tests/live/survivor" --judge >> "$work/said"
    cat "$work/said" "$work/errors"
}

# survives WHO KILLS WORK…: EIO comes about once in a hundred kills at most; in a short run it may be that one.
survives() {
    local who=$1 n undecided poisoned killed
    n=$(kills "$2")
    shift 2
    run_killed "$who" "$n" "$@"
    killed=$(sed -n 's/^kills \([0-9]*\) .*/\1/p' "$work/errors")
    undecided=$(sed -n 's/.* undecided \([0-9]*\) .*/\1/p' "$work/errors")
    [ "$killed" -eq "$n" ]
    poisoned=$(sed -n 's/.* poisoned \([0-9]*\) .*/\1/p' "$work/errors")
    [ "$((undecided + poisoned))" -le "$((killed / 100 + 1))" ]
    # Something was in flight when it was killed.
    [ "$(sed -n 's/.* inherited \([0-9]*\) .*/\1/p' "$work/errors")" -gt 0 ]
}

# retires WHO TIMES WORK…: workers that make way leave nothing undecided.
retires() {
    local who=$1 n
    n=$(kills "$2")
    shift 2
    run_killed "$who" "$n" --retire "$@"
    [ "$(sed -n 's/^kills \([0-9]*\) .*/\1/p' "$work/errors")" -eq "$n" ]
    [ "$(sed -n 's/.* undecided \([0-9]*\) poisoned \([0-9]*\) .*/\1 \2/p' "$work/errors")" = "0 0" ]
}

setup_test() {
    policy_extra=$'network: { mode: none, connect: [any] }\n'
}

@test "opens have the right content, and no descriptor is leaked: user" { survives user 60 opens; }
@test "names are made, moved, linked and removed once: user" { survives user 60 names; }
@test "names are made, moved, linked and removed once: root" { survives root 60 names; }
@test "of the sandbox and an outsider exactly one gets each name: user" { survives user 60 compete; }
@test "datagrams are sent once: user" { survives user 60 datagrams; }
@test "sockets are connected once: user" { survives user 60 connections; }
@test "FIFOs bring their ends together: user" { survives user 60 fifos; }
@test "listings have each name once: user" { survives user 60 listings; }
@test "programs are executed: user" { survives user 60 programs; }
@test "workers that make way for others lose nothing: user" { retires user 100 names datagrams connections fifos; }
@test "workers that make way for others lose nothing: root" { retires root 100 opens names fifos listings; }
@test "all of it at once: user" { survives user 200; }
