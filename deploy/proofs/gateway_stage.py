"""What the proof of the gateways runs: Countersign, the application, and a gateway between them and the client."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway_wire import PATIENCE_SECONDS, SEEN_PATH, Connection

CONFIGURATIONS = Path(__file__).resolve().parent.parent / "gateways"


@dataclass(frozen=True)
class Gateway:
    """A program, the files it is started from, and what it does differently."""

    name: str
    # Below deploy/gateways. The first one holds the line that Countersign is started with.
    folder: str
    files: tuple[str, ...]
    # The command line in a folder that holds these files.
    command: Callable[[Path], list[str]]
    version: tuple[str, ...]
    # What a client gets whose credential cannot be read, and one that sends two Authorization lines.
    malformed: int = 400
    # Whether names beginning with X-Auth- that Countersign does not use are taken away too.
    strips_all: bool = True
    # Signs that an application may take for a hyphen in a header's name, and that are not let through.
    aliases: str = "!#$%&'*+.^_`|~"
    # Whether the query keeps its spelling when a key is taken out of it.
    keeps_spelling: bool = True
    # How it spells URIs otherwise, and whether it takes bytes that no URI may hold.
    spelled: Callable[[str], str] = str
    takes_all_bytes: bool = True
    # Changes of the text that the notes name for this version.
    changes: tuple[tuple[str, str, str], ...] = ()
    # Whether a key may come in the query.
    takes_query: bool = True
    # What a client gets whose credential holds bytes that no header should.
    wrong_bytes: int | None = None
    # Whether an empty Authorization line is one. Where not, the other one counts.
    sees_empty_lines: bool = True
    # Whether a slash may stand behind a percent sign in a path. Where not, such a path is 400.
    takes_hidden_slashes: bool = True


def found(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise SystemExit(f"gateways: {name} is not installed")
    return path


# Debian's Caddy is older than the one from PyPI, and both have the same name.
DEBIAN_CADDY = "/usr/bin/caddy"


def caddy(program: str, folder: Path) -> list[str]:
    return [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def envoy(name: str, **more: object) -> Gateway:
    return Gateway(
        name, "envoy", (f"{name}.yaml",),
        # Several on one machine would take each other for the one to hand over to; and its log would come ten seconds late.
        lambda folder: [
            found("envoy"), "--disable-hot-restart", "--file-flush-interval-msec", "20", "-c", str(folder / f"{name}.yaml")],
        ("envoy", "--version"), takes_all_bytes=False, takes_hidden_slashes=False, **more)


GATEWAYS = (
    Gateway(
        "nginx", "nginx", ("nginx.conf",),
        lambda folder: [found("nginx"), "-e", "stderr", "-g", "daemon off;", "-c", str(folder / "nginx.conf")],
        ("nginx", "-v"), malformed=403, strips_all=False),
    Gateway(
        "haproxy", "haproxy", ("haproxy.cfg", "countersign.lua"),
        lambda folder: [found("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], ("haproxy", "-v"),
        takes_all_bytes=False),
    Gateway(
        "caddy", "caddy", ("Caddyfile",), lambda folder: caddy(found("caddy"), folder), ("caddy", "version"),
        aliases="_.", keeps_spelling=False),
    Gateway(
        "caddy-debian", "caddy", ("Caddyfile",), lambda folder: caddy(DEBIAN_CADDY, folder), (DEBIAN_CADDY, "version"),
        aliases="_.", takes_query=False, changes=(("Caddyfile", "uri @in_query query -api_key", "respond @in_query 400"),)),
    Gateway(
        "traefik", "traefik",
        ("traefik.yaml", "dynamic.yaml") + tuple(
            f"plugins-local/src/original-uri/{name}" for name in (".traefik.yml", "go.mod", "original_uri.go")),
        lambda folder: [found("traefik"), "--configFile=" + str(folder / "traefik.yaml")], ("traefik", "version"),
        spelled=lambda uri: uri.replace(";", "%3B")),
    envoy("envoy", wrong_bytes=401, sees_empty_lines=False),
    # It takes keys out of the query by itself, and writes what is left anew.
    envoy("envoy-grpc", sees_empty_lines=False, keeps_spelling=False),
)


def replaced(text: str, places: dict[str, str]) -> str:
    for literal, here in places.items():
        text = text.replace(literal, here)
    return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program in a process group of its own, with its output in a file; whatever happens, the group is ended."""

    def __init__(self, command: list[str], log: Path, folder: Path, **more: object) -> None:
        self.log = log
        # Programs that keep something about their user keep it in the folder, which goes away.
        environment = os.environ | {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment,
                start_new_session=True, **more)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def is_stopped(self) -> bool:
        # The state stands behind the name, which is in brackets.
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def send(self, what: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, what)
        except ProcessLookupError:
            pass

    def end(self, how: signal.Signals) -> None:
        self.send(how)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def wait_for(what: str, process: Process, is_so: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not is_so():
        if not process.is_running() or time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit(f"gateways: {what}; the last words:\n{process.last_words()}")
        time.sleep(0.02)
    return time.monotonic() - began


def serves(port: int) -> bool:
    """Traefik listens some time before it knows its routes."""
    try:
        return Connection(port).ask("/").status != 404
    except OSError:
        return False


class Stage:
    """All that a gateway needs around it, in a folder of its own."""

    def __init__(self, program: Path, gateway: Gateway) -> None:
        self.program, self.gateway = program, gateway
        self.folder = Path(tempfile.mkdtemp(prefix="gateways-"))
        # nginx gives up root and has to find its way to the socket.
        self.folder.chmod(0o755)
        self._application = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("gateway_wire.py"))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._application_port = int(self._application.stdout.readline())
        # What stands in the configurations, and what takes its place here.
        self._places = {
            "127.0.0.1:9000": f"127.0.0.1:{self._application_port}",
            "port_value: 9000": f"port_value: {self._application_port}",
            "127.0.0.1:8080": f"127.0.0.1:{free_port()}",
            "/run/countersign/": f"{self.folder}/",
            "/etc/countersign/": f"{CONFIGURATIONS / gateway.folder}/",
        }
        self._service: Process | None = None
        self._gateways: list[Process] = []

    def close(self) -> None:
        for process in [*self._gateways, *([self._service] if self._service else [])]:
            process.end(signal.SIGKILL)
        self._application.kill()
        self._application.wait()
        self._application.stdin.close()
        self._application.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Countersign

    def start_service(self) -> float:
        """Returns the seconds until it is ready. The listener, and policies if any, are what the configuration tells of."""
        text = (CONFIGURATIONS / self.gateway.folder / self.gateway.files[0]).read_text()
        line = replaced(re.search(r"^# +(--listen .*)$", text, re.MULTILINE)[1], self._places)
        # Whoever runs this proof may not be in the group of a gateway's user.
        words = shlex.split(re.sub(r"mode=0660&group=[\w-]+", "mode=0666", line))
        log = self.folder / f"service-{time.monotonic_ns()}.log"
        self._service = Process(
            [str(self.program), "serve", "--store", str(self.folder / "store"), *words,
             "--config", str(self._settings())], log, self.folder)
        return wait_for("the service did not become ready", self._service, lambda: '"ready"' in log.read_text())

    def _settings(self) -> Path:
        """The gateway's own address is trusted and other addresses of the loopback are clients, as in the world outside."""
        path = self.folder / "settings.yaml"
        path.write_text("verify:\n  trusted-proxies: ['127.0.0.1/32']\nlog-level: debug\n")
        return path

    def kill_service(self) -> None:
        self._service.end(signal.SIGKILL)

    def hold_service(self) -> None:
        """It takes connections and says nothing, as a process that hangs; until it is killed."""
        self._service.send(signal.SIGSTOP)
        wait_for("the service did not stop", self._service, self._service.is_stopped)

    def command(self, *words: str) -> dict:
        """Runs a verb that says one JSON object. Never with a secret among the words."""
        done = subprocess.run(
            [str(self.program), *words, "--store", str(self.folder / "store")], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS)
        if done.returncode != 0:
            raise SystemExit(f"gateways: countersign {words[0]} {words[1]}: {done.stderr}")
        return json.loads(done.stdout) if "--json" in words else {}

    # The gateway

    def start_gateway(self, *edits: tuple[str, str, str], beside: str = "gateway") -> int:
        """Starts it from its files, with addresses of this stage, and returns its port.

        `edits` are further changes, (file, old text, new text): mutants, and the gateway without Countersign.
        """
        folder, port = self.folder / beside, free_port()
        places = self._places | {
            ":8000": f":{port}", "port_value: 8000": f"port_value: {port}", "127.0.0.1:2019": f"127.0.0.1:{free_port()}",
            "/run/nginx.pid": f"{folder}/nginx.pid", "/var/log/nginx/": f"{folder}/",
            "/etc/haproxy/": f"{folder}/", "/etc/traefik/": f"{folder}/"}
        for name in self.gateway.files:
            text = (CONFIGURATIONS / self.gateway.folder / name).read_text()
            for _, old, new in (edit for edit in (*self.gateway.changes, *edits) if edit[0] == name):
                if old not in text:
                    raise SystemExit(f"gateways: {name} does not hold {old!r} any more")
                text = text.replace(old, new)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(replaced(text, places))
        process = Process(self.gateway.command(folder), folder / "gateway.log", folder)
        self._gateways.append(process)
        wait_for(f"{self.gateway.name} did not start", process, lambda: serves(port))
        return port

    def version(self) -> str:
        program, *words = self.gateway.version
        done = subprocess.run(
            [found(program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=PATIENCE_SECONDS)
        return re.search(r"\d+\.\d+\.\d+", done.stdout)[0]

    def logs(self) -> dict[str, bytes]:
        """All that was written beside the store."""
        return {path.name: path.read_bytes() for path in self.folder.glob("**/*.log")}

    # The application

    @property
    def application_port(self) -> int:
        return self._application_port

    def seen(self) -> dict:
        """How many requests reached the application, and how many of them with a credential."""
        connection = Connection(self._application_port)
        try:
            return json.loads(connection.ask(SEEN_PATH).body)
        finally:
            connection.close()
