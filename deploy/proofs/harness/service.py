"""A running Countersign with its own store, its command line, and its clients. Secrets are passed in requests, files and
standard input, never as command-line arguments."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .checks import Unproven
from .connection import Answer, Connection, Address
from .processes import TIMEOUT_SECONDS, Process, free_ports, output_of, run, wait_until

FORM = "application/x-www-form-urlencoded"
INACTIVE = b'{"active":false}'
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def environment_without_settings() -> dict[str, str]:
    """The environment of this program without the variables that would configure Countersign."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}


class Service:
    """A daemon with its store, log and sockets in one folder. As a context manager it ends the daemon and removes the folder."""

    def __init__(
        self, program: str | Path, *flags: object, folder: Path | None = None, environment: Mapping[str, str] | None = None,
        listens: Sequence[str] = ("--listen", "--control-listen"), before: Sequence[object] = (),
    ) -> None:
        """
        - flags: flags of the daemon, after those for its listeners.
        - listens: flags of listeners, each of which gets a free loopback port.
        - before: a command that executes the daemon, such as taskset.
        """
        self.program, self._before = program, before
        # Not /tmp, which may be in memory, where a commit takes no time.
        self.folder = folder or Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.store, self.log = self.folder / "store", self.folder / "service.log"
        self.control = self.store / "control.sock"
        ports = dict(zip(listens, free_ports(len(listens))))
        self.port, self.oauth_port, self.health_port = (
            ports.get(flag, 0) for flag in ("--listen", "--control-listen", "--health-listen"))
        self.flags = [word for flag, port in ports.items() for word in (flag, f"http://127.0.0.1:{port}")] + list(flags)
        self.readiness: Address | None = self.port or None
        """Where to ask for /readyz. None: wait for the message in its log."""
        self.environment = dict(environment or {})
        self.process: Process | None = None
        self._log_bytes = 0

    # Starting and ending

    def start(self, seconds_max: float = TIMEOUT_SECONDS) -> float:
        """Returns the seconds until the daemon was ready. Raises Unproven, with the end of the log, if it is not ready in time."""
        began = time.monotonic()
        self.launch()
        if not self.becomes_ready(seconds_max):
            raise Unproven(f"the daemon did not become ready (exit status {self.process.poll()}):\n{self.log_tail()}")
        return time.monotonic() - began

    def launch(self) -> None:
        self._log_bytes = self.log.stat().st_size if self.log.exists() else 0
        self.process = Process(
            [*self._before, self.program, "serve", "--store", self.store, *self.flags], self.log,
            environment_without_settings() | self.environment)

    def becomes_ready(self, seconds_max: float = TIMEOUT_SECONDS) -> bool:
        """False if the daemon ends or is not ready in time."""
        return wait_until(self.is_ready, seconds_max, 0.002, self.process)

    def is_ready(self) -> bool:
        if self.readiness is None:
            return reports_ready(self.log.read_bytes()[self._log_bytes:].decode(errors="replace"))
        try:
            with Connection(self.readiness, 5) as connection:
                return connection.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Returns the exit status. Raises Unproven if the daemon had to be killed."""
        return self.process.end(how)

    def log_tail(self, lines: int = 12) -> str:
        return self.process.log_tail(lines)

    def close(self) -> None:
        """Ends the daemon with SIGTERM, or SIGKILL if necessary, and keeps its folder."""
        if self.process:
            self.process.close()

    def remove(self) -> None:
        """Kills the daemon and removes its folder."""
        if self.process:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    # The command line

    def command(
        self, *words: object, stdin: str = "", seconds_max: float = 3 * TIMEOUT_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a verb of the command line on the store. The words must not contain a secret."""
        words = (self.program, *words, "--store", self.store)
        return run(words, stdin=stdin, seconds_max=seconds_max, environment=environment_without_settings())

    def json_lines(self, *words: object, seconds_max: float = 3 * TIMEOUT_SECONDS) -> list[dict]:
        """The JSON objects that a verb prints, one per line. Raises Unproven if it fails."""
        done = self.command(*words, "--json", seconds_max=seconds_max)
        if done.returncode != 0:
            raise Unproven(f"countersign {' '.join(map(str, words))}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def json_result(self, *words: object) -> dict:
        """The last JSON object that a verb prints."""
        return self.json_lines(*words)[-1]


def reports_ready(log: str) -> bool:
    return '"message":"ready"' in log


# Callers and credentials

def basic(client: Mapping[str, str]) -> str:
    """The Authorization field with which a client authenticates."""
    return "Basic " + base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()


class Introspector:
    """A client that sends requests to /oauth2/introspect."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self.caller = f"Authorization: {basic(client)}\r\n"
        self.fields = f"{self.caller}Content-Type: {FORM}\r\n"

    def ask(self, connection: Connection, credential: str) -> Answer:
        return connection.ask("POST", "/oauth2/introspect", b"token=" + credential.encode(), self.fields)


def unknown_credential(kind: str = "k") -> str:
    """A well-formed credential that was never issued. `kind` is its third letter: k for a key, b for a token."""
    text = f"ii{kind}1_0" + "".join(random.choices(DIGITS, k=10)) + "_" + "".join(random.choices(DIGITS, k=43))
    checksum, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = DIGITS[digit] + digits
    return text + digits


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


def make_certificate(certificate: Path, key: Path, name: str = "localhost") -> Certificate:
    """A self-signed P-256 certificate for that name and for loopback, valid for three days. Only this user can read its key."""
    output_of(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3", "-subj",
         f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", key, "-out", certificate])
    key.chmod(0o600)
    return Certificate(certificate, key)
