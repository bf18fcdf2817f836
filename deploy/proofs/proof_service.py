"""Starts the service on a store of its own and speaks HTTP to it, for the proofs that need little more than that.

`Connection` is small on purpose: the proofs share two processors with the service, and `http.client` takes more of them than
the service does.
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATIENCE = 20
"""Seconds after which something that has not answered counts as hanging."""
INACTIVE = b'{"active":false}'
FORM = "application/x-www-form-urlencoded"


class Unproven(Exception):
    """Something went wrong that is not what the proof is about."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Answer:
    __slots__ = ("status", "fields", "body")

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def json(self):
        return json.loads(self.body)


class Connection:
    """One connection to a port of this machine or to a Unix socket. Raises OSError when it breaks."""

    def __init__(self, place, timeout=PATIENCE):
        if isinstance(place, int):
            self.socket = socket.create_connection(("127.0.0.1", place), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(place))
        self.rest = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, method, target, body=b"", fields=""):
        """`fields` are whole lines, each with its end."""
        if isinstance(body, str):
            body = body.encode()
        length = f"Content-Length: {len(body)}\r\n" if body or method not in ("GET", "DELETE") else ""
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}{length}\r\n".encode() + body)
        return self.answer()

    def ask_json(self, method, target, value=None):
        if value is None:
            return self.ask(method, target)
        return self.ask(method, target, json.dumps(value), "Content-Type: application/json\r\n")

    def answer(self):
        head = self.until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if status in (204, 304):
            return Answer(status, fields, b"")
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                body += self.exactly(size)
                self.exactly(2)
            self.until(b"\r\n")
        else:
            body = self.exactly(int(fields.get("content-length", 0)))
        return Answer(status, fields, body)

    def until(self, end):
        while (place := self.rest.find(end)) < 0:
            self.more()
        found, self.rest = self.rest[:place], self.rest[place + len(end):]
        return found

    def exactly(self, count):
        while len(self.rest) < count:
            self.more()
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionResetError("closed by the other side")
        self.rest += piece


class Introspector:
    """Asks /oauth2/introspect as a client."""

    def __init__(self, client):
        pair = f"{client['client_id']}:{client['client_secret']}".encode()
        self.caller = f"Authorization: Basic {base64.b64encode(pair).decode()}\r\n"
        self.fields = f"{self.caller}Content-Type: {FORM}\r\n"

    def ask(self, connection, credential):
        return connection.ask("POST", "/oauth2/introspect", b"token=" + credential.encode(), self.fields)


class Service:
    """A daemon with a store of its own in a folder of its own."""

    def __init__(self, program, *flags, folder=None, environment=None, before=None):
        self.program = program
        # Not /tmp: where that lies in memory, a commit takes no time.
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.store, self.log = self.folder / "store", self.folder / "log"
        self.control = str(self.store / "control.sock")
        self.port, self.oauth_port = free_port(), free_port()
        self.flags = [
            "--listen", f"http://127.0.0.1:{self.port}", "--control-listen", f"unix:{self.control}",
            "--control-listen", f"http://127.0.0.1:{self.oauth_port}", *flags]
        self.environment, self.before = dict(environment or {}), before
        self.process = None

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--store", str(self.store), *self.flags], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, **self.environment}, preexec_fn=self.before)

    def start(self, patience=PATIENCE):
        """Returns the seconds from the start to the first 200 of /readyz."""
        began = time.monotonic()
        self.launch()
        while time.monotonic() - began < patience and self.process.poll() is None:
            try:
                with Connection(self.port, 5) as connection:
                    if connection.ask("GET", "/readyz").status == 200:
                        return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.005)
        raise Unproven(f"the daemon did not become ready (exit status {self.process.poll()}):\n" + self.last_words())

    def last_words(self, lines=12):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end(self, how=signal.SIGTERM):
        """Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Unproven(f"the daemon did not end within {PATIENCE} s after signal {int(how)}") from None

    def command(self, *arguments, environment=None, timeout=60):
        return subprocess.run(
            [self.program, *arguments, "--store", str(self.store)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, **(environment or {})}, timeout=timeout)

    def made(self, *arguments):
        """What a verb that makes something says of it."""
        done = self.command(*arguments, "--json")
        if done.returncode != 0:
            raise Unproven(f"countersign {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def remove(self):
        """Ends the daemon, whatever it does, and removes its folder."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
