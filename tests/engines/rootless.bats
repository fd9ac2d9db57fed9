#!/usr/bin/env bats
# Podman of an ordinary user, whose sandboxd the runtime starts itself.

load lib

setup_file() {
    engine_world v1
    need_command podman crun newuidmap slirp4netns
    rootless_account
    rootfs_busybox "$world/rootfs"
    tar -C "$world/rootfs" -c . > "$world/busybox.tar"
    rootless import "$world/busybox.tar" busybox > /dev/null
}

teardown_file() {
    engine_end
}

teardown_test() {
    rootless pod rm -f -t 0 -a > /dev/null 2>&1 || :
    rootless rm -f -t 0 -a > /dev/null 2>&1 || :
    inside rm -rf "$home/.config"
}

home=/home/rootless
runtime_dir=/run/user/$SANDBOXD_TEST_USER

# rootless_account: the test user gets a name, subordinate ids, a home, and a device for its networks, all of the world's own.
rootless_account() {
    # shellcheck disable=SC2016
    inside sh -eu -c '
        echo "rootless:x:$1:$1::$2:/bin/sh" >> /etc/passwd
        echo "rootless:x:$1:" >> /etc/group
        for file in /etc/subuid /etc/subgid; do
            echo "rootless:300000:65536" > $file
        done
        mount -t tmpfs -o mode=755 tmpfs /home
        install -d -m 700 -o "$1" -g "$1" "$2" "$3"
        mknod -m 666 /run/tun c 10 200
        mount --bind /run/tun /dev/net/tun
        mount --make-rshared /' sh "$SANDBOXD_TEST_USER" "$home" "$runtime_dir"
}

# as_rootless COMMAND…
as_rootless() {
    inside setpriv "--reuid=$SANDBOXD_TEST_USER" "--regid=$SANDBOXD_TEST_USER" --init-groups --inh-caps=-all -- \
        env -i "PATH=$PATH" "HOME=$home" USER=rootless "XDG_RUNTIME_DIR=$runtime_dir" "$@"
}

rootless() {
    as_rootless podman --runtime "$RUNTIME" --cgroup-manager cgroupfs --events-backend file --storage-driver overlay "$@"
}

rootless_run() {
    rootless run --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 "$@"
}

# its_sandboxd COMMAND…: sandboxctl of that user, outside of the engine's namespaces.
its_sandboxd() {
    as_rootless "$SANDBOXCTL" "$@"
}

none_runs() {
    [ "$(its_sandboxd ps --json | jq length)" = 0 ]
}

# nobody_listens: nobody is left of the user's sandboxd.
nobody_listens() {
    ! inside test -e "$runtime_dir/sandboxd/agent" && [ -z "$(inside ps -o pid= -C sandboxd,sandboxd-keeper,sandboxd-worker)" ]
}

@test "rootless podman: sandboxd starts with the first container, and its sandboxes are the user's" {
    nobody_listens
    rootless_run -d --name one --network=none busybox sh -c 'echo said; trap "exit 4" TERM; while :; do sleep 0.1; done'
    its_sandboxd ps --json > ps.json
    cat ps.json
    [ "$(jq -r '.[0].uid' ps.json)" = "$SANDBOXD_TEST_USER" ]
    [ "$(jq -r '.[0].policy' ps.json)" = container-default ]
    its_sandboxd status "$(jq -r '.[0].name' ps.json)" | grep -q '^state *running'
    # Nobody else reaches it.
    [ "$(inside find "$runtime_dir/sandboxd" ! -user "$SANDBOXD_TEST_USER" -o -perm /077)" = "" ]
    run rootless exec one sh -c 'sed -n s/^Seccomp:.//p /proc/self/status; cat /proc/1/mem > /dev/null; mknod /tmp/sda b 8 0; exit 5'
    echo "$output"
    [ "$status" -eq 5 ]
    [ "${lines[0]}" = 2 ]
    [[ $output == *"mknod: /tmp/sda: Operation not permitted"* ]]
    [ "$(rootless logs one)" = said ]
    rootless stop -t 5 one
    [ "$(rootless inspect -f '{{.State.ExitCode}}' one)" = 4 ]
}

