#!/usr/bin/python3
"""bundle.py FOLDER AGENT METADATA RUNTIME [KEY=VALUE…] -- COMMAND…: writes FOLDER/config.json, a container of FOLDER/rootfs, whose calls that a policy can decide on
go to the agent. Keys: caps=CAP_A,CAP_B (besides none), userns=1, annotation=TEXT, annotations=JSON (further ones), flags=no (no WAIT_KILLABLE_RECV), listener=no, big=1 (100 KB of metadata)."""
import json
import pathlib
import sys

NOTIFY = """open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat mkdir mkdirat rmdir mknod mknodat
unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod fchmodat fchmodat2 chown lchown fchownat truncate utime utimes utimensat futimesat
setxattr lsetxattr getxattr lgetxattr listxattr llistxattr removexattr lremovexattr statfs chdir chroot inotify_add_watch execve execveat connect bind listen
sendmsg sendmmsg getdents getdents64 mount umount2 pivot_root setns unshare name_to_handle_at open_by_handle_at""".split()

folder, agent, metadata, runtime = sys.argv[1:5]
rest = sys.argv[5:]
words = rest[rest.index("--") + 1:]
keys = dict(w.split("=", 1) for w in rest[:rest.index("--")])
if keys.get("big"):
    o = json.loads(metadata)
    o["padding"] = "x" * 100000
    metadata = json.dumps(o)
caps = [c for c in keys.get("caps", "").split(",") if c]
seccomp = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["clone3", "io_uring_setup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                 {"names": NOTIFY, "action": "SCMP_ACT_NOTIFY"}],
}
if keys.get("listener") != "no":
    seccomp |= {"listenerPath": agent, "listenerMetadata": metadata}
if runtime == "crun" and keys.get("flags") != "no":
    seccomp["flags"] = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
linux = {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")], "seccomp": seccomp,
         "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]}
if keys.get("userns"):
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
config = {
    "ociVersion": "1.0.2",
    "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": words, "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": {k: caps for k in ("bounding", "effective", "permitted")}, "noNewPrivileges": keys.get("nnp") == "1"},
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
    ],
    "annotations": {"org.example.text": keys.get("annotation", "x")} | json.loads(keys.get("annotations", "{}")),
    "linux": linux,
}
pathlib.Path(folder, "config.json").write_text(json.dumps(config))
