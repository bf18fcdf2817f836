"""One gRPC call at a time over one HTTP/2 connection, with a minimal client (RFC 9113)."""

import socket
import struct
import time
from collections.abc import Callable

from harness.connection import (
    ACKNOWLEDGED, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame, literal)

from ..failure import Failed
from ..http_exchange import Target

# The largest flow-control window, so that no further window updates are needed.
WINDOW = (1 << 31) - 1


def grpc_caller(target: Target, path: str, headers: dict[str, str], message: bytes) -> Callable[[], float]:
    """A function that makes one call and returns the microseconds from its first byte to the last of its answer."""
    connection = target.connect()
    connection.settimeout(None)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65_535)))
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"} | headers
    head = b"".join(literal(name, value) for name, value in fields.items())
    stream, pending = -1, bytearray()

    def once() -> float:
        nonlocal stream
        stream += 2
        call = frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, message)
        began = time.perf_counter_ns()
        connection.sendall(call)
        while not _has_ended(connection, pending, stream):
            piece = connection.recv(65_536)
            if not piece:
                raise Failed("the connection was closed")
            pending.extend(piece)
        return (time.perf_counter_ns() - began) / 1_000

    return once


def _has_ended(connection: socket.socket, pending: bytearray, stream: int) -> bool:
    """Removes complete frames from `pending`. Returns whether the last frame of the stream was among them."""
    while len(pending) >= 9 and len(pending) >= 9 + (length := int.from_bytes(pending[:3], "big")):
        kind, flags, of = pending[3], pending[4], int.from_bytes(pending[5:9], "big")
        del pending[: 9 + length]
        if kind == GOAWAY:
            raise Failed("the server sent GOAWAY")
        if kind == SETTINGS and not flags & ACKNOWLEDGED:
            connection.sendall(frame(SETTINGS, ACKNOWLEDGED, 0, b""))
        if kind == HEADERS and of == stream and flags & END_STREAM:
            return True
    return False
