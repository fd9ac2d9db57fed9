"""Every system call of this kernel that takes a path, from the kernel's own list (tracefs): what `list` prints, `call` makes inside a sandbox,
and `check` finds in the log of the broker."""

import ctypes
import json
import os
import re
import sys
from pathlib import Path

# Arguments of type `char *` that are no path of a file, by call and name. What is neither here nor a path fails the test: somebody has to look at it.
OTHER = {
    "add_key": {"_type", "_description"}, "execve": {"argv", "envp"}, "execveat": {"argv", "envp"}, "fgetxattr": {"name"}, "flistxattr": {"list"},
    "fremovexattr": {"name"}, "fsconfig": {"_key"}, "fsetxattr": {"name"}, "fsopen": {"_fs_name"}, "getcwd": {"buf"}, "getrandom": {"ubuf"},
    "getsockopt": {"optval"}, "getxattr": {"name"}, "getxattrat": {"name"}, "lgetxattr": {"name"}, "listxattr": {"list"},
    "listxattrat": {"list"}, "llistxattr": {"list"}, "lremovexattr": {"name"}, "lsetxattr": {"name"}, "memfd_create": {"uname"},
    "mincore": {"vec"}, "mount": {"dev_name", "type"}, "mq_open": {"u_name"}, "mq_timedreceive": {"u_msg_ptr"}, "mq_timedsend": {"u_msg_ptr"},
    "mq_unlink": {"u_name"}, "pread64": {"buf"}, "pwrite64": {"buf"}, "quotactl": {"special"}, "read": {"buf"}, "readlink": {"buf"},
    "readlinkat": {"buf"}, "removexattr": {"name"}, "removexattrat": {"name"}, "request_key": {"_type", "_description", "_callout_info"},
    "setdomainname": {"name"}, "sethostname": {"name"}, "setsockopt": {"optval"}, "setxattr": {"name"}, "setxattrat": {"name"},
    "shmat": {"shmaddr"}, "shmdt": {"shmaddr"}, "symlink": {"oldname"}, "symlinkat": {"oldname"}, "syslog": {"buf"}, "write": {"buf"},
}
PATHS = {"filename", "pathname", "path", "oldname", "newname", "from_pathname", "to_pathname", "dir_name", "new_root", "put_old", "specialfile", "name"}
# The kernel's functions have other names than the calls.
NAMES = {"newstat": "stat", "newlstat": "lstat", "umount": "umount2"}


def numbers(source):
    found = {}
    for match in re.finditer(r"^#define __NR_(\w+) (\d+)", Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text(), re.M):
        found[match[1]] = int(match[2])
    for match in re.finditer(r'\[(\d+)\] = { "(\w+)"', (Path(source) / "lib/modules/known.c").read_text()):
        found.setdefault(match[2], int(match[1]))
    return found


def calls(tracing, source):
    known = numbers(source)
    for file in sorted(Path(tracing).glob("events/syscalls/sys_enter_*/format")):
        text = file.read_text()
        name = re.search(r"name: sys_enter_(\S+)", text)[1]
        fields = [f for f in re.findall(r"field:(.*?) ?(\w+);\toffset:(\d+);", text) if int(f[2]) >= 16]
        places = []
        for index, (kind, argument, _) in enumerate(fields):
            if "char *" not in kind or argument in OTHER.get(name, ()):
                continue
            if argument not in PATHS:
                sys.exit(f"{name}: is `{kind} {argument}` a path? Say so in tests/live/syscalls.py")
            places.append(index)
        if places:
            name = NAMES.get(name, name)
            if name in known:
                yield name, known[name], places
            else:
                print(f"{name}: newer than the table of calls", file=sys.stderr)


def call(path):
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(path.encode())
    for line in sys.stdin:
        name, number, places = line.split()
        arguments = [ctypes.c_long(0) for _ in range(6)]
        for place in places.split(","):
            place = int(place)
            arguments[place] = ctypes.c_long(ctypes.addressof(text))
            if place > 0 and name not in ("link", "rename", "symlink", "pivot_root", "quotactl"):
                arguments[place - 1] = ctypes.c_long(-100)
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(int(number)), *arguments)
        print(name, result, ctypes.get_errno(), flush=True)
    for number in range(470, 1024):
        if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 38:
            print("unknown", number, ctypes.get_errno())


def check(log, results):
    seen = {json.loads(line).get("call") for line in Path(log).read_text().splitlines()}
    bad = 0
    count = 0
    for line in Path(results).read_text().splitlines():
        name, result, error = line.split()
        count += 1
        # ENOSYS is the filter's, for what is nobody's business inside.
        if result != "-1" or (name not in seen and error != "38"):
            print(f"{name}: {result}, errno {error}, {'was' if name in seen else 'was not'} the broker's")
            bad += 1
    print(f"{count} calls that take paths")
    return 1 if bad or count < 70 else 0


if __name__ == "__main__":
    if sys.argv[1] == "list":
        for name, number, places in calls(*sys.argv[2:]):
            print(name, number, ",".join(map(str, places)))
    elif sys.argv[1] == "call":
        call(sys.argv[2])
    else:
        sys.exit(check(*sys.argv[2:]))
