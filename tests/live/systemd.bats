# A real systemd boots, and real services run in it as they are: what tests of wrapped services stand on.

load lib
load systemd
load services

setup_file() {
    boot_systemd
}

teardown_file() {
    end_systemd
}

@test "a command in it has its input, output and exit code, and its own cgroup, processes and network" {
    [ "$(echo in | inside_systemd cat)" = in ]
    [ "$(inside_systemd sh -c 'echo out; echo err >&2' 2>&1)" = $'out\nerr' ]
    run inside_systemd sh -c 'exit 7'
    [ "$status" -eq 7 ]
    run inside_systemd cat /proc/1/comm
    [ "$output" = systemd ]
    [[ "$(inside_systemd grep ^0:: /proc/self/cgroup)" == 0::/system.slice/*.scope ]]
    [ "$(inside_systemd sh -c 'cd /sys/class/net && echo *')" = lo ]
    systemd_limit=1
    run inside_systemd sleep 100
    [ "$status" -eq 124 ]
    systemd_limit=120
    eventually enter_systemd sh -c '! pgrep -x sleep'
}

@test "what is done in it is not done to this machine" {
    inside_systemd touch /etc/sandboxd-test-mark /run/sandboxd-test-mark /tmp/sandboxd-test-mark
    [ ! -e /etc/sandboxd-test-mark ]
    [ ! -e /run/sandboxd-test-mark ]
    [ ! -e /tmp/sandboxd-test-mark ]
    run inside_systemd sh -c 'cat /proc/sys/kernel/pid_max > /proc/sys/kernel/pid_max'
    [ "$status" -ne 0 ]
    [[ "$(cat /proc/self/mountinfo)" != *"$systemd_folder"* ]]
}

@test "a user's manager runs in it" {
    inside_systemd useradd --create-home --uid 4711 manager
    start_unit user@4711
    inside_systemd setpriv --reuid=4711 --regid=4711 --init-groups env XDG_RUNTIME_DIR=/run/user/4711 systemd-run --user --wait --quiet --collect \
        sh -c 'id -u > /home/manager/id'
    [ "$(enter_systemd cat /home/manager/id)" = 4711 ]
    enter_systemd systemctl stop user@4711
}

@test "nothing is left of it when who started it is killed" {
    (
        boot_systemd
        printf '%s\n' "$systemd_folder" "$systemd_boot" "$systemd_leader" > "$work/booted"
        kill -KILL $BASHPID
    ) || :
    local other booter leader
    { read -r other && read -r booter && read -r leader; } < "$work/booted"
    [ "$other" != "$systemd_folder" ]
    ended "$booter" 300
    ended "$leader" 1
    [ ! -e "$other" ]
    run find /sys/fs/cgroup -name "sandboxd-$(basename "$other")"
    [ -z "$output" ]
}

@test "this project is installed in it" {
    install_project
    [[ "$(inside_systemd sandboxctl --version)" == *"0.1.0"* ]]
    inside_systemd test -e /usr/share/sandboxd/policies/shell.yaml
    inside_systemd mkdir -p /srv/somewhere
    [ "$(inside_systemd sh -c 'cd /srv/somewhere && sandboxctl exec --quiet --policy shell -- echo in')" = in ]
}

@test "nginx.service serves, reloads, restarts and stops" { prepare_nginx; check_nginx; }
@test "redis-server.service keeps what it was told over a restart" { prepare_redis; check_redis; }
@test "ssh.service has sessions, with sudo inside, which outlive its restart" { prepare_ssh; check_ssh; }
@test "Type=notify: ready, reload, restart, stop" { prepare_notify; check_notify; }
@test "a socket starts its service" { prepare_socket; check_socket; }
@test "DynamicUser=, with a state that stays" { prepare_dynamic; check_dynamic; }
@test "a watchdog that isn't told ends the service, and it is started again" { prepare_watchdog; check_watchdog; }
@test "a file descriptor in the store survives SIGKILL of its service" { prepare_store; check_store; }
