#!/usr/bin/env bats
# Images of Debian's packages, as people use them: what they do under sandbox-runtime is what they do on crun, to the byte.

load lib

setup_file() {
    local archive
    need_command mmdebstrap
    archive=$("$SANDBOXD_SOURCE/tests/engines/debian-image")
    engine_world v1
    in_memory docker
    # Images are built by the same runtime.
    printf '{ "default-runtime": "sandboxd", "runtimes": { "crun": { "path": "/usr/bin/crun" }, "sandboxd": { "path": "%s" } } }' "$RUNTIME" > "$world/daemon.json"
    docker_start
    daemon_start
    docker import "$archive" debian > /dev/null
    image python python.py 'ENTRYPOINT ["python3", "/job/python.py"]'
    image node node.js 'ENTRYPOINT ["node", "/job/node.js"]'
    image postgres postgres.sh 'VOLUME /data' 'ENTRYPOINT ["/job/postgres.sh"]'
    image redis redis.sh 'VOLUME /data' 'ENTRYPOINT ["/job/redis.sh"]'
    image nginx nginx.sh 'ENTRYPOINT ["/job/nginx.sh"]'
    image shell shell.sh 'ENTRYPOINT ["busybox", "sh", "/job/shell.sh"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    # shellcheck disable=SC2046
    docker rm -fv $(docker ps -aq) > /dev/null 2>&1 || :
}

# image NAME JOB LINE…
image() {
    local folder=$world/build-$1 name=$1
    mkdir -p "$folder"
    cp "$SANDBOXD_SOURCE/tests/engines/images/$2" "$folder/"
    shift 2
    printf '%s\n' 'FROM debian' 'RUN mkdir -p /job /data && chown 33:33 /data && chmod 1777 /data && test "$(stat -c %u /data)" = 33' 'COPY . /job/' "$@" > "$folder/Dockerfile"
    DOCKER_BUILDKIT=0 docker build -q --network none -t "$name" "$folder" > /dev/null
}

# both IMAGE OPTION… [-- WORD…]: `docker run` of it gives the same on crun and under sandbox-runtime; what it printed is in ours.out.
both() {
    local image=$1 options=() crun=0 ours=0 ours_pid
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    docker run --rm --runtime=sandboxd --network=none --hostname=box "${options[@]}" "$image" "$@" > ours.out 2> ours.err < /dev/null &
    ours_pid=$!
    docker run --rm --runtime=crun --network=none --hostname=box "${options[@]}" "$image" "$@" > crun.out 2> crun.err < /dev/null || crun=$?
    wait "$ours_pid" || ours=$?
    echo "$image: on crun $crun, ours $ours"
    diff crun.out ours.out
    diff crun.err ours.err
    [ "$crun" -eq "$ours" ]
    [ "$crun" -ne 0 ]
    [ "$crun" -lt 125 ] || { cat crun.out crun.err; return 1; }
}

unprivileged=(--user 33:33)
read_only=(--read-only --tmpfs "/tmp:mode=1777" --tmpfs /run)
no_capabilities=(--cap-drop ALL --security-opt no-new-privileges)

# variants IMAGE [OPTION…]: as it is, and with all that one can take from it; each by itself in the long run.
variants() {
    local image=$1
    shift
    both "$image" "$@"
    cat ours.out
    both "$image" "$@" "${unprivileged[@]}" "${read_only[@]}" "${no_capabilities[@]}" --init --ipc private --pids-limit 200
    if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
        both "$image" "$@" "${unprivileged[@]}"
        both "$image" "$@" "${read_only[@]}"
        both "$image" "$@" "${unprivileged[@]}" "${no_capabilities[@]}"
        both "$image" "$@" --init
        both "$image" "$@" --cap-add ALL
    fi
}

@test "a shell" {
    variants shell
    [ "$(grep -c same ours.out)" -eq 1 ]
}

@test "python: processes, files, sqlite, sockets" {
    variants python
    grep -q '^sqlite (1000, 500500' ours.out
    grep -q '^left \[\]' ours.out
}

@test "node: files, workers, children, servers" {
    variants node
    grep -q '^workers 100003,100003,100003' ours.out
    grep -q '^left' ours.out
}

@test "nginx: files, a proxy, uploads, a reload" {
    variants nginx
    grep -q '8 hello' ours.out
    grep -q upstream ours.out
}

@test "redis: both ways to save, a script, a restart" {
    variants redis
    grep -qx 1000 ours.out
    grep -qx value ours.out
}

@test "postgres: initdb, tables, clients at once, a recovery" {
    variants postgres
    grep -qx '4000|12005000.00' ours.out
    grep -qx '4005|t' ours.out
}

psql() {
    docker exec -i db psql -X -h /tmp -U postgres -At
}

ready() {
    echo 'SELECT 1' | psql
}

@test "postgres keeps its data in a volume through restarts, a kill, and another container" {
    docker volume create pg
    docker run -d --runtime=sandboxd --name db -v pg:/data postgres serve
    eventually ready
    echo 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS a' | psql
    docker restart -t 10 db
    eventually ready
    [ "$(echo 'SELECT sum(a) FROM t' | psql)" = 500500 ]
    docker kill -s KILL db
    docker start db
    eventually ready
    echo 'INSERT INTO t VALUES (500)' | psql
    docker stop -t 10 db
    [ "$(docker inspect -f '{{.State.ExitCode}}' db)" = 0 ]
    docker rm db
    # What the one has left, the other reads, whoever made it.
    docker run -d --runtime=crun --name db -v pg:/data postgres serve
    eventually ready
    [ "$(echo 'SELECT sum(a) FROM t' | psql)" = 501000 ]
    docker rm -f db
    docker volume rm pg
}
