"""Countersign with one event loop and a store of its own, on HTTP, a Unix socket, and TLS when there is a certificate."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..asking import Request, Target, ask
from ..bench import Bench
from ..failure import Failed
from ..processes import free_ports, server
from .certificate import Certificate
from .control import Control

READY_SECONDS_MAX = 120


@dataclass(frozen=True)
class Countersign:
    pid: int
    http: Target
    tls: Target | None
    unix: Target
    check: Path
    """The socket of Envoy's check over gRPC."""
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
    """Runs it on the store in that folder, which is made if there is none, until the block ends."""
    port, tls_port, oauth_port = free_ports(3)
    socket, check, store, log = folder / "data.sock", folder / "check.sock", folder / "store", folder / "countersign.log"
    command = [
        str(bench.programs.countersign), "serve", "--store", str(store), "--threads", "1",
        "--listen", f"http://127.0.0.1:{port}", "--listen", f"unix:{socket}?mode=0600",
        "--grpc-listen", f"grpc+unix:{check}",
        "--control-listen", f"http://127.0.0.1:{oauth_port}"]
    if policies is not None:
        command += ["--policies", str(policies)]
    tls = None
    if certificate is not None:
        command += ["--listen", f"https://127.0.0.1:{tls_port}", "--tls-certificate", str(certificate.certificate),
                    "--tls-key", str(certificate.key)]
        tls = Target(f"https://127.0.0.1:{tls_port}", certificate.certificate)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    if map_bytes is not None:
        environment["COUNTERSIGN_STORE_MAP_BYTES"] = str(map_bytes)
    began = time.monotonic()
    with server(command, log, environment) as process:
        http = Target(f"http://127.0.0.1:{port}")
        ready_seconds = _wait_until_ready(process, http, log, began)
        oauth = Target(f"http://127.0.0.1:{oauth_port}")
        yield Countersign(process.pid, http, tls, Target(f"unix:{socket}"), check, oauth, store, ready_seconds)


def _wait_until_ready(process: "subprocess.Popen[bytes]", target: Target, log: Path, began: float) -> float:
    """Returns the seconds since `began` at the first 200."""
    while time.monotonic() - began < READY_SECONDS_MAX and process.poll() is None:
        try:
            if ask(target, Request("GET", "/readyz", {})).status == 200:
                return time.monotonic() - began
        except (OSError, Failed):
            pass  # It does not listen yet.
        time.sleep(0.002)
    words = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise Failed(f"countersign did not become ready; its last words:\n{words}")
