"""What a Python service does, on one page; prints only what doesn't differ from run to run."""
import asyncio
import concurrent.futures
import fcntl
import glob
import mmap
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.request
import http.server


def square(n):
    return n * n


def processes():
    with multiprocessing.Pool(3) as pool:
        print("pool", pool.map(square, range(10)))
    queue = multiprocessing.Queue()
    p = multiprocessing.Process(target=lambda: queue.put(os.getpid() != os.getppid()))
    p.start()
    print("queue", queue.get())
    p.join()
    print("exit", p.exitcode)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print("threads", sum(pool.map(square, range(100))))
    print("subprocess", subprocess.run(["sh", "-c", "cat; echo err >&2; exit 4"], input=b"piped", capture_output=True))
    print("missing", end=" ")
    try:
        subprocess.run(["no-such-program"])
    except FileNotFoundError as e:
        print(e)
    lock = multiprocessing.Lock()
    with lock:
        print("semaphore", lock.acquire(timeout=0.01))
    signal.signal(signal.SIGUSR1, lambda *_: print("signal"))
    os.kill(os.getpid(), signal.SIGUSR1)


def files(folder):
    os.chdir(folder)
    with tempfile.NamedTemporaryFile(dir=folder) as f, tempfile.TemporaryDirectory() as d:
        f.write(b"x" * 5000)
        f.flush()
        print("temporary", os.path.getsize(f.name), os.listdir(d), oct(os.stat(f.name).st_mode))
    for i in range(50):
        pathlib.Path(f"tree/{i % 7}/{i}").mkdir(parents=True)
        pathlib.Path(f"tree/{i % 7}/{i}/file").write_text(str(i))
    print("walk", sum(len(files) for _, _, files in os.walk("tree")), len(glob.glob("tree/**/file", recursive=True)))
    os.symlink("tree/0", "link")
    os.link("tree/0/0/file", "hard")
    os.rename("link", "renamed")
    print("links", os.readlink("renamed"), os.stat("hard").st_nlink, os.path.realpath("renamed") == os.path.join(folder, "tree/0"))
    shutil.copytree("tree", "copy")
    shutil.make_archive("archive", "gztar", "tree")
    shutil.rmtree("tree")
    print("copy", os.path.exists("tree"), len(list(pathlib.Path("copy").rglob("file"))))
    with open("map", "w+b") as f:
        f.truncate(8192)
        with mmap.mmap(f.fileno(), 8192) as m:
            m[100:105] = b"hello"
        fcntl.lockf(f, fcntl.LOCK_EX)
        print("map", f.read()[100:105])
    os.mkfifo("fifo")
    t = threading.Thread(target=lambda: open("fifo", "w").write("through"))
    t.start()
    print("fifo", open("fifo").read())
    t.join()
    for path, flags in (("/etc/shadow", os.O_RDONLY), ("/nothing/there", os.O_RDONLY), ("map/x", os.O_RDONLY), (".", os.O_WRONLY), ("/usr/new", os.O_CREAT | os.O_WRONLY)):
        try:
            os.close(os.open(path, flags))
            print("open", path, "done")
        except OSError as e:
            print("open", path, e.strerror)
    if os.path.exists("/usr/new"):
        os.unlink("/usr/new")
    for call in (lambda: os.chown("map", 12, 34), lambda: os.chmod("map", 0o4755), lambda: os.setxattr("map", "user.a", b"b"), lambda: os.utime("map", (1, 2))):
        try:
            call()
            st = os.stat("map")
            print("metadata", st.st_uid, st.st_gid, oct(st.st_mode), st.st_mtime if st.st_mtime == 2 else "", os.listxattr("map"))
        except OSError as e:
            print("metadata", e.strerror)


def databases():
    db = sqlite3.connect("test.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    with db:
        db.executemany("INSERT INTO t (b) VALUES (?)", [(str(i),) for i in range(1000)])
    print("sqlite", db.execute("SELECT count(*), sum(a), max(b) FROM t").fetchone())
    db.close()


async def asynchronous():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    for make, client in ((lambda: asyncio.start_server(serve, "127.0.0.1", 7001), lambda: asyncio.open_connection("127.0.0.1", 7001)),
                         (lambda: asyncio.start_unix_server(serve, "socket"), lambda: asyncio.open_unix_connection("socket"))):
        async with await make():
            reader, writer = await client()
            writer.write(b"hello\n")
            print("async", await reader.read())
            writer.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def sockets():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        urls = [f"http://127.0.0.1:{server.server_port}/copy/1/{i}/file" for i in range(1, 50, 7)]
        print("http", list(pool.map(lambda u: urllib.request.urlopen(u).read(), urls)))
    server.shutdown()
    a, b = socket.socketpair()
    socket.send_fds(a, [b"fd"], [os.open("map", os.O_RDONLY)])
    _, fds, _, _ = socket.recv_fds(b, 10, 1)
    print("passed", os.pread(fds[0], 5, 100))
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"datagram", receiver.getsockname())
    print("udp", receiver.recv(100))
    try:
        socket.create_connection(("127.0.0.1", 1), 1)
    except OSError as e:
        print("refused", e.strerror)
    try:
        socket.getaddrinfo("no-such-host.invalid", 80)
    except OSError as e:
        print("name", e.errno)


print(sys.version_info[:2], os.getuid(), os.getgid(), os.getgroups(), os.getcwd(), sorted(os.environ))
folder = tempfile.mkdtemp()
processes()
files(folder)
databases()
asyncio.run(asynchronous())
sockets()
os.chdir("/")
shutil.rmtree(folder)
print("left", os.listdir(tempfile.gettempdir()), flush=True)
sys.exit(5)
