#!/usr/bin/python3
"""conformance.py FOLDER CRUN RUNTIME [NAME…]: what the OCI runtime spec says of config.json and of the life cycle, tried with crun and with sandbox-runtime, in FOLDER
(which has a rootfs with busybox in it). Each case is a change to a configuration and what is done with it; all that can be seen of it has to be the same: what the
program and its hooks print, exit codes, the state, errors. Prints a line for each difference; with NAMEs, only those cases, and what they give on crun."""
import array
import copy
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

# What is not the same, and why. SAID: the words of an error; that it is an error, and that nothing was started, is compared nevertheless.
SAID = {
    # sandbox-runtime reads the command line and config.json before crun does, and says where the mistake is. Of another kind of namespace
    # crun itself says this or that, as its two processes run.
    "config: no JSON", "config: none", "config: a list", "config: linux is no object", "config: no bundle", "seccomp: no such action", "seccomp: no such architecture",
    "annotations: no object", "namespaces: a path of another kind", "life: a name that is none",
}
DIFFERENT = {
    "capabilities: CAP_MKNOD": "device nodes aren't made for containers (sandboxd.policy(5)), because the kernel would ask the broker's device cgroup, not the container's",
    "mounts: sysfs": "what the kernel shows is read-only by the policy, wherever it is mounted: the rule's error comes before the mount's",
    "mounts: cgroup": "the same",
    "life: exec of what was created": "with crun the container's sandbox begins with its start, so nothing can join it before: an error that says so",
}
# crun gets the filter of ours in an annotation, which `state` and hooks show with the container's own.
PROGRAM = re.compile(r',?\s*"annotations":\s*\{\s*"run\.oci\.seccomp_bpf_data":\s*"[^"]*"\s*\}|"run\.oci\.seccomp_bpf_data":\s*"[^"]*",\s*')
# Of /proc/self/status: a container of ours always has a filter.
FILTERS = re.compile(r"^(Seccomp(_filters)?):.*$", re.M)

CAPS = ["CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP",
        "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"]
BASE = {
    "ociVersion": "1.0.2",
    "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": [], "env": ["PATH=/bin", "TERM=dumb"], "cwd": "/", "noNewPrivileges": True,
                "capabilities": {k: CAPS for k in ("bounding", "effective", "permitted")}},
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
    ],
    "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")]},
}
MOUNTS = "sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //; s/master:[0-9]*/master:N/; s/shared:[0-9]*/shared:N/' /proc/self/mountinfo | sort"
cases = {}


