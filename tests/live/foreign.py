#!/usr/bin/python3
"""foreign.py FOLDER DAEMON: what a wrapped service of root's may do, one line for each try: its name and the outcome."""
import ctypes
import errno
import os
import socket
import sys

folder, daemon = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, function):
    try:
        value = function()
    except OSError as e:
        value = errno.errorcode[e.errno]
    print(name, "ok" if value is None else value, flush=True)


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def in_child(function):
    pid = os.fork()
    if pid == 0:
        function()
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)


def chrooted():
    os.chroot(folder + "/jail")
    os.chdir("/")
    attempt("jail-list", lambda: ",".join(sorted(os.listdir("/"))))
    attempt("jail-up", lambda: ",".join(sorted(os.listdir("/../.."))))
    attempt("jail-link", lambda: open("/absolute").read())
    attempt("jail-relative", lambda: open("in/../file").read())
    attempt("jail-write", lambda: open("/new", "w").write("x") and None)
    attempt("jail-secret", lambda: open("/secret").read())
    attempt("jail-etc", lambda: open("/etc/hosts").read())
    attempt("jail-rename", lambda: os.rename("/new", "/newer"))


def ordinary():
    os.setgroups([])
    os.setresgid(65532, 65532, 65532)
    os.setresuid(65532, 65532, 65532)
    attempt("user-create", lambda: open(folder + "/no", "w"))
    attempt("user-read-0600", lambda: open(folder + "/private").read())
    attempt("user-read", lambda: open(folder + "/jail/file").read())
    attempt("user-chroot", lambda: os.chroot(folder + "/jail"))
    attempt("user-peer", lambda: socket.socket(socket.AF_UNIX).connect(folder + "/stream"))
    attempt("user-send", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"user", folder + "/datagram") and None)


attempt("read", lambda: open(folder + "/jail/file").read())
attempt("denied", lambda: open(folder + "/jail/secret"))
attempt("hidden", lambda: os.stat("/root"))
attempt("core-pattern", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("null", lambda: open("/dev/null", "w").write("x") and None)
attempt("node", lambda: open(folder + "/memory"))
attempt("mknod", lambda: os.mknod(folder + "/sda", 0o060600, os.makedev(8, 0)))
attempt("kill-daemon", lambda: os.kill(daemon, 0))
attempt("kill-all", lambda: os.kill(-1, 0))
attempt("kill-self", lambda: os.kill(os.getpid(), 0))
attempt("pidfd-daemon", lambda: os.pidfd_open(daemon))
attempt("folder-daemon", lambda: os.open(f"/proc/{daemon}", os.O_RDONLY))
attempt("limit-daemon", lambda: call(libc.prlimit64(daemon, 7, None, None)))
attempt("memory-of-1", lambda: open("/proc/1/mem"))
attempt("memory-own", lambda: open("/proc/self/mem") and None)
attempt("trace-1", lambda: call(libc.ptrace(16, 1, 0, 0)))
attempt("unshare", lambda: call(libc.unshare(0x20000)))
attempt("setns", lambda: call(libc.setns(0, 0)))
attempt("connect-none", lambda: socket.create_connection(("127.0.0.1", 9)))
attempt("peer", lambda: socket.socket(socket.AF_UNIX).connect(folder + "/stream"))
attempt("send", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"root", folder + "/datagram") and None)
attempt("speak-for-1", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg(
    [b"for 1"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, b"\1\0\0\0" + b"\0" * 8)], 0, folder + "/datagram") and None)
in_child(chrooted)
in_child(ordinary)
print("pid", os.getpid())
