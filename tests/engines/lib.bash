# What the engines' tests share: a world (namespaces of its own) for each file, an engine in it, images made of the host's own files.
#
# setup_file: `engine_world v1`, then docker_start, containerd_start or nothing (podman has no daemon); teardown_file: `engine_end`.

load ../live/lib

RUNTIME=${SANDBOXCTL%/*}/sandbox-runtime
DOCKER=/usr/bin/docker # Debian's, of the same version as its daemon

# engine_world v1|v2: makes $world, a folder, and $world_pid, the first process in it.
engine_world() {
    [ "$EUID" -eq 0 ] || skip "needs root"
    world=$(mktemp -d "$TMPDIR/engine.XXXXXX")
    chmod 755 "$world"
    setsid unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private -- \
        "$SANDBOXD_SOURCE/tests/engines/world" "$world" "$1" < /dev/null > "$world/log" 2>&1 3>&- &
    world_unshare=$!
    disown
    eventually test -e "$world/ready" || { cat "$world/log" >&2; return 1; }
    world_pid=$(ps -o pid= --ppid "$world_unshare" | tr -d ' ')
    # A name of its own: tools/run-tests looks for what is left of "sandboxd-".
    world_cgroup=sandboxd-${world##*/}
    export world world_unshare world_pid world_cgroup
}

# inside COMMAND…: runs it in the world.
inside() {
    nsenter --target "$world_pid" --mount --net --pid -- env -u LC_ALL HOME=/root "$@" 3>&-
}

# in_memory NAME: $world/NAME is a tmpfs of the world's, where the machine has the memory: images and databases wait for no disk.
in_memory() {
    if [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt 6000000 ]; then
        mkdir "$world/$1"
        inside mount -t tmpfs -o size=3g,mode=711 tmpfs "$world/$1"
    fi
}

# inside_background LOG COMMAND…: its number outside is in $started.
inside_background() {
    local log=$1
    shift
    setsid nsenter --target "$world_pid" --mount --net --pid -- env -u LC_ALL HOME=/root "$@" < /dev/null > "$log" 2>&1 3>&- &
    started=$!
    disown
}

engine_end() {
    local folder
    [ -n "${world:-}" ] || return 0
    kill -9 "$world_pid" 2> /dev/null || :
    ended "$world_pid" 100
    ended "$world_unshare" 100
    # In each hierarchy, children first. They are empty, but the kernel takes a moment to see it.
    for _ in 1 2 3 4 5; do
        folder=$(find /sys/fs/cgroup -depth -type d -path "*/$world_cgroup*" 2> /dev/null)
        [ -n "$folder" ] || break
        xargs -r rmdir <<< "$folder" 2> /dev/null || :
        sleep 0.1
    done
    for _ in $(seq 50); do
        rm -rf "$world" 2> /dev/null && break
        sleep 0.1
    done
    [ ! -e "$world" ]
}

# ---- Root file systems ----

# rootfs_busybox FOLDER: a shell and its tools, and accounts.
rootfs_busybox() {
    local applet
    need_command busybox
    mkdir -p "$1"/{bin,sbin,etc,proc,sys,dev,tmp,root,usr/bin,var/tmp,run,www}
    cp "$(command -v busybox)" "$1/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -sf /bin/busybox "$1/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\nredis:x:100:100::/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$1/etc/passwd"
    printf 'root:x:0:\nwww-data:x:33:\nredis:x:100:\nnogroup:x:65534:\n' > "$1/etc/group"
    chmod 1777 "$1/tmp" "$1/var/tmp"
}

# rootfs_add FOLDER PATH…: copies files of the host, programs with the libraries they are linked to.
rootfs_add() {
    local root=$1 path library
    shift
    for path in "$@"; do
        [ -e "$path" ] || skip "$path is not installed"
        mkdir -p "$root${path%/*}"
        cp -aL "$path" "$root${path%/*}/"
        if [ ! -f "$path" ] || [ ! -x "$path" ]; then
            continue
        fi
        for library in $(ldd "$path" 2> /dev/null | grep -o '/[^ ]*'); do
            mkdir -p "$root${library%/*}"
            cp -nL "$library" "$root${library%/*}/"
        done
    done
}

