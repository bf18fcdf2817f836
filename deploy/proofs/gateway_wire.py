"""A client of HTTP/1.1 that sends exactly the given lines, and the application behind the gateway.

The application answers with the request that it received. As a program, this file serves it on a free loopback port, prints
the port, and ends with its standard input.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from harness.connection import Closed, connected
from harness.connection import Connection as Wire

# Traefik waits 30 seconds for a verdict, which cannot be configured.
TIMEOUT_SECONDS = 40
# Kind, public id and at least a piece of the secret.
CREDENTIAL = re.compile(rb"ii[kbrac]1_[0-9A-Za-z]{11}_[0-9A-Za-z]{8,49}")
SEEN_PATH = "/-/seen"


@dataclass
class Answer:
    """A response. If it is from the application, it contains the request as received."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.fields if other == name]

    @property
    def received(self) -> dict | None:
        return json.loads(self.body) if self.all("x-application") and self.body else None


class Connection:
    """A keep-alive connection, reopened when the peer has closed it."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self._port, self._source, self._wire, self.opened = port, source, None, 0

    def ask(
        self, target: str, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1",
    ) -> Answer:
        """Sends a request with these header lines. Host, and Content-Length with a body, are added."""
        lines = [f"{method} {target} HTTP/{version}", "Host: gateway.test", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        try:
            return self._exchange(request, method)
        except ConnectionError:
            self.close()
            # A server may close the connection between two requests, but not a new one.
            return self._exchange(request, method)

    def send(self, target: str, *fields: str) -> None:
        """Sends a request without a body. Its answer is read later."""
        self._open()
        lines = [f"GET {target} HTTP/1.1", "Host: gateway.test", *fields]
        self._wire.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self) -> Answer:
        """The answer to a request that was sent."""
        return self._answer("GET")

    def close(self) -> None:
        if self._wire:
            self._wire.close()
            self._wire = None

    def _exchange(self, request: bytes, method: str) -> Answer:
        self._open()
        self._wire.socket.sendall(request)
        return self._answer(method)

    def _open(self) -> None:
        if not self._wire:
            self._wire = Wire(connected(self._port, TIMEOUT_SECONDS, self._source))
            self.opened += 1

    def _answer(self, method: str) -> Answer:
        head = self._wire.until(b"\r\n\r\n")
        while head.split(b" ", 2)[1] == b"100":
            head = self._wire.until(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        fields = []
        for line in lines:
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))
        answer = Answer(int(start.split(" ", 2)[1]), fields, b"")
        if method != "HEAD" and answer.status not in (204, 304):
            answer.body = self._body(answer)
        if start.startswith("HTTP/1.0") or "close" in (value.lower() for value in answer.all("connection")):
            self.close()
        return answer

    def _body(self, answer: Answer) -> bytes:
        if "chunked" in answer.all("transfer-encoding"):
            return b"".join(self._wire.chunks())
        if answer.all("content-length"):
            return self._wire.exactly(int(answer.all("content-length")[0]))
        # The body ends with the connection.
        try:
            while True:
                self._wire.more()
        except Closed:
            return self._wire.rest


class Application(asyncio.Protocol):
    requests = credentials = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport, self._pending = transport, b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while b"\r\n\r\n" in self._pending:
            head, _, rest = self._pending.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            count = int(length[1]) if length else 0
            if len(rest) < count:
                return
            body, self._pending = rest[:count], rest[count:]
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ", 2)
        if target == SEEN_PATH:
            content = {"requests": Application.requests, "credentials": Application.credentials}
        else:
            Application.requests += 1
            Application.credentials += bool(CREDENTIAL.search(head) or CREDENTIAL.search(unquote_to_bytes(head)))
            pairs = [line.partition(":") for line in lines]
            content = {
                "method": method, "target": target, "body": len(body),
                "fields": [(name.lower(), value.strip()) for name, _, value in pairs]}
        text = json.dumps(content).encode()
        fields = f"HTTP/1.1 200 OK\r\nX-Application: here\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        return fields if method == "HEAD" else fields + text


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Application, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
