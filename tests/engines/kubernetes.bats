#!/usr/bin/env bats
# examples/kubernetes: its manifests, and its script on a node, which is a world with a real containerd.

load lib

examples=$SANDBOXD_SOURCE/examples/kubernetes

setup_file() {
    engine_world v1
    /usr/bin/python3 -c 'import grpc, yaml' || skip "python3-grpcio or python3-yaml is not installed"
    containerd_configure
    project_install
    inside systemctl restart containerd
    containerd_images
}

teardown_file() {
    engine_end
}

# node COMMAND
node() {
    inside env SANDBOXD_TREE="$world/tree" SANDBOXD_POLICIES="$world/policies" SANDBOXD_ETC="$etc" "$examples/node" "$@"
}

# map: the ConfigMap of the example, mounted.
map() {
    rm -rf "$world/policies"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/kubernetes.py" "$examples" map "$world/policies"
    sed -i "s#/etc/sandboxd#$etc#g" "$world/policies/..1/sandboxd.yaml"
}

@test "kubernetes: the manifests are whole, and the containerd piece is what is installed" {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/kubernetes.py" "$examples"
    mkdir -p root/etc/containerd
    printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n' > root/etc/containerd/config.toml
    "$RUNTIME" install --containerd --root "$work/root"
    diff <(grep -v '^#' "$examples/containerd.toml") <(sed -n '/# sandboxd begins/,/# sandboxd ends/p' root/etc/containerd/config.toml | grep -v '^#' | sed "s#$RUNTIME#/usr/bin/sandbox-runtime#")
}

@test "kubernetes: the node's script installs, a pod's annotation picks a policy of the ConfigMap, and all of it goes again" {
    map
    inside cp /etc/containerd/config.toml "$work/before"
    node install
    [[ $(inside sandboxctl --version) == sandboxctl* ]]
    run cri --annotation=org.sandboxd.policy=shop 'sleep 100' exec 'echo x > /var/tmp/a && echo started; touch /etc/x'
    echo "$output"
    [[ $output == *started*"touch: /etc/x: Permission denied"* ]]
    run cri --annotation=org.sandboxd.policy=container-default 'sleep 100' exec 'echo started'
    echo "$output"
    [ "$status" -eq 100 ]
    [[ $output == *"names the policy 'container-default', which \`oci: selectable\` in $etc/sandboxd.yaml doesn't list"* ]]

    # Again, with nothing to do: containerd isn't restarted.
    before=$(inside grep -c 'restart containerd' /run/systemctl)
    node install
    [ "$(inside grep -c 'restart containerd' /run/systemctl)" = "$before" ]

    # A ConfigMap that is wrong in one place changes nothing; one that is right comes in as a whole.
    printf 'version: 1\nfiles: { read: [/etc' > "$world/policies/..1/shop.yaml"
    printf 'version: 1\ndescription: another\nextends: [container-default]\n' > "$world/policies/..1/other.yaml"
    ln -s ..data/other.yaml "$world/policies/other.yaml"
    run node policies
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *"the ConfigMap is not taken, and what was there stays:"*"shop.yaml:"* ]]
    [ "$(inside ls "$etc/kubernetes.d" | wc -l)" = 1 ]
    inside grep -q 'container-untrusted' "$etc/kubernetes/shop.yaml"
    printf 'version: 1\nextends: [container-default]\n' > "$world/policies/..1/shop.yaml"
    sed -i 's/shop, /shop, other, /' "$world/policies/..1/sandboxd.yaml"
    node policies
    for name in shop other; do
        [ "$(cri --annotation=org.sandboxd.policy=$name 'sleep 100' exec 'touch /etc/x && echo started')" = started ]
    done

    # Not while a pod runs; then byte for byte.
    run cri 'sleep 100' outside "SANDBOXD_ETC=$etc $examples/node uninstall"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"containers run behind it"*box-* ]]
    eventually nothing_runs
    node uninstall
    inside cmp /etc/containerd/config.toml "$work/before"
    run inside find "$prefix" -name '*sandboxd*' -o -name sandboxctl -o -name sandbox-runtime
    echo "$output"
    [ -z "$output" ]
    run cri 'sleep 100' exec 'echo started'
    [ "$status" -eq 100 ]
    [[ $output == *'no runtime for "sandboxd" is configured'* ]]
}

nothing_runs() {
    [ "$(inside sandboxctl ps --json | jq length)" = 0 ]
}
