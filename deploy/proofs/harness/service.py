"""A running Countersign with a store of its own, and what is said to it. Secrets go by connections, by files and by standard
input, never among the words of a command line."""

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
from .connection import Answer, Connection, Place
from .processes import PATIENCE_SECONDS, Process, free_ports, output_of, run, wait_until

FORM = "application/x-www-form-urlencoded"
INACTIVE = b'{"active":false}'
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def settings_aside() -> dict[str, str]:
    """This program's environment without the settings of a Countersign of whoever runs it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}


class Service:
    """A daemon with its store, its log and its sockets in a folder of its own. As a context it is removed at the end."""

    def __init__(
        self, program: str | Path, *flags: object, folder: Path | None = None, environment: Mapping[str, str] | None = None,
        listens: Sequence[str] = ("--listen", "--control-listen"), before: Sequence[object] = (),
    ) -> None:
        """
        - flags: the daemon's, behind those that say where it listens.
        - listens: flags for which it gets ports of loopback.
        - before: words in front of the daemon's, of a program that replaces itself by it.
        """
        self.program, self._before = program, before
        # Not /tmp: where that lies in memory, a commit takes no time.
        self.folder = folder or Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.store, self.log = self.folder / "store", self.folder / "service.log"
        self.control = self.store / "control.sock"
        ports = dict(zip(listens, free_ports(len(listens))))
        self.port, self.oauth_port, self.health_port = (
            ports.get(flag, 0) for flag in ("--listen", "--control-listen", "--health-listen"))
        self.flags = [word for flag, port in ports.items() for word in (flag, f"http://127.0.0.1:{port}")] + list(flags)
        self.readiness: Place | None = self.port or None
        """Where it is asked whether it is ready. None: its log has to say so."""
        self.environment = dict(environment or {})
        self.process: Process | None = None
        self._log_bytes = 0

    # Starting and ending

    def start(self, seconds_max: float = PATIENCE_SECONDS) -> float:
        """Returns the seconds until it was ready. Raises Unproven when it is not, with its last words."""
        began = time.monotonic()
        self.launch()
        if not self.becomes_ready(seconds_max):
            raise Unproven(f"the daemon did not become ready (exit status {self.process.poll()}):\n{self.last_words()}")
        return time.monotonic() - began

    def launch(self) -> None:
        self._log_bytes = self.log.stat().st_size if self.log.exists() else 0
        self.process = Process(
            [*self._before, self.program, "serve", "--store", self.store, *self.flags], self.log,
            settings_aside() | self.environment)

    def becomes_ready(self, seconds_max: float = PATIENCE_SECONDS) -> bool:
        """False when it ends, or is not ready in time."""
        return wait_until(self.is_ready, seconds_max, 0.002, self.process)

    def is_ready(self) -> bool:
        if self.readiness is None:
            return says_ready(self.log.read_bytes()[self._log_bytes:].decode(errors="replace"))
        try:
            with Connection(self.readiness, 5) as connection:
                return connection.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Returns the exit status. Raises Unproven when it has to be killed."""
        return self.process.end(how)

    def last_words(self, lines: int = 12) -> str:
        return self.process.last_words(lines)

    def close(self) -> None:
        """Ends the daemon politely if that is possible, and leaves its folder."""
        if self.process:
            self.process.close()

    def remove(self) -> None:
        """Ends the daemon, whatever it does, and removes its folder."""
        if self.process:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    # The command line

    def command(
        self, *words: object, given: str = "", seconds_max: float = 3 * PATIENCE_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a verb on the store. Never with a secret among the words."""
        words = (self.program, *words, "--store", self.store)
        return run(words, given=given, seconds_max=seconds_max, environment=settings_aside())

    def listed(self, *words: object, seconds_max: float = 3 * PATIENCE_SECONDS) -> list[dict]:
        """What a verb says, line by line. Raises Unproven when it fails."""
        done = self.command(*words, "--json", seconds_max=seconds_max)
        if done.returncode != 0:
            raise Unproven(f"countersign {' '.join(map(str, words))}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def made(self, *words: object) -> dict:
        """What a verb that makes something says of it."""
        return self.listed(*words)[-1]


def says_ready(log: str) -> bool:
    return '"message":"ready"' in log


# Callers and credentials

def basic(client: Mapping[str, str]) -> str:
    """What a client shows of itself: the value of its Authorization field."""
    return "Basic " + base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()


class Introspector:
    """Asks /oauth2/introspect as a client."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self.caller = f"Authorization: {basic(client)}\r\n"
        self.fields = f"{self.caller}Content-Type: {FORM}\r\n"

    def ask(self, connection: Connection, credential: str) -> Answer:
        return connection.ask("POST", "/oauth2/introspect", b"token=" + credential.encode(), self.fields)


def unknown_credential(kind: str = "k") -> str:
    """Well-formed and never issued. `kind` is the third letter: k for a key, b for a token."""
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
    """A self-signed certificate of that name and of loopback, for a few days, and its key on P-256 for this user alone."""
    output_of(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3", "-subj",
         f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", key, "-out", certificate])
    key.chmod(0o600)
    return Certificate(certificate, key)