class Side:
    """One of the two runtimes, and what one case gave on it."""

    def __init__(self, name, program, folder):
        self.name, self.program, self.bundle = name, program, folder / name
        # Of this run alone: control groups have the containers' names.
        self.id = f"conformance-{name}-{os.getpid()}"
        self.template = folder / "rootfs"
        self.state = folder / ("state-" + name)
        self.seen = []

    @property
    def rootfs(self):
        return self.bundle / "rootfs"

    def begin(self, config):
        shutil.rmtree(self.bundle, ignore_errors=True)
        shutil.copytree(self.template, self.rootfs, symlinks=True, copy_function=lambda a, b: os.link(a, b) if "/bin/" in a else shutil.copy(a, b))
        os.chown(self.rootfs / "owned", 5, 5)
        (self.bundle / "config.json").write_text(self.expand(config if isinstance(config, str) else json.dumps(config)))
        self.seen, self.files = [], []

    def expand(self, text):
        return text.replace("@BUNDLE@", str(self.bundle)).replace("@ID@", self.id).replace("@NET@", NET)

    def plain(self, text):
        """Without what has to differ: folders, numbers of processes, times."""
        for found, said in ((str(self.bundle), "@BUNDLE@"), (str(self.state), "@STATE@"), (self.id, "@ID@")):
            text = text.replace(found, said)
        text = re.sub(r'("?pid"?:? ?)[0-9]+', r"\1N", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+[\d:]+)", "TIME", text)
        return FILTERS.sub(r"\1: N", PROGRAM.sub("", text))

    def call(self, *words, code=None, extra=()):
        """Calls the runtime; a file takes its output, as a container that was created holds it open."""
        words = [self.expand(w) for w in words]
        out, err = (open(self.bundle.parent / f"{self.name}-{len(self.seen)}.{kind}", "w+b") for kind in ("out", "err"))
        try:
            code = subprocess.run([self.program, "--root", str(self.state), *extra, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.bundle,
                                  timeout=6).returncode
        except subprocess.TimeoutExpired:
            code = "no end"
        self.files.append((len(self.seen), out, err))
        self.seen.append([words[0], code])
        return code

    def status(self):
        p = subprocess.run([self.program, "--root", str(self.state), "state", self.id], capture_output=True, text=True)
        return json.loads(p.stdout)["status"] if p.returncode == 0 else "none"

    def until(self, condition):
        for _ in range(150):
            if condition():
                return
            time.sleep(0.02)
        self.seen.append(["never"])

    def end(self):
        if (self.state / self.id).exists():
            subprocess.run([self.program, "--root", str(self.state), "delete", "--force", self.id], capture_output=True)
        for n, out, err in self.files:
            for f in (out, err):
                f.seek(0)
                self.seen[n].append(self.plain(f.read().decode(errors="surrogateescape")))
                f.close()
        for name in ("hooks", "pid"):
            if (self.bundle / name).exists():
                text = self.plain((self.bundle / name).read_text())
                self.seen.append([name, re.sub(r"^[0-9]+$", "N", text)])


def case(name, *change, script=None, args=None, steps=None, before=None):
    """change: PATH, VALUE pairs, a path being "process.user.uid"; a value of None takes it away. steps: what is done; by default the container is run."""
    assert name not in cases and len(change) % 2 == 0, name
    config = copy.deepcopy(BASE)
    config["process"]["args"] = args or ["sh", "-c", script or "true"]
    for path, value in zip(change[::2], change[1::2]):
        *parents, last = path.split(".")
        at = config
        for p in parents:
            at = at.setdefault(p, {})
        if value is None:
            at.pop(last, None)
        elif isinstance(value, tuple):
            at[last] = at.get(last, []) + list(value)
        else:
            at[last] = value
    cases[name] = (config, steps or [("run", "@ID@")], before)


def text_case(name, text, steps=None):
    cases[name] = (text, steps or [("run", "@ID@")], None)


def perform(side, steps):
    for step in steps:
        what, *words = step
        if what == "await":
            side.until(lambda: side.status() == words[0])
        elif what == "file":
            side.until((side.rootfs / words[0].lstrip("/")).exists)
        elif what == "touch":
            (side.rootfs / words[0].lstrip("/")).touch()
        elif what == "cat":
            side.seen.append(["cat", side.plain((side.rootfs / words[0].lstrip("/")).read_text())])
        elif what == "write":
            (side.bundle / words[0]).write_text(words[1])
        elif what == "remove":
            shutil.rmtree(side.rootfs)
        elif what == "terminal":
            terminal(side, words)
        else:
            side.call(*step)


def terminal(side, words):
    """A runtime's command with a console socket, and what then comes from the terminal."""
    path = str(side.bundle / "console")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    server.settimeout(6)
    got = []

    def take():
        try:
            peer, _ = server.accept()
            data, fds, _, _ = socket.recv_fds(peer, 4096, 1)
            got.append(data.decode())
            os.write(fds[0], b"typed\n")
            text = b""
            while True:
                try:
                    piece = os.read(fds[0], 4096)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
            # The echo comes before what the program prints, or after it.
            got.append(re.sub(r"(^|\n)typed\r\n", r"\1", text.decode(), count=1) + f"echo: {text.count(b'typed')}")
            os.close(fds[0])
        except (OSError, IndexError) as e:
            got.append(repr(e))

    thread = threading.Thread(target=take)
    thread.start()
    side.call(words[0], "--console-socket", path, *words[1:])
    if words[0] == "create":
        side.call("start", "@ID@")
    thread.join(6)
    server.close()
    os.unlink(path)
    side.seen.append(["terminal"] + got)


# ---- process ----

case("args: with spaces, empty, several lines", args=["sh", "-c", 'for a; do printf "<%s>\\n" "$a"; done', "x", "", "a b", "a\nb", "é", "*", "-c"])
case("args: a path", args=["/bin/cat", "/proc/self/cmdline"])
case("args: relative to cwd", "process.cwd", "/bin", args=["./busybox", "echo", "x"])
case("args: missing program", args=["nothing-like-it"])
case("args: missing path", args=["/nothing/like-it"])
case("args: not executable", args=["/etc/file"])
case("args: a folder", args=["/etc"])
case("args: a script", args=["/bin/script", "x"])
case("args: none", "process.args", [])
for n in (0, 3, 255):
    case(f"exit code {n}", script=f"exit {n}")
for sig in ("TERM", "KILL", "SEGV"):
    case(f"killed by {sig}", "linux.namespaces", [{"type": t} for t in ("mount", "ipc", "uts", "network")], script=f"kill -{sig} $$")
case("env", "process.env", ["PATH=/bin", "A=1", "A=2", "EMPTY=", "SPACE=a b", "LINES=a\nb", "HOME=/tmp"], script="env | sort; echo $HOME")
case("env: without a sign", "process.env", ["PATH=/bin", "NOSIGN"], script="env | sort")
case("env: HOME of the user", "process.user", {"uid": 7, "gid": 7}, script="env | sort")
case("cwd", "process.cwd", "/tmp", script="pwd; readlink /proc/self/cwd")
case("cwd: missing", "process.cwd", "/made/for/it", script="pwd; ls -ld /made/for/it | cut -c1-10")
case("cwd: a file", "process.cwd", "/etc/file", script="pwd")
case("cwd: relative", "process.cwd", "etc", script="pwd")
case("user", "process.user", {"uid": 1000, "gid": 1001}, script="id; touch /etc/x; touch /tmp/x; ls -ln /tmp/x; grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status")
case("user: groups", "process.user", {"uid": 1000, "gid": 1001, "additionalGids": [5, 6, 7]}, script="id; grep ^Groups /proc/self/status")
case("user: umask", "process.user", {"uid": 0, "gid": 0, "umask": 0o27}, script="umask; touch /tmp/x; mkdir /tmp/y /etc/d; ls -l /tmp | cut -c1-10; ls -ld /etc/d | cut -c1-10")
case("user: root without capabilities", "process.capabilities", {}, script="id; grep ^Cap /proc/self/status; touch /owned/x; chown 1 /etc/file; chmod 700 /owned")
case("rlimits: none", script="cat /proc/self/limits")
case("rlimits", "process.rlimits", [{"type": t, "soft": 100000 + i, "hard": 200000 + i} for i, t in enumerate(["RLIMIT_CPU", "RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING"])]
     + [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 21}],
     script="cat /proc/self/limits; i=3; while exec 2>/dev/null; [ $i -lt 300 ]; do eval \"exec $i</dev/null\" || break; i=$((i+1)); done; echo $i")
