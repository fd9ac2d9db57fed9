# Names: whatever is tried with them, nothing is changed where no rule allows it, nor gets to where other rules hold.

load attack

# kept: what must be as it was.
kept() {
    tree "$ground"/{r,b,p,w/hidden,w/denied,w/list,w/private,w/replaced}
}

carry() {
    local who=$1 tier device=()
    if [ "$who" = root ]; then
        need_root
    fi
    for tier in broker view; do
        playground "$who"
        mkdir -p "$ground"/w/{hidden,denied,private}
        echo canary | tee "$ground"/w/{hidden,denied,private}/file "$ground/w/list/1.hid" "$ground/w/replaced" > /dev/null
        give "$who" "$ground"
        if [ "$EUID" -eq 0 ]; then
            # Anybody may read it.
            mknod -m 666 "$ground/w/kmsg" c 1 11
            device=("$ground/w/kmsg")
        fi
        attack_files="  hide: [$ground/w/hidden, \"$ground/w/list/*.hid\"]
  deny: [$ground/w/denied]
  append: [$ground/p]
  private: [$ground/w/private]
  replace: { $ground/w/replaced: { content: \"made\\n\" } }
"
        attack_policy $tier
        kept > before
        inside "$who" "$SANDBOXCTL" -- "$attacks/carry" inside "$ground" "${device[@]}"
        kept > after
        diff before after
        # Natively they succeed, or the names would be wrong.
        as "$who" "$attacks/carry" natively "$ground" > natively.out && return 1
        [ "$(grep -c '^NOT HELD' natively.out)" -ge 100 ]
        rm -r "$ground"
    done
}

@test "nothing is changed or carried away where no rule allows it: user" { carry user; }
@test "nothing is changed or carried away where no rule allows it: root" { carry root; }

# owned WHO OTHER: what belongs to OTHER, in $ground/w.
owned() {
    local w=$ground/w
    mkdir "$w"/{shut,open,sticky}
    echo theirs | tee "$w"/{shut,open,sticky}/file "$w/secret" "$w/theirs" > /dev/null
    cp "$attacks/program-ids" "$w/program"
    chown -R "$2:$2" "$w"/{shut,open,sticky,secret,theirs,program}
    chmod 700 "$w/shut"
    chmod 755 "$w/open"
    chmod 1777 "$w/sticky"
    chmod 600 "$w/secret"
    chmod 666 "$w/theirs" "$w/sticky/file"
    chmod 4755 "$w/program"
}

@test "what belongs to somebody else stays theirs, whatever the policy lets be written" {
    local who other tier
    need_root
    for who in user root; do
        playground $who
        other=$([ $who = user ] && echo 0 || echo "$SANDBOXD_TEST_USER")
        owned $who "$other"
        # The same without a sandbox, for an ordinary process without capabilities.
        native $who setpriv --no-new-privs "$attacks/owner" "$ground" "$other"
        attack_exec=", $ground/w"
        for tier in view broker; do
            attack_policy $tier
            echo "-- $who, $tier"
            inside $who "$SANDBOXCTL" -- "$attacks/owner" "$ground" "$other"
        done
        attack_exec=
    done
}
