"""Eight processes with four umasks make files, while opens that wait have the broker start and end threads: umask.py FOLDER SECONDS."""

import os
import sys
import threading
import time

folder, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds


def wait_at_fifos(number):
    path = f"{folder}/fifo{number}"
    while time.monotonic() < end:
        os.mkfifo(path)
        reader = threading.Thread(target=lambda: os.close(os.open(path, os.O_RDONLY)))
        reader.start()
        time.sleep(0.002)
        os.close(os.open(path, os.O_WRONLY))
        reader.join()
        os.unlink(path)
    return 0


def make_files(number):
    mask = (0, 0o22, 0o77, 0o27)[number % 4]
    path = f"{folder}/file{number}"
    made = wrong = 0
    os.umask(mask)
    while time.monotonic() < end:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        wrong += os.fstat(fd).st_mode & 0o777 != 0o666 & ~mask
        os.close(fd)
        os.unlink(path)
        made += 1
    print(f"umask {mask:o}: {wrong} of {made} wrong", flush=True)
    return 0 if made > 10 and not wrong else 1


children = []
for function, count in ((make_files, 8), (wait_at_fifos, 6)):
    for n in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(function(n))
        children.append(pid)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
