#!/bin/sh
# Holds what the probes see inside a sandbox, with all paths brokered, against what they see outside: every line must be the same.
#
# usage: compare.sh SANDBOXCTL PROBE_FILES PROBE_NAMES PROBE_NETWORK
set -eu

sandboxctl=$1 probe_files=$2 probe_names=$3 probe_network=$4
# In the build folder: the policies have empty places of their own in /tmp and /var/tmp.
work=$(mktemp -d "$PWD/probes.XXXXXX")
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cp "$probe_files" "$work/probe_files"
cp "$probe_names" "$work/probe_names"
cp "$probe_network" "$work/probe_network"
mkdir "$work/w" "$work/w/x" "$work/w/names"

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
"$work/probe_names" "$work/w/names" > "$work/outside"
"$sandboxctl" exec --quiet --policy "$work/brokered.yaml" --chdir / -- "$work/probe_names" "$work/w/names" > "$work/inside"
same names "$work/outside" "$work/inside"
"$work/probe_network" > "$work/outside"
for name in brokered view host; do
    "$sandboxctl" exec --quiet --policy "$work/$name.yaml" --chdir / -- "$work/probe_network" > "$work/inside"
    same "network, $name" "$work/outside" "$work/inside"
done
