# What other programs' own tests say is the same, test by test, with every path call sent to the broker and under the view, whose path calls are
# the kernel's: tests of Python's, stressors of stress-ng, and a build of this project with its unit tests.

load lib

setup_test() {
    cp "$BATS_TEST_DIRNAME/suites.py" "$work/suites.py"
}

# emptied WHO: the folder in which both tiers' runs find the same, one after the other.
emptied() {
    rm -rf "${work:?}/$1/suite"
    mkdir -p "$work/$1/suite"
    cp "$work/suites.py" "$work/$1/suite"
    give "$1" "$work/$1/suite"
    cd "$work/$1/suite" || return 1
}

# results WHO TIER POLICY ARGUMENT…: runs suites.py with them; what it says is in $work/results.TIER.
results() {
    local who=$1 tier=$2 of=$3 suite=$4
    shift 4
    rm -f "$work/results.$tier"
    sandbox "$who" "$tier" "$of" --quiet --net none --env "TMPDIR=$PWD" -- /usr/bin/python3 suites.py "$suite" results "$@" \
        > "$work/said.$tier" 2>&1 < /dev/null || { tail -20 "$work/said.$tier"; return 1; }
    cp results "$work/results.$tier"
}

# compared ENOUGH: as many results at least, and the same ones in both tiers.
compared() {
    cut -d' ' -f1 "$work/results.view" | sort | uniq -c | sort -rn
    if ! diff "$work/results.view" "$work/results.broker"; then
        echo "< is what the view gives, > is the broker"
        return 1
    fi
    [ "$(wc -l < "$work/results.view")" -ge "$1" ]
}

# suite WHO POLICY ENOUGH ARGUMENT…
suite() {
    local who=$1 of=$2 enough=$3 tier
    shift 3
    for tier in view broker; do
        emptied "$who"
        results "$who" "$tier" "$of" "$@"
    done
    compared "$enough"
}

# ---- Python ----

# Not the network, nor 4 GiB of memory or disk.
resources=all,-gui,-network,-urlfetch,-largefile

# tests WHO ENOUGH MODULE [OPTION…]
tests() {
    local who=$1 enough=$2
    shift 2
    [ -d /usr/lib/python3.11/test ] || skip "libpython3.11-testsuite is not installed"
    suite "$who" python "$enough" python -u "$resources" "$@"
}


# Each module's number of tests is Python 3.11's, less a few.
modules='test_os:300 test_posix:130 test_shutil:150 test_pathlib:450 test_tempfile:90 test_glob:15 test_mmap:35 test_fcntl:8'

python_modules() {
    local module
    for module in $modules; do
        echo "-- ${module%:*}"
        tests "$1" "${module#*:}" "${module%:*}"
    done
}

@test "Python's tests of files say the same: user" { python_modules user; }
@test "Python's tests of files say the same: root" {
    [ -n "${SANDBOXD_TEST_FULL:-}" ] || modules='test_os:300 test_posix:130 test_shutil:150'
    python_modules root
}

# Most of its time it waits for children that sleep.
subprocesses() {
    if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
        tests "$1" 300 test_subprocess
    else
        tests "$1" 150 test_subprocess -i '*timeout*' -i '*_dead' -i '*_after_stdout_close' -i '*NoPoll*'
    fi
}

@test "Python's tests of subprocesses say the same: user" { subprocesses user; }
@test "Python's tests of subprocesses say the same: root" {
    need_full
    subprocesses root
}

# ---- stress-ng ----

# Its classes `filesystem` and `io`.
stressors='access bind-mount binderfs chattr chmod chown copy-file dentry dir dirdeep dirmany dnotify dup eventfd fallocate fanotify fcntl fiemap
    file-ioctl filename flock fsize fstat getdent handle hdd inotify io iomix ioprio lease link locka lockf lockofd mknod open procfs rename
    sync-file touch utime verity xattr aio aiol io-uring rawdev readahead revio seek'
# A single operation takes seconds.
slow='chdir symlink'
# These run until their time is up, whatever number of operations they are given.
timed='fpunch inode-flags'

# A signal tells a stressor that its time is up: it is long enough for all operations, where it can be. With a signal comes EINTR.
# shellcheck disable=SC2086
stressed() {
    need_command stress-ng
    if [ -z "${SANDBOXD_TEST_FULL:-}" ]; then
        suite "$1" python 50 stress 30 3 $stressors
    else
        suite "$1" python 50 stress 120 50 $stressors
        suite "$1" python 2 stress 240 1 $slow
        suite "$1" python 2 stress 3 1 $timed
    fi
}

@test "stress-ng's stressors of files say the same: user" { stressed user; }
@test "stress-ng's stressors of files say the same: root" { stressed root; }

@test "stress-ng's stressors are those of its classes" {
    local class
    need_command stress-ng
    for class in filesystem io; do
        stress-ng --class $class? 2>&1 | sed 's/.*: //'
    done | tr ' ' '\n' | sed '/^$/d' | sort -u > all
    # shellcheck disable=SC2086
    diff all <(printf '%s\n' $stressors $slow $timed | sort)
}

# ---- This project ----

# Most of broker's and all of launch's unit tests make namespaces or sandboxes, which nothing can inside: they fail alike.
targets=()

built() {
    local who=$1 tier
    for tier in view broker; do
        emptied "$who"
        (cd "$SANDBOXD_SOURCE" && tar -cf - --exclude=./build --exclude='./build-*' --exclude=./.git --exclude=./.dev .) | tar -xf - --no-same-owner
        give "$who" .
        sandbox "$who" "$tier" build --quiet --net none -- /bin/sh -c 'meson setup build -Dtests=true -Dman=disabled && ninja -C build "$@"' sh "${targets[@]}" \
            > "$work/said.$tier" 2>&1 < /dev/null || { tail -20 "$work/said.$tier"; return 1; }
        cp "$work/suites.py" .
        results "$who" "$tier" build unit build
    done
    compared "$2"
}

@test "this project is built, and its unit tests say the same: user" {
    need_command meson ninja
    [ -n "${SANDBOXD_TEST_FULL:-}" ] || targets=(tests/unit/base/test-base tests/unit/policy/test-policy)
    built user 50
}
@test "this project is built, and its unit tests say the same: root" {
    need_full
    need_command meson ninja
    built root 100
}
