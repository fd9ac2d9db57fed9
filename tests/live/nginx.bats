# nginx serves 1,000 files: to curl and wrk outside, on the host's network, and inside, on the sandbox's own loopback.

load lib

setup_file() {
    site=$(mktemp -d "$TMPDIR/nginx.XXXXXX")
    export site
    mkdir "$site/files"
    local i
    for i in $(seq 1 1000); do
        printf 'file number %d\n' "$i" "$((i * i))" > "$site/files/$i.txt"
    done
    head -c 300000 /dev/urandom > "$site/files/1000.txt"
    chmod -R go+rX "$site"
    (cd "$site/files" && sha256sum -- *.txt) > "$site/sums"
}

teardown_file() {
    rm -rf "$site"
}

# configuration WHO PORT: in the current directory. One process and, as root, root itself, so that no user is changed.
configuration() {
    local user=''
    [ "$1" != root ] || user='user root root;'
    mkdir -p server
    cat > server/nginx.conf << EOF
daemon off;
master_process off;
$user
pid $PWD/server/nginx.pid;
error_log $PWD/server/error.log;
events { worker_connections 256; }
http {
    access_log $PWD/server/access.log;
    client_body_temp_path $PWD/server/body;
    proxy_temp_path $PWD/server/proxy;
    fastcgi_temp_path $PWD/server/fastcgi;
    uwsgi_temp_path $PWD/server/uwsgi;
    scgi_temp_path $PWD/server/scgi;
    sendfile on;
    server { listen 127.0.0.1:$2; root $site/files; }
}
EOF
    give "$1" server
    # All files in one run of curl; each is written under its own name.
    for i in $(seq 1 1000); do
        echo "url = \"http://127.0.0.1:$2/$i.txt\""
        echo "output = \"$i.txt\""
    done > requests
}

outside() {
    local port
    need_command nginx curl wrk
    folder "$1"
    port=$(free_port)
    configuration "$1" "$port"
    start_sandbox "$1" "$2" nginx --set port="$port" --read "$site" --write "$PWD/server" --stats "$work/$1/stats" -- nginx -e "$PWD/server/error.log" -c "$PWD/server/nginx.conf"
    eventually curl -sf "http://127.0.0.1:$port/1.txt" || {
        cat "$work/out" "$work/err" server/error.log
        return 1
    }
    mkdir got
    (cd got && curl -sf --parallel --parallel-max 20 -K ../requests && sha256sum -- *.txt) > sums
    diff "$site/sums" sums
    wrk -t1 -c16 -d2s "http://127.0.0.1:$port/7.txt" > wrk.out
    grep -E 'Requests/sec' wrk.out
    run grep -E 'Socket errors|Non-2xx' wrk.out
    [ "$status" -eq 1 ]
    kill -TERM "$started"
    ended "$started"
    [ -s server/access.log ]
}

@test "to curl and wrk outside: user, view" { outside user view; }
@test "to curl and wrk outside: user, broker" { outside user broker; }
@test "to curl and wrk outside: root, view" { outside root view; }
@test "to curl and wrk outside: root, broker" { outside root broker; }

inside() {
    need_command nginx curl wrk
    folder "$1"
    configuration "$1" 8080
    mkdir got
    give "$1" got
    sandbox "$1" "$2" nginx,shell --net none --set port=8080 --read "$site" --write "$PWD" --quiet -- bash -c '
        set -e
        nginx -e "$PWD/server/error.log" -c "$PWD/server/nginx.conf" &
        server=$!
        for i in $(seq 100); do curl -sf http://127.0.0.1:8080/1.txt > /dev/null && break; sleep 0.1; done
        (cd got && curl -sf --parallel --parallel-max 20 -K ../requests)
        wrk -t1 -c16 -d2s http://127.0.0.1:8080/7.txt > wrk.out
        kill $server
        wait $server || :' > out 2>&1 < /dev/null || {
        cat out server/error.log
        return 1
    }
    (cd got && sha256sum -- *.txt) > sums
    diff "$site/sums" sums
    grep -q Requests/sec wrk.out
    run grep -E 'Socket errors|Non-2xx' wrk.out
    [ "$status" -eq 1 ]
    # Nothing of it was to be seen on the host's loopback.
    run curl -s --max-time 1 http://127.0.0.1:8080/1.txt
    [[ $output != *"file number"* ]]
}

@test "on its own loopback: user, view" { inside user view; }
@test "on its own loopback: user, broker" { inside user broker; }
@test "on its own loopback: root, view" { inside root view; }
@test "on its own loopback: root, broker" { inside root broker; }

@test "a port below 1024 that a bind rule names is bound for the sandbox; for an owner without the right the run is refused" {
    need_command nginx curl
    local port=987
    folder root
    configuration root "$port"
    start_sandbox root view nginx --set port="$port" --read "$site" --write "$PWD/server" -- nginx -e "$PWD/server/error.log" -c "$PWD/server/nginx.conf"
    eventually curl -sf "http://127.0.0.1:$port/1.txt"
    kill -TERM "$started"
    ended "$started"
    folder user
    if [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt "$port" ]; then
        run -125 sandbox user view nginx --set port="$port" --chdir / -- echo STARTED
        [[ $output == *"$port"* ]]
        [[ $output != *STARTED* ]]
    fi
}
