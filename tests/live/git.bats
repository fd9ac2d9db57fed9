# git: clone of a local repository of 10,000 files and 500 commits, a commit, gc.

load lib

setup_file() {
    fixture=$(mktemp -d "$TMPDIR/git.XXXXXX")
    chmod 755 "$fixture"
    export fixture
    git init -q --bare -b main "$fixture/big.git"
    /usr/bin/python3 - << 'EOF' | git -C "$fixture/big.git" fast-import --quiet
import sys
out = sys.stdout
files, commits = 10000, 500
for n in range(commits):
    out.write(f"commit refs/heads/main\nmark :{n + 1}\ncommitter A Tester <tester@example.org> {1700000000 + n * 60} +0000\n")
    message = f"Change number {n}\n"
    out.write(f"data {len(message)}\n{message}\n")
    if n:
        out.write(f"from :{n}\n")
    # The first makes all files, each later one changes twenty.
    changed = range(files) if n == 0 else [(n * 20 + i) % files for i in range(20)]
    for f in changed:
        text = f"file {f} as of commit {n}\n"
        out.write(f"M 100644 inline dir{f % 100}/file{f}.txt\ndata {len(text)}\n{text}\n")
EOF
    if [ "$EUID" -eq 0 ]; then
        cp -a "$fixture/big.git" "$fixture/user.git"
        chown -R "${SANDBOXD_TEST_USER:-65532}:${SANDBOXD_TEST_USER:-65532}" "$fixture/user.git"
        native=big.git
    else
        mv "$fixture/big.git" "$fixture/user.git"
        native=user.git
    fi
    # What the session prints outside, to compare with: it names no path, so that one run does for all.
    mkdir "$fixture/native"
    (cd "$fixture/native" && env "${commit_identity[@]}" sh -c "$session" sh "$fixture/$native") > "$fixture/native.out" 2>&1
}

# What makes commits the same everywhere.
commit_identity=(GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE=1800000000+0000 GIT_COMMITTER_NAME=C
    GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE=1800000000+0000)

teardown_file() {
    rm -rf "$fixture"
}

session='
set -e
git clone -q "$1" work
cd work
git rev-parse HEAD
git rev-list --count HEAD
git ls-files | wc -l
git status --porcelain
echo changed >> dir1/file1.txt
echo new > new.txt
git rm -q dir2/file2.txt
git add new.txt
git status --porcelain
git commit -q -a -m "A commit of the test"
git rev-parse HEAD
git log --oneline -3
git gc -q
git count-objects -v | grep -E "^(count|in-pack|packs)"
git fsck --no-progress
git rev-parse HEAD
'

whole_session() {
    local who=$1 tier=$2 repository=$fixture/user.git
    [ "$who" = user ] || repository=$fixture/big.git
    folder "$who"
    sandbox "$who" "$tier" git --read "$repository" "${commit_identity[@]/#/--env=}" --quiet -- sh -c "$session" sh "$repository" > "$work/inside.out" 2>&1 || {
        cat "$work/inside.out"
        return 1
    }
    diff "$fixture/native.out" "$work/inside.out"
    grep -qx 500 "$work/inside.out"
    grep -qx 10000 "$work/inside.out"
    # What the sandbox has made is a good repository for those outside.
    as "$who" git -C work fsck --no-progress
    as "$who" git -C work diff --quiet HEAD
}

@test "clone, status, commit, gc: user, view" { whole_session user view; }
@test "clone, status, commit, gc: user, broker" { whole_session user broker; }
@test "clone, status, commit, gc: root, view" { whole_session root view; }
@test "clone, status, commit, gc: root, broker" { whole_session root broker; }
