# `oci: floor` below Docker: sandbox-runtime merges both policies' filters, and the agent has both decide.

load lib

setup_file() {
    engine_world v1
    docker_runtimes "\"sandboxd\": { \"path\": \"$RUNTIME\" }, \"web\": { \"path\": \"$RUNTIME\", \"runtimeArgs\": [\"--policy=container-web\"] }"
    docker_start
    mkdir -p "$world/policies"
    cat > "$world/policies/least.yaml" << 'END'
version: 1
extends: [container-default]
files: { hide: [/root/hidden], deny: [/root/denied] }
syscalls: { rules: [{ match: [symlink, symlinkat], action: errno EXDEV }] }
END
    world_settings "policies: [$world/policies]
oci: { floor: least }"
    daemon_start
    docker_image busybox 'CMD ["sh"]'
}

teardown_file() {
    engine_end
}

teardown_test() {
    docker_remove_all
}

@test "whatever policy a container has, the floor holds as well" {
    local which id
    for which in sandboxd web; do
        run docker run --rm --runtime="$which" --network=none busybox sh -c 'mkdir -p /root/seen; touch /root/hidden; touch /root/denied; ls /root; ln -s /x /tmp/link; id -u'
        echo "$output"
        [ "$status" -eq 0 ]
        [[ $output == *$'\n0' ]]
        [[ $output == *"/root/hidden: Permission denied"* && $output == *"/root/denied: Permission denied"* ]]
        [[ $output == *"/tmp/link: Invalid cross-device link"* ]]
    done
    docker run -d --runtime=sandboxd --name one busybox sleep 100
    eventually_shows one
    id=$(docker inspect -f '{{.Id}}' one)
    inside "$SANDBOXCTL" status "${id:0:12}" | grep -q "floor .*the policy 'least' holds as well"
    run docker exec one ln -s /x /tmp/link
    [ "$status" -ne 0 ]
    [[ $output == *"Invalid cross-device link"* ]]
}

@test "a floor that is missing starts nothing" {
    mv "$world/policies/least.yaml" "$world/policies/other.yaml"
    run docker run --rm --runtime=sandboxd --network=none busybox echo started
    mv "$world/policies/other.yaml" "$world/policies/least.yaml"
    [ "$status" -eq 125 ]
    [[ $output != *started* ]]
    [[ $output == *"the policy 'least': there is no policy"* ]]
}
