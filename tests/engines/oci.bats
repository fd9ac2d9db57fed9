#!/usr/bin/env bats
# The OCI runtime spec: what crun does with a bundle is what it does under sandbox-runtime (conformance.py).

load ../live/lib
load ../live/daemons
load lib-agent

RUNTIME=${SANDBOXCTL%/*}/sandbox-runtime

setup_test() {
    engine
    # shellcheck disable=SC2154
    local applet rootfs=$bundle/rootfs
    for applet in sh cat ls id sleep mknod nc head touch chown chmod mkdir rm ln mv cp rmdir env sort sed grep wc cut readlink find echo sync hostname nice chroot su ps \
        ip tr uname stty tty true false; do
        ln -sf busybox "$rootfs/bin/$applet"
    done
    install -m 4755 "$(command -v busybox)" "$rootfs/bin/setuid"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\necho "$0 $1"\n' > "$rootfs/bin/script"
    chmod 755 "$rootfs/bin/script"
    mkdir -p "$rootfs/data/sub" "$rootfs/owned"
    echo data > "$rootfs/data/file"
    ln -s data "$rootfs/link"
    chown 5:5 "$rootfs/owned"
    chmod 700 "$rootfs/owned"
    printf 'root:x:0:0::/root:/bin/sh\nseven:x:7:7::/home/seven:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$rootfs/etc/passwd"
}

@test "no difference between crun and sandbox-runtime" {
    inside env "SANDBOXD_AGENT=$agent" /usr/bin/python3 "$BATS_TEST_DIRNAME/conformance.py" "$bundle" "$(command -v crun)" "$RUNTIME" || {
        # What a container was killed for.
        grep -v 'it has ended: exited\|it has been started' "$work/daemon.log"
        return 1
    }
}

# over RUNTIME WORD…: sandbox-runtime with this one below it.
over() {
    local below=$1
    shift
    inside env "SANDBOXD_AGENT=$agent" timeout 100 "$RUNTIME" --runtime "$(command -v "$below")" --root "$work/state-$below" "$@"
}

# configure COMMAND…: the bundle's config.json, with no seccomp profile in it.
configure() {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/bundle.py" "$bundle" "$agent" '{}' crun -- "$@"
    jq 'del(.linux.seccomp) | .annotations = {}' "$bundle/config.json" > "$work/new.json"
    mv "$work/new.json" "$bundle/config.json"
    rm -f "$bundle/config.json.sandboxd"
}

@test "what is executed before a container's start is refused in one line" {
    configure sleep 100
    over crun create --bundle "$bundle" early < /dev/null > "$work/out" 2>&1 3>&-
    run over crun exec --env PATH=/bin early echo x
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$output" = "sandbox-runtime: the container 'early' has been created but not started, and nothing is executed in it before: start it first" ]
    over crun start early
    run over crun exec --env PATH=/bin early echo x
    echo "$output"
    [ "$output" = x ]
    over crun delete --force early
}
