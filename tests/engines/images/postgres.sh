#!/bin/sh
# What the image of a database does at its first and its second start, as root or as its user.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
export PGDATA=/data/pg
if [ "$(id -u)" = 0 ]; then
    chown postgres /data
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
cd /tmp
start() {
    "$bin/pg_ctl" -s -w -D $PGDATA -l /data/log -o '-c unix_socket_directories=/tmp -c listen_addresses=127.0.0.1' start
}
sql() {
    "$bin/psql" -X -h "$1" -U postgres -v ON_ERROR_STOP=1 -At postgres
}
case ${1:-job} in
job)
    "$bin/initdb" -U postgres -A trust --no-sync > /data/initdb.log
    start
    sql /tmp << 'SQL'
CREATE TABLE goods (id serial PRIMARY KEY, name text NOT NULL, price numeric(10, 2));
INSERT INTO goods (name, price) SELECT 'thing ' || i, i * 1.5 FROM generate_series(1, 5000) i;
CREATE INDEX ON goods (name);
UPDATE goods SET price = price + 1 WHERE id % 2 = 0;
DELETE FROM goods WHERE id > 4000;
VACUUM ANALYZE goods;
SQL
    echo 'SELECT count(*), sum(price) FROM goods' | sql 127.0.0.1
    # Several clients at once, a parallel sort on disk, and a copy through a file.
    for i in 1 2 3 4; do
        echo "BEGIN; INSERT INTO goods (name) VALUES ('client $i'); COMMIT;" | sql /tmp > /dev/null &
    done
    wait
    echo "SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 2; SELECT md5(string_agg(name, ',' ORDER BY md5(name))) FROM goods" | sql /tmp
    echo "COPY goods TO '/tmp/goods'; SELECT count(*) FROM pg_stat_file('/tmp/goods')" | sql /tmp
    wc -l < /tmp/goods
    rm /tmp/goods
    "$bin/pg_ctl" -s -w -m fast stop
    ls $PGDATA/postmaster.pid 2>&1 || :
    start
    # As after a crash: what was written is recovered.
    echo "INSERT INTO goods (name) VALUES ('last')" | sql /tmp
    "$bin/pg_ctl" -s -w -m immediate stop
    start
    echo 'SELECT count(*), max(id) > 5000 FROM goods; SELECT nothing' | sql /tmp || echo "psql: $?"
    "$bin/pg_ctl" -s -w -m fast stop
    exit 3
    ;;
serve)
    [ -e $PGDATA ] || "$bin/initdb" -U postgres -A trust --no-sync > /data/initdb.log
    exec "$bin/postgres" -c unix_socket_directories=/tmp -c listen_addresses='*' -c fsync=off
    ;;
esac
