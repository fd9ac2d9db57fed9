#!/usr/bin/python3
"""What metadata.bats runs, mostly inside: changing what is only to be read, listings, leases, watches, a directory that is swapped.

usage: metadata.py changes|snapshot|list|lease|watch|attributes|chdir …
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
NUMBERS = {"open": 2, "fchmodat2": 452, "fchownat": 260, "utimensat": 280, "futimesat": 261, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
           "fchmod": 91, "fchown": 93, "fsetxattr": 190, "fremovexattr": 199, "ftruncate": 77, "fallocate": 285, "truncate": 76, "chmod": 90,
           "chown": 92, "utime": 132, "utimes": 235, "setxattr": 188, "lsetxattr": 189, "removexattr": 197, "lchown": 94, "getdents": 78,
           "getdents64": 217, "inotify_add_watch": 254, "ioctl": 16, "chdir": 80, "getxattr": 191, "listxattr": 194, "statfs": 137, "file_getattr": 468}


def syscall(name, *arguments):
    """The outcome: ok, or the errno's name."""
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(NUMBERS[name]), *values) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return "ok"


# ---- Changing what may only be read ----

SETFLAGS, GETFLAGS, FSSETXATTR, SETVERSION, EXT4_SETVERSION = 0x40086602, 0x80086601, 0x401C5820, 0x40087602, 0x40086604
ENABLE_VERITY, SET_ENCRYPTION_POLICY, SUBVOL_CREATE, FAT_READDIR, MIGRATE = 0x40806685, 0x800C6613, 0x5000940E, 0x82187201, 0x6609


def changes(folder):
    """Every way to change a file or a directory by a descriptor that was opened for reading, or none; and by the paths that lead to it."""
    times = ctypes.create_string_buffer(struct.pack("4q", 1, 2, 3, 4))
    args = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(times), 5, 0))
    attr = ctypes.create_string_buffer(struct.pack("QIIII", 0x80, 0, 0, 0, 0))  # FS_XFLAG_NODUMP
    fsx = ctypes.create_string_buffer(struct.pack("IIIII8x", 0x80, 0, 0, 0, 0))
    flags = ctypes.create_string_buffer(struct.pack("q", 0x40))  # FS_NODUMP_FL
    big = ctypes.create_string_buffer(128)
    uid, gid = os.getuid(), os.getgid()

    for name in ("file", "folder"):
        path = os.path.join(folder, name)
        for how, mode in (("read", os.O_RDONLY), ("path", os.O_PATH)):
            fd = os.open(path, mode)
            link = b"/proc/self/fd/%d" % fd
            calls = {
                "fchmod": (fd, 0o711), "fchown": (fd, uid, gid), "fsetxattr": (fd, b"user.n", b"x", 1, 0), "fremovexattr": (fd, b"user.x"),
                "utimensat NULL": (fd, None, times, 0), "futimesat NULL": (fd, None, times), "utimensat now": (fd, None, None, 0),
                "utimensat": (fd, b"", times, AT_EMPTY_PATH), "fchmodat2": (fd, b"", 0o711, AT_EMPTY_PATH),
                "fchownat": (fd, b"", uid, gid, AT_EMPTY_PATH), "setxattrat": (fd, b"", AT_EMPTY_PATH, b"user.n", args, 16),
                "removexattrat": (fd, b"", AT_EMPTY_PATH, b"user.x"), "file_setattr": (fd, b"", attr, 24, AT_EMPTY_PATH),
                "ftruncate": (fd, 1), "fallocate": (fd, 0, 0, 100),
                "ioctl FSSETXATTR": (fd, FSSETXATTR, fsx), "ioctl SETFLAGS": (fd, SETFLAGS, flags),
                "ioctl SETFLAGS high": (fd, SETFLAGS | 1 << 32, flags), "ioctl SETVERSION": (fd, SETVERSION, flags),
                "ioctl EXT4_SETVERSION": (fd, EXT4_SETVERSION, flags), "ioctl ENABLE_VERITY": (fd, ENABLE_VERITY, big),
                "ioctl SET_ENCRYPTION_POLICY": (fd, SET_ENCRYPTION_POLICY, big), "ioctl SUBVOL_CREATE": (fd, SUBVOL_CREATE, big),
                "ioctl FAT_READDIR": (fd, FAT_READDIR, big), "ioctl MIGRATE": (fd, MIGRATE, 0),
                "chmod link": (link, 0o711), "chown link": (link, uid, gid), "utimes link": (link, times), "utime link": (link, None),
                "setxattr link": (link, b"user.n", b"x", 1, 0), "removexattr link": (link, b"user.x"), "truncate link": (link, 1),
                "chmod": (path.encode(), 0o711), "lchown": (path.encode(), uid, gid), "utimes": (path.encode(), times),
                "lsetxattr": (path.encode(), b"user.n", b"x", 1, 0), "truncate": (path.encode(), 1),
            }
            for call, arguments in calls.items():
                print(name, how, call, syscall(call.split()[0], *arguments), sep="\t")
            os.close(fd)


def snapshot(folder):
    for name in ("file", "folder"):
        path = os.path.join(folder, name)
        st = os.stat(path)
        fd = os.open(path, os.O_RDONLY)
        flags = struct.unpack("i", fcntl.ioctl(fd, GETFLAGS, b"\0" * 4))[0]
        # The time of the inode's change tells of any.
        print(name, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns, os.listxattr(path), flags)
        os.close(fd)


# ---- Listings ----


