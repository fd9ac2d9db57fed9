#!/usr/bin/env bats
# Podman, as root.

load lib

setup_file() {
    engine_world v1
    need_command podman crun
    inside "$RUNTIME" install --podman
    daemon_start
    podman_image
}

teardown_file() {
    engine_end
}

teardown_test() {
    podman rm -f -t 0 -a > /dev/null 2>&1 || :
}

both() {
    podman_run --rm --runtime=/usr/bin/crun --network=none --hostname=box "$@" > crun.out 2> crun.err < /dev/null
    podman_run --rm --runtime=sandboxd --network=none --hostname=box "$@" > ours.out 2> ours.err < /dev/null
    diff crun.out ours.out
    diff crun.err ours.err
}

@test "podman: a container is as on crun" {
    both busybox sh -c 'id; ls / /dev; env | sort; cat /etc/passwd'
    both busybox sh -c 'cd /tmp && echo a > b && ln -s b c && mv b d && chmod 600 d && stat -c "%a %F" * && find .'
    [ "$(podman_run --rm --runtime=sandboxd --network=none busybox sh -c 'sed -n s/^Seccomp:.//p /proc/self/status')" = 2 ]
}

@test "podman: exec, logs, stop" {
    podman_run -d --runtime=sandboxd --name one --network=none busybox sh -c 'echo said; trap "exit 4" TERM; while :; do sleep 0.1; done'
    [ "$(podman exec one sh -c 'sed -n s/^Seccomp:.//p /proc/self/status')" = 2 ]
    [ "$(podman logs one)" = said ]
    podman stop -t 5 one
    [ "$(podman inspect -f '{{.State.ExitCode}}' one)" = 4 ]
}

@test "podman: a pod" {
    podman pod create --infra=false --name pod
    [ "$(podman_run --rm --runtime=sandboxd --network=none --pod pod busybox echo in a pod)" = "in a pod" ]
    podman pod rm -f pod
}

@test "podman: an annotation picks no policy that isn't listed" {
    run podman_run --rm --runtime=sandboxd --network=none --annotation org.sandboxd.policy=container-web busybox echo started
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *"names the policy 'container-web', which \`oci: selectable\` in"* ]]
    [[ $output != *started* ]]
    world_settings 'oci: { selectable: [container-untrusted] }'
    [ "$(podman_run --rm --runtime=sandboxd --network=none --annotation org.sandboxd.policy=container-untrusted busybox echo started)" = started ]
    run podman_run --rm --runtime=sandboxd --network=none --annotation org.sandboxd.policy=container-untrusted busybox touch /etc/x
    [ "$status" -ne 0 ]
    world_settings ''
}

@test "podman: without our runtime, by a profile" {
    inside "$SANDBOXCTL" policy oci-profile container-untrusted > "$world/profile.json"
    [ "$(podman_run --rm --runtime=/usr/bin/crun --network=none --security-opt "seccomp=$world/profile.json" busybox echo started)" = started ]
    run podman_run --rm --runtime=/usr/bin/crun --network=none --security-opt "seccomp=$world/profile.json" busybox touch /etc/x
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *touch:* ]]
}
