# What the bats file and the fuzzer share. Needs SANDBOXD_BUILD, SANDBOXCTL, SANDBOXCTL_UNSAFE, and bash's `set -u`.

: "${SANDBOXD_TEST_USER:=65532}"

# differential KIND run|replay FOLDER OPTION…: in an empty folder, which is taken away afterwards.
#
#   user  an ordinary user's sandbox: one id, no capabilities
#   root  root's: all ids are there, but nobody can be them
#   checked  root's again, where each execve is checked after the fact
#   ids   a sandbox with capabilities over files and ids, whose tasks change theirs: only a build for tests can be told to make one
differential() {
    local kind=$1 what=$2 folder=$3 program=$SANDBOXCTL status=0 words=() options=()
    shift 3
    case $kind in
    user)
        if [ "$EUID" -eq 0 ]; then
            options=(--owner "$SANDBOXD_TEST_USER:$SANDBOXD_TEST_USER")
            words=(setpriv "--reuid=$SANDBOXD_TEST_USER" "--regid=$SANDBOXD_TEST_USER" --clear-groups --inh-caps=-all --)
        fi
        ;;
    checked)
        options=(--checked)
        ;;
    ids)
        options=(--ids)
        program=$SANDBOXCTL_UNSAFE
        ;;
    esac
    mkdir -p "$folder"
    "$SANDBOXD_BUILD/tests/live/differential/differential" "$what" --folder "$folder" --unfiltered "$SANDBOXCTL_UNSAFE" "${options[@]}" "$@" \
        -- "${words[@]}" "$program" || status=$?
    rm -rf "$folder"
    return "$status"
}
