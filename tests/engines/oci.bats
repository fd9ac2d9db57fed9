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
