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
    podman pod rm -f -t 0 -a > /dev/null 2>&1 || :
    podman rm -f -t 0 -a > /dev/null 2>&1 || :
    world_settings ''
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

@test "podman: play kube, two containers under the policy that their annotation names" {
    tar -C "$world/rootfs" -c . | podman import -q --change 'ENTRYPOINT ["/bin/sleep", "100000"]' - pause > /dev/null
    inside sh -c 'printf "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=10000:10000\"]\n[engine]\ninfra_image = \"localhost/pause\"\n" > /etc/containers/containers.conf.d/tests.conf'
    world_settings 'oci: { selectable: [container-untrusted] }'
    cat > "$work/pod.yaml" << 'END'
apiVersion: v1
kind: Pod
metadata:
  name: shop
  annotations: { org.sandboxd.policy: container-untrusted }
spec:
  hostNetwork: true
  containers:
    - { name: front, image: localhost/busybox, command: [/bin/sh, -c, "touch /etc/x; echo started; sleep 1000"] }
    - { name: cache, image: localhost/busybox, command: [/bin/sh, -c, "echo too; sleep 1000"] }
END
    podman --runtime=sandboxd play kube "$work/pod.yaml"
    eventually logged shop-front started
    eventually logged shop-cache too
    podman logs shop-front 2>&1 | grep "touch: /etc/x: Permission denied"
    [ "$(inside "$SANDBOXCTL" ps --json | jq '[.[] | select(.policy == "container-untrusted")] | length')" -ge 2 ]
}

logged() {
    podman logs "$1" | grep -q "^$2\$"
}

@test "podman: read-only, a user namespace of its own, a health check, restart" {
    run podman_run --rm --runtime=sandboxd --network=none --read-only busybox sh -c 'echo x > /tmp/x && echo started; echo x > /etc/x'
    echo "$output"
    [[ $output == *started*"can't create /etc/x: Read-only file system"* ]]
    [ "$(podman_run --rm --runtime=sandboxd --network=none --uidmap 0:300000:65536 --gidmap 0:300000:65536 busybox sh -c 'echo x > /tmp/x; chown 33 /tmp/x; stat -c %u /tmp/x; id -u')" = $'33\n0' ]
    podman_run -d --runtime=sandboxd --name one --network=none --health-cmd 'test -e /tmp/healthy' --health-interval disable busybox sh -c 'touch /tmp/healthy; sleep 1000'
    eventually podman healthcheck run one
    podman restart -t 0 one
    eventually podman healthcheck run one
    [ "$(podman exec one sh -c 'sed -n s/^Seccomp:.//p /proc/self/status')" = 2 ]
}
