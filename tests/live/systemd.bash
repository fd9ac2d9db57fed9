# A real systemd for the tests of a bats file, booted on an overlay of this machine's tree: what is built and installed here is there, what is done
# there is gone afterwards. After `load lib`: `load systemd`, boot_systemd in setup_file and end_systemd in teardown_file.
#
# Programs in it see its control groups (version 2), its network (a loopback of its own), its processes. Nothing is enabled: tests start what they
# need. The checkout is at its path there; /tmp and /run are its own.

# systemd_absent: why none can be booted here, or nothing.
systemd_absent() {
    local program
    [ "$EUID" -eq 0 ] || { echo "a systemd can only be booted by root"; return; }
    for program in systemd-nspawn unshare nsenter setpriv dbus-daemon; do
        command -v "$program" > /dev/null || { echo "$program is not installed"; return; }
    done
    [ -x /lib/systemd/systemd ] || { echo "systemd is not installed"; return; }
    unshare --mount --pid --fork --propagation private true 2> /dev/null || echo "no namespaces can be made"
}

# boot_systemd: in setup_file. Where that is not possible, each test of the file is skipped.
boot_systemd() {
    local i
    systemd_missing=$(systemd_absent)
    export systemd_missing systemd_folder='' systemd_leader=''
    [ -z "$systemd_missing" ] || return 0
    systemd_folder=$(mktemp -d "$TMPDIR/systemd.XXXXXX")
    chmod 755 "$systemd_folder"
    # It outlives a signal to the process group of the tests, but not these: then it gets SIGTERM, and cleans up.
    setsid setpriv --pdeathsig TERM unshare --mount --propagation private "$BATS_TEST_DIRNAME/../live/systemd-boot" "$systemd_folder" \
        "$SANDBOXD_SOURCE" "$SANDBOXD_BUILD" < /dev/null > "$systemd_folder/console" 2>&1 3>&- &
    systemd_boot=$!
    export systemd_boot
    for ((i = 0; i < 1200; i++)); do
        [ ! -e "$systemd_folder/leader" ] || break
        if [ -e "$systemd_folder/unable" ]; then
            systemd_missing=$(cat "$systemd_folder/unable")
            end_systemd
            return 0
        fi
        kill -0 "$systemd_boot" 2> /dev/null || break
        sleep 0.05
    done
    if [ -e "$systemd_folder/leader" ]; then
        systemd_leader=$(cat "$systemd_folder/leader")
    fi
    if [ -z "$systemd_leader" ] || ! systemd_is_up; then
        echo "systemd does not boot:"
        cat "$systemd_folder/console" || :
        end_systemd || :
        return 1
    fi >&2
}

systemd_is_up() {
    local i state
    for ((i = 0; i < 600; i++)); do
        # It can't be asked before it listens.
        state=$(enter_systemd systemctl is-system-running --wait 2> /dev/null) || :
        case $state in
        running) return 0 ;;
        degraded)
            enter_systemd systemctl --no-pager list-units --failed
            return 1
            ;;
        esac
        kill -0 "$systemd_boot" || return 1
        sleep 0.1
    done
    return 1
}

# end_systemd: in teardown_file.
end_systemd() {
    [ -n "${systemd_folder:-}" ] || return 0
    kill "$systemd_boot" 2> /dev/null || :
    wait "$systemd_boot" 2> /dev/null || :
    if [ -e "$systemd_folder" ]; then
        echo "$systemd_folder is left"
        return 1
    fi
}

# For each test of a file that needs a systemd; where the file has a setup_test of its own, that has to say this.
need_systemd() {
    [ -z "$systemd_missing" ] || skip "$systemd_missing"
}

setup_test() {
    need_systemd
}

# ---- In it ----

# enter_systemd COMMAND…: in its namespaces and with an environment of its own, but in no control group of its: enough to ask it something.
enter_systemd() {
    timeout --kill-after=5 "${systemd_limit:-120}" nsenter --target "$systemd_leader" --all -- env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 SANDBOXD_TEST_RUN="${SANDBOXD_TEST_RUN:-}" "$@" 3>&-
}

# inside_systemd COMMAND…: as root in /, in a scope of its own. Input, output and exit code are the command's; after $systemd_limit seconds (120)
# it is killed, and the code is 124.
inside_systemd() {
    enter_systemd systemd-run --scope --quiet --collect --working-directory=/ -- "$@"
}

# inside_systemd_as USER COMMAND…: as somebody who has an account in it.
inside_systemd_as() {
    local user=$1
    shift
    inside_systemd setpriv --reuid="$user" --regid="$user" --init-groups --reset-env -- "$@"
}

# put_inside PATH [MODE]: writes a file from standard input, of mode 644.
put_inside() {
    enter_systemd install -D -m "${2:-644}" /dev/stdin "$1"
}

# unit NAME: the unit of this name is what standard input says.
unit() {
    put_inside "/etc/systemd/system/$1"
    enter_systemd systemctl daemon-reload
}

# unit_property UNIT NAME
unit_property() {
    enter_systemd systemctl show --value --property "$2" "$1"
}

unit_pid() {
    unit_property "$1" MainPID
}

# start_unit UNIT…: starts it, and says what was wrong when that fails.
start_unit() {
    enter_systemd systemctl start "$@" || {
        enter_systemd systemctl --no-pager --lines=0 status "$@" || :
        journal "$@"
        return 1
    }
}

# unit_becomes UNIT STATE: waits until it is active, inactive, failed…
unit_becomes() {
    local i
    for ((i = 0; i < 300; i++)); do
        [ "$(unit_property "$1" ActiveState)" != "$2" ] || return 0
        sleep 0.1
    done
    echo "$1 does not become $2:"
    journal "$1"
    return 1
}

# journal UNIT…: what they and systemd about them have said.
journal() {
    enter_systemd journalctl --sync
    enter_systemd journalctl --no-pager --quiet --output=cat "${@/#/--unit=}"
}

# install_project [BUILD]: installs a build whose prefix is /usr, as `meson install` does it on a machine.
install_project() {
    local build=${1:-$SANDBOXD_SOURCE/build-system}
    [ -e "$build/build.ninja" ] || { echo "$build has not been built"; return 1; }
    inside_systemd meson install --no-rebuild --quiet -C "$build"
    enter_systemd systemctl daemon-reload
}
