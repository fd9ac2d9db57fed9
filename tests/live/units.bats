# What is installed for systemd: units, tmpfiles, the catalog; and sandboxd as a service of a real systemd.

load lib
load systemd

setup_file() {
    boot_systemd
}

teardown_file() {
    end_systemd
}

# Only some of the tests need a systemd that runs.
setup_test() {
    :
}

# installed: installs the project below $work/root; $system, $user are the folders of the units there, $catalog is the catalog.
installed() {
    need_command meson systemd-analyze
    root=$work/root
    DESTDIR=$root meson install --no-rebuild --quiet -C "$SANDBOXD_BUILD"
    system=$(dirname "$(find "$root" -path '*/systemd/system/sandboxd.service')")
    user=$(dirname "$(find "$root" -path '*/systemd/user/sandboxd.service')")
    catalog=$(find "$root" -path '*/systemd/catalog/sandboxd.catalog')
}

@test "systemd finds nothing wrong with the units" {
    installed
    # Those that they stand on are not the project's.
    cp /lib/systemd/system/*.target "$system"
    systemd-analyze verify --man=no --recursive-errors=yes --root="$root" sandboxd.service sandboxd.socket sandboxd-agent.socket > said 2>&1 || { cat said; return 1; }
    cat said
    [ ! -s said ]
    cp /usr/lib/systemd/user/*.target "$user"
    # --root isn't heeded for a user's.
    sed -i "s,^ExecStart=,&$root," "$user/sandboxd.service"
    SYSTEMD_UNIT_PATH=$user XDG_RUNTIME_DIR=$work systemd-analyze --user verify --man=no --recursive-errors=yes \
        "$user/sandboxd.service" "$user/sandboxd.socket" "$user/sandboxd-agent.socket" > said 2>&1 || { cat said; return 1; }
    cat said
    [ ! -s said ]
    # It would have found something.
    echo 'ProtectSystem=strictly' >> "$system/sandboxd.service"
    sed -i '/^\[Install\]/,/^Also/d' "$system/sandboxd.service"
    systemd-analyze verify --man=no --root="$root" sandboxd.service > said 2>&1 || :
    grep -q strictly said
}

@test "the service is exposed by 5.0 at most, and each line that could be set and isn't has its reason" {
    installed
    systemd-analyze security --offline=true --root="$root" sandboxd.service | tail -1 | tee said
    [[ "$(cat said)" =~ :\ ([0-9]+)\.([0-9])\  ]]
    [ "$((BASH_REMATCH[1] * 10 + BASH_REMATCH[2]))" -le 50 ]
    [ "$((BASH_REMATCH[1] * 10 + BASH_REMATCH[2]))" -gt 0 ]
    systemd-analyze security --offline=true --root="$root" --json=short sandboxd.service > lines
    /usr/bin/python3 - lines "$system/sandboxd.service" << 'EOF'
import json, re, sys
lines = json.load(open(sys.argv[1]))
comments = " ".join(line for line in open(sys.argv[2]) if line.startswith("#"))
unset = [line["name"] for line in lines if line["set"] is False]
assert len(unset) > 10, unset
missing = []
for name in unset:
    key, _, value = name.partition("=")
    words = re.findall(r"@[a-z-]+", value)
    if key == "CapabilityBoundingSet":
        # CAP_SET(UID|GID|PCAP) and the like: one of them has a reason.
        head, _, tails = value.lstrip("~").removeprefix("CAP_").partition("(")
        words = [head + tail for tail in tails.rstrip(")").split("|")]
        words = [next((word for word in words if re.search(rf"\b{word}\b", comments)), words[0])]
    elif key in ("RestrictNamespaces", "RestrictAddressFamilies"):
        # Set as far as it can be, below a comment.
        if re.search(rf"^{key}=.*\b{value.lstrip('~')}\b", open(sys.argv[2]).read(), re.M):
            continue
    if not words:
        words = [key.split("/")[0] + "="]
    missing += [name for word in words if word not in comments]
assert not missing, missing
EOF
}

@test "each message id has its explanation in the catalog and is in sandboxd(8)" {
    local id
    installed
    grep -hoE '"[0-9a-f]{32}"' "$SANDBOXD_SOURCE"/daemon/*.[ch] | tr -d '"' | sort > ids
    [ "$(wc -l < ids)" -ge 6 ]
    sed -n 's/^-- //p' "$catalog" | sort | diff ids -
    grep -oE '[0-9a-f]{32}' "$SANDBOXD_SOURCE/man/sandboxd.8.scd" | sort | diff ids -
    need_command journalctl
    mkdir -p "$root/usr/lib/systemd/catalog" "$root/var/lib/systemd/catalog"
    [ "$catalog" -ef "$root/usr/lib/systemd/catalog/sandboxd.catalog" ] || cp "$catalog" "$root/usr/lib/systemd/catalog/"
    journalctl --update-catalog --root="$root"
    journalctl --list-catalog --root="$root" > listed
    while read -r id; do
        grep -q "^$id sandboxd: " listed
    done < ids
}

@test "the folders of tmpfiles.d are what sockets and logs lie in, and no user is needed" {
    local conf
    installed
    need_command systemd-tmpfiles
    mkdir -p "$root/run" "$root/var" "$root/etc"
    printf 'root:x:0:0::/root:/bin/sh\n' > "$root/etc/passwd"
    printf 'root:x:0:\n' > "$root/etc/group"
    conf=$(find "$root" -path '*/tmpfiles.d/sandboxd.conf')
    systemd-tmpfiles --create --root="$root" "$conf" > said 2>&1 || { cat said; return 1; }
    cat said
    [ ! -s said ]
    [ "$(stat -c '%a %F' "$root/run/sandboxd" "$root/var/log/sandboxd")" = $'755 directory\n700 directory' ]
    [ "$(sed -n 's,^ListenStream=/run/sandboxd/.*,in,p' "$system"/sandboxd{,-agent}.socket)" = $'in\nin' ]
    # Units and folders name no user that somebody would have to make.
    [ -z "$(find "$root" -path '*/sysusers.d/*')" ]
    run -1 grep -E '^(User|Group|SupplementaryGroups|SocketUser|SocketGroup)=' "$system"/sandboxd*
    run -1 grep -vE '^(#|d [^ ]+ [0-7]{4} root root -$|$)' "$conf"
}

