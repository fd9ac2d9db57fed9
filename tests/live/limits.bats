# What runs wild under `untrusted` ends, says by which limit, and harms nobody.

load lib

setup_test() {
    before=$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)
}

# has_cgroup WHO: whether who runs can make control groups here.
has_cgroup() {
    as "$1" "$SANDBOXCTL" doctor | grep -q '^ok *control group'
}

# unharmed: as many processes as before, a few more or less.
unharmed() {
    local now
    now=$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)
    [ "$now" -lt $((before + 40)) ]
}

fork_bomb() {
    folder "$1"
    SECONDS=0
    start "$1" "$SANDBOXCTL" exec --time 4s -- bash -c 'bomb() { bomb | bomb & }; bomb; sleep 100'
    sleep 2
    local most
    most=$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)
    ends 137
    [ "$SECONDS" -lt 15 ]
    [ "$most" -lt $((before + 1200)) ]
    # bash's own complaints are many; ours are few.
    grep '^sandboxctl:' "$work/err"
    [ "$(grep -c '^sandboxctl:' "$work/err")" -le 3 ]
    if has_cgroup "$1"; then
        grep -q '^sandboxctl: .*processes' "$work/err"
    fi
    grep -q '^sandboxctl: .*time' "$work/err"
    unharmed
}

@test "fork bomb: user" { fork_bomb user; }
@test "fork bomb: root" { fork_bomb root; }

memory_hog() {
    local code=0
    folder "$1"
    SECONDS=0
    as "$1" "$SANDBOXCTL" exec --time 60s -- /usr/bin/python3 -c '
blocks = []
try:
    while True:
        blocks.append(bytearray(b"x") * (16 << 20))
except MemoryError:
    print("no memory after", len(blocks) * 16, "M")
    raise SystemExit(3)' > out 2> err < /dev/null || code=$?
    cat out err
    [ "$SECONDS" -lt 60 ]
    if has_cgroup "$1"; then
        [ "$code" -eq 137 ]
        grep -q '^sandboxctl: .*memory' err
    else
        [ "$code" -eq 3 ]
        grep -q 'no memory after' out
    fi
}

@test "memory hog: user" { memory_hog user; }
@test "memory hog: root" { memory_hog root; }

disk_filler() {
    local code=0
    folder "$1"
    as "$1" "$SANDBOXCTL" exec --time 60s -- bash -c '
        for i in $(seq 1 200); do
            dd if=/dev/zero of=/tmp/fill.$i bs=1M count=64 2> /tmp/last || { cat /tmp/last; exit 9; }
        done' > out 2> err < /dev/null || code=$?
    cat out err
    [ "$code" -eq 9 ] || [ "$code" -eq 153 ]
    grep -Eq '^sandboxctl: .*(/tmp is full|file-size|memory)' err
}

@test "disk filler: user" { disk_filler user; }
@test "disk filler: root" { disk_filler root; }

one_big_file() {
    local code=0
    folder "$1"
    printf 'version: 1\nextends: [untrusted]\nlimits: { file-size: 1M }\n' > "$work/small.yaml"
    as "$1" "$SANDBOXCTL" exec --chdir / --policy "$work/small.yaml" -- dd if=/dev/zero of=/tmp/big bs=64K count=100 > out 2> err < /dev/null ||
        code=$?
    cat err
    [ "$code" -eq 153 ] || [ "$code" -eq 1 ]
    grep -q '^sandboxctl: .*file-size' err
}

@test "a file that grows beyond file-size: SIGXFSZ, and a line" { one_big_file user; }

endless_loop() {
    folder "$1"
    SECONDS=0
    run -137 as "$1" "$SANDBOXCTL" exec --time 1s -- bash -c 'while :; do :; done'
    [ "$SECONDS" -le 5 ]
    [[ $output == *"sandboxctl: "*time*1s* ]]
}

@test "endless loop: user" { endless_loop user; }
@test "endless loop: root" { endless_loop root; }

@test "open files and the number of processes are bounded by rlimits" {
    folder user
    printf 'version: 1\nextends: [untrusted]\nlimits: { open-files: 64 }\n' > "$work/few.yaml"
    run -0 as user "$SANDBOXCTL" exec --chdir / --policy "$work/few.yaml" -- bash -c 'ulimit -n; ulimit -Hn; ulimit -c'
    [ "${lines[0]}" -le 64 ]
    [ "${lines[1]}" -le 64 ]
}
