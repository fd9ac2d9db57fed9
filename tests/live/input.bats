# Bad input: each error is one screen at most, says where and what to do, ends with 125 (126, 127), and nothing is started.

load lib

setup_test() {
    folder user
    mkdir project
    give user project
    cd project || return 1
}

# refused WORD… -- : the last run failed as it should, and each word is in what it said.
refused() {
    local word
    for word in "$@"; do
        if [[ $output != *"$word"* ]]; then
            echo "not in the message: $word"
            return 1
        fi
    done
    [ "${#lines[@]}" -ge 1 ]
    [ "${#lines[@]}" -le 24 ]
    [[ $output != *STARTED* ]]
}

# bad TEXT: a policy file with it.
bad() {
    printf '%s\n' "$1" > bad.yaml
    chmod 644 bad.yaml
    give user bad.yaml
}

exec_bad() {
    run -125 as user "$SANDBOXCTL" exec --policy ./bad.yaml "$@" -- echo STARTED
}

@test "a policy name that doesn't exist" {
    run -125 as user "$SANDBOXCTL" exec --policy nosuchpolicy -- echo STARTED
    refused nosuchpolicy
}

@test "a policy name with a typing error names the nearest" {
    run -125 as user "$SANDBOXCTL" exec --policy pyton -- echo STARTED
    refused pyton python
}

@test "a policy file that doesn't exist" {
    run -125 as user "$SANDBOXCTL" exec --policy ./none.yaml -- echo STARTED
    refused none.yaml "no policy file"
}

@test "a file's name without a slash is no file: the hint is ./" {
    bad 'version: 1'
    run -125 as user "$SANDBOXCTL" exec --policy bad.yaml -- echo STARTED
    refused ./bad.yaml
}

@test "not YAML" {
    bad $'version: 1\nfiles: [ {\n'
    exec_bad
    refused bad.yaml:
}

@test "a binary file" {
    head -c 4096 /bin/true > bad.yaml
    give user bad.yaml
    exec_bad
    refused bad.yaml
}

@test "a wrong type, with file, line, column and a caret" {
    bad $'version: 1\nfiles:\n  read: { a: b }'
    exec_bad
    refused bad.yaml:3: 'read: { a: b }' '^'
}

@test "an unknown key, with the nearest one" {
    bad $'version: 1\nextends: [base]\nfiles:\n  raed: [/etc]'
    exec_bad
    refused bad.yaml:4: raed read
}

@test "a key of a later version says so" {
    bad $'version: 1\nextends: [base]\nmounts: [{ type: tmpfs, target: /mnt }]'
    exec_bad
    refused bad.yaml:3: mounts
}

@test "all errors of a file are shown" {
    bad $'version: 1\nextends: [base]\nlimits: { time: soon }\nnetwork: { mode: everywhere }'
    exec_bad
    refused bad.yaml:3: bad.yaml:4: soon everywhere
}

@test "a duplicate key" {
    bad $'version: 1\nextends: [base]\nextends: [shell]'
    exec_bad
    refused bad.yaml:3: extends
}

@test "a circle in extends" {
    bad $'version: 1\nextends: [./other.yaml]'
    printf 'version: 1\nextends: [./bad.yaml]\n' > other.yaml
    give user other.yaml
    exec_bad
    refused other.yaml bad.yaml
}

@test "a missing variable" {
    bad $'version: 1\nextends: [base]\nfiles: { read: ["${nothing}/x"] }'
    exec_bad
    refused bad.yaml:3: nothing
}

@test "a variable that --set gives, but no policy uses or declares" {
    bad $'version: 1\nextends: [base]'
    exec_bad --set nosuch=1
    refused nosuch
}

@test "a file that others may write" {
    bad $'version: 1\nextends: [base]'
    chmod 666 bad.yaml
    exec_bad
    refused bad.yaml
}

@test "a file that belongs to somebody else" {
    need_root
    bad $'version: 1\nextends: [base]'
    chown 65531:65531 bad.yaml
    exec_bad
    refused bad.yaml
}

@test "control characters of a policy are not sent to the terminal" {
    printf 'version: 1\n"evil\\e[31m": 1\n' > bad.yaml
    give user bad.yaml
    exec_bad
    refused bad.yaml:2:
    [[ $output != *$'\e'* ]]
}

@test "a policy of 200,000 brackets ends at once" {
    head -c 200000 /dev/zero | tr '\0' '[' > bad.yaml
    give user bad.yaml
    SECONDS=0
    exec_bad
    refused bad.yaml
    [ "$SECONDS" -lt 3 ]
}

@test "a command that doesn't exist: 127" {
    run -127 as user "$SANDBOXCTL" exec --policy shell -- no-such-command STARTED
    refused no-such-command
    run -127 as user "$SANDBOXCTL" exec --policy shell -- /no/such/command STARTED
    refused /no/such/command
}

@test "a command that isn't executable: 126" {
    echo 'echo STARTED' > script
    chmod 644 script
    give user script
    run -126 as user "$SANDBOXCTL" exec --policy shell -- ./script
    refused script
}

