"""Counts the allocations of a running release while it answers requests on warm connections."""

import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.checks import Unproven, conclude
from harness.connection import connected
from harness.processes import wait_until
from harness.service import Introspector, Service

PER_REQUEST_MAX = 0.01
IDLE_SECONDS = 2
RUNS = 3
"""The lowest count is used: at its start, and now and then, the process does other work."""


class Counter:
    """The library that is preloaded into a service and counts the calls of its allocator."""

    def __init__(self, library: str, folder: Path) -> None:
        self._file = folder / "count"
        self.environment = {"LD_PRELOAD": library, "ALLOCATION_COUNT_FILE": str(self._file)}

    def calls(self, service: Service) -> int:
        """The number of calls so far."""
        self._file.unlink(missing_ok=True)
        service.process.send(signal.SIGUSR2)
        if not wait_until(lambda: self._file.exists() and self._file.read_text().endswith("\n"), 2, 0.01):
            raise Unproven("the allocator's calls are not counted")
        return int(self._file.read_text())


def exchange(connection: socket.socket, request: bytes, answer_bytes: int, burst: int) -> None:
    """Sends a request `burst` times at once and reads all answers."""
    connection.sendall(request * burst)
    left = answer_bytes * burst
    while left > 0:
        received = connection.recv(min(left, 1 << 20))
        if not received:
            raise Unproven("the server has closed the connection")
        left -= len(received)


def counted(
    calls: Callable[[], int], connection: socket.socket, request: bytes, answer_bytes: int, requests: int, burst: int
) -> float:
    """Allocations per request, minus those of an idle process in the same time."""
    idle = idle_rate(calls)
    before, began = calls(), time.monotonic()
    for _ in range(requests // burst):
        exchange(connection, request, answer_bytes, burst)
    return max(0.0, calls() - before - idle * (time.monotonic() - began)) / requests


def idle_rate(calls: Callable[[], int]) -> float:
    """Allocations per second without requests: timers and maintenance of the store."""
    before = calls()
    time.sleep(IDLE_SECONDS)
    return (calls() - before) / IDLE_SECONDS


def measure(
    calls: Callable[[], int], port: int, name: str, request: bytes, expected: bytes, requests: int, burst: int
) -> bool:
    """Prints the allocations per request, and returns whether they are within the limit."""
    with connected(port) as connection:
        connection.sendall(request)
        answer = connection.recv(1 << 20)
        if expected not in answer:
            raise Unproven(f"{name}: the answer is not the expected one")
        for _ in range(200):
            exchange(connection, request, len(answer), burst)
        each = min(counted(calls, connection, request, len(answer), requests, burst) for _ in range(RUNS))
    is_kept = each <= PER_REQUEST_MAX
    print(f"{name:34} {each:.4f} allocations per request {'kept' if is_kept else 'BROKEN'}", flush=True)
    return is_kept


def prove(service: Service, calls: Callable[[], int], requests: int) -> bool:
    service.start()
    key = service.json_result("key", "create", "--owner", "acme", "--scope", "orders:read")["key"]
    caller = Introspector(service.json_result("client", "create", "--name", "proof", "--may", "introspect"))
    body = f"token={key}"
    introspection = (
        f"POST /oauth2/introspect HTTP/1.1\r\nHost: localhost\r\n{caller.fields}"
        f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    verification = f"GET /verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: ApiKey {key}\r\n\r\n".encode()
    kept = [
        measure(calls, service.port, "introspection", introspection, b'"active":true', requests, 1),
        measure(calls, service.port, "introspection, pipelined by 16", introspection, b'"active":true', requests, 16),
        measure(calls, service.port, "/verify", verification, b"HTTP/1.1 200", requests, 1),
    ]
    # Shows that the counter works: a new connection needs allocations.
    before = calls()
    for _ in range(50):
        connected(service.port).close()
    time.sleep(0.5)
    if calls() - before < 50:
        raise Unproven("connections come without allocations: the counter does not count")
    service.end()
    passed = sum(kept)
    print(f"{passed} passed, {len(kept) - passed} failed")
    return all(kept)


def main() -> bool:
    program, library, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(library, Path(folder))
        with Service(program, "--threads", "1", listens=("--listen",), environment=counter.environment) as service:
            return prove(service, lambda: counter.calls(service), requests)


conclude("allocations", main, unproven=1)
