# Every system call of the running kernel that takes a path goes to the broker where that is the file system's gate, or doesn't exist inside.

load lib

@test "no call that takes a path is missing from the table" {
    need_root
    mkdir "$work/tracing" "$work/user/s" "$work/user/hidden"
    unshare -m sh -c "mount -t tracefs none '$work/tracing' && python3 '$SANDBOXD_SOURCE/tests/live/syscalls.py' list '$work/tracing' '$SANDBOXD_SOURCE'" \
        > "$work/calls" || skip "tracefs can't be mounted, and has the kernel's list of calls"
    cp "$SANDBOXD_SOURCE/tests/live/syscalls.py" "$work/user/s/"
    echo content > "$work/user/hidden/file"
    chmod 0666 "$work/user/hidden/file"
    give user "$work/user"
    cat > "$work/policy.yaml" << EOF
version: 1
extends: [base]
files: { enforce: broker, read: ["$work/user/s"] }
audit: { record: all }
EOF
    chmod 644 "$work/policy.yaml"
    as user "$SANDBOXCTL" exec --policy "$work/policy.yaml" --log "$work/user/log" --quiet --chdir / -- \
        python3 "$work/user/s/syscalls.py" call "$work/user/hidden/file" < "$work/calls" > "$work/results"
    python3 "$SANDBOXD_SOURCE/tests/live/syscalls.py" check "$work/user/log" "$work/results"
    [ "$(cat "$work/user/hidden/file")" = content ]
}