@test "a command that the policy gives to read, but not to execute: 126" {
    cp /bin/echo prog
    give user prog
    bad $'version: 1\nextends: [base]\nfiles: { read: ["${cwd}"] }'
    run -126 as user "$SANDBOXCTL" exec --policy ./bad.yaml -- ./prog STARTED
    refused prog
}

@test "no command; an unknown option; an option without its value" {
    run -125 as user "$SANDBOXCTL" exec --policy shell
    refused COMMAND
    run -125 as user "$SANDBOXCTL" exec --polcy shell -- echo STARTED
    refused --polcy --policy
    run -125 as user "$SANDBOXCTL" exec --policy
    refused --policy
}

@test "bad values of options" {
    run -125 as user "$SANDBOXCTL" exec --policy shell --net everywhere -- echo STARTED
    refused everywhere
    run -125 as user "$SANDBOXCTL" exec --policy shell --time soon -- echo STARTED
    refused soon
    run -125 as user "$SANDBOXCTL" exec --policy shell --name '../x' -- echo STARTED
    refused name
    run -125 as user "$SANDBOXCTL" exec --policy shell --pass-fd 99 -- echo STARTED
    refused 99
    run -125 as user "$SANDBOXCTL" exec --policy shell --bind /etc -- echo STARTED
    refused --bind
    run -125 as user "$SANDBOXCTL" exec --policy shell --env NOSUCHVARIABLE -- echo STARTED
    refused NOSUCHVARIABLE
    run -125 as user "$SANDBOXCTL" exec --policy shell --rootfs /no/such/folder -- echo STARTED
    refused /no/such/folder
    run -125 as user "$SANDBOXCTL" exec --policy shell --log /no/such/folder/log -- echo STARTED
    refused /no/such/folder/log
}

@test "an unknown verb names the nearest" {
    run -125 as user "$SANDBOXCTL" exce -- echo STARTED
    refused exce exec
}

@test "without --policy in the home: an error that says --read ." {
    cd "$work/home/user"
    run -125 as user "$SANDBOXCTL" exec -- echo STARTED
    refused '--read .'
    cd /
    run -125 as user "$SANDBOXCTL" exec -- echo STARTED
    refused '--read .'
}

@test "without --policy elsewhere: untrusted, with the current directory to read and to execute" {
    printf '#!/bin/sh\necho it runs; cat data; echo x > new\n' > program
    chmod 755 program
    echo 'my data' > data
    give user program data
    run as user "$SANDBOXCTL" exec -- ./program
    [[ $output == *"it runs"* ]]
    [[ $output == *"my data"* ]]
    [ ! -e new ]
}

@test "a current directory that isn't visible inside: an error that names --chdir" {
    run -125 as user "$SANDBOXCTL" exec --policy base -- echo STARTED
    refused --chdir
    run -0 as user "$SANDBOXCTL" exec --policy base --chdir / -- echo fine
    [ "$output" = fine ]
}

# ---- A kernel without a feature ----

lacks() {
    local feature=$1 tier=$2
    run -125 as user "$SANDBOXD_BUILD/tests/live/without" "$feature" "$SANDBOXCTL" exec --policy "$(policy "$tier" shell)" -- echo STARTED
}

@test "without seccomp's listener nothing starts" {
    lacks listener view
    refused doctor
}

@test "without user namespaces nothing starts" {
    lacks user-namespaces view
    refused "user namespace"
}

@test "without WAIT_KILLABLE_RECV a policy that needs the broker to act is refused, and one that doesn't runs" {
    lacks wait-killable broker
    refused 5.19
    printf 'version: 1\nextends: [base]\nfiles: { read: ["${cwd}"] }\n' > plain.yaml
    give user plain.yaml
    run as user "$SANDBOXD_BUILD/tests/live/without" wait-killable "$SANDBOXCTL" exec --policy ./plain.yaml -- echo runs
    # What needs no injection runs; where even base does, the refusal has to say so.
    [[ $output == runs || $output == *5.19* ]]
}

@test "without SYNC_WAKE_UP it runs all the same" {
    run -0 as user "$SANDBOXD_BUILD/tests/live/without" wake-up "$SANDBOXCTL" exec --quiet --policy "$(policy broker shell)" -- echo runs
    [ "$output" = runs ]
}

@test "without Landlock the view holds alone; exec rules under enforce: broker are refused or held" {
    run -0 as user "$SANDBOXD_BUILD/tests/live/without" landlock "$SANDBOXCTL" exec --policy shell -- echo runs
    [ "$output" = runs ]
    run -0 as user "$SANDBOXD_BUILD/tests/live/without" landlock "$SANDBOXCTL" doctor
    [[ $output == *Landlock* ]]
}

@test "doctor says what is missing" {
    run as user "$SANDBOXD_BUILD/tests/live/without" user-namespaces "$SANDBOXCTL" doctor
    [[ $output == *"user namespaces"*missing* || $output == *missing*"user namespaces"* ]]
    run as user "$SANDBOXCTL" doctor
    [[ $output != *missing* ]]
}
