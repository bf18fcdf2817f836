"""Countersign with one event loop and its own store, on HTTP, a Unix socket, and TLS if there is a certificate."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import free_port
from harness.service import Certificate, Service

from ..bench import Bench
from ..http_exchange import Target
from ..processes import SERVER_PROCESSOR, pinned
from .control import Control

READY_SECONDS_MAX = 120


@dataclass(frozen=True)
class Countersign:
    pid: int
    http: Target
    tls: Target | None
    unix: Target
    check: Path
    """The socket for Envoy's Check over gRPC."""
    oauth: Target
    store: Path
    ready_seconds: float
    """From the start of the process to the first 200 of /readyz."""

    def control(self) -> Control:
        return Control(self.store / "control.sock")


@contextmanager
def countersign(
    bench: Bench, folder: Path, certificate: Certificate | None = None, map_bytes: int | None = None,
    policies: Path | None = None,
) -> Iterator[Countersign]:
    """Runs Countersign on the store in that folder, which is created if there is none, until the block ends."""
    socket, check = folder / "data.sock", folder / "check.sock"
    flags: list[object] = [
        "--threads", "1", "--listen", f"unix:{socket}?mode=0600", "--grpc-listen", f"grpc+unix:{check}"]
    if policies is not None:
        flags += ["--policies", policies]
    tls = None
    if certificate is not None:
        tls = Target(f"https://127.0.0.1:{free_port()}", certificate.certificate)
        flags += ["--listen", tls.url, "--tls-certificate", certificate.certificate, "--tls-key", certificate.key]
    environment = {} if map_bytes is None else {"COUNTERSIGN_STORE_MAP_BYTES": str(map_bytes)}
    server = Service(
        bench.programs.countersign, *flags, folder=folder, environment=environment, before=pinned(SERVER_PROCESSOR))
    with closing(server):
        ready_seconds = server.start(READY_SECONDS_MAX)
        yield Countersign(
            server.process.pid, Target(f"http://127.0.0.1:{server.port}"), tls, Target(f"unix:{socket}"), check,
            Target(f"http://127.0.0.1:{server.oauth_port}"), server.store, ready_seconds)
