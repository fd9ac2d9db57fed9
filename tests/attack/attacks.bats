# Ways out that need no race. Each program says which expectation did not hold, and how many did.

load attack

# attack WHO CTL PROGRAM [ARGUMENT…]
attack() {
    local who=$1 ctl=$2 program=$3
    shift 3
    inside "$who" "$ctl" -- "$attacks/$program" "$@" || { echo "$program, $who: exit code $?"; return 1; }
}

# every PROGRAM [ARGUMENT…]: as root and as an ordinary user, in both tiers.
every() {
    local who tier
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        for tier in view broker; do
            attack_policy $tier
            echo "-- $who, $tier"
            attack $who "$SANDBOXCTL" "$@"
        done
    done
}

@test "calls that leave the sandbox are refused, whatever their form" { every kernel; }
@test "init and the host's processes are out of reach" { every processes; }
@test "no descriptor comes in but 0, 1 and 2" {
    playground user
    attack_policy view
    inside user "$SANDBOXCTL" -- "$attacks/processes" 3< /etc/passwd 7<> "$ground/a/file" 9< "$work" 40> /dev/null
}

@test "a directory's descriptor from outside is refused" {
    local fd
    playground user
    attack_policy view
    for fd in 0 1 2 9; do
        # .. of it would lead out of the view.
        # shellcheck disable=SC2046
        run -125 as user sh -c "\"\$@\" $fd< '$ground/b'" sh \
            "$SANDBOXCTL" exec --policy "$attack_policy" $([ $fd != 9 ] || echo --pass-fd 9) -- /usr/bin/true
        echo "$fd: $output"
        # Where it is standard error, nobody can be told.
        [ $fd = 2 ] || [[ $output == *directory* ]]
    done
    # What is no directory may be passed.
    inside user "$SANDBOXCTL" --pass-fd 9 -- /usr/bin/cat /dev/fd/9 9< "$ground/b/file" > text
    grep -qx canary text
}

@test "a descriptor that came in for reading can't be opened again for writing" {
    local who tier
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        for tier in view broker; do
            attack_policy $tier
            # shellcheck disable=SC2016
            inside $who "$SANDBOXCTL" --exec /usr -- /bin/sh -c 'for name in /proc/self/fd/0 /proc/thread-self/fd/0 /dev/stdin /dev/fd/0; do
                cat $name
                { echo gone 1<> $name; } 2> /dev/null && echo "$name written"
                { echo gone > $name; } 2> /dev/null && echo "$name truncated"
                done; :' < "$ground/b/file" > text
            cat text
            # It can be opened again as it is.
            [ "$(sort -u text)" = canary ]
            grep -qx canary "$ground/b/file"
        done
    done
}

# CVE-2024-21626, CVE-2019-5736: what the launcher has open, and its own program, are nobody's to start from.
@test "no directory and no program of the launcher's can be started from" {
    local who tier place code
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        tier=$([ $who = user ] && echo view || echo broker)
        attack_policy "$tier"
        # It holds a descriptor of the forbidden directory; what it has open itself has some number, too.
        for place in /proc/self/fd/{3..20} /proc/1/fd/{3..9} /proc/{self,thread-self,1,self/task/1}/{root,cwd}; do
            as $who "$SANDBOXCTL" exec --policy "$attack_policy" --quiet --chdir "$place" -- \
                /bin/cat file absent ../b/file b/file "${ground#/}/b/file" 9< "$ground/b" > text 2> err || :
            [ -s err ]
            if grep canary text; then
                echo "from $place, $who, $tier"
                return 1
            fi
        done
        for place in /proc/self/fd/{3..20} /proc/{self,thread-self,1}/exe; do
            code=0
            as $who "$SANDBOXCTL" exec --policy "$attack_policy" --quiet --chdir / -- "$place" --version 9< "$ground/b/program" || code=$?
            echo "$place: $code"
            [ "$code" -eq 126 ] || [ "$code" -eq 127 ]
        done
    done
}

@test "no loader and no interpreter runs what no rule names" {
    local who tier
    cat > runs << 'EOF'
for way in "$1/b/program" "/lib64/ld-linux-x86-64.so.2 $1/b/program" "/usr/bin/env $1/b/program" "/bin/sh $1/b/script" "/usr/bin/python3 $1/b/script.py" \
    "/usr/bin/perl $1/b/script" ". $1/b/script" "/usr/bin/xargs -a $1/b/file" "exec 7< $1/b/program"; do
    (eval "$way" > /dev/null 2>&1) && echo "$way"
    (eval "$way" > /dev/null 2>&1); [ $? -ne 42 ] || echo "$way, canary"
done
LD_PRELOAD=$1/b/library.so /usr/bin/env 2> /dev/null | grep loaded
echo ended
EOF
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        playground $who
        echo 'exit 42' > "$ground/b/script"
        echo 'raise SystemExit(42)' > "$ground/b/script.py"
        give $who "$ground"
        cp runs "$ground/a/runs"
        chmod 644 "$ground/a/runs"
        for tier in view broker; do
            attack_policy $tier
            run inside $who "$SANDBOXCTL" --exec /usr --exec /lib64 -- /bin/sh "$ground/a/runs" "$ground"
            echo "$output"
            [ "$output" = ended ]
        done
    done
}

@test "nothing in /proc/sys can be written, and what is dangerous in /proc is not there" { every procfs; }

reach() {
    local who=$1 home=$work/home/$1
    if [ "$who" = root ]; then
        need_root
    fi
    playground "$who"
    echo secret > "$home/secret"
    give "$who" "$home/secret"
    attack_policy view
    attack "$who" "$SANDBOXCTL" reach inside "$ground" "$ground/b/file" /etc/shadow "$home/secret"
    attack_policy broker
    attack "$who" "$SANDBOXCTL" reach inside "$ground" "$ground/b/file" /etc/shadow "$home/secret"
    # The ways lead there where nothing holds.
    as "$who" "$attacks/reach" natively "$ground" "$ground/b/file" > natively.out && return 1
    [ "$(grep -c '^NOT HELD' natively.out)" -ge 500 ]
    [ "$(cat "$ground/b/file" "$home/secret")" = $'canary\nsecret' ]
}

@test "no way leads to what no rule names: user" { reach user; }
@test "no way leads to what no rule names: root" { reach root; }

sockets() {
    local who=$1 tier hits
    if [ "$who" = root ]; then
        need_root
    fi
    playground "$who"
    witness "$who"
    for tier in view broker; do
        attack_policy $tier "$ground/b"
        echo "-- $tier, host"
        attack "$who" "$SANDBOXCTL" sockets host "$ground" "$port" "$taken"
        echo "-- $tier, none"
        inside "$who" "$SANDBOXCTL" --net none -- "$attacks/sockets" none "$ground" "$port" "$taken"
    done
    kill "$witness"
    ended "$witness"
    # Nothing arrived where nothing may; the messages that were allowed did arrive.
    for hits in tcp stream abstract udp dgram; do
        grep -qx "$hits 0" "$work/out"
    done
    grep -qx 'udp-allowed 2' "$work/out"
}

@test "no way leads to a socket without a rule: user" { sockets user; }
@test "no way leads to a socket without a rule: root" { sockets root; }
