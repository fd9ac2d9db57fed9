#!/usr/bin/env bats
# Rules for files that the mounts of a container hold: no call with a path goes to the broker, and what the rules refuse stays refused.

load lib

setup_file() {
    engine_world v1
    docker_runtimes "\"crun\": { \"path\": \"/usr/bin/crun\" }, \"sandboxd\": { \"path\": \"$RUNTIME\" },
        \"narrow\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=narrow\"] },
        \"real\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=real\"] },
        \"deep\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=deep\"] }, \"hides\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=hides\"] }"
    docker_start
    world_settings "policies: [$world/policies]"
    mkdir "$world/policies"
    cat > "$world/policies/narrow.yaml" << END
version: 1
files: { read: [/], exec: [/], write: [/tmp, /data] }
network: { mode: host }
devices: [null, zero, full, random, urandom, tty]
END
    printf 'version: 1\nextends: [container-default]\nfiles: { hide: [/etc/secret] }\n' > "$world/policies/hides.yaml"
    printf 'version: 1\nextends: [container-default]\nfiles: { read: [/real], exec: [/real] }\n' > "$world/policies/real.yaml"
    printf 'version: 1\nextends: [container-default]\nfiles: { read: [/deep/real], exec: [/deep/real] }\n' > "$world/policies/deep.yaml"
    daemon_start
    docker_image busybox 'CMD ["sh"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    docker_remove_all
}

ours() {
    run docker run --rm --runtime=sandboxd --network=none "$@" < /dev/null
}

# field NAME FILTER: of a running container's status.
field() {
    local id
    id=$(docker inspect -f '{{.Id}}' "$1")
    inside "$SANDBOXCTL" status "${id:0:12}" --json | jq -r "$2"
}

# tier NAME: who holds the rules for files of a running container: view or broker.
tier() {
    field "$1" '.tiers.files.by | join(",")'
}

# box NAME RUNTIME OPTION…: a container that waits.
box() {
    docker run -d --runtime="$2" --name "$1" --network=none "${@:3}" busybox sleep 1000
    eventually_shows "$1"
}

# in_box NAME WORDS: what a shell in it says of them.
in_box() {
    # By one stream, so that what is said stays in its order.
    run docker exec "$1" sh -c "exec 2>&1; $2" < /dev/null
    echo "$output"
}

@test "a container of container-default makes no notified call with a path" {
    local before
    mkdir -p "$world/w"
    docker run -d --runtime=sandboxd --name one --network=none -v "$world/w:/w" busybox sh -c 'while [ ! -e /w/go ]; do read -t 1 x < /dev/zero; done
        i=0; while [ $i -lt 200 ]; do echo $i > /tmp/x; read x < /etc/passwd; cd /tmp; cd /; [ -e /tmp/x ] && umask 022; i=$((i + 1)); done; echo > /w/done; while :; do read -t 1 x < /dev/zero; done'
    eventually_shows one
    [ "$(tier one)" = view ]
    before=$(field one .counters.notified)
    touch "$world/w/go"
    eventually test -e "$world/w/done"
    [ "$(field one .counters.notified)" = "$before" ]
    rm "$world/w/go" "$world/w/done"
}

@test "each kind of rule is held by a mount" {
    local vol=$world/vol
    mkdir -p "$vol/below" "$world/other"
    # Everything is read-only but /tmp and /data, also what the engine and the user mount elsewhere.
    box one narrow --tmpfs /tmp -v "$vol:/data" -v "$world/other:/other"
    [ "$(tier one)" = view ]
    in_box one 'for f in /x /etc/x /other/x /etc/hosts /sys/x; do (echo x > $f) && echo "written: $f"; done; echo x > /data/x; echo x > /data/below/y; echo x > /tmp/x; cat /tmp/x /data/x; chmod 777 /etc; rm /bin/cat; ls /'
    [[ $output != *written:* ]]
    [[ $output == *$'x\nx\n'* ]]
    [[ $output == *"chmod: /etc: Read-only file system"* ]]
    [[ $output == *"rm: can't remove '/bin/cat': Read-only file system"* ]]
    # From what is written nothing is executed.
    in_box one 'cp /bin/busybox /data/id; cp /bin/busybox /tmp/id; /data/id; /tmp/id; echo end'
    [[ $output == *"/data/id: Permission denied"*"/tmp/id: Permission denied"*end* ]]
    # Without mounts of their own the broker holds the same rules.
    box two narrow -v "$vol:/data"
    [[ $(tier two) == broker* ]]
    in_box two '(echo x > /etc/x) && echo "written"; echo x > /tmp/x && cat /tmp/x'
    [[ $output != *written* && $output == *x* ]]
}

