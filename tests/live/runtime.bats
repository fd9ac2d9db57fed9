# sandbox-runtime without an engine: the command line, what it makes of a config.json, which policy it takes, its errors, and install. What containers do
# under it is in tests/engines.

load lib

setup_test() {
    need_root
    need_command crun runc jq
    RUNTIME=${SANDBOXCTL%/*}/sandbox-runtime
    mkdir -p bundle/rootfs
    # A runtime that says what it was called with; its name says that it takes flags.
    printf '#!/bin/sh\nprintf "%%s\\n" "$@" > %s/called\n' "$work" > crun-recorder
    cp crun-recorder other-recorder
    chmod 755 crun-recorder other-recorder
    (cd bundle && crun spec)
    # Somebody listens: nothing is sent to it before a container runs.
    export SANDBOXD_AGENT=$work/agent
    start root /usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(100)
time.sleep(1000)' "$SANDBOXD_AGENT"
    eventually test -S "$SANDBOXD_AGENT"
}

# runtime WORD…: with the recorder below.
runtime() {
    "$RUNTIME" --log "$work/log" --log-format json --runtime "$work/crun-recorder" "$@"
}

# says TEXT WORD…: the runtime fails with this one line, in the log as well, and calls nothing.
says() {
    local text=$1
    shift
    rm -f called log
    run "$@"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == "sandbox-runtime: "*"$text"* ]]
    [ ! -e called ]
    if [ -e log ]; then
        [ "$(jq -r .level log)" = error ]
        [ "$(jq -r .msg log)" = "$output" ]
        jq -e '.time | fromdate' log
    fi
}

# settings TEXT: what sandboxd.yaml says, in a mount namespace of the test's own. Sets the array `with`.
settings() {
    local folder
    folder=$(dirname "$(strings "$RUNTIME" | grep -m1 '^/.*/sandboxd\.yaml$')")
    mkdir -p "$work/settings/${folder##*/}"
    printf '%s\n' "$1" > "$work/settings/${folder##*/}/sandboxd.yaml"
    with=(unshare --mount --propagation private -- sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$work/settings" "${folder%/*}")
}

# seccomp_of BUNDLE: what was made of the profile, with neither digests nor names.
seccomp_of() {
    jq --sort-keys '.linux.seccomp | del(.listenerMetadata)' "$1/config.json"
}

@test "a profile that was merged before is taken from beside the socket, if root alone could have put it there and it is of the same two" {
    local entry
    cp -r bundle other
    runtime create --bundle bundle c1
    seccomp_of bundle > first
    entry=$(echo profiles/??)
    [ "$(stat -c '%a %u' profiles "$entry" | tr '\n' ' ')" = "700 0 600 0 " ]
    runtime create --bundle bundle c1
    seccomp_of bundle | diff first -
    # It is taken indeed,
    cp "$entry" whole
    sed -i 's/"defaultAction":"SCMP_ACT_ERRNO"/"defaultAction":"SCMP_ACT_KILL_PROCESS"/' "$entry"
    runtime create --bundle bundle c1
    [ "$(jq -r .linux.seccomp.defaultAction bundle/config.json)" = SCMP_ACT_KILL_PROCESS ]
    # but not where others could have written it, where it is cut short, and for another profile.
    chmod 644 "$entry"
    runtime create --bundle bundle c1
    seccomp_of bundle | diff first -
    head -c -1 whole | sed 's/"defaultAction":"SCMP_ACT_ERRNO"/"defaultAction":"SCMP_ACT_KILL_PROCESS"/' > short
    install -m 600 short "$entry"
    runtime create --bundle bundle c1
    seccomp_of bundle | diff first -
    jq '.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["uname"], action: "SCMP_ACT_ERRNO" }] }' other/config.json > json
    cp json other/config.json
    runtime create --bundle other c2
    [ "$(seccomp_of other)" != "$(cat first)" ]
    [ "$(jq '[.linux.seccomp.syscalls[] | select(.names | index("uname")) | .action] == ["SCMP_ACT_ERRNO"]' other/config.json)" = true ]
}

@test "config.json stays as it is, byte for byte, but for linux.seccomp and what is masked and read-only" {
    /usr/bin/python3 - <<'PYTHON'
text = open("bundle/config.json").read()
nasty = r'''{"x-big": 123456789012345678901234567890, "x-float": 1.0e400, "x-minus": -0.0, "x-twice": 1, "x-twice": {"seccomp": 2},
  "x-\u00e9\"}": "a\u0000b\/ }] \ud83d\ude00", "linux ": 1, "x-list": [ {"linux": {}}, 1.50, [] ], "x-nothing": null, "annotations": {"a": "b", "a": "c"},'''
open("bundle/config.json", "w").write(text.replace("{", nasty, 1))
PYTHON
    cp bundle/config.json before
    runtime create --bundle bundle --pid-file pid c1
    printf '%s\n' --log "$work/log" --log-format json create --bundle bundle --pid-file pid c1 | diff - called
    cmp before bundle/config.json.sandboxd
    /usr/bin/python3 - <<'PYTHON'
import json
before, after = open("before").read(), open("bundle/config.json").read()
def take(name, text, by=None):
    at = text.index('"seccomp":{"defaultAction"' if name == "seccomp" else '"%s":' % name)
    start = at + len(name) + 3
    start += len(text[start:]) - len(text[start:].lstrip())
    value, end = json.JSONDecoder().raw_decode(text, start)
    return value, text[:at] + text[end + 1:] if by is None else text[:start] + by + text[end:]
value, rest = take("seccomp", after)
old = json.loads(before)["linux"]
for name in "maskedPaths", "readonlyPaths":
    paths, rest = take(name, rest, "[]")
    assert paths[:len(old[name])] == old[name] and len(paths) > len(old[name]), name
    assert take(name, before)[0] == old[name]
    before = take(name, before, "[]")[1]
assert rest == before, "more was changed"
assert value["listenerPath"].endswith("/agent") and value["flags"] == ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
metadata = json.loads(value["listenerMetadata"])
assert all(len(metadata.pop(name)) >= 16 for name in ("policy-digest", "filter-digest"))
assert metadata == {"sandboxd": 1, "policy": "container-default", "wait-killable": True, "files": "mounts", "name": "c1"}
PYTHON
    # A second start of the same bundle begins with what the engine wrote.
    cp bundle/config.json first
    runtime run --bundle bundle c1
    cmp first bundle/config.json
    cmp before bundle/config.json.sandboxd
}

@test "mounts hold the rules for files where they can, else the broker" {
    local path
    # of FILTER: who does, once config.json is changed so.
    of() {
        jq "$1" original.json > bundle/config.json
        runtime create --bundle bundle c1 && jq -r '.linux.seccomp.listenerMetadata | fromjson.files' bundle/config.json
    }
    notifies() { jq -e '[.linux.seccomp.syscalls[] | select(.action == "SCMP_ACT_NOTIFY" and .args == null).names[]] | index("openat")' bundle/config.json > /dev/null; }
    cp bundle/config.json original.json
    mkdir -p here bundle/rootfs/etc
    [ "$(of .)" = mounts ]
    ! notifies || false
    # What the engine has left out is asked for again.
    [ "$(of 'del(.linux.maskedPaths, .linux.readonlyPaths)')" = mounts ]
    for path in /proc/sys /proc/irq /proc/bus; do
        jq -e --arg p "$path" '.linux.readonlyPaths | index($p)' bundle/config.json
    done
    jq -e '.linux.maskedPaths | index("/proc/keys")' bundle/config.json
    [ "$(of ".mounts += [{destination: \"/data\", type: \"bind\", source: \"$work/here\", options: [\"rbind\", \"rprivate\"]}]")" = mounts ]
    # Each of these could be a way around.
    for filter in ".mounts += [{destination: \"/data\", type: \"bind\", source: \"$work/here\", options: [\"rbind\", \"rslave\"]}]" \
        '.mounts += [{destination: "/host", type: "bind", source: "/", options: ["rbind"]}]' \
        '.mounts += [{destination: "/p", type: "bind", source: "/proc", options: ["rbind"]}]' \
        '.mounts += [{destination: "/p", type: "proc", source: "proc"}]' \
        '.mounts += [{destination: "/dev", type: "bind", source: "/dev", options: ["rbind"]}]' \
        '.mounts += [{destination: "/x/../sys", type: "tmpfs", source: "tmpfs"}]' \
        'del(.mounts[] | select(.destination == "/proc"))' \
        'del(.linux.namespaces[] | select(.type == "pid"))' \
        '.linux.namespaces |= map(if .type == "pid" then . + { path: "/proc/1/ns/pid" } else . end)' \
        '.linux.namespaces += [{type: "user"}]' \
        '.linux.rootfsPropagation = "rslave"' \
        '.process.cwd = "/proc/self/fd/7"' \
        '.linux.devices = [{path: "/dev/sda", type: "b", major: 8, minor: 0}]'; do
        echo "$filter"
        [ "$(of "$filter")" = broker ]
        notifies
    done
    [ "$(of '.linux.devices = [{path: "/dev/null", type: "c", major: 1, minor: 3}]')" = mounts ]
}

@test "the container's own seccomp profile is merged, the stricter wins" {
    jq '.linux.seccomp = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, flags: ["SECCOMP_FILTER_FLAG_LOG"], syscalls: [
        { names: ["read", "openat", "connect", "mount"], action: "SCMP_ACT_ALLOW" },
        { names: ["clone"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] } ] }' bundle/config.json > new
    mv new bundle/config.json
    runtime create --bundle bundle c1
    # action CALL…: of the calls that have one whatever their arguments are.
    action() { jq -r --arg name "$1" '.linux.seccomp.syscalls[] | select(.args == null and (.names | index($name))) | .action' bundle/config.json; }
    [ "$(action read)" = SCMP_ACT_ALLOW ]
    [ "$(action connect)" = SCMP_ACT_NOTIFY ]
    [ "$(action mount)" = SCMP_ACT_NOTIFY ]
    [ "$(action write)" = SCMP_ACT_ERRNO ]
    [ "$(action bpf)" = SCMP_ACT_ERRNO ]
    [ "$(jq -r '.linux.seccomp.syscalls[] | select(.names == ["clone"] and .action == "SCMP_ACT_ALLOW").args[0] | .value, .valueTwo' bundle/config.json | paste -sd' ')" = "2114060288 0" ]
    [ "$(jq -c .linux.seccomp.flags bundle/config.json)" = '["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]' ]
    jq '.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/other" }' bundle/config.json.sandboxd > bundle/config.json
    says "has an agent of its own" runtime create --bundle bundle c1
    jq '.linux.seccomp = { defaultAction: "SCMP_ACT_PERHAPS" }' bundle/config.json.sandboxd > bundle/config.json
    says "\`defaultAction\` is no action" runtime create --bundle bundle c1
}

@test "an annotation chooses only what the administrator lists" {
    local with
    annotate() { jq --arg p "$1" '.annotations["org.sandboxd.policy"] = $p' bundle/config.json > new && mv new bundle/config.json; }
    policy_of() { jq -r '.linux.seccomp.listenerMetadata | fromjson.policy' bundle/config.json; }
    annotate container-untrusted
    says "names the policy 'container-untrusted', which \`oci: selectable\` in" runtime create --bundle bundle c1
    # It isn't left out of account for another that is given either.
    says "container-untrusted" runtime --policy container-default create --bundle bundle c1
    settings 'oci: { selectable: [container-untrusted, no-such-policy], default: container-web }'
    "${with[@]}" "$RUNTIME" --runtime "$work/crun-recorder" create --bundle bundle c1
    [ "$(policy_of)" = container-untrusted ]
    mv bundle/config.json.sandboxd bundle/config.json
    annotate no-such-policy
    says "there is no policy \`no-such-policy\`" "${with[@]}" "$RUNTIME" --runtime "$work/crun-recorder" create --bundle bundle c1
    annotate ../../etc/mine.yaml
    says "is no name of a policy" "${with[@]}" "$RUNTIME" --runtime "$work/crun-recorder" create --bundle bundle c1
    annotate ''
    "${with[@]}" "$RUNTIME" --runtime "$work/crun-recorder" create --bundle bundle c1
    [ "$(policy_of)" = container-web ]
    # A second start with the mark of the first, and a policy that the engine's arguments name.
    mv bundle/config.json.sandboxd bundle/config.json
    "${with[@]}" "$RUNTIME" --policy container-db --runtime "$work/crun-recorder" create --bundle bundle c1
    [ "$(policy_of)" = container-db ]
    settings 'oci: { floor: container-untrusted }'
    "${with[@]}" "$RUNTIME" --policy container-web --runtime "$work/crun-recorder" create --bundle bundle c1
    [ "$(policy_of)" = container-web ]
    "${with[@]}" "$RUNTIME" --policy container-untrusted --runtime "$work/crun-recorder" create --bundle bundle c1
    settings 'oci: { selectible: [] }'
    says "sandboxd.yaml:1:" "${with[@]}" "$RUNTIME" --runtime "$work/crun-recorder" create --bundle bundle c1
}

@test "policies are names, and a wrong one starts nothing" {
    says "is no name of a policy" runtime --policy ./x.yaml create --bundle bundle c1
    says "is no name of a policy" runtime --policy /etc/passwd create --bundle bundle c1
    says "there is no policy \`nothing-like-it\`" runtime --policy nothing-like-it create --bundle bundle c1
    # Not even those of root's own home.
    mkdir -p home/root/.config/sandboxd/policies
    echo 'version: 1' > home/root/.config/sandboxd/policies/mine.yaml
    HOME=$work/home/root says "there is no policy \`mine\`" runtime --policy mine create --bundle bundle c1
}

@test "what could hide which container is started is refused" {
    says "--config isn't known" runtime create --config other.json --bundle bundle c1
    says "--bundl isn't known" runtime create --bundl bundle c1
    says "-bbundle isn't known" runtime create -bbundle c1
    says "--unheard-of isn't known" runtime --unheard-of create --bundle bundle c1
    says "one container" runtime create --bundle bundle c1 c2
    says "wants the name" runtime create --bundle bundle
    says "wants a value" runtime create c1 --bundle
    says "there is no command 'crate'" runtime crate --bundle bundle c1
    says "would be under no policy" runtime restore --bundle bundle c1
    says "No such file" runtime create --bundle nowhere c1
    jq '. + { Linux: {} }' bundle/config.json > new
    cp new bundle/config.json
    says "in other capitals" runtime create --bundle bundle c1
    echo '{"linux": {}' > bundle/config.json
    says "no JSON object" runtime create --bundle bundle c1
    printf '{"linux": []}' > bundle/config.json
    says "is no object" runtime create --bundle bundle c1
    rm bundle/config.json
    ln -s /etc/passwd bundle/config.json
    says "config.json" runtime create --bundle bundle c1
}

@test "all other commands are handed on as they are" {
    local words
    for words in "state c1" "kill c1 9" "kill --all c1 KILL" "delete --force c1" "start c1" "list -f json" "ps --format json c1" "pause c1" "resume c1" "update --memory 5 c1" \
        "exec --process p --console-socket s --detach --pid-file f c1" "exec -t c1 sh -c :" "spec --rootless" "events --stats c1"; do
        # shellcheck disable=SC2086
        runtime --root /r --systemd-cgroup $words
        # shellcheck disable=SC2086
        printf '%s\n' --log "$work/log" --log-format json --root /r --systemd-cgroup $words | diff - called
    done
    runtime create --help
    [ "$(tail -1 called)" = --help ]
    [ ! -e bundle/config.json.sandboxd ]
    run "$RUNTIME" --version
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "sandbox-runtime version "* ]]
    [[ $output == *crun* ]]
}

@test "runc gets only plans whose broker does nothing for its callers" {
    "$RUNTIME" --version > /dev/null
    says "needs crun" "$RUNTIME" --log "$work/log" --log-format json --runtime "$work/other-recorder" create --bundle bundle c1
    [ ! -e bundle/config.json.sandboxd ]
}

@test "errors go into a log of text as well, and without a log" {
    run "$RUNTIME" --log "$work/log" --runtime "$work/crun-recorder" create --bundle nowhere c1
    [ "$status" -eq 1 ]
    grep -qE '^time="[0-9T:Z-]+" level=error msg="sandbox-runtime: the bundle nowhere: No such file or directory"$' log
    run "$RUNTIME" --runtime "$work/crun-recorder" create --bundle nowhere c1
    [ "$status" -eq 1 ]
    [ "$output" = "sandbox-runtime: the bundle nowhere: No such file or directory" ]
}

@test "install enters the runtime and keeps the rest, uninstall takes it out again" {
    need_command containerd
    mkdir -p host/etc/docker host/etc/containerd
    printf '{\n  "log-level": "warn",\n  "runtimes": { "crun": {"path": "/usr/bin/crun"} },\n  "x": 1.0\n}\n' > host/etc/docker/daemon.json
    printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n' > host/etc/containerd/config.toml
    chmod 640 host/etc/docker/daemon.json
    cp -a host before
    "$RUNTIME" install --root "$work/host"
    [ "$(jq -c .runtimes host/etc/docker/daemon.json)" = "{\"sandboxd\":{\"path\":\"$RUNTIME\"},\"crun\":{\"path\":\"/usr/bin/crun\"}}" ]
    [ "$(jq -r '."log-level"' host/etc/docker/daemon.json)" = warn ]
    [ "$(stat -c %a host/etc/docker/daemon.json)" = 640 ]
    containerd --config host/etc/containerd/config.toml config dump > dumped
    grep -A12 'runtimes.sandboxd\]' dumped | grep -q 'pod_annotations = \["org.sandboxd.\*"\]'
    grep -q "BinaryName = \"$RUNTIME\"" dumped
    grep -q 'restrict_oom_score_adj = true' dumped
    # Once one is named, containerd's own is gone, and with it its default.
    grep -A3 'runtimes.runc\]' dumped | grep -q runc
    grep -q 'default_runtime_name = "runc"' dumped
    grep -qx "sandboxd = \[\"$RUNTIME\"\]" host/etc/containers/containers.conf.d/sandboxd.conf
    cp -a host once
    "$RUNTIME" install --root "$work/host"
    diff -r host once
    "$RUNTIME" uninstall --root "$work/host"
    rmdir host/etc/containers/containers.conf.d host/etc/containers
    diff -r host before
    [ "$(stat -c %a host/etc/docker/daemon.json)" = 640 ]
    "$RUNTIME" uninstall --root "$work/host"

    # What was changed meanwhile stays.
    "$RUNTIME" install --docker --containerd --root "$work/host"
    sed -i 's/warn/info/' host/etc/docker/daemon.json
    sed -i 's/adj = true/adj = false/' host/etc/containerd/config.toml
    "$RUNTIME" uninstall --docker --containerd --root "$work/host"
    sed -i 's/warn/info/' before/etc/docker/daemon.json
    sed -i 's/adj = true/adj = false/' before/etc/containerd/config.toml
    diff -r host before

    # Where there is nothing yet, and what is wrong.
    "$RUNTIME" install --docker --containerd --root "$work/empty"
    [ "$(jq -c . empty/etc/docker/daemon.json)" = "{\"runtimes\":{\"sandboxd\":{\"path\":\"$RUNTIME\"}}}" ]
    containerd --config empty/etc/containerd/config.toml config dump | grep -q "BinaryName = \"$RUNTIME\""
    "$RUNTIME" uninstall --docker --containerd --root "$work/empty"
    [ -z "$(find empty -type f)" ]
    echo '{ "runtimes": [] }' > host/etc/docker/daemon.json
    echo 'version = 1' > host/etc/containerd/config.toml
    run "$RUNTIME" install --docker --containerd --root "$work/host"
    [ "$status" -eq 1 ]
    [[ $output == *"daemon.json: \`runtimes\` in it is no object, or there twice; nothing was changed in it"* ]]
    [[ $output == *"config migrate"* ]]
    [ "$(cat host/etc/docker/daemon.json)" = '{ "runtimes": [] }' ]
}
