# Random sequences of file calls give the same results, and leave the same trees, behind the broker as behind a filter that is empty: 5,000 of them, of
# which most are always the same ones and some new each time. `./dev fuzz differential` goes on with new ones for as long as it is let.
#
# What is printed of one that differs is the smallest sequence that still does; its seed makes it again:
#   . tests/live/differential/lib.bash; differential KIND replay FOLDER --seed N

load lib
# shellcheck source=tests/live/differential/lib.bash
. "$BATS_TEST_DIRNAME/differential/lib.bash"

: "${SANDBOXCTL_UNSAFE:=$SANDBOXD_SOURCE/build-unsafe/ctl/sandboxctl}"

# run_parts KIND SEED COUNT: in four runs at once, since a sequence mostly waits.
run_parts() {
    local part=$((($3 + 3) / 4)) status=0 runs=() i
    for i in 0 1 2 3; do
        differential "$1" run "$work/tree$i" --seed $(($2 + i * part)) --count "$part" > "$work/said$i" 2>&1 3>&- &
        runs+=($!)
    done
    for i in 0 1 2 3; do
        wait "${runs[i]}" || status=1
        cat "$work/said$i"
    done
    return "$status"
}

# sequences KIND KNOWN NEW
sequences() {
    local seed
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    [ -x "$SANDBOXCTL_UNSAFE" ] || skip "there is no build with switches: ./dev test makes it"
    chmod 777 "$work"
    echo "seeds from 1 on"
    run_parts "$1" 1 "$2"
    echo "seeds from $seed on"
    run_parts "$1" "$seed" "$3"
}

@test "a right that is missing behind the broker is found, and shown as one call" {
    chmod 777 "$work"
    run differential user run "$work/tree" --seed 1 --count 30 --wrong
    [ "$status" -eq 1 ]
    grep -A3 DIFFERENT <<< "$output" | grep -q 'exec.*('
}

@test "3,500 sequences of an ordinary user" { sequences user 3300 200; }
@test "300 sequences of root's" {
    need_root
    sequences root 280 20
}
@test "200 sequences where each execve is checked by its outcome" {
    need_root
    sequences checked 180 20
}
@test "1,000 sequences of tasks that change their ids" {
    need_root
    sequences ids 940 60
}
