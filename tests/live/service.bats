# Services of a real systemd behind the broker, in place: they do what they do unwrapped (services.bash), and the policy holds for them.

load lib
load systemd
load services

setup_file() {
    boot_systemd
    [ -n "$systemd_missing" ] || install_project
}

teardown_file() {
    end_systemd
}

# A policy of the administrator's.
setup_test() {
    need_systemd
    put_inside /etc/sandboxd/policies/secretive.yaml << 'EOF'
version: 1
extends: [service]
files: { deny: [/srv/secret] }
EOF
}

service() {
    inside_systemd sandboxctl service "$@"
}

# wrap [OPTION…] UNIT
wrap() {
    service wrap "$@"
    [ "$(status_of "${*: -1}" wrapped)" = true ]
    [ "$(status_of "${*: -1}" current)" = true ]
}

# status_of UNIT KEY: of the JSON that `service status` writes; KEY may be counters.NAME.
status_of() {
    service status --json "$1" | /usr/bin/python3 -c '
import functools, json, sys
print(json.dumps(functools.reduce(lambda o, key: o[key], sys.argv[1].split("."), json.load(sys.stdin))).strip("\""))' "$2"
}

# is_behind UNIT: the kernel and sandboxd say so, and the broker has answered something of it.
is_behind() {
    local pid
    pid=$(unit_pid "$1")
    [ "$pid" -gt 0 ]
    enter_systemd grep -qx $'Seccomp:\t2' "/proc/$pid/status"
    [ "$(status_of "$1" behind)" = true ]
    [ "$(status_of "$1" counters.notified)" -gt 0 ]
}

# starts_behind UNIT: what check_NAME has left stopped.
starts_behind() {
    start_unit "$1"
    is_behind "$1"
    enter_systemd systemctl stop "$1"
}

# snapshot UNIT: all that its files and systemd say of it.
snapshot() {
    enter_systemd sh -c 'cd /etc/systemd/system && find . -type f -exec sha256sum {} + | sort; find . | sort'
    enter_systemd systemctl cat "$1"
    enter_systemd systemctl show "$1" --property=ExecStart,ExecStartPre,ExecReload,ExecStop,After,Wants,User,CapabilityBoundingSet,NoExecPaths \
        --property=ExecPaths,SystemCallFilter,PrivateUsers | sed -E 's/start_time=.*$//' | tr -s ' =' '\n' | sort
}

# served NAME UNIT [OPTION…]: a service is prepared, wrapped with these options, checked, and unwrapped without a trace.
served() {
    local name=$1 unit=$2
    shift 2
    "prepare_$name"
    snapshot "$unit" > before
    wrap "$@" "$unit"
    "check_$name"
    [ "$name" = socket ] || starts_behind "$unit"
    service unwrap "$unit"
    snapshot "$unit" > after
    diff before after
}

@test "nginx.service serves, reloads, restarts and stops wrapped" { served nginx nginx; }
@test "ssh.service has sessions wrapped, with sudo inside" { served ssh ssh; }
@test "Type=notify, wrapped" { served notify test-notify; }
@test "DynamicUser=, wrapped" { served dynamic test-dynamic; }
@test "a watchdog, wrapped" { served watchdog test-watchdog; }
@test "a store of file descriptors, wrapped" { served store test-store; }

@test "socket activation, wrapped" {
    served socket test-socket
    wrap test-socket
    start_unit test-socket.socket
    [ "$(ask 7002 pid)" = "$(unit_pid test-socket)" ]
    is_behind test-socket
    enter_systemd systemctl stop test-socket.socket test-socket
    service unwrap test-socket
}

@test "redis-server.service forbids it by three lines, which are said, and overridden with --relax" {
    prepare_redis
    snapshot redis-server > before
    run service wrap redis-server
    echo "$output"
    [ "$status" -eq 125 ]
    [[ "$output" == *"/redis-server.service:"*": NoExecPaths=/: "* ]]
    [[ "$output" == *"/redis-server.service:"*": PrivateUsers=true: "* ]]
    [[ "$output" == *"/redis-server.service:"*": SystemCallFilter="*seccomp* ]]
    [[ "$output" == *--relax* ]]
    snapshot redis-server | diff before -
    served redis redis-server --relax
}