# ---- In a systemd that runs ----

serves() {
    need_systemd
    install_project
    enter_systemd systemctl stop sandboxd.service
    enter_systemd systemctl start sandboxd.socket
}

# counter_of NAME: what its program has counted up to, each step a file that the broker makes.
detach_counter() {
    put_inside /root/count.yaml << 'EOF'
version: 1
extends: [shell]
files: { enforce: broker, write: [/srv/count] }
EOF
    # shellcheck disable=SC2016
    inside_systemd sh -ec 'rm -rf /srv/count; mkdir -p /srv/count; cd /srv/count; exec sandboxctl exec --detach --name "$0" --policy /root/count.yaml -- \
        sh -c "i=0; while i=\$((i + 1)); do mkdir \$i || exit 1; sleep 0.05; done"' "$1"
}

counted() {
    enter_systemd sh -c 'ls /srv/count | sort -n | tail -1'
}

# goes_on: it counts on, and has left nothing out.
goes_on() {
    local before i
    before=$(counted)
    for ((i = 0; i < 100; i++)); do
        [ "$(counted)" -le "$((before + 2))" ] || return 0
        sleep 0.1
    done
    echo "it stays at $before"
    journal sandboxd
    return 1
}

@test "the socket starts the service, and a sandbox survives its restart and its SIGKILL, and dies when it is stopped" {
    local pid
    serves
    [ "$(unit_property sandboxd ActiveState)" = inactive ]
    [ "$(inside_systemd sh -c 'cd /srv && sandboxctl exec --daemon --quiet --policy shell -- echo in')" = in ]
    [ "$(unit_property sandboxd ActiveState)" = active ]
    [ "$(detach_counter counter)" = counter ]
    goes_on
    pid=$(unit_pid sandboxd)
    enter_systemd systemctl restart sandboxd
    [ "$(unit_pid sandboxd)" != "$pid" ]
    goes_on
    pid=$(unit_pid sandboxd)
    enter_systemd kill -KILL "$pid"
    eventually unit_is_another "$pid"
    goes_on
    enter_systemd systemctl stop sandboxd
    # Dead by now, not soon.
    run enter_systemd pgrep -f 'mkdir [$]i'
    [ "$status" -eq 1 ]
    # It has left nothing out.
    [ "$(enter_systemd sh -c 'ls /srv/count | wc -l')" -eq "$(counted)" ]
    [ "$(unit_property sandboxd Result)" = success ]
    [ "$(unit_property sandboxd NFileDescriptorStore)" = 0 ]
    [[ "$(journal sandboxd)" != *"can't be used"* ]]
}

