#!/usr/bin/python3
"""Makes calls all the time, and writes down what came of them.

apply-load.py PROCESSES: each process of it reads `secret`, and makes, moves and removes a name of its own, until a file `stop` is there. A
line for each reading in seen.N: when it began, when it was over (nanoseconds of CLOCK_MONOTONIC), and 1 or 0: it was allowed. What must not be is
an exception, and ends it with 1.

apply-load.py --judge TIMES: holds them against the times of the policies (lines: when it was asked for, when it was in force, 1 or 0).
"""
import glob
import os
import socket
import sys
import time


def read_secret():
    try:
        os.close(os.open("secret", os.O_RDONLY))
        return 1
    except PermissionError:
        return 0


def work(number):
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    turns = 0
    with open(f"seen.{number}", "w", encoding="ascii") as seen:
        while not os.path.exists("stop"):
            begun = time.monotonic_ns()
            allowed = read_secret()
            seen.write(f"{begun} {time.monotonic_ns()} {allowed}\n")
            name = f"names/{number}.{turns}"
            # Done twice, each would be an error.
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.rename(name, f"{name}.moved")
            os.unlink(f"{name}.moved")
            os.mkdir(name)
            os.rmdir(name)
            inside.sendmsg([str(turns).encode()])
            if outside.recv(100) != str(turns).encode():
                raise AssertionError("a message was sent twice")
            turns += 1
    print(number, turns, flush=True)


def judge(times):
    with open(times, encoding="ascii") as file:
        changes = [tuple(map(int, line.split())) for line in file]
    wrong = seen = 0
    for name in glob.glob("seen.*"):
        with open(name, encoding="ascii") as file:
            for line in file:
                begun, ended, allowed = map(int, line.split())
                for (_, since, wanted), (until, _, _) in zip(changes, changes[1:]):
                    if since <= begun and ended <= until:
                        seen += 1
                        wrong += allowed != wanted
    print("seen", seen, "wrong", wrong)
    return 0 if seen > 0 and wrong == 0 else 1


def main():
    if sys.argv[1] == "--judge":
        return judge(sys.argv[2])
    children = []
    for number in range(int(sys.argv[1])):
        pid = os.fork()
        if pid == 0:
            work(number)
            os._exit(0)
        children.append(pid)
    return int(any(os.waitpid(pid, 0)[1] for pid in children))


if __name__ == "__main__":
    sys.exit(main())
