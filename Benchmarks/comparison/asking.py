"""Asks one question over HTTP and keeps the answer byte by byte, to see before measuring that each side does its work."""

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .failure import Failed

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Target:
    """Where a server listens: http://127.0.0.1:PORT, https://127.0.0.1:PORT or unix:PATH."""

    url: str
    trust: Path | None = None

    def connect(self) -> socket.socket:
        if self.url.startswith("unix:"):
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(PATIENCE_SECONDS)
            plain.connect(self.url.removeprefix("unix:"))
            return plain
        parts = urlsplit(self.url)
        plain = socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_SECONDS)
        if parts.scheme != "https":
            return plain
        return ssl.create_default_context(cafile=self.trust).wrap_socket(plain, server_hostname=parts.hostname)

    def handshake(self) -> tuple[str, str]:
        """Version and cipher of TLS that a client with OpenSSL's defaults comes to, such as TLSv1.3."""
        with self.connect() as connection:
            if not isinstance(connection, ssl.SSLSocket):
                raise Failed(f"{self.url} speaks no TLS")
            name, version, _bits = connection.cipher() or ("", "", 0)
            return version, name


@dataclass(frozen=True)
class Request:
    """One request, as all load generators send it."""

    method: str
    path: str
    headers: dict[str, str]
    body: str = ""

    def text(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", self.body]).encode()


@dataclass(frozen=True)
class Answer:
    """An answer as it came. `byte_count` is the length of head and body together."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    byte_count: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def members(self) -> dict[str, object]:
        return json.loads(self.body)


def ask(target: Target, request: Request) -> Answer:
    """Sends one request on a connection that stays open, as under load, and reads its answer."""
    with target.connect() as connection:
        connection.sendall(request.text())
        stream = connection.makefile("rb")
        head = _head(stream.readline, target)
        status, headers = parse_head(head)
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if length is None:
            raise Failed(f"{target.url} answered without a length")
        body = stream.read(length)
    return Answer(status, headers, body, len(head) + len(body))


def _head(read_line: Callable[[], bytes], target: Target) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = read_line()
        if not line:
            raise Failed(f"{target.url} closed the connection")
        head += line
    return head


def parse_head(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers of an answer's head, in order."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    return int(first.split(" ")[1]), headers
