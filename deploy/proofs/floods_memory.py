"""Opens thousands of connections whose requests are never completed, and measures how much memory the service uses for them.
See floods.

    floods_memory.py PROGRAM CONNECTIONS

All requests together need several times `buffer-bytes`. The service refuses some of them, and refused clients connect again
immediately. The peak memory of the service, minus its memory with the same connections idle, must be at most 1.1 times
`buffer-bytes`.

Exits with 0 if it is, with 1 if it is not, and with 2 if nothing was proven.
"""

import random
import resource
import select
import socket
import sys
import threading
import time

from harness.checks import Unproven, conclude
from harness.connection import Connection
from harness.service import Introspector, Service

PROGRAM, CONNECTIONS = sys.argv[1], int(sys.argv[2])
BUDGETS = (128 << 20, 64 << 20)
"""`buffer-bytes`, one run each."""
TIMES_MAX = 1.1
BODY_BYTES = 60_000
PARTS = {"40 KiB of each body": lambda: 40 << 10, "1 to 56 KiB of each body": lambda: random.randint(1 << 10, 56 << 10)}
"""How much of its body a request sends before it stops, one run each: equal for all requests, and random."""
FLOOD_SECONDS = 15
"""More than the ten seconds after which an unfinished body is refused."""
SETTLE_SECONDS = 3
MIB = 1 << 20