worker_of() {
    enter_systemd sandboxctl status "$1" --json | jq -r .worker
}

another_worker() {
    [ "$(worker_of "$1")" != "$2" ]
}

@test "a record has the sandbox, its owner and its policy as fields, and journalctl -x explains it" {
    local worker text
    need_command jq
    serves
    enter_systemd journalctl --update-catalog
    detach_counter told
    worker=$(worker_of told)
    enter_systemd kill -KILL "$worker"
    eventually another_worker told "$worker"
    put_inside /root/other.yaml << 'EOF'
version: 1
extends: [shell]
files: { enforce: broker, write: [/srv/count], read: [/srv] }
EOF
    inside_systemd sh -c 'cd /srv/count && sandboxctl policy apply told /root/other.yaml'
    enter_systemd systemctl restart sandboxd
    inside_systemd sandboxctl stop told
    inside_systemd setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cd /srv && exec sandboxctl exec --daemon --quiet --name theirs --policy shell -- true'
    enter_systemd journalctl --sync
    # By which policy it goes is in each record.
    enter_systemd journalctl --output=json SANDBOXD_SANDBOX=told |
        jq -r '[.MESSAGE_ID[-2:], .SANDBOXD_UID, (.SANDBOXD_POLICY | sub(".*/"; "")), ._SYSTEMD_UNIT] | join(" ")' > records
    diff records - << 'EOF'
01 0 count.yaml sandboxd.service
03 0 count.yaml sandboxd.service
08 0 other.yaml sandboxd.service
04 0 other.yaml sandboxd.service
02 0 other.yaml sandboxd.service
EOF
    enter_systemd journalctl --output=json SANDBOXD_UID=65534 SANDBOXD_POLICY=shell | jq -r '.SANDBOXD_SANDBOX + " " + .MESSAGE_ID[-2:]' > records
    diff records - <<< $'65534/theirs 01\n65534/theirs 02'
    enter_systemd journalctl --catalog --no-pager SANDBOXD_SANDBOX=told > said
    for text in 'Sandbox told has been started' 'for uid 0' 'A worker or helper of sandbox told has died' 'Sandbox told has another policy' \
        'Sandbox told was found again' 'Sandbox told has ended' 'Documentation: man:sandboxd(8)'; do
        grep -qF "$text" said
    done
    run -1 grep '@SANDBOXD' said
}

# nice_of PID: its priority, that of its threads, and that of its session, in which alone the first counts where the kernel groups by sessions.
nice_of() {
    enter_systemd sh -ec 'ps -L -o ni= -p "$0" | sort -u | tr -d " \n"; echo " $(sed "s/.* nice //" /proc/$0/autogroup 2>/dev/null || echo "$1")"' "$1" "$2"
}

# at_rest PID: it has no priority any more.
at_rest() {
    [ "$(nice_of "$1" 0)" = "0 0" ]
}

@test "root's daemon comes first, and its workers don't for long, whoever has given it to them" {
    local pid worker
    need_command jq
    serves
    detach_counter first
    pid=$(unit_pid sandboxd)
    [ "$(nice_of "$pid" -10)" = "-10 -10" ]
    worker=$(worker_of first)
    at_rest "$worker"
    # What the next daemon finds with a priority has it from the one before, and loses it.
    enter_systemd sh -c 'renice -n -10 -g "$0"; [ ! -e /proc/$0/autogroup ] || echo -10 > /proc/$0/autogroup' "$worker"
    [ "$(nice_of "$worker" -10)" = "-10 -10" ]
    enter_systemd systemctl restart sandboxd
    eventually at_rest "$worker"
    enter_systemd kill -KILL "$worker"
    goes_on
    [ "$(worker_of first)" != "$worker" ]
    worker=$(worker_of first)
    eventually at_rest "$worker"
    enter_systemd systemctl stop sandboxd
}

unit_is_another() {
    [ "$(unit_pid sandboxd)" -gt 0 ] && [ "$(unit_pid sandboxd)" != "$1" ]
}

