# Real services of the systemd of systemd.bash. For each there is prepare_NAME, which makes what it serves (and its unit), and check_NAME, which
# starts, uses, reloads, restarts and stops it. What is done to the unit in between must not make a difference.

# shows WORD COMMAND…: the command prints just this, inside, sooner or later.
shows() {
    local i word=$1 got
    shift
    for ((i = 0; i < 150; i++)); do
        got=$(enter_systemd "$@" 2>&1) || :
        [ "$got" != "$word" ] || return 0
        sleep 0.1
    done
    echo "$*: '$got', not '$word'"
    return 1
}

# stops UNIT: it is stopped as it should be: nothing of it is left, and systemd finds nothing wrong.
stops() {
    local pid
    pid=$(unit_pid "$1")
    enter_systemd systemctl stop "$1"
    [ "$(unit_property "$1" ActiveState)" = inactive ]
    [ "$(unit_property "$1" Result)" = success ]
    run enter_systemd kill -0 "$pid"
    [ "$status" -ne 0 ]
}

# restarts UNIT: it is another process afterwards.
restarts() {
    local pid
    pid=$(unit_pid "$1")
    enter_systemd systemctl restart "$1"
    [ "$(unit_property "$1" ActiveState)" = active ]
    [ "$(unit_pid "$1")" -gt 0 ]
    [ "$(unit_pid "$1")" != "$pid" ]
}

# ---- nginx.service: Type=forking with a PIDFile, workers of another user ----

# nginx_site WORD: says the word in a header.
nginx_site() {
    put_inside /etc/nginx/sites-enabled/default << EOF
server { listen 127.0.0.1:80; root /srv/site; add_header X-Site $1; }
EOF
}

nginx_header() {
    enter_systemd curl -sS --max-time 20 -o /dev/null -w '%header{x-site}' http://127.0.0.1/1.txt
}