@test "rootless podman: files are made with the ids of who makes them, at home and in volumes" {
    as_rootless sh -c 'mkdir -p ~/volume && echo a > ~/volume/a'
    [ "$(rootless_run --rm --network=none --user 33:33 busybox sh -c 'echo x > /tmp/y; stat -c %u:%g /tmp/y')" = 33:33 ]
    rootless_run --rm --network=none -v "$home/volume:/volume" -v named:/named busybox sh -c 'cat /volume/a && echo b > /volume/b && chown 33:33 /volume/b && echo c > /named/c'
    [ "$(inside stat -c %u:%g "$home/volume/b")" = 300032:300032 ]
    [ "$(rootless_run --rm --network=none -v named:/named busybox cat /named/c)" = c ]
    run rootless_run --rm --network=none --user 33:33 -v "$home/volume:/volume" busybox sh -c 'echo b > /volume/a'
    [[ $output == *"can't create /volume/a: Permission denied"* ]]
    # With a user namespace of the container's own.
    [ "$(rootless_run --rm --network=none --userns=keep-id busybox sh -c 'echo x > /tmp/y; stat -c %u /tmp/y')" = "$SANDBOXD_TEST_USER" ]
}

@test "rootless podman: a published port, a killed broker, and kill" {
    rootless_run -d --name web -p 8080:80 busybox sh -c 'mkdir -p /web && echo hello > /web/index.html && exec httpd -f -p 80 -h /web'
    eventually inside curl -s -m 3 -o "$work/page" http://127.0.0.1:8080/
    [ "$(cat page)" = hello ]
    inside kill -KILL "$(its_sandboxd ps --json | jq '.[0].worker')"
    [ "$(inside curl -s -m 20 http://127.0.0.1:8080/)" = hello ]
    rootless kill web
    eventually none_runs
}

@test "rootless podman: a pod of two" {
    rootless pod create --name pod --infra-image localhost/busybox --infra-command 'sleep 1000'
    rootless_run -d --pod pod --name server busybox sh -c 'echo in a pod > /tmp/index.html; exec httpd -f -p 81 -h /tmp'
    [ "$(rootless_run --rm --pod pod busybox sh -c 'until wget -q -O - http://127.0.0.1:81/; do sleep 0.1; done')" = "in a pod" ]
}

@test "rootless podman: a policy of the user's own, a missing one, and a broken one" {
    as_rootless sh -c "mkdir -p ~/.config/sandboxd/policies && cd ~/.config/sandboxd && echo 'oci: { selectable: [mine, broken] }' > sandboxd.yaml &&
        printf 'version: 1\nextends: [container-default]\nfiles: { deny: [/etc/passwd] }\n' > policies/mine.yaml && printf 'version: 1\nfiles: { read: [/etc' > policies/broken.yaml"
    run rootless_run --rm --network=none --annotation org.sandboxd.policy=mine busybox sh -c 'echo started; cat /etc/passwd'
    echo "$output"
    [[ $output == *started*"can't open '/etc/passwd': Permission denied"* ]]
    for name in missing broken; do
        run rootless_run --rm --network=none --annotation "org.sandboxd.policy=$name" busybox echo started
        echo "$output"
        [ "$status" -ne 0 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output != *started* ]]
    done
    [[ $output == *"the policy 'broken' is wrong: $home/.config/sandboxd/policies/broken.yaml:"* ]]
}

@test "rootless podman: without our runtime, by a profile" {
    rootless_run -d --name one --network=none busybox sleep 1000
    its_sandboxd policy oci-profile container-untrusted > profile.json
    run as_rootless podman --runtime=/usr/bin/crun --cgroup-manager cgroupfs --events-backend file --storage-driver overlay run --rm --network=none \
        --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 --security-opt "seccomp=$work/profile.json" busybox sh -c 'echo started; touch /etc/x'
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *started*"touch: /etc/x: Permission denied"* ]]
}

@test "rootless podman: its sandboxd takes no other sandboxes, and ends when there are no containers any more" {
    rootless_run --rm --network=none busybox true
    run its_sandboxd exec --daemon --policy base -- true
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *"takes nothing but its containers"* ]]
    inside kill -TERM "$(inside pgrep -o -x sandboxd-keeper)"
    eventually nobody_listens
    as_rootless podman unshare "$SANDBOXD" --on-demand=1 < /dev/null > "$work/log" 2>&1 3>&- &
    background+=("$!")
    eventually inside test -e "$runtime_dir/sandboxd/agent"
    rootless_run -d --name one --network=none busybox sleep 1000
    ends_after=$(date +%s)
    # Two of its looks pass: not while there is one.
    until [ "$(date +%s)" -gt $((ends_after + 2)) ]; do
        its_sandboxd ps > /dev/null
        sleep 0.1
    done
    rootless rm -f -t 0 one
    eventually nobody_listens
    grep -q 'it ends: there are no containers any more' log
}