rootfs_nginx() {
    rootfs_busybox "$1"
    rootfs_add "$1" /usr/sbin/nginx /etc/nginx/mime.types
    mkdir -p "$1/var/log/nginx" "$1/var/lib/nginx" "$1/usr/share/nginx"
    printf 'hello from nginx\n' > "$1/www/index.html"
    printf 'user www-data;\nworker_processes 2;\npid /run/nginx.pid;\nerror_log /dev/stderr;\nevents {}\nhttp {\n  include mime.types;\n  access_log off;\n  server { listen 80; root /www; }\n}\n' \
        > "$1/etc/nginx/nginx.conf"
}

rootfs_redis() {
    rootfs_busybox "$1"
    rootfs_add "$1" /usr/bin/redis-server /usr/bin/redis-cli
    mkdir -p "$1/data"
}

# ---- sandboxd ----

# daemon_start: root's sandboxd of the world.
daemon_start() {
    inside_background "$world/sandboxd.log" "$SANDBOXD"
    world_daemon=$started
    export world_daemon
    eventually inside test -S /run/sandboxd/agent || { cat "$world/sandboxd.log" >&2; return 1; }
}

# world_settings TEXT: what sandboxd.yaml says in the world.
world_settings() {
    local file
    file=$(strings "$RUNTIME" | grep -m1 '^/.*/sandboxd\.yaml$')
    # shellcheck disable=SC2016
    inside sh -c 'mkdir -p "${1%/*}" && printf "%s\n" "$2" > "$1"' sh "$file" "$1"
}

sandbox_is_there() {
    inside "$SANDBOXCTL" ps --json | jq -e --arg name "$1" '.[] | select(.name == $name)'
}

# eventually_shows NAME: Docker's container is a sandbox, under the beginning of its id.
eventually_shows() {
    local id
    id=$(docker inspect -f '{{.Id}}' "$1")
    eventually sandbox_is_there "${id:0:12}"
}

# ---- Docker ----

# docker_start [OPTION…]: dockerd in the world; its runtimes are in $world/daemon.json, which the caller may have written.
docker_start() {
    need_command dockerd runc crun iptables
    [ -e "$world/daemon.json" ] || docker_runtimes '"crun": { "path": "/usr/bin/crun" }'
    inside_background "$world/dockerd.log" dockerd --config-file "$world/daemon.json" --data-root "$world/docker" --exec-root /run/docker \
        --pidfile /run/docker.pid --cgroup-parent "/$world_cgroup" -H unix:///run/docker.sock "$@"
    eventually docker info || { tail -20 "$world/dockerd.log" >&2; return 1; }
}

# docker_runtimes JSON: the members of "runtimes".
docker_runtimes() {
    printf '{ "runtimes": { %s } }\n' "$1" > "$world/daemon.json"
}

docker() {
    inside env DOCKER_HOST=unix:///run/docker.sock "$DOCKER" "$@"
}

