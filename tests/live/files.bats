# tar, find and xargs over /usr, in both tiers, give what they give outside.

load lib

# What an ordinary user sees inside of others' files is owned by nobody: owners are left out of what is compared.
walk() {
    local where=/usr/share
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || where=/usr
    folder "$1"
    same "$1" "$2" shell find "$where" -xdev -printf '%p %y %s %m %l %T@\n'
    [ "$(wc -l < "$work/inside.out")" -gt 5000 ]
}

@test "find over /usr: user, view" { walk user view; }
@test "find over /usr: user, broker" { walk user broker; }
@test "find over /usr: root, view" { walk root view; }
@test "find over /usr: root, broker" { walk root broker; }

archive() {
    local where=/usr/include
    [ -z "${SANDBOXD_TEST_FULL:-}" ] || where=/usr/share
    folder "$1"
    same "$1" "$2" shell bash -c "set -o pipefail; tar --sort=name --owner=0 --group=0 --numeric-owner -cf - $where 2>&1 | sha256sum"
}

@test "tar over /usr: user, view" { archive user view; }
@test "tar over /usr: user, broker" { archive user broker; }
@test "tar over /usr: root, view" { archive root view; }
@test "tar over /usr: root, broker" { archive root broker; }

unpack() {
    folder "$1"
    tar -cf source.tar -C /usr/include linux
    give "$1" source.tar
    as "$1" mkdir native inside
    as "$1" tar -xf source.tar -C native
    sandbox "$1" "$2" shell -- tar -xf source.tar -C inside
    diff -r --no-dereference native inside
    diff <(cd native && find linux -printf '%p %y %m %T@ %U %G\n' | sort) <(cd inside && find linux -printf '%p %y %m %T@ %U %G\n' | sort)
}

@test "tar unpacks with modes, times and owners: user, view" { unpack user view; }
@test "tar unpacks with modes, times and owners: user, broker" { unpack user broker; }
@test "tar unpacks with modes, times and owners: root, view" { unpack root view; }
@test "tar unpacks with modes, times and owners: root, broker" { unpack root broker; }

many() {
    folder "$1"
    same "$1" "$2" shell bash -c 'set -o pipefail; find /usr/bin /usr/sbin -xdev -type f -print0 | sort -z | xargs -0 -n 200 -P 2 wc -c | grep -v total | sort | sha256sum'
}

@test "find | xargs over /usr: user, view" { many user view; }
@test "find | xargs over /usr: user, broker" { many user broker; }
@test "find | xargs over /usr: root, view" { many root view; }
@test "find | xargs over /usr: root, broker" { many root broker; }