@test "what no mount holds exactly stays the broker's" {
    docker run -d --runtime=hides --name one --network=none busybox sleep 1000
    eventually_shows one
    [[ $(tier one) == broker* ]]
    in_box one 'echo key > /etc/secret; cat /etc/secret; wc -c < /proc/keys; (echo x > /proc/keys) || echo refused'
    [[ $output == *"can't create /etc/secret: Permission denied"* && $output == *"can't open '/etc/secret': No such file or directory"* ]]
    # What the engine masks is there, and empty.
    [[ $output == *$'\n0\n'*refused ]]
}

@test "nothing of the kernel's is written, whatever the engine leaves open" {
    local before after path
    mkdir -p "$world/w/below"
    before=$(cat /proc/sys/kernel/core_pattern)
    box one sandboxd --security-opt systempaths=unconfined --cap-add SYS_ADMIN --cap-add DAC_OVERRIDE -v "$world/w:/sys/kernel"
    [ "$(tier one)" = view ]
    for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/fs/cgroup/devices/devices.allow /sys/kernel/x /sys/kernel/below/x; do
        in_box one "(echo '|/x' > $path) && echo written"
        [[ $output == *"can't create $path: "* && $output != *written* ]]
    done
    in_box one 'for p in kcore keys kmsg timer_list slabinfo interrupts; do [ -e /proc/$p ] && head -c 1 /proc/$p | wc -c; done; mount -o remount,rw /proc/sys; umount /proc/sys; mount -o remount,dev /; mount -t proc p /tmp; echo end'
    [[ $output != *1$'\n'* && $output == *end* ]]
    in_box one "(echo '|/x' > /proc/sys/kernel/core_pattern) && echo written"
    [[ $output != *written* ]]
    after=$(cat /proc/sys/kernel/core_pattern)
    [ "$after" = "$before" ]
    [ ! -e "$world/w/x" ]
}

