# Python: http.server and a fetch, venv, a subprocess pipeline.

load lib

server_script='
import http.server, os, threading, urllib.request
os.makedirs("site", exist_ok=True)
for i in range(50):
    with open(f"site/{i}.txt", "w") as f:
        f.write(f"page {i}\n" * (i + 1))
class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory="site", **kwargs)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
total = 0
for i in range(50):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{i}.txt") as answer:
        body = answer.read().decode()
        assert body == f"page {i}\n" * (i + 1), body
        total += len(body)
try:
    urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/missing")
except urllib.error.HTTPError as error:
    print(error.code)
server.shutdown()
print(total)
'

fetch() {
    folder "$1"
    same "$1" "$2" python /usr/bin/python3 -c "$server_script"
    [ "$status" -eq 0 ]
    [[ $output == *404* ]]
}

@test "http.server and fetches: user, view" { fetch user view; }
@test "http.server and fetches: user, broker" { fetch user broker; }
@test "http.server and fetches: root, view" { fetch root view; }
@test "http.server and fetches: root, broker" { fetch root broker; }

pipeline_script='
import subprocess, sys
seq = subprocess.Popen(["seq", "1", "20000"], stdout=subprocess.PIPE)
sort = subprocess.Popen(["sort", "-rn"], stdin=seq.stdout, stdout=subprocess.PIPE)
seq.stdout.close()
out = subprocess.run(["sha256sum"], stdin=sort.stdout, capture_output=True, text=True)
sort.stdout.close()
print(out.stdout.strip(), out.returncode, seq.wait(), sort.wait())
print(subprocess.run("echo to a shell | tr a-z A-Z; exit 4", shell=True, capture_output=True, text=True))
print(subprocess.run([sys.executable, "-c", "import sys; sys.exit(5)"]).returncode)
try:
    subprocess.run(["no-such-program"])
except FileNotFoundError as error:
    print(error)
'

pipeline() {
    folder "$1"
    same "$1" "$2" python /usr/bin/python3 -c "$pipeline_script"
    [ "$status" -eq 0 ]
}

@test "a subprocess pipeline: user, view" { pipeline user view; }
@test "a subprocess pipeline: user, broker" { pipeline user broker; }
@test "a subprocess pipeline: root, view" { pipeline root view; }
@test "a subprocess pipeline: root, broker" { pipeline root broker; }

setup_file() {
    native=$(mktemp -d "$TMPDIR/python.XXXXXX")
    export native
    /usr/bin/python3 -m venv "$native/with-pip"
    /usr/bin/python3 -m venv --without-pip "$native/without-pip"
}

teardown_file() {
    rm -rf "$native"
}

# made FOLDER: what a venv is made of. Compiled files come and go.
made() {
    (cd "$1" && find . -name __pycache__ -prune -o -print | sort)
}

environment() {
    local kind=with-pip options=()
    if [ "$1" = root ] && [ -z "${SANDBOXD_TEST_FULL:-}" ]; then
        kind=without-pip
        options=(--without-pip)
    fi
    folder "$1"
    sandbox "$1" "$2" python -- /usr/bin/python3 -m venv "${options[@]}" inside
    diff <(made "$native/$kind") <(made inside)
    run -0 --separate-stderr sandbox "$1" "$2" python --quiet -- inside/bin/python -c 'import sys; print(sys.prefix)'
    [ "$output" = "$PWD/inside" ]
    # Scripts with #! in the folder, which the policy's exec on the project allows.
    printf '#!%s/inside/bin/python\nimport sys; print("a script of", sys.prefix)\n' "$PWD" > script
    chmod 755 script
    give "$1" script
    run -0 --separate-stderr sandbox "$1" "$2" python --quiet -- ./script
    [ "$output" = "a script of $PWD/inside" ]
    [ "$kind" = without-pip ] || {
        run -0 --separate-stderr sandbox "$1" "$2" python --quiet -- inside/bin/pip --version
        [[ $output == pip*"$PWD/inside"* ]]
    }
}

@test "venv: user, view" { environment user view; }
@test "venv: user, broker" { environment user broker; }
@test "venv: root, view" { environment root view; }
@test "venv: root, broker" { environment root broker; }
