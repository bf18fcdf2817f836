"""What the proof of the gateways runs: Countersign, the application, and a gateway between them and the client."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway_wire import PATIENCE_SECONDS, SEEN_PATH, Connection
from harness.checks import Unproven
from harness.processes import Process, free_port, run, wait_until
from harness.service import Service

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
        raise Unproven(f"{name} is not installed")
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


def wait_for(what: str, process: Process, is_so: Callable[[], bool]) -> None:
    if not wait_until(is_so, PATIENCE_SECONDS, 0.02, process):
        raise Unproven(f"{what}; the last words:\n{process.last_words(20)}")


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
        self._application = Process(
            [sys.executable, Path(__file__).with_name("gateway_wire.py")], self.folder / "application", piped=True)
        self._application_port = int(self._application.stdout.readline())
        # What stands in the configurations, and what takes its place here.
        self._places = {
            "127.0.0.1:9000": f"127.0.0.1:{self._application_port}",
            "port_value: 9000": f"port_value: {self._application_port}",
            "127.0.0.1:8080": f"127.0.0.1:{free_port()}",
            "/run/countersign/": f"{self.folder}/",
            "/etc/countersign/": f"{CONFIGURATIONS / gateway.folder}/",
        }
        self._gateways: list[Process] = []
        self.service = Service(program, *self._flags(), folder=self.folder, listens=())

    def close(self) -> None:
        for process in [*self._gateways, self._application]:
            process.kill()
        self.service.remove()

    # Countersign

    def _flags(self) -> list[str]:
        """The listener, and policies if any, are what the configuration tells of. The gateway's own address is trusted and
        other addresses of the loopback are clients, as in the world outside."""
        text = (CONFIGURATIONS / self.gateway.folder / self.gateway.files[0]).read_text()
        line = replaced(re.search(r"^# +(--listen .*)$", text, re.MULTILINE)[1], self._places)
        settings = self.folder / "settings.yaml"
        settings.write_text("verify:\n  trusted-proxies: ['127.0.0.1/32']\nlog-level: debug\n")
        # Whoever runs this proof may not be in the group of a gateway's user.
        return [*shlex.split(re.sub(r"mode=0660&group=[\w-]+", "mode=0666", line)), "--config", str(settings)]

    def start_service(self) -> None:
        self.service.start(PATIENCE_SECONDS)

    def kill_service(self) -> None:
        self.service.process.kill()

    def hold_service(self) -> None:
        """It takes connections and says nothing, as a process that hangs; until it is killed."""
        process = self.service.process
        process.send(signal.SIGSTOP)
        wait_for("the service did not stop", process, process.is_stopped)

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
                    raise Unproven(f"{name} does not hold {old!r} any more")
                text = text.replace(old, new)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(replaced(text, places))
        # Programs that keep something about their user keep it in the folder, which goes away.
        environment = os.environ | {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        process = Process(self.gateway.command(folder), folder / "gateway.log", environment, folder)
        self._gateways.append(process)
        wait_for(f"{self.gateway.name} did not start", process, lambda: serves(port))
        return port

    def version(self) -> str:
        program, *words = self.gateway.version
        done = run([found(program), *words])
        return re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)[0]

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
