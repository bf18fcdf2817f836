"""Redis in memory only, with one thread for commands, on TCP and a Unix socket: GET of one value.

It looks one key up in a hash table and copies the value. It checks no client, secret, expiry or revocation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import free_port, wait_until

from ..failure import Failed
from ..http_exchange import Target
from ..processes import server

START_SECONDS_MAX = 10


@dataclass(frozen=True)
class Redis:
    pid: int
    tcp: Target
    unix: Target

    def tcp_arguments(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", self.tcp.url.rpartition(":")[2]]

    def unix_arguments(self) -> list[str]:
        return ["-s", self.unix.url.removeprefix("unix:")]


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    port = free_port()
    path = folder / "redis.sock"
    command = [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path), "--unixsocketperm", "600",
        "--save", "", "--appendonly", "no", "--io-threads", "1", "--daemonize", "no", "--dir", str(folder)]
    with server(command, folder / "redis.log") as process:
        running = Redis(process.pid, Target(f"http://127.0.0.1:{port}"), Target(f"unix:{path}"))
        _wait_until_answering(running)
        yield running


def command(target: Target, *words: str) -> bytes:
    """Sends one command and returns the bulk or simple string of its reply. Raises Failed for an error."""
    parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
    with target.connect() as connection:
        connection.sendall("".join(parts).encode())
        stream = connection.makefile("rb")
        first = stream.readline()
        if first.startswith(b"$") and first != b"$-1\r\n":
            return stream.read(int(first[1:]))
        if first.startswith(b"+"):
            return first[1:].strip()
    raise Failed(f"Redis answered {words[0]} with {first[:60]!r}")


def _wait_until_answering(running: Redis) -> None:
    def answers() -> bool:
        try:
            return all(command(target, "PING") == b"PONG" for target in (running.tcp, running.unix))
        except OSError:
            return False

    if not wait_until(answers, START_SECONDS_MAX, 0.02):
        raise Failed("Redis did not start")