case("rlimits: files", "process.rlimits", [{"type": "RLIMIT_FSIZE", "soft": 65536, "hard": 65536}], script="head -c 100000 /dev/zero > /etc/big; echo $?; wc -c < /etc/big")
case("rlimits: no such", "process.rlimits", [{"type": "RLIMIT_NOTHING", "soft": 1, "hard": 1}])
case("rlimits: twice", "process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": n, "hard": n} for n in (100, 200)], script="ulimit -n")
case("rlimits: soft above hard", "process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 200}], script="ulimit -n")
STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status"
case("capabilities", script=STATUS)
case("capabilities: different sets", "process.capabilities", {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_FOWNER"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"],
     "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}, "process.user", {"uid": 5, "gid": 5}, script=STATUS + "; chown 1 /etc/file")
case("capabilities: none said", "process.capabilities", None, script=STATUS)
case("capabilities: no such", "process.capabilities.bounding", ["CAP_NOTHING"], script=STATUS)
case("capabilities: are used", script="chown 5:6 /etc/file; chmod 4755 /etc/file; ls -ln /etc/file | cut -c1-40; mknod /tmp/p p; "
     "echo x > /owned/x && cat /owned/x; chroot / /bin/echo chroot; nc -l -p 80 & sleep 0.2; kill $!; su -s /bin/sh -c id nobody 2>&1")
case("capabilities: CAP_MKNOD", script="mknod /etc/null c 1 3; ls -l /etc/null | cut -c1-10; mknod /tmp/null c 1 3")
for on in (True, False):
    case(f"noNewPrivileges {on}", "process.noNewPrivileges", on, script=STATUS)
    case(f"noNewPrivileges {on}: setuid", "process.noNewPrivileges", on, "process.user", {"uid": 5, "gid": 5}, script="/bin/setuid grep ^Uid /proc/self/status; /bin/setuid id")
case("oomScoreAdj", "process.oomScoreAdj", 345, script="cat /proc/self/oom_score_adj")
case("terminal", "process.terminal", True, script="tty; stty size; read x; echo got $x; ls -l /dev/console /proc/self/fd/0 | cut -c1-10; [ -t 1 ] && echo terminal; exec 3<>/dev/tty; echo x >&3",
     steps=[("terminal", "create", "@ID@"), ("await", "stopped"), ("state", "@ID@")])
case("terminal: its size", "process.terminal", True, "process.consoleSize", {"height": 30, "width": 90}, script="read x; stty size",
     steps=[("terminal", "run", "--detach", "@ID@"), ("await", "stopped")])
case("terminal: no socket", "process.terminal", True, steps=[("create", "@ID@"), ("state", "@ID@")])
case("terminal: not wanted", steps=[("create", "--console-socket", "@BUNDLE@/nothing", "@ID@"), ("state", "@ID@")])
case("terminal: nobody listens", "process.terminal", True, steps=[("create", "--console-socket", "@BUNDLE@/nothing", "@ID@"), ("state", "@ID@")])
case("open files", script="ls /proc/self/fd; ls -l /proc/self/fd/0 | sed 's/.* //'")
case("preserve-fds", script="ls /proc/self/fd", steps=[("run", "--preserve-fds", "0", "@ID@")])

# ---- root, mounts ----

case("root: read-only", "root.readonly", True, script="touch /x; echo $?; touch /etc/file; echo x >> /etc/file; mkdir /d; rm /etc/file; chmod 600 /etc/file; ln /etc/file /etc/y; touch /tmp/x && echo tmp")
case("root: absolute", "root.path", "@BUNDLE@/rootfs", script="ls /")
case("root: missing", "root.path", "nothing")
case("root: a file", "root.path", "config.json")
case("root: none", "root", None)
case("mounts: all of them", script=MOUNTS)
for name, mount, script in (
    ("tmpfs", {"type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "mode=1770", "noexec", "nodev", "nosuid"]},
     "head -c 100000 /dev/zero > /m/big; wc -c < /m/big; cp /bin/busybox /m/busybox 2>/dev/null; echo 'echo x' > /m/s; chmod +x /m/s; /m/s; ls -ld /m | cut -c1-10"),
    ("tmpfs, read-only", {"type": "tmpfs", "source": "tmpfs", "options": ["ro"]}, "touch /m/x; mkdir /m/y"),
    ("bind", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["bind"]}, "cat /m/file; echo x > /m/new; cat /data/new; mv /m/new /data/other; ln /m/file /data/hard; ls /m"),
    ("bind, read-only", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["rbind", "ro"]}, "cat /m/file; echo x > /m/new; rm /m/file; echo x >> /m/file; chmod 777 /m/file"),
    ("bind, noexec", {"type": "bind", "source": "@BUNDLE@/rootfs/bin", "options": ["bind", "noexec", "nosuid"]}, "/m/busybox echo x; echo $?; /m/script"),
    ("bind, without a type", {"source": "@BUNDLE@/rootfs/data", "options": ["bind"]}, "cat /m/file"),
    ("bind, relative source", {"type": "bind", "source": "rootfs/data", "options": ["bind"]}, "cat /m/file"),
    ("bind, missing source", {"type": "bind", "source": "/nothing/like-it", "options": ["bind"]}, "true"),
    ("bind, slave", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["rbind", "rslave"]}, "cat /m/file"),
    ("bind, shared", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["rbind", "rshared"]}, "cat /m/file"),
    ("bind, private", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["rbind", "rprivate"]}, "cat /m/file"),
    ("bind, atimes", {"type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["bind", "noatime", "nodiratime"]}, "cat /m/file"),
    ("sysfs", {"type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}, "ls /m; touch /m/x; cat /m/class/net/lo/mtu"),
    ("mqueue", {"type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]}, "ls -ld /m | cut -c1-10; touch /m/queue && ls /m"),
    ("devpts", {"type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}, "ls /m; ls -l /m | cut -c1-10"),
    ("cgroup", {"type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}, "ls /m | sort; mkdir /m/pids/x"),
    ("no such type", {"type": "nothing", "source": "none"}, "true"),
    ("no such option", {"type": "tmpfs", "source": "tmpfs", "options": ["nothing=1"]}, "true"),
    ("data", {"type": "tmpfs", "source": "anything", "options": ["nr_inodes=5"]}, "touch /m/1 /m/2 /m/3 /m/4 /m/5; ls /m"),
):
    case("mounts: " + name, "mounts", (mount | {"destination": "/m"},), script=f"{script}; {MOUNTS} | grep ' /m '")
case("mounts: a file", "mounts", ({"destination": "/etc/file", "type": "bind", "source": "@BUNDLE@/rootfs/data/file", "options": ["bind", "ro"]},),
     script="cat /etc/file; echo x > /etc/file; rm /etc/file; mv /etc/file /etc/y; cat /etc/file")
case("mounts: below a missing folder", "mounts", ({"destination": "/a/b/c", "type": "tmpfs", "source": "tmpfs"},), script="find /a; touch /a/b/c/x")
case("mounts: on a link", "mounts", ({"destination": "/link", "type": "tmpfs", "source": "tmpfs"},), script="readlink /link; touch /link/x; ls /data; ls -l /link | wc -l")
case("mounts: out of the root", "mounts", ({"destination": "/../../out", "type": "tmpfs", "source": "tmpfs"},), script="ls -d /out")
case("mounts: relative", "mounts", ({"destination": "rel", "type": "tmpfs", "source": "tmpfs"},), script="ls -d /rel")
case("mounts: one on another", "mounts", ({"destination": "/m", "type": "tmpfs", "source": "1"}, {"destination": "/m/n", "type": "tmpfs", "source": "2"},
     {"destination": "/m/n", "type": "bind", "source": "@BUNDLE@/rootfs/data", "options": ["bind"]}), script="ls /m /m/n; echo x > /m/n/new; mv /m/n/new /m/new; ls /m; rmdir /m/n")
case("mounts: tmpcopyup", "mounts", ({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},), script="ls -R /data; cat /data/file; echo x > /data/file; cat /data/file")
case("mounts: no destination", "mounts", ({"type": "tmpfs", "source": "tmpfs"},))
case("mounts: without proc", "mounts", [], script="ls /proc /dev; echo x > /data/y; cat /data/y; ls /nothing")

# ---- hostname, hooks, annotations ----

case("hostname", "hostname", "a-name.of.its-own", script="hostname; cat /proc/sys/kernel/hostname")
case("hostname: none", "hostname", None, script="hostname")
case("hostname: without a namespace", "linux.namespaces", [{"type": t} for t in ("pid", "mount", "ipc", "network")])


def hook(name, into):
    return {"path": "/bin/sh", "args": ["sh", "-c", f'{{ echo "$0: $A"; cat; echo; pwd; }} >> {into}', name], "env": ["A=b c", "PATH=/bin"]}


WHOLE = [("create", "@ID@"), ("state", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("state", "@ID@"), ("delete", "@ID@"), ("state", "@ID@")]
# One that doesn't read its input may be gone before crun writes to it, which a SIGPIPE then ends.
FALSE = {"path": "/bin/sh", "args": ["sh", "-c", "cat > /dev/null; exit 4"], "env": ["PATH=/bin"]}
FAILS = [("create", "@ID@"), ("state", "@ID@"), ("start", "@ID@"), ("delete", "--force", "@ID@"), ("state", "@ID@")]
for kind in ("prestart", "createRuntime", "poststart", "poststop"):
    case(f"hooks: {kind}", "hooks", {kind: [hook("first", "@BUNDLE@/hooks"), hook("second", "@BUNDLE@/hooks")]}, "annotations", {"org.example.a": "b"}, script="true", steps=WHOLE)
    case(f"hooks: {kind} fails", "hooks", {kind: [FALSE, hook("next", "@BUNDLE@/hooks")]}, script="true" if kind.startswith("post") else "echo ran", steps=FAILS)
case("hooks: createContainer", "hooks", {"createContainer": [hook("it", "@BUNDLE@/hooks")]}, steps=WHOLE)
case("hooks: createContainer fails", "hooks", {"createContainer": [FALSE]}, script="echo ran", steps=FAILS)
case("hooks: startContainer", "hooks", {"startContainer": [hook("it", "/etc/hook")]}, script="sed 's/\"pid\": *[0-9]*/N/' /etc/hook", steps=WHOLE)
case("hooks: startContainer fails", "hooks", {"startContainer": [FALSE]}, script="echo ran", steps=WHOLE)
case("hooks: too slow", "hooks", {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "30"], "timeout": 1}]}, script="echo ran", steps=FAILS)
case("hooks: all, in their order", "hooks", {k: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; echo {k} >> @BUNDLE@/hooks"]}]
     for k in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}, steps=WHOLE)
case("hooks: of a run", "hooks", {k: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; echo {k} >> @BUNDLE@/hooks"]}] for k in ("prestart", "poststart", "poststop")}, script="exit 5")
case("annotations", "annotations", {"org.example.a": "b", "": "empty", "é\n": "x\"\\y"}, steps=WHOLE)
case("annotations: no object", "annotations", [1], steps=FAILS)

# ---- linux ----

SPACES = "for n in pid mnt ipc uts net user cgroup; do [ $(readlink /proc/self/ns/$n) = $(cat /etc/outside | grep $n:) ] && echo $n is shared || echo $n is new; done; echo $$; ip link | grep -c :"


def outside(side):
    (side.rootfs / "etc/outside").write_text("".join(os.readlink("/proc/self/ns/" + n) + "\n" for n in ("pid", "mnt", "ipc", "uts", "net", "user", "cgroup")))


for types in ("mount", "mount pid", "mount ipc", "mount network", "mount uts", "mount cgroup", "mount pid ipc network uts cgroup"):
    case(f"namespaces: {types}", "linux.namespaces", [{"type": t} for t in types.split()], "hostname", None, script=SPACES.replace("echo $$;", "" if "pid" not in types else "echo $$;"),
         before=outside)
case("namespaces: user", "linux.namespaces", ({"type": "user"},), "linux.uidMappings", [{"containerID": 0, "hostID": 100000, "size": 65536}],
     "linux.gidMappings", [{"containerID": 0, "hostID": 100000, "size": 65536}], script="id; cat /proc/self/uid_map /proc/self/gid_map; ls -ln /etc | head -3; touch /tmp/x; ls -ln /tmp; "
     "touch /etc/x; chown 5:6 /tmp/x; ls -ln /tmp/x | cut -c1-30; grep -E '^(Cap|Uid)' /proc/self/status")
case("namespaces: user without mappings", "linux.namespaces", ({"type": "user"},), script="id")
case("namespaces: joined", "linux.namespaces", [{"type": t} for t in ("pid", "mount", "ipc", "uts")] + [{"type": "network", "path": "@NET@"}], script=SPACES, before=outside)
case("namespaces: a path of another kind", "linux.namespaces", [{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/uts"}])
case("namespaces: a missing path", "linux.namespaces", [{"type": "mount"}, {"type": "network", "path": "/nothing"}])
case("namespaces: twice", "linux.namespaces", ({"type": "pid"},), script="echo $$")
case("namespaces: no such", "linux.namespaces", ({"type": "nothing"},))
case("devices: the usual ones", script="ls -l /dev | tr -s ' ' | sed 's/[A-Z][a-z][a-z] [0-9]* [0-9:]* / /'; for d in null zero full random urandom tty; do head -c 1 /dev/$d | wc -c; echo x > /dev/$d; done 2>&1; readlink /dev/fd /dev/stdin /dev/ptmx")
case("devices", "linux.devices", [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}, {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
     {"path": "/dev/deep/er/zero", "type": "c", "major": 1, "minor": 5}], script="ls -ln /dev/mine /dev/pipe | cut -c1-30; echo x > /dev/mine; cat /dev/mine; head -c 3 /dev/deep/er/zero | wc -c; "
     "(echo x > /dev/pipe &); cat /dev/pipe")
case("devices: no such type", "linux.devices", [{"path": "/dev/mine", "type": "x", "major": 1, "minor": 3}])
case("devices: none allowed", "linux.resources", {"devices": [{"allow": False, "access": "rwm"}]}, script="cat /dev/null; head -c 1 /dev/zero | wc -c")
case("devices: some allowed", "linux.resources", {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}]},
     script="cat /dev/null; echo x > /dev/null; head -c 1 /dev/zero | wc -c")
case("sysctl", "linux.sysctl", {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000", "net.core.somaxconn": "77"}, script="cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/core/somaxconn")
case("sysctl: no such", "linux.sysctl", {"net.ipv4.nothing": "1"})
case("sysctl: the host's", "linux.sysctl", {"vm.swappiness": "60"})
case("sysctl: without a namespace", "linux.sysctl", {"net.core.somaxconn": "4096"}, "linux.namespaces", [{"type": "mount"}, {"type": "pid"}], "hostname", None)
case("maskedPaths", "linux.maskedPaths", ["/etc/file", "/data", "/nothing", "/proc/kcore"], script="cat /etc/file; ls -l /etc/file | cut -c1-10; ls -la /data | wc -l; touch /data/x; wc -c < /proc/kcore; rm /etc/file; " + MOUNTS)
case("readonlyPaths", "linux.readonlyPaths", ["/etc/file", "/data", "/nothing", "/proc/sys"], script="cat /etc/file; echo x > /etc/file; touch /data/x; cat /data/file; rm /data/file; touch /proc/sys/x; mkdir /etc/y && echo y; " + MOUNTS)
for how in ("shared", "slave", "private", "unbindable", "rslave", "nothing"):
    case(f"rootfsPropagation {how}", "linux.rootfsPropagation", how, script=MOUNTS)
case("resources: pids", "linux.resources", {"pids": {"limit": 5}}, script="for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; jobs | wc -l")
case("resources: memory", "linux.resources", {"memory": {"limit": 33554432}}, script="cat /proc/self/cgroup | sed 's/.*://' | sort -u | grep -c .")
case("resources: no such", "linux.resources", {"pids": "x"})
case("cgroupsPath", "linux.cgroupsPath", "/of-@ID@", script="grep -c :/of-@ID@ /proc/self/cgroup")
case("personality", "linux.personality", {"domain": "LINUX32"}, script="uname -m; cat /proc/self/personality")

ALLOW, TRY = "SCMP_ACT_ALLOW", "sync; echo $?; mkdir /tmp/d; echo $?; chmod 700 /tmp; echo $?; hostname; echo ends"


def profile(*rules, default=ALLOW, **more):
    return {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [r if isinstance(r, dict) else {"names": r[0].split(), "action": "SCMP_ACT_" + r[1]} for r in rules]} | more


for action in ("ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "LOG", "TRACE", "ALLOW"):
    case(f"seccomp: {action}", "linux.seccomp", profile(("sync", action)), script=TRY)
    case(f"seccomp: {action} of a call that the policy decides on", "linux.seccomp", profile(("mkdir", action)), script=TRY)
case("seccomp: an errno", "linux.seccomp", profile({"names": ["sync", "chmod", "fchmodat", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}), script=TRY)
case("seccomp: default errno", "linux.seccomp", profile({"names": [
    "read", "write", "openat", "open", "close", "execve", "mmap", "munmap", "mprotect", "brk", "exit_group", "arch_prctl", "fstat", "newfstatat", "stat", "lstat", "rt_sigaction", "rt_sigprocmask",
    "getuid", "getgid", "geteuid", "getegid", "getpid", "getppid", "set_tid_address", "set_robust_list", "prlimit64", "getrandom", "readlink", "rseq", "futex", "fcntl", "prctl", "uname", "capset",
    "getcwd", "clone", "vfork", "fork", "wait4", "ioctl", "dup2", "setgroups", "setgid", "setuid", "getdents64", "setresuid", "setresgid", "chdir", "fstatfs", "access", "getpgrp", "sched_yield"],
    "action": ALLOW}, default="SCMP_ACT_ERRNO", defaultErrnoRet=38), script=TRY)
case("seccomp: arguments", "linux.seccomp", profile({"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 2, "value": 7, "op": "SCMP_CMP_EQ"}]},
     {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7, "args": [{"index": 1, "value": 0o700, "valueTwo": 0o700, "op": "SCMP_CMP_MASKED_EQ"}]}),
     script="nice -n 7 echo 7; nice -n 6 echo 6; mkdir -m 700 /tmp/a; mkdir -m 755 /tmp/b; umask 077; mkdir /tmp/c; ls /tmp")
case("seccomp: flags", "linux.seccomp", profile(("sync", "ERRNO"), flags=["SECCOMP_FILTER_FLAG_LOG"]), script=TRY)
case("seccomp: a call that isn't known", "linux.seccomp", profile(("no_such_call sync", "ERRNO")), script=TRY)
case("seccomp: no such action", "linux.seccomp", profile(("sync", "NOTHING")), script=TRY)
case("seccomp: no such architecture", "linux.seccomp", profile(("sync", "ERRNO"), architectures=["SCMP_ARCH_NOTHING"]), script=TRY)
for name in ("SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "x32"):
    case(f"seccomp: architecture {name}", "linux.seccomp", profile(("sync", "ERRNO"), architectures=["SCMP_ARCH_X86_64", name]), script=TRY)
case("seccomp: without new privileges", "linux.seccomp", profile(("sync", "ERRNO")), "process.noNewPrivileges", False, script=TRY + "; " + STATUS)
case("seccomp: empty", "linux.seccomp", {"defaultAction": ALLOW}, script=TRY)

# ---- the life cycle ----

SLEEP = "trap 'echo term; exit 3' TERM; touch /ready; while true; do sleep 0.05; done"
UP = [("create", "@ID@"), ("start", "@ID@"), ("file", "/ready")]
case("life: as a whole", script=SLEEP, steps=[("create", "--pid-file", "@BUNDLE@/pid", "@ID@"), ("state", "@ID@"), ("start", "@ID@"), ("file", "/ready"), ("state", "@ID@"), ("list", "--quiet"),
     ("kill", "@ID@", "TERM"), ("await", "stopped"), ("state", "@ID@"), ("delete", "@ID@"), ("state", "@ID@"), ("list", "--quiet")])
case("life: start twice", script=SLEEP, steps=UP + [("start", "@ID@"), ("state", "@ID@")])
case("life: start what has ended", steps=[("create", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("start", "@ID@"), ("state", "@ID@")])
case("life: delete what runs", script=SLEEP, steps=UP + [("delete", "@ID@"), ("state", "@ID@"), ("delete", "--force", "@ID@"), ("state", "@ID@")])
case("life: delete what was created", script=SLEEP, steps=[("create", "@ID@"), ("delete", "@ID@"), ("state", "@ID@")])
case("life: delete twice", steps=[("create", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("delete", "@ID@"), ("delete", "@ID@"), ("delete", "--force", "@ID@")])
case("life: kill what has ended", steps=[("create", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("kill", "@ID@", "TERM"), ("kill", "@ID@", "KILL"), ("state", "@ID@")])
case("life: kill what was created", script=SLEEP, steps=[("create", "@ID@"), ("kill", "@ID@", "KILL"), ("await", "stopped"), ("state", "@ID@")])
case("life: kill by number, all, and no signal", script=SLEEP, steps=UP + [("kill", "@ID@", "0"), ("kill", "@ID@", "NOTHING"), ("kill", "@ID@", "1000"), ("kill", "--all", "@ID@", "9"), ("await", "stopped")])
# One after another: a call that a signal interrupts before the broker has it is EINTR where its handler doesn't restart it, at any time.
case("life: signals", script="for s in HUP USR1 USR2 INT; do trap \"touch /got-$s\" $s; done; touch /ready; while [ ! -e /got-INT ]; do sleep 0.05; done; ls -d /got*",
     steps=UP + [s for name, short in (("HUP", "HUP"), ("SIGUSR1", "USR1"), ("12", "USR2"), ("INT", "INT")) for s in (("kill", "@ID@", name), ("file", "/got-" + short))]
     + [("await", "stopped")])
case("life: nobody of that name", steps=[(c, "no-such-container", *more) for c, *more in (["state"], ["start"], ["kill", "TERM"], ["delete"], ["pause"], ["resume"], ["exec", "true"], ["ps"], ["update"])])
case("life: the same name twice", script=SLEEP, steps=UP + [("create", "@ID@"), ("run", "@ID@"), ("state", "@ID@")])
case("life: a name again", script="echo x", steps=[("run", "@ID@"), ("run", "@ID@"), ("create", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("delete", "@ID@"), ("run", "@ID@")])
case("life: a name that is none", steps=[("create", "a/b"), ("create", "../x"), ("create", ""), ("create",), ("state",), ("create", "two", "names")])
case("life: detached, kept", script="exit 3", steps=[("run", "--detach", "--pid-file", "@BUNDLE@/pid", "@ID@"), ("await", "stopped"), ("state", "@ID@")])
case("life: config.json changed after create", script=SLEEP, steps=[("create", "@ID@"), ("write", "config.json", "{}"), ("start", "@ID@"), ("file", "/ready"), ("exec", "@ID@", "hostname"), ("state", "@ID@")])
case("life: exec", script=SLEEP, steps=UP + [("exec", "@ID@", "sh", "-c", "id; pwd; env | sort; echo $0; echo error >&2; grep -E '^(Cap|NoNew|Seccomp)' /proc/self/status; exit 7", "x"),
     ("exec", "--user", "5:6", "--cwd", "/tmp", "--env", "A=b c", "@ID@", "sh", "-c", "id; pwd; env | sort; touch /etc/x"), ("exec", "--cap", "CAP_SYS_TIME", "@ID@", "grep", "^Cap", "/proc/self/status"),
     ("exec", "@ID@", "nothing-like-it"), ("exec", "@ID@", "/etc/file"), ("exec", "--cwd", "/nothing", "@ID@", "pwd"), ("exec", "@ID@", "sh", "-c", "kill -9 $$"), ("exec", "@ID@"), ("state", "@ID@")])
case("life: exec of a file", script=SLEEP, steps=UP + [
    ("write", "process.json", json.dumps({"args": ["sh", "-c", "id; umask; pwd; env; ulimit -n"], "cwd": "/tmp", "env": ["PATH=/bin", "X=y"], "user": {"uid": 3, "gid": 4, "additionalGids": [9]},
                                          "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}], "noNewPrivileges": True})),
    ("exec", "--process", "process.json", "@ID@"), ("write", "process.json", "{"), ("exec", "--process", "process.json", "@ID@"), ("exec", "--process", "nothing", "@ID@")])
case("life: exec of what was created", script=SLEEP, steps=[("create", "@ID@"), ("exec", "@ID@", "echo", "x"), ("state", "@ID@")])
case("life: exec in what has ended", steps=[("create", "@ID@"), ("start", "@ID@"), ("await", "stopped"), ("exec", "@ID@", "echo", "x")])
case("life: exec, detached and with a terminal", script=SLEEP, steps=UP + [("exec", "--detach", "--pid-file", "@BUNDLE@/pid", "@ID@", "sh", "-c", "echo x > /got"), ("file", "/got"),
     ("terminal", "exec", "--tty", "--detach", "@ID@", "sh", "-c", "tty; read x; echo got $x")])
case("life: pause", script=SLEEP, steps=UP + [("pause", "@ID@"), ("state", "@ID@"), ("pause", "@ID@"), ("resume", "@ID@"), ("state", "@ID@"), ("resume", "@ID@"), ("exec", "@ID@", "echo", "x")])
case("life: ps", script="touch /ready; exec sleep 100", steps=UP + [("exec", "@ID@", "ps", "-o", "args")])
case("life: children end with it", script="sleep 100 & touch /ready; wait", steps=UP + [("kill", "@ID@", "KILL"), ("await", "stopped"), ("delete", "@ID@"), ("state", "@ID@")])
case("life: create without a process", "process", None, steps=[("create", "@ID@"), ("start", "@ID@"), ("state", "@ID@")])
case("life: rootfs gone before start", script="true", steps=[("remove",), ("create", "@ID@"), ("state", "@ID@")])
case("life: options", script="echo x", steps=[("run", "--no-pivot", "@ID@"), ("run", "--no-new-keyring", "@ID@"), ("run", "--bundle", "@BUNDLE@", "@ID@"), ("run", "-b", "@BUNDLE@", "@ID@")])
text_case("config: no JSON", "{ nothing", FAILS)
text_case("config: a list", "[]", FAILS)
text_case("config: empty object", "{}", FAILS)
text_case("config: linux is no object", json.dumps(BASE | {"linux": 5}), FAILS)
text_case("config: process is no object", json.dumps(BASE | {"process": "sh"}), FAILS)
text_case("config: mounts is no list", json.dumps(BASE | {"mounts": {}}), FAILS)
text_case("config: a user that is no number", json.dumps(BASE | {"process": BASE["process"] | {"args": ["true"], "user": {"uid": "root", "gid": 0}}}), FAILS)
text_case("config: no version", json.dumps({k: v for k, v in BASE.items() if k != "ociVersion"} | {"process": BASE["process"] | {"args": ["echo", "x"]}}), FAILS)
text_case("config: a version to come", json.dumps(BASE | {"ociVersion": "9.9.9", "process": BASE["process"] | {"args": ["echo", "x"]}}), FAILS)
text_case("config: what isn't known", json.dumps(BASE | {"unknown": {"a": [1]}, "process": BASE["process"] | {"args": ["echo", "x"], "other": 1}}), WHOLE)
cases["config: none"] = (BASE, [("create", "@ID@"), ("state", "@ID@")], lambda side: (side.bundle / "config.json").unlink())
case("config: no bundle", steps=[("create", "--bundle", "/nothing/like-it", "@ID@"), ("state", "@ID@")])


def try_on(side, name):
    config, steps, before = cases[name]
    side.begin(config)
    try:
        if before:
            before(side)
        perform(side, steps)
    finally:
        side.end()


def attempt(side, name):
    try:
        try_on(side, name)
    except Exception as e:
        side.seen.append([f"{side.name}: {e!r}"])


def errors_only(seen):
    """An error's words are left out, that there are some is not."""
    return [[*e[:2], e[2], bool(e[3])] if len(e) == 4 and e[1] not in (0, None) else e for e in seen]


def main():
    global NET
    folder, *programs = sys.argv[1:4]
    folder = pathlib.Path(folder)
    names = sys.argv[4:] or list(cases)
    sides = [Side(n, p, folder) for n, p in zip(("crun", "ours"), programs)]
    with subprocess.Popen(["unshare", "--net", "sleep", "1000"]) as other:
        NET = f"/proc/{other.pid}/ns/net"
        while os.readlink(NET) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        bad = 0
        for name in names:
            threads = [threading.Thread(target=attempt, args=(s, name)) for s in sides]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            crun, ours = (errors_only(s.seen) if name in SAID else s.seen for s in sides)
            if sys.argv[4:]:
                print(name, json.dumps(crun, indent=1))
            if crun != ours:
                bad += name not in DIFFERENT
                for a, b in zip(crun + [None] * len(ours), ours + [None] * len(crun)):
                    if a != b:
                        print(f"{'(known) ' if name in DIFFERENT else ''}{name}:\n  crun {a}\n  ours {b}")
            elif name in DIFFERENT:
                print(f"{name}: is the same, though it is in the list of what isn't")
                bad += 1
        other.kill()
    print(f"{len(names)} cases, {bad} different")
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
