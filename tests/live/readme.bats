# What the README says, works. Blocks marked `test` are run: ```sh test [fails] [in NAME]` with bash -e, in the folder of the example NAME or in the
# checkout; ```yaml test NAME.yaml` is written into that folder.

load lib

# blocks LANGUAGE: the marked ones, each as a file $work/block.N.LANGUAGE, its mark in $work/block.N.mark.
extract() {
    awk -v folder="$work" '
        /^```/ && inside { inside = 0; next }
        /^```(sh|yaml) test/ { n++; inside = 1; sub(/^```/, ""); print > (folder "/block." n ".mark"); next }
        inside { print > (folder "/block." n) }
    ' "$SANDBOXD_SOURCE/README.md"
}

@test "the README has the two commands on its first screen" {
    head -24 "$SANDBOXD_SOURCE/README.md" | grep -q '^\./dev demo'
    head -24 "$SANDBOXD_SOURCE/README.md" | grep -q '^\./dev test'
}

@test "the first policy has ten lines at most" {
    extract
    local n
    n=$(grep -l 'yaml test' "$work"/block.*.mark | sed 's/.mark$//')
    [ "$(wc -l < "$n")" -le 10 ]
}

runs_as_written() {
    local mark language kind name file code ran=0
    folder "$1"
    extract
    # The README's programs, wherever the tests have theirs.
    mkdir -p bin site tree/build/ctl
    give "$1" site
    ln -s "$SANDBOXCTL" bin/sandboxctl
    ln -s "$SANDBOXD" bin/sandboxd
    export SANDBOXD_SOCKET=$work/$1/control SANDBOXD_AGENT=$work/$1/agent XDG_STATE_HOME=$work/$1/state
    ln -s "$SANDBOXCTL" tree/build/ctl/sandboxctl
    for file in "$work"/block.*.mark; do
        read -r language kind name rest < "$file"
        case $language in
        yaml)
            cp "${file%.mark}" "site/$name"
            chmod 644 "site/$name"
            give "$1" site
            continue
            ;;
        esac
        code=0
        case "$name $rest" in
        in*) (cd site && PATH=$work/$1/bin:$PATH as "$1" bash -e "${file%.mark}") > out 2>&1 || code=$? ;;
        *) (cd tree && as "$1" bash -e "${file%.mark}") > out 2>&1 || code=$? ;;
        esac
        cat "${file%.mark}" out
        ran=$((ran + 1))
        if [ "$name" = fails ]; then
            [ "$code" -ne 0 ]
            [ "$code" -ne 125 ]
        else
            [ "$code" -eq 0 ]
        fi
        cp out "$work/out.$ran"
    done
    [ "$ran" -eq 5 ]
    grep -q 'hello from inside' "$work/out.1"
    grep -q 'what was denied' "$work/out.2"
    grep -q '^M  .*notes' "$work/out.3"
    grep -qx old "$work/out.3"
    grep -q '^clock .*running' "$work/out.4"
    grep -q '^state  *running' "$work/out.4"
    grep -q 'the drafts stay closed' "$work/out.5"
    grep -q Hello site/public/index.html
}

@test "its examples run as written: user" { runs_as_written user; }
@test "its examples run as written: root" { runs_as_written root; }