# stop_after WHAT: the daemon is killed or restarted, and stopped within 0 to 30 ms of that. Whatever it was at, all die, and no program has seen a call that
# nobody answered. (While there is no daemon to do it, they die when systemd closes what it has stored, which is just after the stop has returned.)
stop_after() {
    local rounds=4
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || rounds=31
    serves
    put_inside /root/stop.yaml << 'EOF'
version: 1
extends: [shell]
files: { enforce: broker, write: [/srv/stop] }
EOF
    put_inside /root/stop-after 755 << 'EOF'
#!/bin/bash
what=$1 rounds=$2 bad=0
rm -rf /srv/stop /var/log/sandboxd/stop-*
mkdir -p /srv/stop
cd /srv/stop || exit 1
for ((i = 0; i < rounds; i++)); do
    systemctl start sandboxd.socket sandboxd.service || exit 1
    for n in 1 2 3 4 5; do
        sandboxctl exec --detach --name "stop-$n" --policy /root/stop.yaml -- \
            sh -c 'while mkdir "/srv/stop/$0" && rmdir "/srv/stop/$0"; do :; done; echo "it has failed"; sleep 1000' "$i-$n" > /dev/null || exit 1
    done
    if [ "$what" = kill ]; then
        kill -KILL "$(systemctl show --value --property MainPID sandboxd)"
    else
        systemctl restart --no-block sandboxd
    fi
    after=$((i * 31 / rounds))
    sleep "0.0$((after / 10))$((after % 10))"
    systemctl stop sandboxd.service 2> /dev/null
    left=$(pgrep -c -f 'while mkdir')
    [ "$left" -eq 0 ] || echo "round $i: $left are left when it is stopped"
    for ((n = 0; n < 100; n++)); do
        pgrep -f 'while mkdir' > /dev/null || break
        sleep 0.1
    done
    if [ "$n" -eq 100 ]; then
        echo "round $i: they go on"
        bad=1
    fi
    if grep -H . /var/log/sandboxd/stop-*.log; then
        bad=1
    fi
done
exit "$bad"
EOF
    inside_systemd /root/stop-after "$1" "$rounds"
}

@test "stopped just after it was killed: all die, and none has seen ENOSYS" { stop_after kill; }
@test "stopped while it is being restarted: all die, and none has seen ENOSYS" { stop_after restart; }

@test "within its hardening: an ordinary user's connection is served, and a low port of root's is bound; settings that are wrong are said" {
    serves
    [ "$(enter_systemd runuser -u nobody -- sandboxctl ps --json | tr -d '[:space:]')" = "[]" ]
    put_inside /root/ports.yaml << 'YAML'
version: 1
extends: [python]
network: { mode: host, bind: ["tcp:127.0.0.1:985"] }
YAML
    inside_systemd sh -c 'cd /srv && sandboxctl exec --daemon --quiet --policy /root/ports.yaml --chdir / -- /usr/bin/python3 -c "
import socket
socket.socket().bind((\"127.0.0.1\", 985))
try:
    socket.socket().bind((\"127.0.0.1\", 984))
except PermissionError:
    print(\"one\")
"' > said
    [ "$(cat said)" = one ]
    put_inside /etc/sandboxd/sandboxd.yaml << 'YAML'
quota: { sandboxs: 1 }
YAML
    enter_systemd systemctl restart sandboxd
    [[ "$(journal sandboxd)" == *"/etc/sandboxd/sandboxd.yaml:1:10: quota has no key"* ]]
    [[ "$(journal sandboxd)" == *"it goes on with the settings that it had before"* ]]
    [ "$(unit_property sandboxd ActiveState)" = active ]
    enter_systemd rm /etc/sandboxd/sandboxd.yaml
}

@test "a user's own service does the same" {
    serves
    enter_systemd id -u worker > /dev/null 2>&1 || inside_systemd useradd --create-home --uid 4712 worker
    start_unit user@4712
    run inside_systemd setpriv --reuid=4712 --regid=4712 --init-groups env HOME=/home/worker XDG_RUNTIME_DIR=/run/user/4712 sh -ec '
        mkdir -p ~/folder
        cd ~/folder
        systemctl --user start sandboxd.socket
        sandboxctl exec --detach --name mine --policy shell -- sh -c "while :; do sleep 0.1; done"
        systemctl --user is-active sandboxd.service
        test -n "$(sandboxctl ps | grep mine)"
        pid=$(sandboxctl status mine | sed -n "s/^pid *\([0-9]*\),.*/\1/p")
        test -d "/proc/$pid"
        systemctl --user restart sandboxd.service
        sandboxctl ps | grep -q "mine.*running"
        systemctl --user kill --signal=KILL sandboxd.service
        sleep 1
        sandboxctl ps | grep -q "mine.*running"
        systemctl --user stop sandboxd.service
        test ! -d "/proc/$pid"'
    echo "$output"
    enter_systemd systemctl stop user@4712
    [ "$status" -eq 0 ]
}
