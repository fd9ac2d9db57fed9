#!/bin/sh
# A redis, as its image starts it: data in a volume, both ways to save.
set -u
start() {
    redis-server --daemonize yes --dir /data --logfile /data/log --pidfile /tmp/redis.pid --appendonly yes --unixsocket /tmp/redis.sock --bind 127.0.0.1 --save 3600 1 > /dev/null
    i=0
    until redis-cli ping > /dev/null 2>&1 || [ $((i += 1)) -gt 100 ]; do sleep 0.1; done
}
start
redis-cli set key value
seq 1000 | sed 's/.*/rpush list &/' | redis-cli > /dev/null
redis-cli -s /tmp/redis.sock llen list
redis-cli eval 'return redis.call("incrby", KEYS[1], 5)' 1 counter
redis-cli bgrewriteaof > /dev/null
while redis-cli info persistence | grep -q 'aof_rewrite_\(in_progress\|scheduled\):1'; do sleep 0.1; done
redis-cli save
redis-cli shutdown
find /data ! -name log | sort
start
redis-cli get key
redis-cli llen list
redis-cli nonsense
redis-cli shutdown nosave
exit 2