def dents(fd, size, old):
    """All entries as (name, position behind it), from where the descriptor stands."""
    buffer = ctypes.create_string_buffer(size)
    found = []
    while True:
        ctypes.set_errno(0)
        n = libc.syscall(ctypes.c_long(NUMBERS["getdents" if old else "getdents64"]), ctypes.c_long(fd), buffer, ctypes.c_long(size))
        if n == -1:
            raise OSError(ctypes.get_errno(), "getdents")
        if n == 0:
            return found
        at = 0
        while at < n:
            position, length = struct.unpack_from("=qH", buffer.raw, at + 8)
            name = buffer.raw[at + (18 if old else 19):at + length].split(b"\0")[0].decode()
            found.append((name, position))
            at += length


def listing(folder):
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    whole = dents(fd, 1 << 16, False)
    names = [name for name, _ in whole]
    if len(set(names)) != len(names):
        sys.exit("a name comes twice")
    for old in (False, True):
        for size in (280, 300, 600, 1024, 5000, 1 << 17):
            os.lseek(fd, 0, os.SEEK_SET)
            if [name for name, _ in dents(fd, size, old)] != names:
                sys.exit(f"another listing by {size}, {old}")
    # Seeking to where an entry ends goes on with the next one that shows.
    for i in range(len(whole) - 1, -1, -7):
        os.lseek(fd, whole[i][1], os.SEEK_SET)
        if [name for name, _ in dents(fd, 4096, False)] != names[i + 1:]:
            sys.exit(f"another rest behind {names[i]}")
    # A buffer at the end of which the caller's memory ends: nothing is lost.
    if sorted(names) != sorted([".", ".."] + os.listdir(folder)):
        sys.exit("os.listdir says otherwise")
    print("\n".join(sorted(names)))
    for name in names:
        os.lstat(os.path.join(folder, name))


# ---- Leases ----


def lease(path):
    """open for writing and truncate wait for somebody's lease, others go on meanwhile, and a signal ends them."""
    ready, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        fd = os.open(path, os.O_RDONLY)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        os.write(tell, b"x")
        signal.sigwait([signal.SIGIO])
        time.sleep(1)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os._exit(0)
    os.read(ready, 1)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    print("open", syscall("open", path.encode(), os.O_WRONLY | os.O_NONBLOCK), syscall("open", path.encode(), os.O_WRONLY))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    print("interrupted", syscall("truncate", path.encode(), 3))
    start = time.monotonic()
    other = os.fork()
    if other == 0:
        for _ in range(100):
            os.stat(path)
        os._exit(0 if time.monotonic() - start < 0.6 else 1)
    print("waited", syscall("truncate", path.encode(), 3), time.monotonic() - start > 0.2)
    print("size", os.stat(path).st_size)
    print("others", os.waitpid(other, 0)[1], "holder", os.waitpid(holder, 0)[1])


# ---- Watches ----


def watch(*paths):
    fd = libc.inotify_init1(os.O_NONBLOCK)
    for path in paths:
        print(os.path.basename(path), syscall("inotify_add_watch", fd, path.encode(), 0xFFF))


# ---- Reading attributes ----


def attributes(*paths):
    buffer = ctypes.create_string_buffer(64)
    for path in paths:
        name = path.encode()
        print("/".join(path.split("/")[-2:]), syscall("getxattr", name, b"user.x", buffer, 64), syscall("getxattr", name, b"system.posix_acl_access", buffer, 64),
              syscall("listxattr", name, buffer, 64), syscall("statfs", name, ctypes.create_string_buffer(256)),
              syscall("file_getattr", AT_FDCWD, name, ctypes.create_string_buffer(64), 24, 0))


# ---- A directory that is swapped ----


def chdir(allowed, hidden, seconds):
    """Calls chdir while another process swaps the path. Where the hidden directory was entered, nothing of it may be seen."""
    memory = mmap.mmap(-1, 8192)
    at = next(i for i in range(len(allowed)) if allowed[i] != hidden[i])
    memory.write(allowed.encode() + b"\0")
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    swapper = os.fork()
    if swapper == 0:
        a, b = allowed[at].encode(), hidden[at].encode()
        while True:
            for _ in range(1000):
                memory[at:at + 1] = b
                memory[at:at + 1] = a
    entered = seen = tries = 0
    end = time.monotonic() + float(seconds)
    buffer = ctypes.create_string_buffer(4096)
    while time.monotonic() < end:
        tries += 1
        if libc.syscall(ctypes.c_long(NUMBERS["chdir"]), ctypes.c_long(address)) != 0:
            continue
        libc.getcwd(buffer, 4096)
        if buffer.value.decode() != hidden:
            continue
        entered += 1
        for attempt in (lambda: os.listdir("."), lambda: os.open("file", os.O_RDONLY), lambda: os.open(".", os.O_RDONLY), lambda: os.stat("file"),
                        lambda: os.stat("."), lambda: os.chmod("file", 0o777), lambda: os.statvfs("."), lambda: os.listxattr("file"),
                        lambda: os.truncate("file", 0), lambda: os.chdir("below"), lambda: os.utime("file"), lambda: os.readlink("link"),
                        lambda: os.access("file", os.F_OK) and 1 or os.stat("file"), lambda: os.stat("../a")):
            try:
                attempt()
                seen += 1
            except OSError:
                pass
        os.chdir("/")
    os.kill(swapper, signal.SIGKILL)
    os.waitpid(swapper, 0)
    print(f"entered {entered} seen {seen} tries {tries}")


{"changes": changes, "snapshot": snapshot, "list": listing, "lease": lease, "watch": watch, "attributes": attributes, "chdir": chdir}[sys.argv[1]](*sys.argv[2:])
