"""A file on a FUSE file system whose server never answers a flush, which comes with each close.

usage: hang.py UID SECONDS COMMAND…   runs the command as that user, with the file as its descriptor 9, and serves for so many seconds. As root.
"""

import ctypes
import os
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 16384, 1 << 18
ENOSYS = 38


def attributes(node):
    mode = 0o040755 if node == 1 else 0o100666
    return struct.pack("<6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(fuse, seconds):
    end = time.monotonic() + seconds
    os.set_blocking(fuse, False)
    while time.monotonic() < end:
        try:
            request = os.read(fuse, 1 << 20)
        except BlockingIOError:
            time.sleep(0.002)
            continue
        except OSError:
            return
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        error, answer = 0, b""
        if opcode == 26:  # INIT
            answer = struct.pack("<4I2H2I2HI7I", 7, 31, 131072, 0, 12, 9, 131072, 1, 0, 0, 0, *[0] * 7)
        elif opcode == 1:  # LOOKUP
            answer = struct.pack("<4Q2I", 2, 0, 3600, 3600, 0, 0) + attributes(2)
        elif opcode == 3:  # GETATTR
            answer = struct.pack("<Q2I", 3600, 0, 0) + attributes(node)
        elif opcode == 14:  # OPEN
            answer = struct.pack("<Q2I", 1, 0, 0)
        elif opcode in (2, 25, 36):  # FORGET has no answer; FLUSH and INTERRUPT get none
            continue
        else:
            error = -ENOSYS
        os.write(fuse, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)


def main():
    uid, seconds, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    fuse = os.open("/dev/fuse", os.O_RDWR)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        sys.exit("no mount namespace")
    if libc.mount(b"hang", b"/mnt", b"fuse", 0, f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()):
        sys.exit(f"no FUSE: {os.strerror(ctypes.get_errno())}")
    if os.fork() == 0:
        serve(fuse, seconds)
        os._exit(0)
    os.close(fuse)
    for number in range(3, 9):
        try:
            os.fstat(number)
        except OSError:
            os.open("/dev/null", os.O_RDONLY)
    file = os.open("/mnt/f", os.O_RDWR)
    assert file == 9
    os.set_inheritable(file, True)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.execvp(command[0], command)


main()
