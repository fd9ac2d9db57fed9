# The table of sandboxd.policy(5), rule × call × errno, holds in every tier: the manual's own rows are what the calls are compared with.

load lib

rules=(none read append write exec private deny hide bind within/deny deny/opened)

setup_test() {
    local who rule name
    for who in user root; do
        for rule in "${rules[@]}"; do
            mkdir -p "$work/$who/t/$rule"
            for name in file write append trunc unlink rename chmod utime truncate; do
                echo content > "$work/$who/t/$rule/$name"
            done
            ln -s file "$work/$who/t/$rule/link"
            cp /bin/true "$work/$who/t/$rule/program"
        done
        # Where the root is the host's whole tree, there has to be something to mount on.
        mkdir "$work/$who/t/bound"
        give $who "$work/$who/t"
        cat > "$work/$who/rules.part" << EOF
  read:    ["$work/$who/t/read", "$work/$who/t/within", "$work/$who/t/deny/opened"]
  write:   ["$work/$who/t/write"]
  exec:    ["$work/$who/t/exec"]
  private: ["$work/$who/t/private"]
  deny:    ["$work/$who/t/deny", "$work/$who/t/within/deny"]
  hide:    ["$work/$who/t/hide"]
  binds:   { "$work/$who/t/bound": { from: "$work/$who/t/bind" } }
EOF
        # By itself: the view can't tell appending from writing, so that one such rule brings the broker in for all.
        cat > "$work/$who/append.part" << EOF
  read:    ["$work/$who/t/read"]
  append:  ["$work/$who/t/append"]
EOF
    done
}

# expected TIER: the manual's rows as `rule<TAB>call<TAB>outcome`, a row's list of calls split.
expected() {
    /usr/bin/python3 - "$SANDBOXD_SOURCE/man/sandboxd.policy.5.scd" "$1" << 'EOF'
import re, sys

folders = {"binds": "bound", "read below deny": "deny/opened", "deny below read": "within/deny", "deny above read": "deny"}
text = open(sys.argv[1]).read().split("# RULES, CALLS AND ERRORS", 1)[1].split("# NETWORK", 1)[0]
rows = []
for line in text.splitlines():
    if re.match(r"\[\[|\|", line):
        rows.append([])
    if re.match(r"\[\[|\||:", line):
        rows[-1].append(line[2:].replace("*", "").replace("\\_", "_").strip())
rule = ""
for row in rows[1:]:
    rule = row[0] or rule
    outcome = row[2] if sys.argv[2] == "view" else row[3] or row[2]
    for name in rule.split(", "):
        for call in row[1].split(", "):
            print(folders.get(name, name), call.removesuffix(" b"), outcome, sep="\t")
EOF
}

# probe WHO TIER PART FOLDER…: what the calls give under a policy with these rules.
probe() {
    local who=$1 tier=$2 part=$3
    shift 3
    {
        echo 'version: 1'
        echo 'extends: [base]'
        echo 'files:'
        cat "$work/$who/$part"
        [ "$tier" = view ] || echo '  enforce: broker'
    } > "$work/$part.yaml"
    chmod 644 "$work/$part.yaml"
    as "$who" "$SANDBOXCTL" exec --quiet --chdir / --policy "$work/$part.yaml" -- /usr/bin/python3 "$work/$who/t/read/probe.py" "$work/$who/t" \
        "$@" >> "$work/seen.raw" 2> "$work/seen.err" < /dev/null || {
        cat "$work/seen.err"
        return 1
    }
}

table() {
    folder "$1"
    cp "$SANDBOXD_SOURCE/tests/live/probe.py" "$work/$1/t/read/"
    chmod 644 "$work/$1/t/read/probe.py"
    probe "$1" "$2" rules.part none read write exec private hide bound deny deny/opened within/deny
    probe "$1" "$2" append.part append
    sort "$work/seen.raw" > "$work/seen"
    expected "$2" | sort > "$work/expected"
    [ "$(wc -l < "$work/expected")" -gt 60 ]
    diff "$work/expected" "$work/seen"
}

@test "the manual's table: user, view" { table user view; }
@test "the manual's table: user, broker" { table user broker; }
@test "the manual's table: root, view" { table root view; }
@test "the manual's table: root, broker" { table root broker; }
