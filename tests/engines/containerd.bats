#!/usr/bin/env bats
# containerd: its own client, and its CRI as Kubernetes uses it.

load lib

setup_file() {
    engine_world v1
    /usr/bin/python3 -c 'import grpc' || skip "python3-grpcio is not installed"
    containerd_start
    daemon_start
    rootfs_busybox "$world/rootfs"
    oci_archive busybox:1 "$world/rootfs" sh > "$world/busybox.tar"
    oci_archive pause:1 "$world/rootfs" sleep 100000 > "$world/pause.tar"
    ctr image import "$world/busybox.tar"
    ctr -n k8s.io image import "$world/busybox.tar"
    ctr -n k8s.io image import "$world/pause.tar"
}

teardown_file() {
    engine_end
}

# run_ctr NAME WORD…: a container with our runtime.
run_ctr() {
    local name=$1
    shift
    ctr run --rm --cgroup "/$world_cgroup/$name" --runc-binary "$RUNTIME" localhost/busybox:1 "$name" "$@"
}

cri() {
    inside /usr/bin/python3 "$SANDBOXD_SOURCE/tests/engines/cri" /run/containerd/containerd.sock "$1" localhost/busybox:1 "$2" "$3" "/$world_cgroup" "$4" "$5"
}

@test "ctr: a container, with and without a seccomp profile of its own" {
    [ "$(run_ctr one sh -c 'sed -n s/^Seccomp:.//p /proc/self/status; exit 0')" = 2 ]
    [ "$(ctr run --rm --seccomp --cgroup "/$world_cgroup/two" --runc-binary "$RUNTIME" localhost/busybox:1 two sh -c 'echo two')" = two ]
    run run_ctr three sh -c 'exit 3'
    [ "$status" -eq 3 ]
}

@test "cri: a pod with our handler, and exec in it" {
    run cri sandboxd host '' 'echo said; sleep 100' 'sed -n s/^Seccomp:.//p /proc/self/status; exit 5'
    echo "$output"
    [ "$status" -eq 5 ]
    [ "${lines[0]}" = 2 ]
    [[ $output == *"stdout F said"* ]]
}

@test "cri: a pod's network" {
    [ -x /usr/lib/cni/bridge ] || skip "containernetworking-plugins is not installed"
    run cri sandboxd pod '' 'sleep 100' 'ip -4 -o addr show eth0'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *10.88.7.* ]]
}

@test "cri: the pod's annotation reaches us, and is refused unless it is listed" {
    run cri sandboxd host org.sandboxd.policy=container-untrusted 'sleep 100' 'echo started'
    echo "$output"
    [ "$status" -eq 100 ]
    [[ $output == *"names the policy 'container-untrusted', which"* ]]
    world_settings 'oci: { selectable: [container-untrusted] }'
    run cri sandboxd host org.sandboxd.policy=container-untrusted 'sleep 100' 'echo started; touch /etc/x'
    echo "$output"
    world_settings ''
    [ "$status" -eq 1 ]
    [[ $output == *started* ]]
}
