# gcc and make build redis from Debian's source package and run its unit tests.

load lib

# The source is fetched once into the build folder, with lists and settings of apt's that are our own: the system's stay as they are.
setup_file() {
    store=$SANDBOXD_SOURCE/build/redis-source
    export store
    mkdir -p "$store"
    if ! compgen -G "$store/redis_*.dsc" > /dev/null; then
        mkdir -p "$store/lists/partial" "$store/cache/archives/partial"
        apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' | sort -u |
            sed -n 's,^\([^ ]*\) \([^ ]*\) main Debian$,deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \1 \2 main,p' \
                > "$store/sources.list"
        local options=(-qq -o "Dir::Etc::SourceList=$store/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$store/lists"
            -o "Dir::Cache=$store/cache" -o APT::Sandbox::User=root)
        (cd "$store" && apt-get "${options[@]}" update && apt-get "${options[@]}" --download-only source redis) > "$store/log" 2>&1 || :
        rm -rf "$store/lists" "$store/cache"
    fi
}

setup_test() {
    need_command gcc make dpkg-source
}

unpack() {
    compgen -G "$store/redis_*.dsc" > /dev/null || skip "redis's source could not be fetched: $(tail -1 "$store/log")"
    dpkg-source --no-check -x "$store"/redis_*.dsc redis > unpack.log 2>&1
    give "$1" redis
    cd redis || return 1
}

unit_tests='ziplist quicklist intset zipmap sha1test util endianconv crc64 zmalloc sds dict listpack'

build() {
    local t
    folder "$1"
    unpack "$1"
    # No optimisation: it is the compiler's calls that are to be seen, not its diligence.
    sandbox "$1" "$2" build --stats "$work/$1/stats" -- \
        make -j2 MALLOC=libc OPTIMIZATION=-O0 REDIS_CFLAGS=-DREDIS_TEST > "$work/make.log" 2>&1 < /dev/null || {
        tail -30 "$work/make.log"
        return 1
    }
    cat "$work/$1/stats"
    [ -x src/redis-server ]
    for t in $unit_tests; do
        sandbox "$1" "$2" build --quiet -- src/redis-server test "$t" > "$work/test.log" 2>&1 < /dev/null || {
            echo "redis's unit test $t failed:"
            tail -20 "$work/test.log"
            return 1
        }
    done
    if [ -n "${SANDBOXD_TEST_FULL:-}" ]; then
        sandbox "$1" "$2" build --quiet -- src/redis-server test all > "$work/test.log" 2>&1 < /dev/null
        grep -q ' 0 failed' "$work/test.log"
    fi
}

@test "redis is built, and its unit tests pass: user, broker" { build user broker; }
@test "redis is built, and its unit tests pass: root, view" { build root view; }
@test "redis is built, and its unit tests pass: user, view" {
    need_full
    build user view
}
@test "redis is built, and its unit tests pass: root, broker" {
    need_full
    build root broker
}

runtest() {
    need_full
    need_command tclsh
    folder "$1"
    unpack "$1"
    sandbox "$1" "$2" build --quiet -- make -j2 MALLOC=libc OPTIMIZATION=-O0 > "$work/make.log" 2>&1 < /dev/null
    sandbox "$1" "$2" build --quiet -- ./runtest --clients 2 --single unit/type/string --single unit/type/list --single unit/expire \
        --single unit/scan --single unit/protocol --single unit/auth > "$work/test.log" 2>&1 < /dev/null || {
        tail -30 "$work/test.log"
        return 1
    }
    grep -q 'All tests passed' "$work/test.log"
}

@test "redis's test suite runs: user, view" { runtest user view; }
@test "redis's test suite runs: root, broker" { runtest root broker; }

# The same program is made inside as outside, byte for byte, and errors are the compiler's own.
small() {
    folder "$1"
    mkdir small
    printf '#include <stdio.h>\nint main(void) { printf("hello %%d\\n", __LINE__); return 3; }\n' > small/hello.c
    printf 'hello: hello.c\n\tgcc -g -O1 -o $@ $<\nbad:\n\tgcc -c nosuch.c\n' > small/Makefile
    give "$1" small
    cd small || return 1
    as "$1" make -s
    mv hello native
    sandbox "$1" "$2" build --quiet -- make -s
    cmp native hello
    same "$1" "$2" build ./hello
    [ "$status" -eq 3 ]
    same "$1" "$2" build make -s bad
    [ "$status" -eq 2 ]
}

@test "gcc and make give the same program: user, view" { small user view; }
@test "gcc and make give the same program: user, broker" { small user broker; }
@test "gcc and make give the same program: root, view" { small root view; }
@test "gcc and make give the same program: root, broker" { small root broker; }
