# Profiles that were made of a policy, and are loaded when it may be another: the agent compares.

load ../live/lib
load ../live/daemons
load lib-agent

# An ordinary user's daemon, whose settings sandboxctl finds in the home.
setup_test() {
    engine
    stop_agent
    mkdir -p "$work/home/user/.config/sandboxd"
    cp "$work/sandboxd.yaml" "$work/home/user/.config/sandboxd/sandboxd.yaml"
    give user "$bundle" "$work/policies" "$work/home/user"
    start_agent user
    bundle '{"sandboxd":1,"policy":"box"}' crun -- cat /etc/file
}

# printed [FILTER]: has the container the profile that is printed now, changed by a jq filter.
printed() {
    SANDBOXD_AGENT=$agent as user "$SANDBOXCTL" policy oci-profile box > "$work/profile.json"
    jq --slurpfile profile "$work/profile.json" ".linux.seccomp = \$profile[0] | ${1:-.}" "$bundle/config.json" > "$work/config.json"
    cat "$work/config.json" > "$bundle/config.json"
}

# start: as rootless Podman does it.
start() {
    identity user
    run inside "${identity[@]}" unshare -r -m crun --cgroup-manager=disabled --root "$work/user/state" run --bundle "$bundle" box
}

starts() {
    start
    [ "$status" -eq 0 ]
    [ "$output" = content ]
}

# fails WORDS
fails() {
    start
    [ "$status" -ne 0 ]
    [[ $output != *content* ]]
    say "box: the container is not started: the policy 'box' $1"
    say "print the profile anew (sandboxctl policy oci-profile box)"
    : > "$work/daemon.log"
}

@test "a printed profile is good as long as its policy says the same" {
    printed
    starts
    # Another text of the same.
    sed -i '1i # a comment' "$work/policies/box.yaml"
    starts
    echo 'limits: { time: 1h }' >> "$work/policies/box.yaml"
    fails "is another one now than that which its profile was made of"
    printed
    starts
    # A policy that it extends is a part of it.
    printf 'version: 1\nfiles: { read: [/var] }\n' > "$work/policies/below.yaml"
    sed -i '2a extends: [below]' "$work/policies/box.yaml"
    fails "is another one now"
    printed
    starts
    sed -i 's:/var:/srv:' "$work/policies/below.yaml"
    fails "is another one now"
}

@test "a profile of a version that sends other calls isn't taken" {
    printed '.linux.seccomp.listenerMetadata |= (fromjson | .["filter-digest"] |= "0" + .[1:] | tojson)'
    fails "sends other calls than its profile, which another version of sandboxd has made"
}