prepare_nginx() {
    need_command nginx curl
    # shellcheck disable=SC2016
    enter_systemd sh -ec '
        rm -rf /etc/nginx/sites-enabled/* /etc/nginx/conf.d/*
        mkdir -p /srv/site
        for i in $(seq 200); do echo "file number $i" > /srv/site/$i.txt; done
        head -c 300000 /dev/urandom > /srv/site/200.txt'
    nginx_site first
}

check_nginx() {
    local pid
    nginx_site first
    start_unit nginx
    pid=$(unit_pid nginx)
    [ "$(enter_systemd cat /run/nginx.pid)" = "$pid" ]
    [ "$(nginx_header)" = first ]
    # shellcheck disable=SC2016
    inside_systemd sh -ec '
        cd "$(mktemp -d)"
        curl -sSf --max-time 100 --parallel "http://127.0.0.1/[1-200].txt" -o "#1.txt"
        diff -r . /srv/site
        rm -r "$PWD"'
    nginx_site second
    enter_systemd systemctl reload nginx
    shows second curl -sS --max-time 20 -o /dev/null -w '%header{x-site}' http://127.0.0.1/1.txt
    [ "$(unit_pid nginx)" = "$pid" ]
    restarts nginx
    [ "$(nginx_header)" = second ]
    stops nginx
    run enter_systemd curl -s --max-time 20 http://127.0.0.1/1.txt
    [ "$status" -eq 7 ]
}

# ---- redis-server.service: Type=notify, a user of its own, a view that its unit makes ----

prepare_redis() {
    need_command redis-server redis-cli
}

redis() {
    enter_systemd redis-cli "$@"
}

check_redis() {
    start_unit redis-server
    [ "$(redis ping)" = PONG ]
    [ "$(enter_systemd stat -c %U "/proc/$(unit_pid redis-server)")" = redis ]
    [ "$(redis set kept "value $$")" = OK ]
    # It saves in a child, and writes to its folder.
    [ "$(redis bgsave)" = "Background saving started" ]
    shows 0 sh -c 'redis-cli info persistence | tr -d "\r" | sed -n s/^rdb_bgsave_in_progress://p'
    restarts redis-server
    [ "$(redis get kept)" = "value $$" ]
    stops redis-server
    run redis ping
    [ "$status" -ne 0 ]
}

# ---- ssh.service: sessions of users, with sudo in them ----

prepare_ssh() {
    need_command sshd ssh sudo useradd
    enter_systemd sh -ec '
        useradd --create-home --shell /bin/bash visitor
        install -d -m 700 -o visitor -g visitor /home/visitor/.ssh
        ssh-keygen -q -t ed25519 -N "" -f /root/visitor
        ssh-keygen -q -A
        install -m 600 -o visitor -g visitor /root/visitor.pub /home/visitor/.ssh/authorized_keys'
    put_inside /etc/sudoers.d/visitor 440 <<< 'visitor ALL=(ALL) NOPASSWD: ALL'
}

visit() {
    enter_systemd ssh -i /root/visitor -o BatchMode=yes -o ConnectTimeout=30 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR visitor@127.0.0.1 "$@"
}

check_ssh() {
    local pid
    start_unit ssh
    [ "$(visit 'id -un')" = visitor ]
    [ "$(visit 'sudo -n true && sudo -n id -u')" = 0 ]
    [ "$(visit cat < "$BATS_TEST_FILENAME" | sha256sum)" = "$(sha256sum < "$BATS_TEST_FILENAME")" ]
    run visit 'exit 9'
    [ "$status" -eq 9 ]
    # A session outlives a reload and a restart of the service (KillMode=process).
    visit 'touch /tmp/visit; while [ -e /tmp/visit ]; do sleep 0.1; done; echo ended' > "$work/visit" &
    started=$!
    background+=("$started")
    eventually enter_systemd test -e /tmp/visit
    pid=$(unit_pid ssh)
    enter_systemd systemctl reload ssh
    [ "$(unit_pid ssh)" = "$pid" ]
    eventually visit true
    restarts ssh
    enter_systemd rm /tmp/visit
    ended "$started" 300
    wait "$started"
    [ "$(cat "$work/visit")" = ended ]
    [ "$(visit 'sudo -n id -u')" = 0 ]
    stops ssh
    run visit true
    [ "$status" -eq 255 ]
}

# ---- What service.py does ----

# ask PORT QUESTION…
ask() {
    local port=$1
    shift
    # shellcheck disable=SC2016
    enter_systemd bash -c 'exec 4<> "/dev/tcp/127.0.0.1/$0" && echo "$*" >&4 && read -r -t 30 answer <&4 && echo "$answer"' "$port" "$@"
}

# test_unit NAME PORT LINE…: a unit that runs service.py, with these lines.
test_unit() {
    local name=$1 port=$2
    shift 2
    put_inside /usr/local/lib/service.py 755 < "$BATS_TEST_DIRNAME/../live/service.py"
    printf '%s\n' '[Service]' "ExecStart=/usr/local/lib/service.py $port" 'Type=notify' 'LimitCORE=0' "$@" | unit "$name.service"
}

prepare_notify() {
    # shellcheck disable=SC2016
    test_unit test-notify 7001 'ExecReload=/bin/kill -HUP $MAINPID' 'ExecStartPre=/bin/touch /run/before' 'ExecStopPost=/bin/rm /run/before' \
        'Environment=WORD=said'
}

check_notify() {
    local pid
    start_unit test-notify
    # It had said so before the start was over.
    [ "$(unit_property test-notify StatusText)" = ready ]
    enter_systemd test -e /run/before
    pid=$(unit_pid test-notify)
    [ "$(ask 7001 pid)" = "$pid" ]
    [ "$(ask 7001 environment WORD)" = said ]
    enter_systemd systemctl reload test-notify
    shows 'reloaded 1' systemctl show --value --property StatusText test-notify
    [ "$(ask 7001 reloads)" = 1 ]
    [ "$(unit_pid test-notify)" = "$pid" ]
    restarts test-notify
    [ "$(ask 7001 reloads)" = 0 ]
    stops test-notify
    run enter_systemd test -e /run/before
    [ "$status" -ne 0 ]
}

prepare_socket() {
    test_unit test-socket '' 'Restart=no'
    printf '%s\n' '[Socket]' ListenStream=127.0.0.1:7002 | unit test-socket.socket
}

check_socket() {
    local pid
    start_unit test-socket.socket
    [ "$(unit_property test-socket ActiveState)" = inactive ]
    pid=$(ask 7002 pid)
    [ "$(unit_pid test-socket)" = "$pid" ]
    stops test-socket
    # The socket is still there, and starts another.
    [ "$(ask 7002 pid)" != "$pid" ]
    enter_systemd systemctl stop test-socket.socket test-socket
    run ask 7002 pid
    [ "$status" -ne 0 ]
}

prepare_dynamic() {
    test_unit test-dynamic 7003 DynamicUser=yes StateDirectory=test-dynamic
}

check_dynamic() {
    local uid
    start_unit test-dynamic
    uid=$(ask 7003 uid)
    [ "$uid" -ge 61184 ]
    [ "$uid" -le 65519 ]
    [ "$(enter_systemd stat -c %u "/proc/$(unit_pid test-dynamic)")" = "$uid" ]
    [ "$(ask 7003 count)" = 1 ]
    restarts test-dynamic
    [ "$(ask 7003 count)" = 2 ]
    stops test-dynamic
    enter_systemd systemctl clean --what=state test-dynamic
}

prepare_watchdog() {
    test_unit test-watchdog 7004 WatchdogSec=5 Restart=on-failure RestartSec=0
}

check_watchdog() {
    local pid
    start_unit test-watchdog
    pid=$(ask 7004 pid)
    [ "$(ask 7004 hang)" = hangs ]
    shows 1 systemctl show --value --property NRestarts test-watchdog
    unit_becomes test-watchdog active
    [ "$(ask 7004 pid)" != "$pid" ]
    [[ "$(journal test-watchdog)" == *"Watchdog timeout"* ]]
    stops test-watchdog
}

prepare_store() {
    test_unit test-store 7005 FileDescriptorStoreMax=4 Restart=always RestartSec=0
}

check_store() {
    local pid
    start_unit test-store
    pid=$(unit_pid test-store)
    [ "$(ask 7005 kept)" = '' ]
    [ "$(ask 7005 keep "text $$")" = stored ]
    shows 1 systemctl show --value --property NFileDescriptorStore test-store
    enter_systemd kill -KILL "$pid"
    shows 1 systemctl show --value --property NRestarts test-store
    unit_becomes test-store active
    [ "$(ask 7005 pid)" != "$pid" ]
    [ "$(ask 7005 kept)" = "text $$" ]
    stops test-store
}
