# The manual and the programs say the same.

load lib

options_of_help() {
    grep -oE '^ +--[a-z][a-z-]*' | tr -d ' ' | sort -u
}

# The options that sandboxctl(1) describes: paragraphs that begin with one, in bold.
options_of_manual() {
    sed -n '/^# EXEC/,/^# POLICY/p' "$SANDBOXD_SOURCE/man/sandboxctl.1.scd" | grep -oE '^\*--[a-z][a-z-]*\*' | tr -d '*' | sort -u
}

@test "each option of sandboxctl exec is in sandboxctl(1), and each there is an option" {
    "$SANDBOXCTL" exec --help | options_of_help > help
    options_of_manual > manual
    [ "$(wc -l < help)" -ge 15 ]
    diff help manual
}

@test "each verb is in sandboxctl(1)" {
    "$SANDBOXCTL" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' > verbs
    [ "$(wc -l < verbs)" -ge 3 ]
    while read -r verb; do
        grep -q "^\*sandboxctl $verb\|^\*sandboxctl\* $verb" "$SANDBOXD_SOURCE/man/sandboxctl.1.scd" || {
            echo "not in the manual: $verb"
            return 1
        }
    done < verbs
    "$SANDBOXCTL" policy --help | grep -oE '^  (check|list|show|apply|oci-profile)' | tr -d ' ' | sort -u > verbs
    [ "$(wc -l < verbs)" -eq 5 ]
}

# The ones with _OPTION_ are compared above, or have lists of their own.
@test "what a verb takes is the same in its help and in sandboxctl(1)" {
    "$SANDBOXCTL" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | while read -r verb; do
        "$SANDBOXCTL" "$verb" --help | sed -n '/^$/q; s/^Usage: //; s/^ *//; s/…/.../g; p'
    done | grep -v OPTION > help
    sed -n '/^# SYNOPSIS/,/^# DESCRIPTION/s/^\*sandboxctl\* /sandboxctl /p' "$SANDBOXD_SOURCE/man/sandboxctl.1.scd" | tr -d '*_' |
        grep -vE 'OPTION|service wrap|--version' > manual
    [ "$(wc -l < help)" -ge 16 ]
    diff <(sort help) <(sort manual)
}

@test "each key that a policy can have is in sandboxd.policy(5)" {
    local key
    # The tables of keys: { "name", function }. Those that are refused have NULL for the function.
    grep -hoE '\{ "[a-z][a-z-]*", [a-z_]+( |,|\})' "$SANDBOXD_SOURCE"/lib/policy/{load,section_*}.c | cut -d'"' -f2 | sort -u > keys
    grep -hoE 'value_find\([a-z]+, "[a-z-]+"\)' "$SANDBOXD_SOURCE"/lib/policy/section_*.c | cut -d'"' -f2 | sort -u >> keys
    [ "$(wc -l < keys)" -ge 40 ]
    while read -r key; do
        grep -qE "(^|\*|[{ ,])$key(\*|:)" "$SANDBOXD_SOURCE/man/sandboxd.policy.5.scd" || {
            echo "not in the manual: $key"
            return 1
        }
    done < keys
}

@test "each key of the settings is in sandboxd.yaml(5), in the schema and in the example" {
    local key
    grep -hoE '\{ "[a-z][a-z-]*", [a-z_]+( |,|\})' "$SANDBOXD_SOURCE/lib/policy/settings.c" | cut -d'"' -f2 | sort -u > keys
    [ "$(wc -l < keys)" -ge 11 ]
    while read -r key; do
        grep -qE "^(## |\*)$key(\*|\$)" "$SANDBOXD_SOURCE/man/sandboxd.yaml.5.scd" || { echo "not in the manual: $key"; return 1; }
        grep -q "\"$key\":" "$SANDBOXD_SOURCE/policies/settings.schema.json" || { echo "not in the schema: $key"; return 1; }
        grep -qE "^[# ]*$key:" "$SANDBOXD_SOURCE/examples/sandboxd.yaml" || { echo "not in the example: $key"; return 1; }
    done < keys
    # The example holds, as it is and with all of its examples switched on.
    as root "$SANDBOXD" --config "$SANDBOXD_SOURCE/examples/sandboxd.yaml" --check-config
    sed -E 's/^# ?(policies:|oci:|  [a-z])/\1/' "$SANDBOXD_SOURCE/examples/sandboxd.yaml" > whole.yaml
    [ "$(grep -cE '^(policies|oci|  selectable|  floor|  default):' whole.yaml)" -eq 5 ]
    chmod 644 whole.yaml
    as root "$SANDBOXD" --config whole.yaml --check-config
}

# The options of sandboxd itself.
@test "each option of sandboxd is in sandboxd(8), and each there is an option" {
    "$SANDBOXD" --help | options_of_help > help
    sed -n '/^# OPTIONS/,/^# SIGNALS/p' "$SANDBOXD_SOURCE/man/sandboxd.8.scd" | grep -oE '^\*--[a-z][a-z-]*\*' | tr -d '*' | sort -u > manual
    [ "$(wc -l < help)" -ge 4 ]
    diff help manual
}

@test "each option of sandbox-runtime is in sandbox-runtime(8), and each there is an option" {
    { "${SANDBOXCTL%/*}/sandbox-runtime" --help && "${SANDBOXCTL%/*}/sandbox-runtime" install --help; } | options_of_help > help
    sed -n '/^# OPTIONS/,/^# ERRORS/p' "$SANDBOXD_SOURCE/man/sandbox-runtime.8.scd" | grep -oE '^\*--[a-z][a-z-]*\*' | tr -d '*' | sort -u > manual
    [ "$(wc -l < manual)" -ge 8 ]
    diff help manual
}

@test "the pages are well formed, and no line of theirs is lost" {
    need_command scdoc man
    local page
    for page in sandboxctl.1 sandboxd.8 sandbox-runtime.8 sandboxd.policy.5 sandboxd.yaml.5; do
        scdoc < "$SANDBOXD_SOURCE/man/$page.scd" > "$page"
        MANWIDTH=100 man --warnings -l "$page" > text 2> warnings
        cat warnings
        [ ! -s warnings ]
        [ "$(wc -l < text)" -gt 60 ]
    done
}

@test "each place where the kernel goes on with the caller's own call is in sandboxd.policy(5)" {
    (cd "$SANDBOXD_SOURCE/lib" && grep -c '/\* proceed:' modules/*.c broker/*.c | sed -n 's,^[a-z]*/\(.*\):\([1-9][0-9]*\)$,\1: \2,p' | sort) > code
    sed -n '/^# CALLS/,/^# INTERRUPTED/p' "$SANDBOXD_SOURCE/man/sandboxd.policy.5.scd" | grep -oE '[a-z_]+\.c: [0-9]+' |
        awk '{ n[$1] += $2 } END { for (f in n) print f, n[f] }' | sort > manual
    [ -s code ]
    diff code manual
    # And no verdict of that kind is given without such a comment.
    grep -rn 'return verdict_\(proceed\|registers\)(' "$SANDBOXD_SOURCE/lib/modules" "$SANDBOXD_SOURCE/lib/broker" --include='*.c' | wc -l > given
    [ "$(cat given)" -le "$(awk '{ n += $2 } END { print n }' code)" ]
}