@test "nothing of the kernel's is written at another place either" {
    local where name
    local -a at=(-v /proc:/p -v /proc/sys:/ps -v /proc/sys/kernel/core_pattern:/pattern)
    mkdir -p "$world/w"
    # As root on crun: opened for writing, and nothing is written.
    run docker run --rm --runtime=crun --network=none "${at[@]}" -v /sys:/s busybox sh -c 'for f in /p/sys/kernel/core_pattern /ps/kernel/core_pattern /pattern /s/kernel/uevent_helper; do (: >> $f) && echo "opened $f"; done'
    echo "$output"
    [[ $output == *"opened /p/sys/kernel/core_pattern"*"opened /ps/kernel/core_pattern"*"opened /pattern"* ]]
    box one sandboxd "${at[@]}" -v /sys:/s -v /sys/fs/cgroup:/c -v /sys/kernel:/k
    [[ $(tier one) == broker* ]]
    in_box one 'for f in /p/sys/kernel/core_pattern /p/sysrq-trigger /p/irq/default_smp_affinity /p/1/root/proc/sysrq-trigger /p/../ps/kernel/core_pattern /pattern /p/kcore /p/keys \
            /s/kernel/uevent_seqnum /s/kernel/mm/ksm/run /s/fs/cgroup/devices/devices.allow /s/fs/cgroup/devices/release_agent /c/devices/devices.allow /k/mm/ksm/run; do (: >> $f) && echo "opened $f"; done
        cd /p/sys/kernel && (: >> core_pattern) && echo opened; mkdir /c/devices/'"$world_cgroup-x"' && echo made; chmod 777 /pattern && echo changed; ln -s /p /tmp/l; (: >> /tmp/l/sys/kernel/core_pattern) && echo opened
        read x < /p/sys/kernel/core_pattern && read x < /p/1/comm && read x < /s/kernel/uevent_seqnum && read x < /p/self/comm && ls /c > /tmp/x && echo x > /tmp/x && echo end'
    [[ $output != *opened* && $output != *made* && $output != *changed* && $output == *end ]]
    docker rm -f one
    # One such mount each: mounts alone hold nothing then.
    for where in /sys:/s /sys/kernel:/k /sys/fs/cgroup:/c; do
        box one sandboxd -v "$where"
        name=${where#*:}
        [[ $(tier one) == broker* ]]
        in_box one "for f in $name/kernel/mm/ksm/run $name/mm/ksm/run $name/devices/devices.allow $name/fs/cgroup/devices/devices.allow; do [ -e \$f ] && (: >> \$f) && echo opened; done; echo end"
        [[ $output != *opened* && $output == *end ]]
        docker rm -f one
    done
    # Mounted by the runtime.
    bundle busybox 'for f in /p/sys/kernel/core_pattern /p/irq/default_smp_affinity /s/kernel/mm/ksm/run; do [ -e $f ] || echo "no $f"; (: >> $f) && echo "opened $f"; done; echo end'
    jq '.mounts += [{ destination: "/p", type: "proc", source: "proc" }, { destination: "/s", type: "sysfs", source: "sysfs" }]' "$world/bundle/config.json" > "$world/new.json"
    cp "$world/new.json" "$world/bundle/config.json"
    run inside sh -c '"$2" --root "$1/state" run --bundle "$1" leak' sh "$world/bundle" "$RUNTIME"
    echo "$output"
    [[ $output != *opened* && $output != *"no /"* && $output == *end ]]
    cp "$world/new.json" "$world/bundle/config.json"
    run inside sh -c 'crun --root "$1/state" run --bundle "$1" leak' sh "$world/bundle"
    echo "$output"
    [[ $output == *"opened /p/sys/kernel/core_pattern"* ]]
}

@test "no device of the host's is opened: made, in a volume, in the image" {
    local device
    device=$(lsblk -ndo MAJ:MIN | head -1 | tr -d ' ')
    mkdir -p "$world/nodes"
    mknod "$world/nodes/disk" b "${device%:*}" "${device#*:}"
    mknod "$world/nodes/console" c 5 1
    mknod "$world/nodes/null" c 1 3
    # The engine's control group lets it, as on crun.
    run docker run --rm --runtime=crun --network=none --device-cgroup-rule "b $device rwm" -v "$world/nodes:/n" busybox sh -c ': < /n/disk && echo opened'
    echo "$output"
    [ "$output" = opened ]
    box one sandboxd --device-cgroup-rule "b $device rwm" -v "$world/nodes:/n"
    [ "$(tier one)" = view ]
    in_box one "(: < /n/disk); (: < /n/console); mknod /tmp/disk b ${device/:/ }; mknod /dev/disk b ${device/:/ }; mknod /dev/shm/tty c 5 1; mknod /tmp/fifo p && echo made; head -c 1 /dev/zero | wc -c; ls /tmp /dev"
    [[ $output == *"/n/disk: Permission denied"*"/n/console: Permission denied"* ]]
    [[ $output == *"/tmp/disk: Operation not permitted"* && $output == *"/dev/disk: Operation not permitted"* && $output == *"/dev/shm/tty: Operation not permitted"* ]]
    [[ $output == *$'made\n1\n'* ]]
    # A device that the engine hands over and no policy names isn't opened either.
    docker rm -f one
    docker run -d --runtime=sandboxd --name one --network=none --device "/dev/fuse:/dev/other" busybox sleep 1000
    eventually_shows one
    [[ $(tier one) == broker* ]]
    in_box one 'head -c 1 /dev/other'
    [[ $output == *"/dev/other: Permission denied"* ]]
    mkdir -p "$world/rootfs-nodes"
    cp -a "$world/rootfs-busybox/." "$world/rootfs-nodes"
    mknod "$world/rootfs-nodes/disk" b "${device%:*}" "${device#*:}"
    tar -C "$world/rootfs-nodes" -c . | docker import - nodes > /dev/null
    run docker run --rm --runtime=sandboxd --network=none --device-cgroup-rule "b $device rwm" nodes sh -c 'ls -l /disk; : < /disk'
    [[ $output == *"$(printf '%s' "${device%:*}")"* && $output == *"/disk: Permission denied"* ]]
}

# bundle ROOTFS WORDS: a bundle of crun's own kind, with a shell that is told these.
bundle() {
    rm -rf "$world/bundle"
    mkdir -p "$world/bundle"
    ln -s "$world/rootfs-$1" "$world/bundle/rootfs"
    inside sh -c 'cd "$1" && crun spec' sh "$world/bundle"
    jq --arg cg "/$world_cgroup/leak" --arg words "$2" '.process.terminal = false | .root.readonly = false | .linux.cgroupsPath = $cg | .process.args = ["sh", "-c", $words]' \
        "$world/bundle/config.json" > "$world/new.json"
    cp "$world/new.json" "$world/bundle/config.json"
}

@test "what is read-only can't be moved away, nor reached by a link" {
    local name
    mkdir -p "$world/rootfs-link/real" "$world/rootfs-link/deep/real"
    cp -a "$world/rootfs-busybox/." "$world/rootfs-link"
    ln -s /real "$world/rootfs-link/link"
    tar -C "$world/rootfs-link" -c . | docker import - link > /dev/null
    # The place of the second lies in a folder that could be renamed.
    for name in real deep; do
        docker run -d --runtime="$name" --name one --network=none link sleep 1000
        eventually_shows one
        [[ $(tier one) == $([ "$name" = real ] && echo view || echo broker)* ]]
        in_box one "cd /; [ $name = real ] && at=/real || at=/deep/real
            for f in \$at/x /link/../\$at/x; do (echo x > \$f) && echo written; done; mv \$at /moved && echo moved; mv /deep /moved; (mkdir -p \$at; echo x > \$at/x) && echo written; echo x > /x && echo end"
        [[ $output == *end* && $output != *written* && $output != *$'\nmoved'* ]]
        docker rm -f one
    done
    # Its runtime mounts on no link.
    rm -rf "$world/rootfs-link/sys"
    ln -s real "$world/rootfs-link/sys"
    bundle link 'echo started; (echo x > /sys/x) && echo written'
    run inside sh -c '"$2" --root "$1/state" run --bundle "$1" leak' sh "$world/bundle" "$RUNTIME"
    echo "$output"
    [[ $output != *written* ]]
}

@test "a directory of the host's that is left open leads nowhere" {
    bundle busybox 'ls -d /proc/self/fd/3/../.. && echo out; echo started'
    run inside sh -c 'crun --root "$1/state" run --preserve-fds 1 --bundle "$1" leak 3< /' sh "$world/bundle"
    echo "$output"
    [[ $output == *out* ]]
    run inside sh -c '"$2" --root "$1/state" run --preserve-fds 1 --bundle "$1" leak 3< /' sh "$world/bundle" "$RUNTIME"
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output != *out* && $output != *started* ]]
    # What is no directory is handed over.
    run inside sh -c '"$2" --root "$1/state" run --preserve-fds 1 --bundle "$1" leak 3< /etc/passwd' sh "$world/bundle" "$RUNTIME"
    echo "$output"
    [[ $output == *started* ]]
}
