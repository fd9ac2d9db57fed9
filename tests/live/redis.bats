# redis-server with redis-benchmark: outside on the host's network, inside on the sandbox's own loopback; the data survives a restart.

load lib

requests=2000
tests=ping_mbulk,set,get,incr,lpush,lrange_100,mset

# benchmark_ran FILE: redis-benchmark printed a rate for each test.
benchmark_ran() {
    [ "$(tr '\r' '\n' < "$1" | grep -c 'requests per second')" -ge 7 ] || {
        cat "$1"
        return 1
    }
}

outside() {
    local port
    need_command redis-server redis-benchmark redis-cli
    folder "$1"
    port=$(free_port)
    mkdir data
    give "$1" data
    for round in first second; do
        start_sandbox "$1" "$2" redis --set port="$port" --set data="$PWD/data" --chdir "$PWD/data" -- redis-server --port "$port" --bind 127.0.0.1 --dir "$PWD/data" --save '' --appendonly yes
        eventually redis-cli -p "$port" ping || {
            cat "$work/out" "$work/err"
            return 1
        }
        if [ $round = first ]; then
            redis-benchmark -p "$port" -q -n $requests -c 20 -t "$tests" > benchmark 2>&1
            benchmark_ran benchmark
            [ "$(redis-cli -p "$port" set kept value)" = OK ]
        else
            [ "$(redis-cli -p "$port" get kept)" = value ]
        fi
        redis-cli -p "$port" shutdown save || :
        ends 0
    done
}

@test "with redis-benchmark outside, twice: user, view" { outside user view; }
@test "with redis-benchmark outside, twice: user, broker" { outside user broker; }
@test "with redis-benchmark outside, twice: root, view" { outside root view; }
@test "with redis-benchmark outside, twice: root, broker" { outside root broker; }

inside() {
    need_command redis-server redis-benchmark redis-cli
    folder "$1"
    mkdir data
    give "$1" data
    sandbox "$1" "$2" redis,shell --net none --write "$PWD" --quiet -- bash -c "
        set -e
        redis-server --port 7777 --dir $PWD/data --unixsocket /tmp/redis.sock --save '' > log &
        for i in \$(seq 100); do redis-cli -p 7777 ping > pong 2>&1 && grep -q PONG pong && break; sleep 0.1; done
        redis-benchmark -p 7777 -q -n $requests -c 20 -t $tests
        redis-benchmark -s /tmp/redis.sock -q -n $requests -c 20 -t get
        redis-cli -p 7777 shutdown nosave || :
        wait" > benchmark 2>&1 < /dev/null || {
        cat benchmark log
        return 1
    }
    benchmark_ran benchmark
}

@test "with redis-benchmark on its own loopback and a socket in its /tmp: user, view" { inside user view; }
@test "with redis-benchmark on its own loopback and a socket in its /tmp: user, broker" { inside user broker; }
@test "with redis-benchmark on its own loopback and a socket in its /tmp: root, view" { inside root view; }
@test "with redis-benchmark on its own loopback and a socket in its /tmp: root, broker" { inside root broker; }
