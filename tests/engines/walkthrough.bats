#!/usr/bin/env bats
# "From nothing to a container", sandbox-runtime(8): its commands as they stand there, in a world where the program is installed. No systemd runs there
# (tests/engines/systemctl), no package is fetched, and the image is one of the tests'.

load lib

setup_file() {
    engine_world v1
    need_command jq
    project_install
    inside cp -a "$world/tree$prefix/." "$prefix"
    # Docker as its package leaves it, with its file at the usual place.
    inside sh -c 'mkdir -p /etc/docker && echo "{}" > /etc/docker/daemon.json'
    need_command dockerd crun iptables
    inside_background "$world/dockerd.log" dockerd --data-root "$world/docker" --exec-root /run/docker --pidfile /run/docker.pid \
        --cgroup-parent "/$world_cgroup" -H unix:///run/docker.sock
    eventually docker info || { tail -20 "$world/dockerd.log" >&2; return 1; }
    docker_image nginx 'CMD ["nginx", "-g", "daemon off;"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    docker_remove_all
}

# commands NUMBER: the block of that number in the walk-through, one command a line, for where this build has its files.
commands() {
    sed -n '/^# FROM NOTHING/,/^# KUBERNETES/p' "$SANDBOXD_SOURCE/man/sandbox-runtime.8.scd" | awk -v wanted="$1" '
        /^\t/ { if (!inside) n++; inside = 1; if (n == wanted) { sub(/^\t/, ""); sub(/\+\+$/, ""); print } next }
        { inside = 0 }' | sed "s,/etc/sandboxd,$etc,g; s,/usr/bin/sandbox-runtime,$prefix/bin/sandbox-runtime,g"
}

# type_in COMMAND: as root of the machine types it.
type_in() {
    echo "# $1"
    inside env "PATH=$prefix/sbin:$prefix/bin:/usr/sbin:/usr/bin:/sbin:/bin" bash -e -c "$1" < /dev/null
}

shown_as() {
    inside "$prefix/bin/sandboxctl" status "$1" | grep -q "^policy .*$2"
}

@test "the manual's commands lead from nothing to a container, and to one with another policy" {
    local command name typed=0
    commands 1 > first
    cat first
    while read -r command; do
        case $command in
        apt-get*)
            # What it would fetch is there.
            # shellcheck disable=SC2086
            dpkg -s ${command#apt-get install } > dpkg.out
            ;;
        curl*)
            # A server needs a moment.
            eventually type_in "$command"
            [ "$(type_in "$command" 2> /dev/null | tail -1)" = "hello from nginx" ]
            ;;
        *NAME)
            name=$(docker ps -q)
            type_in "${command/NAME/$name}" > shown
            cat shown
            grep -q '^policy .*container-default' shown
            ;;
        *) type_in "$command" > out 2>&1 || { cat out; return 1; } ;;
        esac
        [[ $command != 'sandboxctl ps' ]] || grep "^$(docker ps -q) " out
        typed=$((typed + 1))
    done < first
    [ "$typed" -eq 8 ]
    # What the configuration had is there still, and what was put in is what the runtime is.
    [ "$(inside jq -r .runtimes.sandboxd.path /etc/docker/daemon.json)" = "$prefix/bin/sandbox-runtime" ]

    commands 2 > second
    cat second
    typed=0
    while read -r command; do
        if [[ $command == *--annotation* ]] && ! docker run --help | grep -q -- --annotation; then
            # The other way: a second runtime, by the manual's next block.
            commands 3 > third.json
            jq -e '.runtimes."sandboxd-web"' third.json
            inside jq -s '.[0] * .[1]' /etc/docker/daemon.json "$PWD/third.json" > merged.json
            inside cp "$PWD/merged.json" /etc/docker/daemon.json
            type_in 'systemctl reload docker'
            eventually knows_runtime sandboxd-web
            command=${command/--runtime=sandboxd --annotation org.sandboxd.policy=container-web/--runtime=sandboxd-web}
        fi
        type_in "$command" > out 2>&1 || { cat out; return 1; }
        typed=$((typed + 1))
    done < second
    [ "$typed" -eq 5 ]
    eventually type_in 'curl -sf http://127.0.0.1:8080/'
    name=$(docker ps -q)
    eventually shown_as "$name" container-web
    # It is one: its program can't be changed.
    run docker exec "$name" sh -c 'echo x > /usr/sbin/nginx'
    [ "$status" -ne 0 ]
}

knows_runtime() {
    docker info --format '{{json .Runtimes}}' | jq -e --arg name "$1" 'has($name)'
}
