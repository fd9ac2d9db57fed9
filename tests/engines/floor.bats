# `oci: floor`: a policy that every container is held to besides its own. What both allow is allowed.

load ../live/lib
load ../live/daemons
load lib-agent

metadata='{"sandboxd":1,"policy":"wide"}'

setup_test() {
    local applet
    engine
    # Each gives what the other takes.
    cat > "$work/policies/wide.yaml" << 'END'
version: 1
files:
  default: read
  exec: [/bin]
  write: [/tmp, /secret, /etc/log]
  deny: [/etc/own]
devices: [null, zero, urandom]
network: { mode: host, connect: ["tcp:127.0.0.1:*"], deny: ["tcp:127.0.0.1:11"] }
limits: { time: 1h }
END
    cat > "$work/policies/least.yaml" << 'END'
version: 1
files:
  exec: [/bin]
  read: [/etc]
  write: [/tmp, /etc/own]
  append: [/etc/log]
  hide: [/secret]
devices: [null, urandom]
network: { mode: host, connect: [any], deny: ["tcp:127.0.0.1:9"] }
syscalls: { rules: [{ match: [mkdir, mkdirat], action: errno ENOSPC }] }
audit: { record: all }
END
    echo own > "$bundle/rootfs/etc/own"
    echo 0 > "$bundle/rootfs/etc/log"
    mkdir -p "$bundle/rootfs/srv"
    echo srv > "$bundle/rootfs/srv/file"
    ln -s busybox "$bundle/rootfs/bin/mkdir"
    echo "oci: { floor: least, default: wide }" >> "$work/sandboxd.yaml"
}

both_hold() {
    bundle "$1" crun -- sh -c 'cat /etc/file /etc/own /secret/key /srv/file; ls /; echo x > /tmp/x; cat /tmp/x; echo x > /etc/new
        echo 1 > /etc/log; echo 2 >> /etc/log; mkdir /tmp/d; for port in 9 11 12; do nc -w 1 127.0.0.1 $port; done; head -c 1 /dev/urandom | head -c 0'
    run container crun box
    echo "$output"
    [[ $output == *$'content\n'* ]]
    [[ $output == *"can't open '/etc/own': Permission denied"* ]]
    [[ $output == *"can't open '/secret/key': No such file or directory"* ]]
    [[ $output == *"can't open '/srv/file': No such file or directory"* ]]
    [[ $output != *$'\nsecret\n'* && $output != *$'\nsrv\n'* ]]
    [[ $output == *$'\nx\n'* ]]
    [[ $output == *"can't create /etc/new: Permission denied"* ]]
    [[ $output == *"can't create /etc/log: Permission denied"* ]]
    [ "$(tail -1 "$bundle/rootfs/etc/log")" = 2 ]
    [ "$(head -1 "$bundle/rootfs/etc/log")" = 0 ]
    [[ $output == *"can't create directory '/tmp/d': No space left on device"* ]]
    [ "$(grep -c "127.0.0.1): Permission denied" <<< "$output")" = 2 ]
    [ "$(grep -c "127.0.0.1): Connection refused" <<< "$output")" = 1 ]
    [ ! -e "$bundle/rootfs/etc/new" ]
    eventually is root box state ended
}

@test "a container that names its policy, or none, is held to the floor besides" {
    both_hold "$metadata"
    both_hold '{"sandboxd":1}'
}

@test "the floor's own policy is no two" {
    bundle least crun -- cat /etc/own
    [ "$(container crun own)" = own ]
}

@test "the floor holds after the worker and the daemon were killed, and in what is executed later" {
    local worker
    bundle "$metadata" crun -- sh -c 'while cat /etc/file > /dev/null; do sleep 0.1; done'
    box crun long
    ctl root status long | grep -q "floor .*the policy 'least' holds as well"
    worker=$(field root long worker)
    kill -KILL "$worker"
    counts root long
    kill -KILL "$(daemon_of)"
    eventually is root long state running
    worker=$(field root long worker)
    kill -KILL "$worker"
    counts root long
    # By then the settings may say something else.
    sed -i /floor/d "$work/sandboxd.yaml"
    run runtime crun exec long cat /etc/file /secret/key /etc/own
    [[ $output == *content* ]]
    [[ $output == *"can't open '/secret/key': No such file or directory"* ]]
    [[ $output == *"can't open '/etc/own': Permission denied"* ]]
    runtime crun kill long KILL
    eventually is root long state ended
}

# refused WORDS
refused() {
    bundle "$metadata" crun -- cat /etc/file
    run container crun box
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    say "box: the container is not started: $1"
    : > "$work/daemon.log"
}

@test "a floor that can't be one starts no container" {
    printf 'version: 1\nfiles: { default: read }\nkernel: { uname: { release: "1" } }\n' > "$work/policies/least.yaml"
    refused "\`kernel\` says what a container sees of it, which a floor (oci: floor in sandboxd.yaml) can't"
    printf 'version: 1\nfiles: { private: [/tmp] }\n' > "$work/policies/least.yaml"
    refused ".*least.yaml:2: no tier: /tmp: \`private\` puts something of its own there"
    printf 'version: 1\nfiles: { exec: [/bin/' > "$work/policies/least.yaml"
    refused ".*least.yaml:[0-9]*: not YAML"
    rm "$work/policies/least.yaml"
    refused "there is no policy .least."
}
