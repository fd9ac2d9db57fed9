"""metadata.py serve ADDRESS…: answers on port 80, by TCP and UDP. metadata.py ask ADDRESS…: tries each way to talk to it, and prints what came of it."""
import select
import socket
import sys

what, *addresses = sys.argv[1:]


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve():
    listeners, receivers = [], []
    for address in addresses:
        listeners.append(socket.create_server((address, 80), family=family(address)))
        receivers.append(socket.socket(family(address), socket.SOCK_DGRAM))
        receivers[-1].bind((address, 80))
    print("ready", flush=True)
    while True:
        for ready in select.select(listeners + receivers, [], [])[0]:
            if ready in listeners:
                ready.accept()[0].sendall(b"secret")
            else:
                ready.sendto(b"secret", ready.recvfrom(100)[1])


def stream(address):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.settimeout(3)
    s.connect((address, 80))
    return s


def nonblocking(address):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.setblocking(False)
    try:
        s.connect((address, 80))
    except BlockingIOError:
        pass
    select.select([], [s], [], 3)
    s.settimeout(3)
    return s


def fast_open(address):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.settimeout(3)
    try:
        s.sendto(b"x", socket.MSG_FASTOPEN, (address, 80))
    except BlockingIOError:
        pass
    return s


def datagram(send):
    def run(address):
        s = socket.socket(family(address), socket.SOCK_DGRAM)
        s.settimeout(3)
        send(s, (address, 80))
        return s
    return run


def connected(s, to):
    s.connect(to)
    s.send(b"x")


ways = {"stream": stream, "nonblocking": nonblocking, "fast open": fast_open, "sendto": datagram(lambda s, to: s.sendto(b"x", to)),
        "sendmsg": datagram(lambda s, to: s.sendmsg([b"x"], [], 0, to)), "connected": datagram(connected)}
if what == "serve":
    serve()
for address in addresses:
    for name, way in ways.items():
        try:
            with way(address) as s:
                answer = s.recv(100).decode()
        except OSError as e:
            answer = e.strerror or str(e)
        print(f"{address} {name}: {answer}")
