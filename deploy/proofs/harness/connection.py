"""A minimal HTTP/1.1 client. The proofs share two processors with the service, and `http.client` would take more processor time
than the service does."""

import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from .processes import TIMEOUT_SECONDS

Address = int | str | os.PathLike
"""A port of this machine or the path of a Unix socket."""


class Closed(ConnectionResetError):
    """The peer has closed the connection."""


def connected(address: Address, timeout: float | None = TIMEOUT_SECONDS, source: str | None = None) -> socket.socket:
    """A connected socket, bound to the loopback address `source` if one is given."""
    if not isinstance(address, int):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        made.connect(str(address))
        return made
    made = socket.create_connection(("127.0.0.1", address), timeout, source and (source, 0))
    # If nothing listens on an ephemeral port, the kernel may choose the same port for this end and connect it to itself.
    if made.getsockname() == made.getpeername():
        made.close()
        raise ConnectionRefusedError(f"nothing listens on port {address}")
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Answer:
    __slots__ = ("status", "fields", "body")

    def __init__(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.status, self.fields, self.body = status, fields, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Raises OSError when it breaks. It is never reopened, since the request may or may not have been carried out."""

    def __init__(self, address: Address | socket.socket, timeout: float | None = TIMEOUT_SECONDS) -> None:
        """Also accepts a connected socket, whose timeout is then kept."""
        self.socket = address if isinstance(address, socket.socket) else connected(address, timeout)
        self.rest = b""

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, target: str, body: bytes | str = b"", fields: str = "", host: str = "localhost") -> Answer:
        """`fields` are whole header lines, each with its line end."""
        self.send(method, target, body, fields, host)
        return self.answer()

    def ask_json(self, method: str, target: str, value: object = None) -> Answer:
        if value is None:
            return self.ask(method, target)
        return self.ask(method, target, json.dumps(value), "Content-Type: application/json\r\n")

    def send(self, method: str, target: str, body: bytes | str = b"", fields: str = "", host: str = "localhost") -> None:
        if isinstance(body, str):
            body = body.encode()
        length = f"Content-Length: {len(body)}\r\n" if body or method not in ("GET", "DELETE") else ""
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n".encode() + body)

    def answer(self) -> Answer:
        status, fields = self.head()
        if status in (204, 304):
            return Answer(status, fields, b"")
        if fields.get("transfer-encoding") == "chunked":
            return Answer(status, fields, b"".join(self.chunks()))
        return Answer(status, fields, self.exactly(int(fields.get("content-length", 0))))

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and fields of an answer whose body has not been read yet."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split(" ", 2)[1]), fields

    def chunks(self) -> Iterator[bytes]:
        """The pieces of a chunked body, as they arrive."""
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            yield self.exactly(size)
            self.exactly(2)
        self.until(b"\r\n")

    # Bytes

    def until(self, end: bytes) -> bytes:
        while (position := self.rest.find(end)) < 0:
            self.more()
        found, self.rest = self.rest[:position], self.rest[position + len(end):]
        return found

    def exactly(self, count: int) -> bytes:
        while len(self.rest) < count:
            self.more()
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def more(self) -> None:
        piece = self.socket.recv(65_536)
        if not piece:
            raise Closed("the peer closed the connection")
        self.rest += piece


# What a client of HTTP/2 needs to send always the same request (RFC 9113)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, ACKNOWLEDGED, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def literal(name: str, value: str) -> bytes:
    """A literal field without indexing (RFC 7541 §6.2.2). Both texts must be shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

