#!/bin/sh
# Holds what the probes see inside a sandbox, with all paths brokered, against what they see outside: every line must be the same.
#
# usage: compare.sh SANDBOXCTL PROBE_FILES PROBE_NAMES PROBE_META PROBE_NETWORK
set -eu

sandboxctl=$1 probe_files=$2 probe_names=$3 probe_meta=$4 probe_network=$5
# In the build folder: the policies have empty places of their own in /tmp and /var/tmp.
case ${TMPDIR:-/tmp}/ in
/tmp/* | /var/tmp/*) base=$PWD ;;
*) base=$TMPDIR ;;
esac
work=$(mktemp -d "$base/probes.XXXXXX")
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cp "$probe_files" "$work/probe_files"
cp "$probe_names" "$work/probe_names"
cp "$probe_network" "$work/probe_network"
mkdir "$work/p" "$work/w" "$work/w/x" "$work/w/m"
# Where it may be written, so that it is the kernel that refuses to truncate it.
cp "$probe_meta" "$work/w/probe_meta"

policy() { # NAME ENFORCE NETWORK
    cat > "$work/$1.yaml" <<END
version: 1
extends: [base]
files:
  write: ["$work/w"]
  exec: ["$work/w", "$work/probe_files", "$work/probe_names", "$work/probe_network"]
$2
$3
END
}
policy brokered '  enforce: broker' ''
policy append "  append: [\"$work/p\"]" ''
policy view '' ''
policy host '' 'network: { mode: host, connect: [any], bind: [any] }'

same() { # WHAT OUTSIDE INSIDE
    if ! diff "$2" "$3" > "$work/diff"; then
        echo "$1: $(grep -c '^[<>]' "$work/diff") lines differ, such as"
        head -20 "$work/diff"
        exit 1
    fi
    [ -s "$2" ]
    echo "$1: $(wc -l < "$2") lines are the same"
}

"$work/probe_files" "$work/w/x" make
for part in look open; do
    "$work/probe_files" "$work/w/x" $part > "$work/outside"
    "$sandboxctl" exec --quiet --policy "$work/brokered.yaml" --chdir / -- "$work/probe_files" "$work/w/x" $part > "$work/inside"
    same "files, $part" "$work/outside" "$work/inside"
done
"$work/w/probe_meta" "$work/w/m" make
for part in change attributes list; do
    "$work/w/probe_meta" "$work/w/m" $part > "$work/outside"
    "$sandboxctl" exec --quiet --policy "$work/brokered.yaml" --chdir / -- "$work/w/probe_meta" "$work/w/m" $part > "$work/inside"
    same "metadata, $part" "$work/outside" "$work/inside"
done
# With the calls that are only brokered where something may only be appended to.
"$work/w/probe_meta" "$work/w/m" change > "$work/outside"
"$sandboxctl" exec --quiet --policy "$work/append.yaml" --chdir / -- "$work/w/probe_meta" "$work/w/m" change > "$work/inside"
same "metadata, with append" "$work/outside" "$work/inside"

# names WHO COMMAND…: as whom to run.
names() {
    who=$1
    shift
    "$@" "$work/probe_names" "$work/w/$who" > "$work/outside"
    "$@" "$sandboxctl" exec --quiet --policy "$work/brokered.yaml" --chdir / -- "$work/probe_names" "$work/w/$who" > "$work/inside"
    same "names, $who" "$work/outside" "$work/inside"
}
mkdir "$work/w/caller" "$work/w/other"
names caller env
other="setpriv --reuid=65532 --regid=65532 --clear-groups --inh-caps=-all -- env HOME=$work/w/other"
chmod 755 "$work"
# shellcheck disable=SC2086
if [ "$(id -u)" -eq 0 ] && $other test -x "$sandboxctl" && $other test -x "$work/probe_names"; then
    chown 65532:65532 "$work/w/other"
    names other $other
fi
"$work/probe_network" > "$work/outside"
for name in brokered view host; do
    "$sandboxctl" exec --quiet --policy "$work/$name.yaml" --chdir / -- "$work/probe_network" > "$work/inside"
    same "network, $name" "$work/outside" "$work/inside"
done
