# Random sequences of file calls give the same results, and leave the same trees, behind the broker as behind a filter that is empty: 5,000 of them, of
# which the first are always the same ones and the others new each time. `./dev fuzz differential` goes on with new ones for as long as it is let.
#
# What is printed of one that differs is the smallest sequence that still does; its seed makes it again:
#   . tests/live/differential/lib.bash; differential KIND replay FOLDER --seed N

load lib
# shellcheck source=tests/live/differential/lib.bash
. "$BATS_TEST_DIRNAME/differential/lib.bash"

: "${SANDBOXCTL_UNSAFE:=$SANDBOXD_SOURCE/build-unsafe/ctl/sandboxctl}"

# sequences KIND KNOWN NEW
sequences() {
    local seed
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    [ -x "$SANDBOXCTL_UNSAFE" ] || skip "there is no build with switches: ./dev test makes it"
    chmod 777 "$work"
    echo "seeds from 1 on"
    differential "$1" run "$work/tree" --seed 1 --count "$2"
    echo "seeds from $seed on"
    differential "$1" run "$work/tree" --seed "$seed" --count "$3"
}

@test "a right that is missing behind the broker is found, and shown as one call" {
    chmod 777 "$work"
    run differential user run "$work/tree" --seed 1 --count 30 --wrong
    [ "$status" -eq 1 ]
    grep -A3 DIFFERENT <<< "$output" | grep -q 'exec.*('
}

@test "3,500 sequences of an ordinary user" { sequences user 2500 1000; }
@test "300 sequences of root's" {
    need_root
    sequences root 200 100
}
@test "200 sequences where each execve is checked by its outcome" {
    need_root
    sequences checked 100 100
}
@test "1,000 sequences of tasks that change their ids" {
    need_root
    sequences ids 700 300
}
