#!/usr/bin/env bats
# Images of Debian's packages, as people use them: what they do under sandbox-runtime is what they do on crun, to the byte.

load lib

setup_file() {
    local archive policy
    need_command mmdebstrap
    archive=$("$SANDBOXD_SOURCE/tests/engines/debian-image")
    engine_world v1
    in_memory docker
    # Images are built by the same runtime.
    printf '{ "default-runtime": "sandboxd", "runtimes": { "crun": { "path": "/usr/bin/crun" }, "sandboxd": { "path": "%s" }' "$RUNTIME" > "$world/daemon.json"
    for policy in web db untrusted; do
        printf ', "%s": { "path": "%s", "runtimeArgs": ["--policy=container-%s"] }' $policy "$RUNTIME" $policy
    done >> "$world/daemon.json"
    echo ' } }' >> "$world/daemon.json"
    docker_start
    daemon_start
    docker import "$archive" debian > /dev/null
    image python python.py 'ENTRYPOINT ["python3", "/job/python.py"]'
    image node node.js 'ENTRYPOINT ["node", "/job/node.js"]'
    image postgres postgres.sh 'VOLUME /data' 'ENTRYPOINT ["/job/postgres.sh"]'
    image redis redis.sh 'VOLUME /data' 'ENTRYPOINT ["/job/redis.sh"]'
    image nginx nginx.sh 'ENTRYPOINT ["/job/nginx.sh"]'
    image metadata metadata.py 'ENTRYPOINT ["python3", "/job/metadata.py", "ask"]'
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
    # Docker's own client says this at times, of a container that ended soon or never began.
    sed -i '/error waiting for container: context canceled/d' crun.err ours.err
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

# ---- Addresses ----

# serve_metadata ADDRESS…: where clouds have theirs, in the world, which is the containers' router.
serve_metadata() {
    local address
    for address; do
        case $address in
        *:*) inside ip addr replace "$address/128" dev lo nodad ;;
        *) inside ip addr replace "$address/32" dev lo ;;
        esac
    done
    inside_background "$work/served" /usr/bin/python3 "$SANDBOXD_SOURCE/tests/engines/images/metadata.py" serve "$@"
    background+=("$started")
    eventually grep -q ready "$work/served"
}

@test "metadata addresses: what is reached on crun is refused, by each way and in each form of the address" {
    serve_metadata 169.254.169.254 fd00:ec2::254 169.254.7.7
    # By way of the bridge, and in the network of whoever runs the engine.
    docker run --rm --runtime=crun metadata 169.254.169.254 ::ffff:169.254.169.254 > crun.out
    docker run --rm --runtime=crun --network host metadata fd00:ec2::254 >> crun.out
    [ "$(wc -l < crun.out)" -eq 18 ]
    cat crun.out
    [ "$(grep -c ': secret$' crun.out)" -eq 18 ]
    docker run --rm --runtime=sandboxd metadata 169.254.169.254 ::ffff:169.254.169.254 > ours.out
    docker run --rm --runtime=sandboxd --network host metadata fd00:ec2::254 >> ours.out
    cat ours.out
    [ "$(grep -c ': Permission denied$' ours.out)" -eq 18 ]
    # Its neighbours are reached.
    docker run --rm --runtime=sandboxd metadata 169.254.7.7 ::ffff:169.254.7.7 > ours.out
    [ "$(grep -c ': secret$' ours.out)" -eq 12 ]
}

# ---- The narrower policies ----

# world_curl WORD…: from outside of the containers, inside of the world.
world_curl() {
    inside curl -s -m 5 "$@"
}

# denied CONTAINER COMMAND…: in the container it fails, and for want of a right.
denied() {
    local name=$1
    shift
    run docker exec "$name" "$@"
    echo "$* ($status): $output"
    [ "$status" -ne 0 ]
    [[ ${output,,} == *"permission denied"* || ${output,,} == *"operation not permitted"* || ${output,,} == *"read-only file system"* ]]
}