# project_install: the project into $world/tree, and over the folder that it would be installed to (`prefix`) one of the world's own, which has a systemctl
# (tests/engines/systemctl) and nothing else yet. `etc` is where the installed programs look for their settings.
project_install() {
    need_command meson
    meson install -C "$SANDBOXD_BUILD" --no-rebuild --quiet --destdir "$world/tree" > "$world/install.log" 2>&1 || { cat "$world/install.log"; return 1; }
    prefix=$(cd "$world/tree" && find . -path '*/bin/sandboxctl')
    prefix=${prefix#.}
    prefix=${prefix%/bin/sandboxctl}
    mkdir -p "$world/prefix/sbin" "$world/work/prefix"
    cp "$SANDBOXD_SOURCE/tests/engines/systemctl" "$world/prefix/sbin/systemctl"
    inside mount -t overlay overlay -o "lowerdir=$prefix,upperdir=$world/prefix,workdir=$world/work/prefix" "$prefix"
    etc=$(strings "$world/tree$prefix/bin/sandbox-runtime" | grep -m1 '^/.*/sandboxd\.yaml$')
    etc=${etc%/*}
    export prefix etc
}

# docker_remove_all: the containers.
docker_remove_all() {
    # shellcheck disable=SC2046
    docker rm -f $(docker ps -aq) > /dev/null 2>&1 || :
}

# docker_image NAME [CHANGE…]: an image of the folder that rootfs_NAME makes.
docker_image() {
    local name=$1 changes=() change
    shift
    "rootfs_$name" "$world/rootfs-$name"
    for change in "$@"; do
        changes+=(--change "$change")
    done
    tar -C "$world/rootfs-$name" -c . | docker import "${changes[@]}" - "$name" > /dev/null
}

# ---- Podman ----

# podman WORD…: as root of the world.
podman() {
    inside podman --root "$world/podman" --runroot /run/podman --tmpdir /run/podman/tmp --cgroup-manager cgroupfs --events-backend file --storage-driver overlay "$@"
}

# podman_run WORD…: no machine of the tests' lets a process have the limits that Podman sets by itself.
podman_run() {
    podman run --cgroup-parent "/$world_cgroup" --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 "$@"
}

podman_image() {
    rootfs_busybox "$world/rootfs"
    tar -C "$world/rootfs" -c . | podman import - busybox > /dev/null
}

# ---- containerd ----

# containerd_start: with our runtime in its configuration.
containerd_start() {
    containerd_configure
    inside "$RUNTIME" install --containerd
    inside_background "$world/containerd.log" containerd --config /etc/containerd/config.toml
    eventually ctr version || { tail -20 "$world/containerd.log" >&2; return 1; }
}

# containerd_configure: what the world needs, in the world's /etc/containerd/config.toml.
containerd_configure() {
    need_command containerd ctr
    mkdir -p "$world/containerd" "$world/cni"
    inside sh -c 'mkdir -p /etc/containerd && cat > /etc/containerd/config.toml' <<EOT
version = 2
root = "$world/containerd"
state = "/run/containerd"
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "localhost/pause:1"
    restrict_oom_score_adj = true
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "$world/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "$world/opt"
EOT
    cat > "$world/cni/10-bridge.conflist" <<EOT
{ "cniVersion": "0.4.0", "name": "bridge", "plugins": [
    { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.88.7.0/24" }]], "dataDir": "$world/ipam", "routes": [{ "dst": "0.0.0.0/0" }] } } ] }
EOT
}

# containerd_images: busybox and what holds pods, in the CRI's namespace.
containerd_images() {
    rootfs_busybox "$world/rootfs"
    oci_archive busybox:1 "$world/rootfs" sh > "$world/busybox.tar"
    oci_archive pause:1 "$world/rootfs" sleep 100000 > "$world/pause.tar"
    ctr -n k8s.io image import "$world/busybox.tar"
    ctr -n k8s.io image import "$world/pause.tar"
}

# cri [OPTION…] COMMAND ACTION [WORD]: a pod with our handler (tests/engines/cri).
cri() {
    local options=()
    while [[ $1 == --* ]]; do
        options+=("$1")
        shift
    done
    inside /usr/bin/python3 "$SANDBOXD_SOURCE/tests/engines/cri" --handler=sandboxd "--cgroup=/$world_cgroup" "${options[@]}" /run/containerd/containerd.sock localhost/busybox:1 "$@"
}

ctr() {
    inside ctr "$@"
}

# oci_archive NAME:TAG FOLDER ENTRYPOINT…: writes an image of one layer to standard output.
oci_archive() {
    /usr/bin/python3 "$SANDBOXD_SOURCE/tests/engines/oci-archive" "$@"
}
