# A file that is about to be renamed becomes a directory, under which a rule hides something: the directory must stay. Without the lock under which
# the broker looks at names and acts on them the attack wins; with it, never.

load attack

if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
    milliseconds=60000
else
    milliseconds=2000
fi

# swap WHO CTL ARGUMENT…
swap() {
    local who=$1 ctl=$2 folder=$work/$1/names
    shift 2
    rm -rf "$folder"
    mkdir "$folder"
    give "$who" "$folder"
    policy_file=$work/names.yaml
    cat > "$policy_file" << EOF
version: 1
extends: [base]
files:
  enforce: broker
  write: [$folder]
  hide: [$folder/b/secret]
  exec: [$attacks]
EOF
    chmod 644 "$policy_file"
    as "$who" "$ctl" exec --policy "$policy_file" --quiet --chdir / -- "$attacks/rename" "$1" "$folder" "${@:2}"
}

@test "a file becomes a directory while it is renamed" {
    local who line
    line=$(SANDBOXD_UNSAFE=names swap user "$SANDBOXCTL_UNSAFE" 60000 100) || :
    echo "without the lock: $line"
    [[ $line =~ ^wins\ ([0-9]+)\ tries ]]
    [ "${BASH_REMATCH[1]}" -ge 100 ]
    for who in user root; do
        [ $who = user ] || [ "$EUID" -eq 0 ] || continue
        line=$(swap $who "$SANDBOXCTL" $milliseconds) || :
        echo "$who: $line"
        [[ $line =~ ^wins\ 0\ tries\ ([0-9]+)$ ]]
        [ "${BASH_REMATCH[1]}" -ge 20 ]
    done
}
