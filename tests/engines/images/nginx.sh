#!/bin/sh
# A web server with its logs, a proxy in front of another server, uploads, and a reload.
set -u
mkdir -p /tmp/www /tmp/n
echo hello > /tmp/www/index.html
head -c 3000000 /dev/zero > /tmp/www/large
user=$([ "$(id -u)" = 0 ] && echo 'user www-data;')
cat > /tmp/nginx.conf << CONF
$user
worker_processes 2;
pid /tmp/n/pid;
error_log /tmp/n/error.log;
events {}
http {
    access_log /tmp/n/access.log;
    client_body_temp_path /tmp/n/body;
    proxy_temp_path /tmp/n/proxy;
    fastcgi_temp_path /tmp/n/f;
    uwsgi_temp_path /tmp/n/u;
    scgi_temp_path /tmp/n/s;
    sendfile on;
    client_max_body_size 10m;
    server { listen 8080; listen unix:/tmp/n/sock; root /tmp/www; autoindex on; location /up { proxy_pass http://127.0.0.1:8081/; } location /dir { alias /tmp/www/; } }
    server { listen 8081; location / { return 200 "upstream"; } }
}
CONF
nginx -c /tmp/nginx.conf -g 'daemon on;' || exit 1
curl -s http://127.0.0.1:8080/
curl -s http://127.0.0.1:8080/large | wc -c
curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/nothing
curl -s -X POST --data-binary @/tmp/www/large http://127.0.0.1:8080/up
curl -s --unix-socket /tmp/n/sock http://x/ -I | grep -c 200
nginx -c /tmp/nginx.conf -s reload 2> /dev/null
for i in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:8080/ & done | sort | uniq -c
wait
nginx -c /tmp/nginx.conf -t 2>&1 | tail -1
nginx -c /tmp/nginx.conf -s quit 2> /dev/null
i=0
while [ -e /tmp/n/pid ] && [ $((i += 1)) -lt 100 ]; do sleep 0.1; done
grep -c 'open() "/tmp/www/nothing" failed' /tmp/n/error.log
exit 4
