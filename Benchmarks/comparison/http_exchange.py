"""One HTTP request with its whole answer, to check before measuring that each side answers correctly."""

import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.connection import Closed, Connection, connected

from .failure import Failed

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """Where a server listens: http://127.0.0.1:PORT, https://127.0.0.1:PORT or unix:PATH."""

    url: str
    trust: Path | None = None

    def connect(self) -> socket.socket:
        if self.url.startswith("unix:"):
            return connected(self.url.removeprefix("unix:"))
        parts = urlsplit(self.url)
        plain = connected(parts.port or 0)
        if parts.scheme != "https":
            return plain
        return ssl.create_default_context(cafile=self.trust).wrap_socket(plain, server_hostname=parts.hostname)

    def handshake(self) -> tuple[str, str]:
        """TLS version and cipher that a client with OpenSSL's defaults negotiates."""
        with self.connect() as connection:
            if not isinstance(connection, ssl.SSLSocket):
                raise Failed(f"{self.url} does not use TLS")
            name, version, _bits = connection.cipher() or ("", "", 0)
            return version, name


@dataclass(frozen=True)
class Request:
    """One request, which all load generators send in the same way."""

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
    """An answer as received. `byte_count` is the length of head and body together."""

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
    with Connection(target.connect()) as connection:
        return ask_on(connection, request.text(), target)


def ask_on(connection: Connection, request: bytes, target: Target) -> Answer:
    """Raises Failed without a complete answer."""
    connection.socket.sendall(request)
    try:
        head = connection.until(HEAD_END) + HEAD_END
        status, headers = parse_head(head)
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if length is None:
            raise Failed(f"{target.url} answered without a length")
        return Answer(status, headers, connection.exactly(length), len(head) + length)
    except Closed as closed:
        raise Failed(f"{target.url} closed the connection") from closed


def parse_head(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers of an answer's head, in order."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    return int(first.split(" ")[1]), headers