@test "container-web: nginx serves under load, and can do no more than that" {
    local bridge
    # As nginx's own image has it: a configuration in /etc, logs in /var/log, caches in /var.
    mkdir web
    printf 'FROM debian\nRUN rm -f /etc/nginx/sites-enabled/default && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log\n' > web/Dockerfile
    printf 'COPY site.conf /etc/nginx/conf.d/site.conf\nCMD ["nginx", "-g", "daemon off;"]\n' >> web/Dockerfile
    echo 'server { listen 80; root /var/www/html; index index.nginx-debian.html; location /up { client_max_body_size 10m; proxy_pass http://127.0.0.1:8081/; } } server { listen 127.0.0.1:8081; return 200 upstream; }' > web/site.conf
    DOCKER_BUILDKIT=0 docker build -q --network none -t web "$PWD/web"
    docker run -d --name web --runtime=web -p 127.0.0.1:8080:80 web
    eventually world_curl -f http://127.0.0.1:8080/
    world_curl http://127.0.0.1:8080/ | grep -q 'Welcome to nginx'
    head -c 3000000 /dev/zero > upload
    [ "$(world_curl -X POST --data-binary @"$PWD/upload" http://127.0.0.1:8080/up)" = upstream ]
    inside wrk -t 2 -c 20 -d 2 http://127.0.0.1:8080/ | tee load
    grep -q '^Requests/sec' load
    run grep -E 'Non-2xx|Socket errors' load
    [ "$status" -eq 1 ]
    docker exec web nginx -s reload
    eventually world_curl -f http://127.0.0.1:8080/
    docker logs web | grep -q 'GET / HTTP'
    # What a web server has no business with, although root does it here.
    denied web sh -c 'echo x > /etc/passwd'
    denied web sh -c 'echo x > /usr/sbin/new'
    denied web rm /bin/ls
    denied web python3 -c 'import socket; socket.create_connection(("8.8.8.8", 80))'
    denied web python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))'
    denied web python3 -c 'import socket; socket.create_server(("0.0.0.0", 2222))'
    # Upstreams of a private network it reaches: there, nobody listens.
    bridge=$(docker inspect -f '{{.NetworkSettings.Gateway}}' web)
    run docker exec web python3 -c "import socket; socket.create_connection(('$bridge', 81))"
    [[ $output == *"Connection refused"* ]]
    docker stop -t 10 web
    [ "$(docker inspect -f '{{.State.ExitCode}}' web)" = 0 ]
}

@test "container-db: postgres and redis with volumes, and no more than that" {
    docker network create data
    docker run -d --name db --runtime=db --network data -v pg:/data postgres serve
    docker run -d --name cache --runtime=db --network data -v cache:/data --entrypoint redis-server redis --dir /data --protected-mode no --appendonly yes
    eventually ready
    echo 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS a; SELECT sum(a) FROM t' | psql | grep -qx 500500
    eventually docker exec cache redis-cli set key value
    # From another container, by name.
    docker run --rm --runtime=sandboxd --network data --entrypoint redis-cli redis -h cache get key | grep -qx value
    docker run --rm --runtime=sandboxd --network data --entrypoint python3 python -c 'import socket; s = socket.create_connection(("db", 5432)); s.send(b"\0\0\0\10\4\322\26\57"); print(s.recv(1))' | grep -q N
    docker restart -t 10 db cache
    eventually ready
    echo 'SELECT count(*) FROM t' | psql | grep -qx 1000
    eventually docker exec cache redis-cli ping
    docker exec cache redis-cli get key | grep -qx value
    denied db sh -c 'echo x > /etc/passwd'
    denied db sh -c 'echo x > /usr/bin/new'
    denied cache python3 -c 'import socket; socket.create_connection(("8.8.8.8", 80))'
    denied cache python3 -c 'import socket; socket.create_server(("0.0.0.0", 80))'
    docker rm -f db cache
    docker volume rm pg cache
    docker network rm data
}

@test "container-untrusted: a script works in its temporary folder, and neither changes the image nor talks to anybody" {
    docker run -d --name script --runtime=untrusted --entrypoint sleep python 1000
    # All that the whole job does works, but for what it tries to change.
    run docker exec script python3 /job/python.py
    [ "$status" -eq 5 ]
    [[ $output == *"sqlite (1000, 500500"* ]]
    [[ $output == *"open /usr/new Permission denied"* || $output == *"open /usr/new Read-only file system"* ]]
    run docker exec script sh -c 'echo x > /root/file && cat /root/file'
    [ "$output" = x ]
    denied script sh -c 'echo x > /etc/passwd'
    denied script sh -c 'echo x > /job/python.py'
    denied script python3 -c 'import socket; socket.create_connection(("172.17.0.1", 80))'
    denied script python3 -c 'import socket; socket.create_connection(("8.8.8.8", 80))'
    denied script python3 -c 'import socket; socket.create_server(("0.0.0.0", 8000))'
    denied script python3 -c 'import ctypes, os; c = ctypes.CDLL(None, use_errno=True); r = c.ptrace(16, os.getppid(), 0, 0); print(os.strerror(ctypes.get_errno())); exit(r != 0)'
}
