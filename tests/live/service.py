#!/usr/bin/python3
"""A service for tests of what systemd and a service say to each other. It answers questions, a line each.

It listens on the port of its argument, or on the socket that systemd hands over. It says READY=1 when it answers, counts SIGHUPs, tells the
watchdog that it lives (until it is asked to `hang`), and can `keep` a text in systemd's store of file descriptors.
"""

import errno
import os
import signal
import socket
import sys
import time

LISTEN_FDS_START = 3


def notify(text, fds=()):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect("\0" + address[1:] if address[0] == "@" else address)
            socket.send_fds(to, [text.encode()], list(fds))


class Service:
    def __init__(self, port):
        self.reloads = 0
        self.alive = True
        self.ended = False
        self.kept = ""
        self.listener = None
        for fd, name in self.handed_over():
            if name == "kept":
                self.kept = os.pread(fd, 4096, 0).decode()
            else:
                self.listener = socket.socket(fileno=fd)
        if self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", port))
        watched = os.environ.get("WATCHDOG_PID") == str(os.getpid())
        self.interval = int(os.environ["WATCHDOG_USEC"]) / 1e6 / 8 if watched else 0.2

    @staticmethod
    def handed_over():
        if os.environ.get("LISTEN_PID") != str(os.getpid()):
            return []
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        return [(LISTEN_FDS_START + i, names[i] if i < len(names) else "") for i in range(int(os.environ["LISTEN_FDS"]))]

    def hang_up(self, *_):
        self.reloads += 1
        notify(f"STATUS=reloaded {self.reloads}")

    def terminate(self, *_):
        self.ended = True

    def keep(self, text):
        memory = os.memfd_create("kept")
        os.write(memory, text.encode())
        notify("FDSTORE=1\nFDNAME=kept", [memory])
        os.close(memory)
        return "stored"

    def count(self):
        """How often it has been asked, over all its lives."""
        path = os.path.join(os.environ["STATE_DIRECTORY"], "count")
        count = 1
        if os.path.exists(path):
            with open(path) as file:
                count = int(file.read()) + 1
        with open(path, "w") as file:
            file.write(str(count))
        return count

    def hang(self):
        self.alive = False
        return "hangs"

    @staticmethod
    def read(path):
        try:
            with open(path) as file:
                return file.read().strip()
        except OSError as error:
            return errno.errorcode[error.errno]

    def answer(self, question):
        word, _, rest = question.partition(" ")
        answers = {"pid": os.getpid, "uid": os.getuid, "reloads": lambda: self.reloads, "hang": self.hang, "count": self.count,
                   "kept": lambda: self.kept, "keep": lambda: self.keep(rest), "read": lambda: self.read(rest),
                   "environment": lambda: os.environ.get(rest, "")}
        return answers[word]() if word in answers else f"what is {word}?"

    def run(self):
        signal.signal(signal.SIGHUP, self.hang_up)
        signal.signal(signal.SIGTERM, self.terminate)
        # Long enough that a test sees whether systemd waits for it.
        time.sleep(0.3)
        notify("READY=1\nSTATUS=ready")
        self.listener.settimeout(self.interval)
        while not self.ended:
            if self.alive:
                notify("WATCHDOG=1")
            try:
                client, _ = self.listener.accept()
            except socket.timeout:
                continue
            with client, client.makefile("rw") as stream:
                stream.write(f"{self.answer(stream.readline().strip())}\n")
        notify("STOPPING=1\nSTATUS=ends")


if __name__ == "__main__":
    Service(int(sys.argv[1]) if len(sys.argv) > 1 else 0).run()
