# The table of sandboxd.policy(5), rule × call × errno, holds in every tier: the manual's own rows are what the calls are compared with.

load lib

rules=(none read append write exec private deny hide read-below-deny)

setup_test() {
    local rule name
    for who in user root; do
        for rule in "${rules[@]}" bind; do
            mkdir -p "$work/$who/t/$rule"
            for name in file write append trunc unlink rename chmod utime truncate; do
                echo content > "$work/$who/t/$rule/$name"
            done
            ln -s file "$work/$who/t/$rule/link"
            cp /bin/true "$work/$who/t/$rule/program"
        done
        mkdir "$work/$who/t/deny/opened"
        rmdir "$work/$who/t/deny/opened"
        mv "$work/$who/t/read-below-deny" "$work/$who/t/deny/opened"
        give $who "$work/$who/t"
        cat > "$work/$who/rules.part" << EOF
  read:    ["$work/$who/t/read", "$work/$who/t/deny/opened"]
  append:  ["$work/$who/t/append"]
  write:   ["$work/$who/t/write"]
  exec:    ["$work/$who/t/exec"]
  private: ["$work/$who/t/private"]
  deny:    ["$work/$who/t/deny"]
  hide:    ["$work/$who/t/hide"]
  binds:   { "$work/$who/t/bound": { from: "$work/$who/t/bind" } }
EOF
    done
}

# expected TIER: the manual's rows as `rule<TAB>call<TAB>outcome`, a row's list of calls split.
expected() {
    /usr/bin/python3 - "$SANDBOXD_SOURCE/man/sandboxd.policy.5.scd" "$1" << 'EOF'
import re, sys
text = open(sys.argv[1]).read().split("# RULES, CALLS AND ERRORS", 1)[1].split("# NETWORK", 1)[0]
cells, rows = [], []
for line in text.splitlines():
    match = re.match(r"[\[|:][\[<:\-|\] ]+ ?(.*)|\| +(.*)", line)
    if re.match(r"(\[\[|\|)", line):
        cells = []
        rows.append(cells)
    if re.match(r"(\[\[|\||:)", line):
        cells.append(re.sub(r"^[\[\]|:<>\-]+\s*", "", line).replace("*", "").replace("\\_", "_").strip())
rule = ""
for row in rows[1:]:
    rule = row[0] or rule
    view = row[2]
    broker = row[3] or view
    for name in rule.split(", "):
        for call in row[1].split(", "):
            print(f"{name}\t{call.removesuffix(' b')}\t{view if sys.argv[2] == 'view' else broker}")
EOF
}

table() {
    local tier=$2
    folder "$1"
    expected "$tier" | sort > "$work/expected"
    [ "$(wc -l < "$work/expected")" -gt 60 ]
    {
        echo 'version: 1'
        echo 'extends: [base]'
        echo 'files:'
        cat rules.part
        [ "$tier" = view ] || echo '  enforce: broker'
    } > "$work/table.yaml"
    chmod 644 "$work/table.yaml"
    cp "$SANDBOXD_SOURCE/tests/live/probe.py" "$work/$1/t/read/"
    chmod 644 "$work/$1/t/read/probe.py"
    as "$1" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/table.yaml" -- /usr/bin/python3 "$work/$1/t/read/probe.py" "$work/$1/t" \
        none read append write exec private deny hide bound deny/opened > "$work/seen.raw" 2> "$work/seen.err" < /dev/null || {
        cat "$work/seen.err"
        return 1
    }
    sort "$work/seen.raw" > "$work/seen"
    diff "$work/expected" "$work/seen"
}

@test "the manual's table: user, view" { table user view; }
@test "the manual's table: user, broker" { table user broker; }
@test "the manual's table: root, view" { table root view; }
@test "the manual's table: root, broker" { table root broker; }
