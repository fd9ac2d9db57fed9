#!/usr/bin/env bats
# containerd: its own client, and its CRI as Kubernetes uses it.

load lib

setup_file() {
    engine_world v1
    /usr/bin/python3 -c 'import grpc' || skip "python3-grpcio is not installed"
    containerd_start
    daemon_start
    containerd_images
    ctr image import "$world/busybox.tar"
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

@test "ctr: a container, with and without a seccomp profile of its own" {
    [ "$(run_ctr one sh -c 'sed -n s/^Seccomp:.//p /proc/self/status; exit 0')" = 2 ]
    [ "$(ctr run --rm --seccomp --cgroup "/$world_cgroup/two" --runc-binary "$RUNTIME" localhost/busybox:1 two sh -c 'echo two')" = two ]
    run run_ctr three sh -c 'exit 3'
    [ "$status" -eq 3 ]
}

@test "cri: a pod with our handler, exec in it, and its log" {
    run cri --logs 'echo said; echo wrong >&2; sleep 100' exec 'sed -n s/^Seccomp:.//p /proc/self/status; exit 5'
    echo "$output"
    [ "$status" -eq 5 ]
    [ "${lines[0]}" = 2 ]
    [[ $output =~ [0-9]T[0-9:.]+Z\ stdout\ F\ said ]]
    [[ $output =~ [0-9]T[0-9:.]+Z\ stderr\ F\ wrong ]]
}

# shellcheck disable=SC2016
@test "cri: exec and attach through the streaming server" {
    run cri 'sleep 100' stream 'sed -n s/^Seccomp:.//p /proc/self/status; read -r line; echo "got $line"; exit 7' <<< in
    echo "$output"
    [ "$status" -eq 7 ]
    [ "$output" = $'2\ngot in' ]
    [ "$(cri 'read -r line; echo "got $line"' attach <<< in)" = "got in" ]
}

@test "cri: a pod of two in a network of its own, and a port forwarded into it" {
    [ -x /usr/lib/cni/bridge ] || skip "containernetworking-plugins is not installed"
    serve='ip -4 -o addr show eth0 > /tmp/index.html; exec httpd -f -p 8080 -h /tmp'
    [[ $(cri --network=pod --second="$serve" 'sleep 100' exec 'until wget -q -O - http://127.0.0.1:8080/; do sleep 0.1; done') == *10.88.7.* ]]
    run cri --network=pod --ready='wget -q -O - http://127.0.0.1:8080/' "$serve" forward 8080 <<< $'GET / HTTP/1.0\r\n\r'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"200 OK"*10.88.7.* ]]
}

@test "cri: a sandbox is named after its container, and labelled with its image and pod" {
    cri 'sleep 100' outside "$SANDBOXCTL ps --json" > ps.json
    cat ps.json
    [ "$(jq -r 'map(.name | sub("-[0-9a-f]{12}$"; "")) | sort | join(" ")' ps.json)" = "box pod" ]
    [ "$(jq -c '.[] | select(.name | startswith("box-")) | .command' ps.json)" = '["image=localhost/busybox:1","pod=pod","namespace=default"]' ]
    # shellcheck disable=SC2016
    cri 'sleep 100' outside "$SANDBOXCTL status \$($SANDBOXCTL ps --json | jq -r '.[0].name')" | grep 'image=localhost/busybox:1 pod=pod namespace=default'
}

@test "cri: the pod's annotation reaches us, and is refused unless it is listed" {
    run cri --annotation=org.sandboxd.policy=container-untrusted 'sleep 100' exec 'echo started'
    echo "$output"
    [ "$status" -eq 100 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"names the policy 'container-untrusted', which"* ]]
    world_settings 'oci: { selectable: [container-untrusted] }'
    run cri --annotation=org.sandboxd.policy=container-untrusted 'sleep 100' exec 'echo started; touch /etc/x'
    echo "$output"
    world_settings ''
    [ "$status" -eq 1 ]
    [[ $output == *started* ]]
}
