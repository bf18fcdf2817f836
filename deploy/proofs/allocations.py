"""Counts the allocations of a running release while it answers requests on connections that are warm."""

import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

PERMITTED_PER_REQUEST = 0.01
RUNS = 3
"""Of which the least counts: at its start, and now and then, the process has other work too."""


class Server:
    """A release with a store of its own, and the counter in front of its allocator."""

    def __init__(self, program: str, counter: str, folder: pathlib.Path) -> None:
        self.program = program
        self.store = str(folder / "store")
        self.counts = folder / "count"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        log = open(folder / "log", "wb")
        environment = dict(os.environ, LD_PRELOAD=counter, ALLOCATION_COUNT_FILE=str(self.counts))
        self.process = subprocess.Popen(
            [program, "serve", "--store", self.store, "--listen", f"http://127.0.0.1:{self.port}", "--threads", "1"],
            stderr=log, env=environment)
        for _ in range(200):
            if b'"message":"ready"' in (folder / "log").read_bytes():
                return
            time.sleep(0.05)
        raise SystemExit((folder / "log").read_text())

    def ask(self, *words: str) -> dict:
        """Runs a verb against the daemon and reads the JSON object that it prints."""
        done = subprocess.run(
            [self.program, *words, "--store", self.store, "--json"], capture_output=True, check=True, text=True)
        return json.loads(done.stdout)

    def allocations(self) -> int:
        """Calls of the allocator so far."""
        self.counts.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        for _ in range(200):
            if self.counts.exists() and (text := self.counts.read_text()).endswith("\n"):
                return int(text)
            time.sleep(0.01)
        raise SystemExit("the allocator's calls are not counted")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


def exchange(connection: socket.socket, request: bytes, answer_bytes: int, burst: int) -> None:
    """Sends a request `burst` times at once and takes all answers."""
    connection.sendall(request * burst)
    left = answer_bytes * burst
    while left > 0:
        received = connection.recv(min(left, 1 << 20))
        if not received:
            raise SystemExit("the server has closed the connection")
        left -= len(received)


def counted(
    server: Server, connection: socket.socket, request: bytes, answer_bytes: int, requests: int, burst: int
) -> float:
    """Allocations per request, with all that the process does beside them."""
    before = server.allocations()
    for _ in range(requests // burst):
        exchange(connection, request, answer_bytes, burst)
    return (server.allocations() - before) / requests


def measure(server: Server, name: str, request: bytes, expected: bytes, requests: int, burst: int) -> bool:
    """Prints allocations per request, and says whether they are few enough."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        answer = connection.recv(1 << 20)
        if expected not in answer:
            raise SystemExit(f"{name}: the answer is not the expected one")
        for _ in range(200):
            exchange(connection, request, len(answer), burst)
        each = min(counted(server, connection, request, len(answer), requests, burst) for _ in range(RUNS))
    is_kept = each <= PERMITTED_PER_REQUEST
    print(f"{name:34} {each:.4f} allocations per request {'kept' if is_kept else 'BROKEN'}", flush=True)
    return is_kept


def main() -> None:
    program, counter, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, counter, pathlib.Path(folder))
        try:
            key = server.ask("key", "create", "--owner", "acme", "--scope", "orders:read")["key"]
            client = server.ask("client", "create", "--name", "proof", "--may", "introspect")
            basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
            body = f"token={key}"
            introspection = (
                f"POST /oauth2/introspect HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
            verification = f"GET /verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: ApiKey {key}\r\n\r\n".encode()
            kept = [
                measure(server, "introspection", introspection, b'"active":true', requests, 1),
                measure(server, "introspection, pipelined by 16", introspection, b'"active":true', requests, 16),
                measure(server, "/verify", verification, b"HTTP/1.1 200", requests, 1),
            ]
            # The counter counts: a new connection cannot be had without.
            before = server.allocations()
            for _ in range(50):
                socket.create_connection(("127.0.0.1", server.port)).close()
            time.sleep(0.5)
            if server.allocations() - before < 50:
                raise SystemExit("connections come without allocations: the counter does not count")
        finally:
            server.end()
    passed = sum(kept)
    print(f"{passed} passed, {len(kept) - passed} failed")
    if passed < len(kept):
        raise SystemExit(1)


main()
