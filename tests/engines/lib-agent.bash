# What tests of the seccomp agent share: real crun and runc on bundles, in a mount namespace where crun takes the host's control groups (ENGINES.md), with a
# sandboxd of their own. Loaded after ../live/lib and ../live/daemons.

# engine: makes the namespace, a bundle and the daemon.
engine() {
    need_root
    need_command crun busybox nsenter
    unshare -m --propagation private sh -c 'umount /sys/fs/cgroup/unified 2> /dev/null; exec sleep 1000' 3>&- &
    holder=$!
    background+=("$holder")
    bundle=$work/bundle
    mkdir -p "$bundle/rootfs/"{bin,proc,dev,sys,tmp,etc,secret} "$work/policies"
    cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
    local applet
    for applet in sh cat ls id sleep mknod nc head; do
        ln -s busybox "$bundle/rootfs/bin/$applet"
    done
    echo content > "$bundle/rootfs/etc/file"
    echo secret > "$bundle/rootfs/secret/key"
    cat > "$work/policies/box.yaml" << END
version: 1
files:
  exec: [/bin]
  read: [/etc]
  write: [/tmp]
devices: [null, zero, urandom]
network: { mode: host }
END
    echo "policies: [$work/policies]" > "$work/sandboxd.yaml"
    eventually test "$(readlink "/proc/$holder/ns/mnt")" != "$(readlink /proc/self/ns/mnt)"
    start_agent root
}

# start_agent WHO
start_agent() {
    local identity
    identity "$1"
    agent=$work/$1/agent
    export SANDBOXD_SOCKET=$work/$1/control
    # A simple command, so that its number is the daemon's.
    nsenter "--mount=/proc/$holder/ns/mnt" "--wd=$work" -- "${identity[@]}" "$SANDBOXD" --socket "$SANDBOXD_SOCKET" --agent "$agent" --config "$work/sandboxd.yaml" < /dev/null >> "$work/daemon.log" 2>&1 3>&- &
    keeper=$!
    background+=("$keeper")
    eventually test -S "$agent"
}

stop_agent() {
    kill -TERM "$keeper"
    ended "$keeper" 200
}

# inside COMMAND…: in the namespace.
inside() {
    nsenter "--mount=/proc/$holder/ns/mnt" "--wd=$work" -- "$@"
}

# bundle METADATA RUNTIME [KEY=VALUE…] -- COMMAND…
bundle() {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/bundle.py" "$bundle" "$agent" "$@"
}

# runtime RUNTIME WORD…
runtime() {
    local of=$1
    shift
    inside timeout 100 "$of" --root "$work/state-$of" "$@"
}

# container RUNTIME ID: runs it in the foreground.
container() {
    runtime "$1" run --bundle "$bundle" "$2"
}

# box RUNTIME ID: runs it in the background.
box() {
    container "$1" "$2" < /dev/null > "$work/out-$2" 2>&1 3>&- &
    background+=("$!")
    eventually is root "$2" state running
}

say() {
    grep -q -- "$1" "$work/daemon.log" || { echo "the log doesn't say '$1', but:"; cat "$work/daemon.log"; return 1; }
}
