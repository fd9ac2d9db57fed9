#!/usr/bin/python3
"""Tries each call of sandboxd.policy(5)'s table on the folders that table.bats has made: `rule<TAB>call<TAB>outcome` a line.

usage: probe.py FOLDER, which has a folder for each rule. An outcome is ok or the errno's name.
"""

import ctypes
import errno
import os
import shutil
import sys

top = sys.argv[1]


def outcome(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


def opened(path, flags):
    os.close(os.open(path, flags | os.O_CLOEXEC, 0o644))


def executed(path):
    """The errno of execve itself, by posix_spawn, which hands it back."""
    pid = os.posix_spawn(path, [path], {})
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise OSError(errno.EIO, "it did not run well")


def watched(path):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    failed = libc.inotify_add_watch(fd, os.fsencode(path), 0xFFF) < 0
    error = ctypes.get_errno()
    os.close(fd)
    if failed:
        raise OSError(error, path)


def calls(folder):
    def at(name):
        return os.path.join(folder, name)

    return [
        ("stat", lambda: os.lstat(at("file"))),
        ("statfs", lambda: os.statvfs(at("file"))),
        ("access F_OK", lambda: os.stat(at("file")) and None if os.access(at("file"), os.F_OK) else os.stat(at("file"))),
        ("readlink", lambda: os.readlink(at("link"))),
        ("list", lambda: os.listdir(folder)),
        ("inotify_add_watch", lambda: watched(folder)),
        ("open for reading", lambda: opened(at("file"), os.O_RDONLY)),
        ("open for writing", lambda: opened(at("write"), os.O_WRONLY)),
        ("open for appending", lambda: opened(at("append"), os.O_WRONLY | os.O_APPEND)),
        ("open with O_TRUNC", lambda: opened(at("trunc"), os.O_WRONLY | os.O_TRUNC)),
        ("create", lambda: opened(at("new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
        ("create to append", lambda: opened(at("new-append"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)),
        ("mkdir", lambda: os.mkdir(at("newdir"))),
        ("symlink", lambda: os.symlink("file", at("newlink"))),
        ("unlink", lambda: os.unlink(at("unlink"))),
        ("rename", lambda: os.rename(at("rename"), at("renamed"))),
        ("link", lambda: os.link(at("file"), at("linked"))),
        ("chmod", lambda: os.chmod(at("chmod"), 0o600)),
        ("chown", lambda: os.chown(at("chmod"), os.getuid(), os.getgid())),
        ("utimensat", lambda: os.utime(at("utime"), (1, 1))),
        ("truncate", lambda: os.truncate(at("truncate"), 0)),
        ("chdir", lambda: os.chdir(folder)),
        ("execve", lambda: executed(at("program"))),
    ]


def fill(folder):
    """A private folder begins empty."""
    for name in ("file", "write", "append", "trunc", "unlink", "rename", "chmod", "utime", "truncate"):
        with open(os.path.join(folder, name), "w") as f:
            f.write("content\n")
    os.symlink("file", os.path.join(folder, "link"))
    shutil.copy("/bin/true", os.path.join(folder, "program"))


for rule in sorted(sys.argv[2:]):
    if rule == "private":
        fill(os.path.join(top, rule))
    for name, call in calls(os.path.join(top, rule)):
        print(f"{rule}\t{name}\t{outcome(call)}")
        os.chdir("/")
