#!/usr/bin/python3
"""Tries the calls that make, remove, rename and link names on the folder that names.bats has made.

usage: names.py mounts|rules|deleted FOLDER. `rules` compares what each call gave with what it should give, the others print it.
"""

import ctypes
import errno
import os
import socket
import stat
import sys
import time

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
libc = ctypes.CDLL(None, use_errno=True)


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def linkat(fd, path, new, flags):
    if libc.linkat(fd, os.fsencode(path), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "linkat")


def link_empty(fd, new):
    linkat(fd, "", new, 0x1000)  # AT_EMPTY_PATH


def link_descriptor(fd, new):
    linkat(-100, f"/proc/self/fd/{fd}", new, 0x400)  # AT_SYMLINK_FOLLOW, which os.link() leaves out


def bound(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        return s.getsockname()


def make(path, text="x"):
    with open(path, "w") as f:
        f.write(text)


def outcome(call):
    try:
        result = call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return result if isinstance(result, str) else "ok"


def mounts():
    """In a folder with a private folder `private`, a bound folder `folder` and a bound file `file`, all mounted on writable names."""
    make("f")
    os.mkdir("empty")
    make("private/inside")
    for name in ("private", "folder", "file", "private/", "file/"):
        for call in (os.rmdir, os.unlink, os.mkdir):
            print(call.__name__, name, outcome(lambda: call(name)))
        print("symlink", name, outcome(lambda: os.symlink("x", name)))
        for other in ("f", "empty", "absent", "private/x", "private", "file", "absent/x", "absent/"):
            for flags in (0, NOREPLACE, EXCHANGE, WHITEOUT):
                print("rename", name, other, flags, outcome(lambda: renameat2(name, other, flags)))
                print("rename", other, name, flags, outcome(lambda: renameat2(other, name, flags)))
    for old, new in (("f", "private/f"), ("private/inside", "here"), ("file", "here"), ("f", "folder/f"), ("folder/x", "here")):
        print("link", old, new, outcome(lambda: os.link(old, new)))
        print("rename", old, new, outcome(lambda: os.rename(old, new)))
    print("rmdir of the folder above", outcome(lambda: os.rmdir("above")))
    print("within", outcome(lambda: os.mkdir("private/a")), outcome(lambda: os.rename("private/a", "private/b")),
          outcome(lambda: os.link("private/inside", "private/b/again")), outcome(lambda: os.rename("private/b/again", "private/c")),
          outcome(lambda: os.unlink("private/c")), outcome(lambda: os.rmdir("private/b")))
    print("bind", outcome(lambda: bound("private/socket")), outcome(lambda: bound("file")))
    print(sorted(os.listdir(".")), sorted(os.listdir("private")), sorted(os.listdir("folder")))


def rules():
    """In a writable folder with `hidden/secret` and `denied/secret` of these rules, `ro`, `run` (exec), and `../append`."""
    make("f")
    make("g")
    os.mkdir("d")
    os.mkdir("d/sub")
    make("d/sub/file")
    os.mkdir("target")
    read_only = os.open("ro/f", os.O_RDONLY)
    unnamed = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o600)
    gone = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.unlink("gone")
    memory = os.memfd_create("m")
    cases = [
        # Hidden: absent, but not to be made.
        ("EACCES", lambda: os.mkdir("hidden/secret")),
        ("EACCES", lambda: os.mkdir("hidden/secret/")),
        ("ENOENT", lambda: os.mkdir("hidden/secret/x")),
        ("EACCES", lambda: os.mknod("hidden/secret")),
        ("ENOENT", lambda: os.mknod("hidden/secret/")),
        ("EACCES", lambda: os.symlink("f", "hidden/secret")),
        ("EACCES", lambda: os.link("f", "hidden/secret")),
        ("EACCES", lambda: bound("hidden/secret")),
        ("ENOENT", lambda: os.unlink("hidden/secret")),
        ("ENOENT", lambda: os.rmdir("hidden/secret")),
        ("ENOENT", lambda: os.rename("hidden/secret", "x")),
        ("ENOENT", lambda: os.link("hidden/secret", "x")),
        ("EACCES", lambda: os.rename("f", "hidden/secret")),
        ("EACCES", lambda: renameat2("f", "hidden/secret", NOREPLACE)),
        ("ENOENT", lambda: renameat2("f", "hidden/secret", EXCHANGE)),
        ("ENOENT", lambda: os.rename("absent", "hidden/secret")),
        ("ENOTEMPTY", lambda: os.rmdir("hidden")),
        # What no rule names.
        ("EACCES", lambda: os.mkdir("../new")),
        ("EACCES", lambda: os.rename("f", "../new")),
        ("ENOENT", lambda: os.unlink("../outside")),
        ("ENOENT", lambda: os.rename("../outside", "x")),
        ("EACCES", lambda: bound("../new")),
        # Denied: there, and that is all.
        ("EEXIST", lambda: os.mkdir("denied/secret")),
        ("EACCES", lambda: os.unlink("denied/secret")),
        ("ENOTDIR", lambda: os.unlink("denied/secret/")),
        ("EACCES", lambda: os.rename("denied/secret", "x")),
        ("EACCES", lambda: os.rename("f", "denied/secret")),
        ("EEXIST", lambda: renameat2("f", "denied/secret", NOREPLACE)),
        ("EACCES", lambda: renameat2("f", "denied/secret", EXCHANGE)),
        ("EACCES", lambda: os.link("denied/secret", "x")),
        ("EEXIST", lambda: os.link("f", "denied/secret")),
        ("EADDRINUSE", lambda: bound("denied/secret")),
        # Both ends.
        ("EACCES", lambda: os.rename("ro/f", "x")),
        ("EACCES", lambda: os.rename("f", "ro/x")),
        ("EACCES", lambda: os.rename("f", "ro/f")),
        ("EACCES", lambda: renameat2("f", "ro/f", EXCHANGE)),
        ("EACCES", lambda: os.link("ro/f", "x")),
        ("EEXIST", lambda: os.link("ro/f", "f")),
        ("EACCES", lambda: os.link("f", "ro/x")),
        ("EACCES", lambda: os.link("run/f", "x")),
        ("EPERM", lambda: os.link("ro", "x")),
        ("EACCES", lambda: bound("ro/x")),
        ("EACCES", lambda: os.link("/usr/bin/env", "x")),
        # `append` gives names to plain files, and takes none away.
        ("ok", lambda: os.mknod("../append/new")),
        ("EACCES", lambda: os.mkfifo("../append/fifo")),
        ("EACCES", lambda: os.mkdir("../append/d")),
        ("EACCES", lambda: os.unlink("../append/new")),
        ("EACCES", lambda: os.rename("f", "../append/new")),
        ("EACCES", lambda: os.link("f", "../append/other")),
        ("EACCES", lambda: os.link("../append/new", "x")),
        # A directory takes along what is below it.
        ("EXDEV", lambda: os.rename("hidden", "elsewhere")),
        ("EXDEV", lambda: os.rename("denied", "elsewhere")),
        ("EXDEV", lambda: renameat2("d", "hidden", EXCHANGE)),
        ("EINVAL", lambda: os.rename("hidden", "hidden/x")),
        ("EEXIST", lambda: renameat2("hidden", "d", NOREPLACE)),
        ("ok", lambda: os.rename("hidden", "hidden")),
        ("ok", lambda: os.rename("d", "e")),
        ("ok", lambda: os.rename("e", "target/e")),
        ("ok", lambda: renameat2("target/e", "d", 0)),
        ("ok", lambda: renameat2("d", "target", EXCHANGE)),
        ("ok", lambda: renameat2("d", "target", EXCHANGE)),
        # Without a name.
        ("EACCES", lambda: link_descriptor(read_only, "x")),
        ("EACCES", lambda: link_empty(read_only, "x")),
        ("EACCES", lambda: link_descriptor(unnamed, "ro/x")),
        ("ENOENT", lambda: link_descriptor(gone, "x")),
        ("EXDEV", lambda: link_descriptor(memory, "x")),
        ("ok", lambda: link_descriptor(unnamed, "named")),
        ("ok", lambda: link_empty(unnamed, "named again")),
        # What came in as stdin lies on none of the sandbox's mounts.
        ("EXDEV", lambda: link_descriptor(0, "x")),
        # Devices.
        ("EPERM", lambda: os.mknod("x", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        ("EPERM", lambda: os.mknod("x", stat.S_IFBLK | 0o666, os.makedev(8, 0))),
        ("EPERM", lambda: os.mknod("x", stat.S_IFBLK | 0o666, 0)),
        ("EACCES", lambda: os.mknod("ro/x", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        ("EEXIST", lambda: os.mknod("f", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        ("ok", lambda: os.mknod("white", stat.S_IFCHR, 0)),
        # Sockets: the string that the program gave, where it leads there for sure.
        ("socket", lambda: bound("socket")),
        ("./socket2", lambda: bound("./socket2")),
        ("d/socket3", lambda: bound("d/socket3")),
        ("/tmp/socket", lambda: bound("/tmp/socket")),
        ("d/../socket4", lambda: bound("d/../socket4")),
        (os.getcwd() + "/d/socket5", lambda: bound(os.getcwd() + "/d/socket5")),
        ("socket6", lambda: bound("/proc/self/cwd/d/socket6")),
        ("EADDRINUSE", lambda: bound("socket")),
    ]
    wrong = 0
    for n, (expected, call) in enumerate(cases):
        seen = outcome(call)
        if seen != expected:
            print(f"{n}: line {call.__code__.co_firstlineno}: {expected} expected, {seen} seen")
            wrong += 1
    print(f"{len(cases) - wrong} of {len(cases)}")
    sys.exit(wrong > 0)


def deleted():
    """`ro/other` and `other` are one file; who has made them removes `ro/other` when `ready` is there."""
    read_only, writable = os.open("ro/other", os.O_RDONLY), os.open("other", os.O_RDONLY)
    make("ready")
    while os.path.exists("ro/other"):
        time.sleep(0.01)
    print(outcome(lambda: link_descriptor(read_only, "x")), outcome(lambda: link_descriptor(writable, "x")))


os.chdir(sys.argv[2])
{"mounts": mounts, "rules": rules, "deleted": deleted}[sys.argv[1]]()
