# The seccomp agent: containers of real runtimes, whose profiles send their calls to sandboxd. What the runtimes send in which case is in ENGINES.md.

load ../live/lib
load ../live/daemons
load lib-agent

setup_test() {
    engine
}

RUNTIME=${SANDBOXCTL%/*}/sandbox-runtime
metadata='{"sandboxd":1,"policy":"box","labels":{"image":"box:1","pod":"shop/web"}}'

decides_on() {
    bundle "$metadata" "$1" "${@:2}" -- sh -c 'cat /etc/file /secret/key; echo x > /tmp/x; cat /tmp/x; echo x > /etc/new; ls /; ls -ln /tmp
        mknod /tmp/sda b 8 0; (echo 1 > /proc/sys/kernel/core_pattern); nc -w 1 127.0.0.1 9; head -c 1 /dev/zero | head -c 0; id'
    run container "$1" box
    [[ $output == *$'content\n'* ]]
    [[ $output == *"can't open '/secret/key': No such file or directory"* ]]
    [[ $output == *"can't create /etc/new: Permission denied"* ]]
    [[ $output == *$'\nx\n'* ]]
    [[ $output != *$'\nsecret\n'* ]]
    [[ $output == *"mknod: /tmp/sda: Operation not permitted"* ]]
    [[ $output == *"can't create /proc/sys/kernel/core_pattern:"* ]]
    [[ $output == *"127.0.0.1): Permission denied"* ]]
    [[ $output == *"uid=0"* ]]
    [ ! -e "$bundle/rootfs/etc/new" ]
    eventually is root box state ended
    [ "$(field root box outcome)" = gone ]
}

@test "crun: a container whose metadata name a policy is decided on by it" {
    decides_on crun
}

@test "crun: with capabilities it gets no further" {
    decides_on crun caps=CAP_MKNOD,CAP_SYS_ADMIN,CAP_DAC_OVERRIDE,CAP_NET_ADMIN,CAP_SYS_CHROOT
}

@test "crun: in a user namespace of its own, with files of its own" {
    decides_on crun userns=1 caps=CAP_MKNOD,CAP_SYS_ADMIN
    [[ $output == *$' 0 '* ]]
    # What it may not execute it does not, though it can't be looked at when it does.
    cp "$bundle/rootfs/bin/busybox" "$bundle/rootfs/secret/cat"
    bundle "$metadata" crun userns=1 -- /secret/cat /etc/file
    run container crun other
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
}

@test "crun: an ordinary user's, in a user namespace of the engine's, as Podman does it" {
    stop_agent
    give user "$bundle" "$work/policies" "$work/sandboxd.yaml"
    start_agent user
    bundle "$metadata" crun caps=CAP_DAC_OVERRIDE -- sh -c 'cat /etc/file /secret/key; echo x > /etc/new; echo x > /tmp/x; cat /tmp/x; id'
    identity user
    run inside "${identity[@]}" unshare -r -m crun --cgroup-manager=disabled --root "$work/user/state" run --bundle "$bundle" box
    [[ $output == *$'content\n'* ]]
    [[ $output == *"can't open '/secret/key': No such file or directory"* ]]
    [[ $output == *"can't create /etc/new: Permission denied"* ]]
    [[ $output == *"uid=0"* ]]
    eventually is user box state ended
    [ "$(field user box uid)" = "$SANDBOXD_TEST_USER" ]
}

lives() {
    local before
    # The state comes in more than one message.
    bundle "$metadata" "$1" big=1 -- sh -c 'while cat /etc/file > /dev/null; do sleep 0.1; done'
    box "$1" long
    ctl root ps | grep -q "long .*image=box:1 pod=shop/web"
    run runtime "$1" exec long sh -c 'cat /etc/file /secret/key'
    [[ $output == *content* && $output == *"can't open '/secret/key': No such file or directory"* ]]
    run -3 runtime "$1" exec long sh -c 'exit 3'
    # It was in the same sandbox, and the only one there.
    [ "$(ctl root ps --all --json | jq -r '[.[] | select(.name | startswith("long"))] | length')" = 1 ]
    before=$(field root long workers)
    kill -KILL "$(field root long worker)"
    eventually is root long workers $((before + 1))
    counts root long
    # A killed daemon finds it again.
    kill -KILL "$(daemon_of)"
    eventually is root long state running
    counts root long
    [ "$(runtime "$1" exec long cat /etc/file)" = content ]
    runtime "$1" kill long KILL
    eventually is root long state ended
}

@test "crun: it goes on without its worker and its daemon, and what is executed in it later is under the same policy" {
    lives crun
}

@test "runc: the same, where the metadata say that calls can't be interrupted" {
    need_command runc
    metadata=${metadata/\{/\{\"wait-killable\":true,}
    lives runc
}

@test "runc can't have its filters so, and is told to be replaced by crun" {
    need_command runc
    bundle "$metadata" runc -- cat /etc/file
    run container runc box
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    say "box: the container is not started: runc loads filters without WAIT_KILLABLE_RECV"
}

# refused METADATA WORDS [KEY=VALUE…]: it doesn't start, and the log says why.
refused() {
    bundle "$1" crun "${@:3}" -- cat /etc/file
    run container crun box
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    say "$2"
}

@test "what is wrong with a profile or a policy starts no container" {
    refused '{"sandboxd":1,"policy":"missing"}' "there is no policy .missing."
    refused '{"sandboxd":1,"policy":"/etc/passwd"}' "'/etc/passwd' can't be the name of a policy"
    refused '{"sandboxd":1}' "listenerMetadata names no policy"
    refused '{"policy":"box"}' "listenerMetadata is none of sandboxd's"
    refused 'two words' "neither an object nor the name of a policy"
    refused '{"sandboxd":1,"policy":"box","files":"mounts"}' "to be held by its mounts, and they aren't"
    refused '{"sandboxd":1,"policy":"box","files":"nobody"}' "another word for .files."
    printf 'version: 1\nfiles: { private: [/tmp] }\n' > "$work/policies/tmp.yaml"
    refused tmp "no tier: /tmp: \`private\`"
    printf 'version: 1\nfiles: { exec: [/bin/' > "$work/policies/broken.yaml"
    refused broken "broken.yaml:[0-9]*: not YAML"
    printf 'version: 1\nfiles: { read: [/etc] }\n' > "$work/policies/noexec.yaml"
    bundle noexec crun -- cat /etc/file
    run container crun noexec
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    # A bare name is as good as an object.
    bundle box crun -- cat /etc/file
    [ "$(container crun bare)" = content ]
}

# An annotation by which crun loads another filter, here one that lets all pass, or sends its listener elsewhere.
annotated() {
    bundle "$metadata" crun "annotations={\"$1\":\"$2\"}" -- sh -c 'echo ran; sleep 30'
}

# The bundle as an engine writes it.
without_profile() {
    jq 'del(.linux.seccomp)' "$bundle/config.json" > "$work/config.json"
    cp "$work/config.json" "$bundle/config.json"
}

# prepared WORD…: a container by sandbox-runtime.
prepared() {
    inside env "SANDBOXD_AGENT=$agent" timeout 100 "$RUNTIME" --root "$work/state" "$@"
}

@test "a filter of the container's author is none of the policy's" {
    annotated run.oci.seccomp_bpf_data BgAAAAAA/38=
    run container crun box
    [ "$status" -ne 0 ]
    say "run.oci.seccomp_bpf_data has put another filter in its profile's place"
    local name
    for name in run.oci.seccomp_bpf_data run.oci.seccomp.plugins run.oci.seccomp.receiver; do
        annotated "$name" BgAAAAAA/38=
        without_profile
        run prepared run --bundle "$bundle" box
        [ "$status" -eq 1 ]
        [[ $output == *"the annotation $name would put another filter"* ]]
        [ ! -e "$bundle/config.json.sandboxd" ]
    done
}

# loaded RUNTIME: the filter that the container of a bundle has under it.
loaded() {
    prepared --runtime "$1" create --bundle "$bundle" "of-${1//\//-}" < /dev/null > "$work/out" 2>&1
    sha256sum < "$work/state/of-${1//\//-}/seccomp.bpf"
    prepared delete --force "of-${1//\//-}"
}

@test "crun gets the filter as a program; one that takes none, as a profile, and makes the same of it" {
    local config=$bundle/config.json program profile
    bundle "$metadata" crun -- true
    without_profile
    program=$(loaded "$(command -v crun)")
    [ "$(jq '.linux.seccomp.syscalls | length' "$config")" -eq 0 ]
    [ "$(jq -r '.linux.seccomp.defaultAction' "$config")" = SCMP_ACT_ERRNO ]
    jq -e '.annotations["run.oci.seccomp_bpf_data"] | length > 1000' "$config"
    # A second start of the same bundle finds what the engine wrote.
    [ "$(loaded "$(command -v crun)")" = "$program" ]
    sed 's/run\.oci\.seccomp_bpf_data/run.oci.seccomp_bpf_none/g' "$(command -v crun)" > "$work/crun"
    chmod 755 "$work/crun"
    cp "$work/config.json" "$config"
    profile=$(loaded "$work/crun")
    [ "$(jq '.linux.seccomp.syscalls | length' "$config")" -gt 100 ]
    [ "$(jq '.annotations | length' "$config")" -eq 1 ]
    [ "$program" = "$profile" ]
}

@test "with nobody there no container starts" {
    stop_agent
    bundle "$metadata" crun -- cat /etc/file
    run container crun box
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    [ ! -e "$agent" ]
    start_agent root
    [ "$(container crun again)" = content ]
}

@test "the agent is for the daemon's user alone, and takes nonsense for what it is" {
    [ "$(stat -c %a "$agent")" = 600 ]
    cat > "$work/client.py" << 'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode())
s.settimeout(20)
print("closed" if s.recv(1) == b"" else "?")
END
    run as user /usr/bin/python3 "$work/client.py" "$agent" '{}'
    [[ $output == *PermissionError* ]]
    chmod 666 "$agent"
    # Closed with something unread, it may look reset.
    run as user /usr/bin/python3 "$work/client.py" "$agent" '{}'
    [[ $output == closed || $output == *ConnectionResetError* || $output == *BrokenPipeError* ]]
    say "a container was refused: it is another user's"
    [ "$(/usr/bin/python3 "$work/client.py" "$agent" '{}')" = closed ]
    say "the runtime's state has no id"
    [ "$(/usr/bin/python3 "$work/client.py" "$agent" 'no JSON')" = closed ]
    say "the runtime's state is no JSON"
    [ "$(/usr/bin/python3 "$work/client.py" "$agent" '{"ociVersion":"1.0","fds":["seccompFd"],"pid":1,"metadata":"box","state":{"id":"x","pid":1}}')" = closed ]
    say "came without the listener"
    nothing_left root
}