# ---- Whom and what a program finds itself to be ----

# A program that writes all that it got to a file that is named by its first word.
make_reporter() {
    put_inside /usr/local/lib/report.py 755 << 'EOF'
#!/usr/bin/python3 -IS
import os, re, sys
where = sys.argv[1]
status = open("/proc/self/status").read()
wanted = "Uid Gid Groups Umask SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs".split()
lines = [f"word {word!r}" for word in sys.argv[1:]]
lines += [line for line in status.splitlines() if line.split(":")[0] in wanted]
own = {"INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "SYSTEMD_EXEC_PID", "LISTEN_PID", "WATCHDOG_PID", "EXIT_STATUS"}
lines += sorted(f"{k}={'own' if v == str(os.getpid()) else '' if k in own else v}" for k, v in os.environ.items())
lines += [f"fd {fd} {re.sub('[0-9]+', 'N', os.readlink(f'/proc/self/fd/{fd}'))}" for fd in "0123456789" if os.path.exists(f"/proc/self/fd/{fd}")]
lines += [f"cwd {os.getcwd()}"] + open("/proc/self/limits").read().splitlines()
if "CREDENTIALS_DIRECTORY" in os.environ:
    lines += [f"credential {name}" for name in os.listdir(os.environ["CREDENTIALS_DIRECTORY"])]
with open(where, "a") as file:
    file.write("\n".join(lines) + "\n--\n")
EOF
    enter_systemd sh -ec 'mkdir -p /srv/report; chmod 1777 /srv/report
        id reporter > /dev/null 2>&1 || { groupadd extra; groupadd listed; useradd --groups listed reporter; }'
    put_inside /etc/report.env <<< 'FROM_FILE="a file"'
}

# reports NAME: what a unit's programs write in one start, one reload and one stop.
reports() {
    enter_systemd rm -rf "/srv/report/$1"
    enter_systemd install -d -m 1777 "/srv/report/$1"
    start_unit "$1"
    enter_systemd systemctl reload "$1"
    enter_systemd systemctl stop "$1"
    enter_systemd sh -c 'cd "/srv/report/$0" && for i in *; do echo "== $i"; cat "$i"; done' "$1"
}

# same_reports NAME: unwrapped and wrapped they are the same.
same_reports() {
    reports "$1" > plain
    [ "$(grep -c '^Uid:' plain)" -eq 11 ]
    wrap "$1"
    reports "$1" > wrapped
    # A dynamic user's number may be another each time.
    diff <(sed -E 's/\b6[0-9]{4}\b/N/g' plain) <(sed -E 's/\b6[0-9]{4}\b/N/g' wrapped)
    service unwrap "$1"
}

# reporter NAME LINE…: a unit whose lines have all that systemd lets them have.
reporter() {
    local name=$1 program=/usr/local/lib/report.py
    shift
    # shellcheck disable=SC2016
    printf '%s\n' '[Service]' Type=oneshot RemainAfterExit=yes 'Environment="WORDS=two words" DOLLAR=$5' EnvironmentFile=/etc/report.env \
        "ExecStartPre=-$program /srv/report/$name/pre %n %i %% \"a  b\" 'c\\x41' \$WORDS \${WORDS}" \
        "ExecStart=@$program argv-zero /srv/report/$name/start \$\$DOLLAR ; $program /srv/report/$name/second \\; x" \
        "ExecStart=:$program /srv/report/$name/verbatim \$WORDS \\" '# a comment' '    "and on"' \
        "ExecStart=+$program /srv/report/$name/full" "ExecStart=!$program /srv/report/$name/root" \
        ExecStart=-/usr/bin/false "ExecStart=\"$program\" /srv/report/$name/quoted" \
        "ExecStartPost=$program /srv/report/$name/started" "ExecReload=$program /srv/report/$name/reload" \
        "ExecStop=$program /srv/report/$name/stop" "ExecStopPost=$program /srv/report/$name/stopped \$SERVICE_RESULT" "$@" | unit "$name.service"
}

@test "words, environment, ids, capabilities, descriptors and limits are what they were: of root" {
    make_reporter
    reporter report-root LimitNOFILE=1234 UMask=027 IgnoreSIGPIPE=no WorkingDirectory=/usr
    same_reports report-root
}

@test "… of root with few capabilities" {
    make_reporter
    reporter report-few 'CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE'
    same_reports report-few
}

@test "… of an ordinary user" {
    make_reporter
    reporter report-user User=reporter SupplementaryGroups=extra SetCredential=secret:word
    same_reports report-user
}

@test "… of one with other capabilities and another group" {
    make_reporter
    reporter report-other User=reporter Group=extra AmbientCapabilities=CAP_NET_BIND_SERVICE \
        'CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_CHOWN'
    same_reports report-other
}

@test "… of one with NoNewPrivileges= and a view of its own" {
    make_reporter
    reporter report-bound User=reporter NoNewPrivileges=yes PrivateTmp=yes ProtectSystem=full 'RestrictAddressFamilies=AF_UNIX AF_INET'
    same_reports report-bound
}

@test "… of a dynamic one" {
    make_reporter
    reporter report-dynamic DynamicUser=yes ReadWritePaths=/srv/report
    same_reports report-dynamic
}

# ---- The policy ----

secretive() {
    enter_systemd sh -ec 'mkdir -p /srv/secret /srv/open; echo word > /srv/secret/file; echo word > /srv/open/file'
    test_unit test-reads 7010 "$@"
    wrap --policy secretive test-reads
    start_unit test-reads
    is_behind test-reads
}

@test "a denied file is EACCES for a wrapped service, and counted" {
    local denied
    secretive
    [ "$(ask 7010 read /srv/open/file)" = word ]
    denied=$(status_of test-reads counters.denied)
    [ "$(ask 7010 read /srv/secret/file)" = EACCES ]
    [ "$(status_of test-reads counters.denied)" -gt "$denied" ]
    [[ "$(service status test-reads)" == *"behind the broker"* ]]
    [[ "$(service status)" == *test-reads.service*secretive*"behind the broker"* ]]
    [[ "$(inside_systemd sandboxctl ps)" == *test-reads.service*running*service.py* ]]
    [[ "$(inside_systemd setpriv --reuid=65534 --regid=65534 --clear-groups sandboxctl service status test-reads)" == *"only root is told"* ]]
    service unwrap --now test-reads
    [ "$(ask 7010 read /srv/secret/file)" = word ]
    [ "$(status_of test-reads behind)" = false ]
    enter_systemd systemctl stop test-reads
}

@test "examples/systemd: nginx behind a policy of its own, as the README there says" {
    need_command nginx curl
    local line path n=0
    prepare_nginx
    snapshot nginx > before
    put_inside /etc/nginx/sites-enabled/default << 'EOF'
server {
    listen 127.0.0.1:80;
    root /var/www/site;
    client_max_body_size 10m;
    location /kept/ { alias /var/lib/kept/; }
    location /home/ { alias /home/; }
    location /take/ { client_body_buffer_size 8k; proxy_pass http://127.0.0.1:80/page?; proxy_method GET; }
}
EOF
    # All of it anybody may read, and without the policy it is served.
    enter_systemd sh -ec 'mkdir -p /var/www/site /var/lib/kept /home/somebody
        for f in /var/www/site/page /var/lib/kept/page /home/somebody/page; do echo "$f" > "$f"; done; chmod 755 /home/somebody'
    page() { enter_systemd curl -sS --max-time 20 -w '%{http_code}' "http://127.0.0.1/$1"; }
    start_unit nginx
    [ "$(page home/somebody/page)" = $'/home/somebody/page\n200' ]

    sed -n '/^```sh$/,/^```$/{/^```/!p}' "$SANDBOXD_SOURCE/examples/systemd/README.md" > steps
    [ "$(wc -l < steps)" -ge 3 ]
    enter_systemd mkdir -p /root/example
    put_inside /root/example/web.yaml < "$SANDBOXD_SOURCE/examples/systemd/web.yaml"
    put_inside /root/example/steps < steps
    inside_systemd sh -c 'cd /root/example && sh -ex steps' > said 2>&1 || { cat said; return 1; }
    cat said
    grep -q 'behind the broker' said
    enter_systemd systemctl cat nginx > written
    while read -r line; do
        [ "$line" != … ] || continue
        n=$((n + 1))
        grep -qxF -e "$line" written || { echo "not in the drop-in: $line"; cat written; return 1; }
    done < <(sed -n '/^```ini$/,/^```$/{/^```/d; /./p}' "$SANDBOXD_SOURCE/examples/systemd/README.md")
    [ "$n" -ge 5 ]

    is_behind nginx
    [ "$(page page)" = $'/var/www/site/page\n200' ]
    [[ "$(page kept/page)" == *403 ]]
    [[ "$(page home/somebody/page)" == *403 ]]
    enter_systemd systemctl reload nginx
    restarts nginx
    [ "$(page page)" = $'/var/www/site/page\n200' ]
    shows yes sh -c 'grep -q "GET /page" /var/log/nginx/access.log && echo yes'
    # What it is sent goes to its own folder in one that is denied.
    enter_systemd sh -c 'head -c 3000000 /dev/zero > /root/sent'
    [ "$(enter_systemd curl -sS --max-time 20 -w '%{http_code}' --data-binary @/root/sent http://127.0.0.1/take/it)" = $'/var/www/site/page\n200' ]
    # Its site and configuration it can't change, though its first process is root.
    for path in /var/www/site/log /etc/nginx/log /opt/log; do
        enter_systemd sed -i "s,^    root .*,    root /var/www/site; access_log $path;," /etc/nginx/sites-enabled/default
        enter_systemd systemctl reload nginx
        shows yes sh -c "grep -q 'open() \"$path\" failed (13: Permission denied)' /var/log/nginx/error.log && echo yes"
        run enter_systemd test -e "$path"
        [ "$status" -eq 1 ]
    done
    enter_systemd sed -i "s,access_log .*;,," /etc/nginx/sites-enabled/default
    service unwrap --now nginx
    [ "$(page home/somebody/page)" = $'/home/somebody/page\n200' ]
    enter_systemd systemctl stop nginx
    enter_systemd rm -r /etc/sandboxd/policies/web.yaml /root/example /var/lib/kept /home/somebody /var/www/site
    nginx_site first
    snapshot nginx > after
    diff before after
}

sandboxd_is_another() {
    [ "$(unit_pid sandboxd)" -gt 0 ] && [ "$(unit_pid sandboxd)" != "$1" ]
}

@test "a wrapped service runs on while sandboxd is killed and restarted" {
    local pid daemon
    secretive
    pid=$(unit_pid test-reads)
    daemon=$(unit_pid sandboxd)
    enter_systemd kill -KILL "$daemon"
    [ "$(ask 7010 read /srv/open/file)" = word ]
    eventually sandboxd_is_another "$daemon"
    [ "$(ask 7010 read /srv/secret/file)" = EACCES ]
    daemon=$(unit_pid sandboxd)
    enter_systemd systemctl restart sandboxd
    [ "$(unit_pid sandboxd)" != "$daemon" ]
    [ "$(ask 7010 read /srv/open/file)" = word ]
    [ "$(ask 7010 read /srv/secret/file)" = EACCES ]
    [ "$(unit_pid test-reads)" = "$pid" ]
    is_behind test-reads
    enter_systemd systemctl stop test-reads
    service unwrap test-reads
}

@test "wrapped services are stopped before sandboxd is, and start it again" {
    local pid
    # Whom systemd spares has no broker afterwards.
    secretive KillMode=process "ExecStartPost=/bin/sh -c 'sleep 4711 &'" 'ExecStop=/bin/touch /run/stopped'
    printf '%s\n' '[Service]' KillMode=mixed "ExecStart=/bin/sh -c 'while :; do mkdir /run/made && rmdir /run/made || echo \"it failed\"; done'" | unit test-makes.service
    wrap test-makes
    start_unit test-makes
    pid=$(unit_pid test-reads)
    enter_systemd pgrep -fx 'sleep 4711'
    enter_systemd systemctl stop sandboxd
    run enter_systemd kill -0 "$pid"
    [ "$status" -ne 0 ]
    # The kernel says that it is gone when it begins to take it apart.
    eventually enter_systemd sh -c '! pgrep -fx "sleep 4711"'
    enter_systemd rm /run/stopped
    [ "$(journal test-reads sandboxd | grep 'Deactivated successfully' | tail -2)" = \
        $'test-reads.service: Deactivated successfully.\nsandboxd.service: Deactivated successfully.' ]
    # Nobody has been without an answer.
    journal test-makes
    [[ "$(journal test-makes)" != *"it failed"* ]]
    [[ "$(journal test-makes)" != *"not implemented"* ]]
    start_unit test-reads
    is_behind test-reads
    enter_systemd systemctl stop test-reads
    service unwrap test-reads
    service unwrap test-makes
}

@test "without sandboxd a wrapped service doesn't start, and says so" {
    secretive
    enter_systemd systemctl stop test-reads sandboxd.socket sandboxd.service
    enter_systemd systemctl mask --runtime sandboxd.service sandboxd.socket
    run enter_systemd systemctl start test-reads
    enter_systemd systemctl unmask --runtime sandboxd.service sandboxd.socket
    [ "$status" -ne 0 ]
    [[ "$(journal test-reads)" == *"no sandboxd listens on /run/sandboxd/control"* ]]
    enter_systemd systemctl reset-failed test-reads
    enter_systemd systemctl start sandboxd.socket
    service unwrap test-reads
}

# ---- What is refused ----

# refuses TEXT WORD…: the command fails with this text.
refuses() {
    local text=$1
    shift
    run service "$@"
    echo "$output"
    [ "$status" -eq 125 ]
    [[ "$output" == *"$text"* ]]
}

@test "what can't be wrapped is said, and nothing is changed" {
    test_unit test-plain 7011
    enter_systemd find /etc/systemd > before
    refuses 'no unit test-none.service' wrap test-none
    refuses 'is no service' wrap sandboxd.socket
    refuses "can't be behind itself" wrap sandboxd
    refuses "isn't wrapped" unwrap test-plain
    refuses none-such wrap --policy none-such test-plain
    refuses "whole path" wrap --policy ./some.yaml test-plain
    refuses "starts before sandboxd can" wrap systemd-journald
    refuses "is a template" wrap user@.service
    enter_systemd find /etc/systemd | diff before -
    run inside_systemd setpriv --reuid=65534 --regid=65534 --clear-groups sandboxctl service wrap test-plain
    [ "$status" -eq 125 ]
    [[ "$output" == *"only root"* ]]
    wrap test-plain
    refuses "wrapped already" wrap test-plain
    service unwrap test-plain
    enter_systemd find /etc/systemd | diff before -
}

@test "lines that stand against it are said by file and number" {
    test_unit test-lines 7012 InaccessiblePaths=/run/sandboxd RestrictAddressFamilies=AF_INET
    refuses "/etc/systemd/system/test-lines.service:5: InaccessiblePaths=/run/sandboxd: " wrap test-lines
    refuses "/etc/systemd/system/test-lines.service:6: RestrictAddressFamilies=AF_INET: " wrap test-lines
    test_unit test-lines 7012 SystemCallFilter=~seccomp
    refuses "/etc/systemd/system/test-lines.service:5: SystemCallFilter=~seccomp: " wrap test-lines
    # What is said on standard error stays there.
    service wrap --relax --json test-lines > said
    /usr/bin/python3 -c 'import json; assert json.load(open("said")) == {"unit": "test-lines.service", "wrapped": True,
        "drop-in": "/etc/systemd/system/test-lines.service.d/zz-sandboxd.conf", "restarted": False}'
    start_unit test-lines
    is_behind test-lines
    service unwrap --now --json test-lines > said
    /usr/bin/python3 -c 'import json; said = json.load(open("said")); assert not said["wrapped"] and said["restarted"]'
    enter_systemd systemctl stop test-lines
    test_unit test-lines 7012 RootDirectory=/srv
    refuses RootDirectory=/srv wrap --relax test-lines
}

@test "status tells a drop-in that is out of date; one that another file overrides is not left" {
    test_unit test-later 7013
    wrap test-later
    test_unit test-later 7014
    [ "$(status_of test-later current)" = false ]
    [[ "$(service status test-later)" == *"out of date"* ]]
    service unwrap test-later
    put_inside /etc/systemd/system/test-later.service.d/zzz.conf << 'EOF'
[Service]
ExecStart=
ExecStart=/usr/local/lib/service.py 7015
EOF
    refuses "doesn't prevail" wrap test-later
    [ "$(status_of test-later wrapped)" = false ]
    enter_systemd rm -r /etc/systemd/system/test-later.service.d
}