def memory(service):
    """Resident bytes, anonymous resident bytes, and the peak of resident bytes since `reset_peak`."""
    with open(f"/proc/{service.process.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return tuple(int(fields[name].split()[0]) << 10 for name in ("VmRSS", "RssAnon", "VmHWM"))


def reset_peak(service):
    # The process is not dumpable (PR_SET_DUMPABLE), so these files belong to root.
    try:
        with open(f"/proc/{service.process.pid}/clear_refs", "w") as file:
            file.write("5")
    except PermissionError as error:
        raise Unproven("only root may measure the service's peak") from error


def in_mib(size):
    return f"{size / MIB:.0f}"


class BufferedBytes(threading.Thread):
    """The maximum of the service's own metric of buffered bytes. In a separate thread, since a busy service answers slowly."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.service = service
        self.most, self.error = 0, None
        self.is_over = threading.Event()

    def run(self):
        try:
            while not self.is_over.wait(0.1):
                self.most = max(self.most, metric(self.service, "countersign_buffered_bytes"))
        except Exception as error:  # Without this thread the maximum would be too low.
            self.error = error

    def finish(self):
        self.is_over.set()
        self.join()
        if self.error:
            raise Unproven(f"the metrics could not be read: {self.error}: {self.service.log_tail()}")
        return self.most


class Flood:
    """Connections that have sent a head and a part of a body. A refused one is opened again."""

    def __init__(self, service, sockets, head, part):
        self.port, self.head, self.part = service.port, head, part
        self.poll = select.epoll()
        self.sockets, self.unsent = {}, {}
        self.refused, self.late, self.closed = 0, 0, 0
        for one in sockets:
            one.setblocking(False)
            self.add(one)

    def add(self, one):
        self.sockets[one.fileno()] = one
        self.unsent[one.fileno()] = self.head + b"a" * self.part()
        self.poll.register(one, select.EPOLLIN | select.EPOLLOUT)

    def proceed(self, wait):
        for number, events in self.poll.poll(wait):
            if events & ~select.EPOLLOUT:
                self.replace(number)
            else:
                self.send(number)

    def send(self, number):
        try:
            rest = self.unsent[number][self.sockets[number].send(self.unsent[number]):]
        except BlockingIOError:
            return
        except OSError:
            return self.replace(number)
        self.unsent[number] = rest
        if not rest:
            self.poll.modify(number, select.EPOLLIN)

    def replace(self, number):
        one = self.sockets.pop(number)
        try:
            status = one.recv(4096)[9:12]
        except OSError:
            status = b""
        self.refused += status == b"503"
        self.late += status == b"408"
        self.closed += status not in (b"503", b"408")
        one.close()
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self.port))
        self.add(one)

    def end(self):
        self.poll.close()
        for one in self.sockets.values():
            one.close()


def metric(service, name):
    with Connection(service.health_port) as connection:
        for line in connection.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    raise Unproven(f"/metrics has no {name}")


def measure(budget, name, part):
    """Returns whether the service stayed within its budget."""
    service = Service(
        PROGRAM, listens=("--listen", "--control-listen", "--health-listen"), environment={
            "COUNTERSIGN_CACHE_BYTES": str(8 << 20),
            "COUNTERSIGN_BUFFER_BYTES": str(budget),
            # More than are used: a connection counts until the service has noticed that its client has closed it.
            "COUNTERSIGN_CONNECTIONS_MAX": str(CONNECTIONS + CONNECTIONS // 4)})
    flood = None
    try:
        service.start()
        gateway = Introspector(service.json_result("client", "create", "--name", "gateway", "--may", "introspect"))
        key = service.json_result("key", "create", "--owner", "acme")["key"]
        with Connection(service.port) as connection:
            gateway.ask(connection, key)
        time.sleep(SETTLE_SECONDS)
        rest, _, _ = memory(service)

        connections = []
        for _ in range(CONNECTIONS):
            connections.append(Connection(service.port))
            if gateway.ask(connections[-1], key).status != 200:
                raise Unproven("a request on one of the connections was not answered")
        time.sleep(SETTLE_SECONDS)
        if (count := metric(service, "countersign_connections")) != CONNECTIONS:
            raise Unproven(f"{count:.0f} of {CONNECTIONS} connections are open")
        idle, idle_anonymous, _ = memory(service)

        reset_peak(service)
        head = (f"POST /oauth2/introspect HTTP/1.1\r\nHost: localhost\r\n{gateway.fields}Content-Length: {BODY_BYTES}\r\n\r\n"
                "token=").encode()
        flood = Flood(service, [connection.socket for connection in connections], head, part)
        counted = BufferedBytes(service)
        counted.start()
        anonymous, end = 0, time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            flood.proceed(0.05)
            anonymous = max(anonymous, memory(service)[1])
        buffered = counted.finish()
        _, _, peak = memory(service)
        flood.end()
        time.sleep(SETTLE_SECONDS)
        after, _, _ = memory(service)
    except KeyError:
        # A process that has ended has no memory.
        if service.process.poll() is None:
            raise
        print(f"{name}: the service ended: {service.log_tail()}")
        return False
    finally:
        try:
            if flood:
                flood.end()
        finally:
            service.remove()
    grown = peak - idle
    print(f"buffer-bytes {in_mib(budget)} MiB, {CONNECTIONS} connections, {name}: resident {in_mib(rest)} MiB without "
          f"connections, {in_mib(idle)} idle, {in_mib(peak)} at most, {in_mib(after)} when all had closed; {in_mib(grown)} more than idle, "
          f"{grown / budget:.2f} times buffer-bytes ({in_mib(anonymous - idle_anonymous)} anonymous; counted: "
          f"{in_mib(buffered)} of {in_mib(budget)}); {flood.refused} refused for lack of memory, {flood.late} timed out, "
          f"{flood.closed} closed", flush=True)
    if grown > TIMES_MAX * budget:
        return False
    if buffered < 0.8 * budget:
        raise Unproven("the connections did not need more than the budget")
    return True


def main():
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if files < CONNECTIONS + CONNECTIONS // 4 + 1024:
        raise Unproven(f"{CONNECTIONS} connections need more open files than the {files} that this process may have")
    kept = [measure(budget, name, part) for budget in BUDGETS for name, part in PARTS.items()]
    print("floods: unfinished bodies " + (f"kept the service within {TIMES_MAX} times buffer-bytes" if all(kept) else
                                          f"made the service grow by more than {TIMES_MAX} times buffer-bytes"))
    return all(kept)


conclude("floods", main)
