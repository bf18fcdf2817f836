"""The processes of the gateway proof: Countersign, the application, and a gateway between them and the client."""

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

from gateway_wire import TIMEOUT_SECONDS, SEEN_PATH, Connection
from harness.checks import Unproven
from harness.processes import Process, free_port, run, wait_until
from harness.service import Service

CONFIGURATIONS = Path(__file__).resolve().parent.parent / "gateways"


@dataclass(frozen=True)
class Gateway:
    """A gateway, its configuration files, and how it differs from the others."""

    name: str
    # In deploy/gateways. The first file contains the flags of Countersign as a comment.
    folder: str
    files: tuple[str, ...]
    # The command line, for the folder with these files.
    command: Callable[[Path], list[str]]
    version: tuple[str, ...]
    # The status for a credential that cannot be parsed, and for two Authorization lines.
    malformed_status: int = 400
    # Whether all headers whose names begin with X-Auth- are removed, also those that Countersign does not use.
    strips_all_x_auth: bool = True
    # Characters in header names that an application may treat as a hyphen. Such headers are removed.
    hyphen_aliases: str = "!#$%&'*+.^_`|~"
    # Whether the rest of the query is unchanged when a key is removed.
    keeps_spelling: bool = True
    # How it changes the spelling of URIs, and whether it accepts bytes that are invalid in a URI.
    respell: Callable[[str], str] = str
    accepts_all_bytes: bool = True
    # Edits that the notes in the file require for this version.
    changes: tuple[tuple[str, str, str], ...] = ()
    # Whether a key in the query is accepted.
    accepts_query_keys: bool = True
    # The status for a credential with bytes that are invalid in a header.
    wrong_bytes_status: int | None = None
    # Whether an empty Authorization line counts as a second one.
    counts_empty_lines: bool = True
    # Whether a path may contain an encoded slash. If not, the status is 400.
    accepts_encoded_slashes: bool = True


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
        # Without these, several processes would try a hot restart of each other, and the log would be delayed by ten seconds.
        lambda folder: [
            found("envoy"), "--disable-hot-restart", "--file-flush-interval-msec", "20", "-c", str(folder / f"{name}.yaml")],
        ("envoy", "--version"), accepts_all_bytes=False, accepts_encoded_slashes=False, **more)


GATEWAYS = (
    Gateway(
        "nginx", "nginx", ("nginx.conf",),
        lambda folder: [found("nginx"), "-e", "stderr", "-g", "daemon off;", "-c", str(folder / "nginx.conf")],
        ("nginx", "-v"), malformed_status=403, strips_all_x_auth=False),
    Gateway(
        "haproxy", "haproxy", ("haproxy.cfg", "countersign.lua"),
        lambda folder: [found("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], ("haproxy", "-v"),
        accepts_all_bytes=False),
    Gateway(
        "caddy", "caddy", ("Caddyfile",), lambda folder: caddy(found("caddy"), folder), ("caddy", "version"),
        hyphen_aliases="_.", keeps_spelling=False),
    Gateway(
        "caddy-debian", "caddy", ("Caddyfile",), lambda folder: caddy(DEBIAN_CADDY, folder), (DEBIAN_CADDY, "version"),
        hyphen_aliases="_.", accepts_query_keys=False,
        changes=(("Caddyfile", "uri @in_query query -api_key", "respond @in_query 400"),)),
    Gateway(
        "traefik", "traefik",
        ("traefik.yaml", "dynamic.yaml") + tuple(
            f"plugins-local/src/original-uri/{name}" for name in (".traefik.yml", "go.mod", "original_uri.go")),
        lambda folder: [found("traefik"), "--configFile=" + str(folder / "traefik.yaml")], ("traefik", "version"),
        respell=lambda uri: uri.replace(";", "%3B")),
    envoy("envoy", wrong_bytes_status=401, counts_empty_lines=False),
    # It removes keys from the query itself and re-encodes the rest.
    envoy("envoy-grpc", counts_empty_lines=False, keeps_spelling=False),
)


def replaced(text: str, places: dict[str, str]) -> str:
    for literal, here in places.items():
        text = text.replace(literal, here)
    return text


def wait_for(what: str, process: Process, condition: Callable[[], bool]) -> None:
    if not wait_until(condition, TIMEOUT_SECONDS, 0.02, process):
        raise Unproven(f"{what}; the end of its log:\n{process.log_tail(20)}")


def serves(port: int) -> bool:
    """Whether the routes are loaded: Traefik listens before that."""
    try:
        return Connection(port).ask("/").status != 404
    except OSError:
        return False


class Setup:
    """A gateway with Countersign and an application, in one temporary folder."""

    def __init__(self, program: Path, gateway: Gateway) -> None:
        self.program, self.gateway = program, gateway
        self.folder = Path(tempfile.mkdtemp(prefix="gateways-"))
        # nginx drops root and must be able to reach the socket.
        self.folder.chmod(0o755)
        self._application = Process(
            [sys.executable, Path(__file__).with_name("gateway_wire.py")], self.folder / "application", piped=True)
        self._application_port = int(self._application.stdout.readline())
        # Addresses and paths in the configurations, and their replacements.
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
        """The flags in the comment of the configuration. The address of the gateway is trusted, and other loopback addresses are
        clients."""
        text = (CONFIGURATIONS / self.gateway.folder / self.gateway.files[0]).read_text()
        line = replaced(re.search(r"^# +(--listen .*)$", text, re.MULTILINE)[1], self._places)
        settings = self.folder / "settings.yaml"
        settings.write_text("verify:\n  trusted-proxies: ['127.0.0.1/32']\nlog-level: debug\n")
        # The user of this proof may not be in the group of the gateway's user.
        return [*shlex.split(re.sub(r"mode=0660&group=[\w-]+", "mode=0666", line)), "--config", str(settings)]

    def start_service(self) -> None:
        self.service.start(TIMEOUT_SECONDS)

    def kill_service(self) -> None:
        self.service.process.kill()

    def suspend_service(self) -> None:
        """Stops the process, so that it accepts connections and does not answer, until it is killed."""
        process = self.service.process
        process.send(signal.SIGSTOP)
        wait_for("the service did not stop", process, process.is_stopped)

    # The gateway

    def start_gateway(self, *edits: tuple[str, str, str], name: str = "gateway") -> int:
        """Starts the gateway from its files, with the addresses of this setup, and returns its port.

        `edits` are further changes, (file, old text, new text): mutants, and the gateway without Countersign.
        """
        folder, port = self.folder / name, free_port()
        places = self._places | {
            ":8000": f":{port}", "port_value: 8000": f"port_value: {port}", "127.0.0.1:2019": f"127.0.0.1:{free_port()}",
            "/run/nginx.pid": f"{folder}/nginx.pid", "/var/log/nginx/": f"{folder}/",
            "/etc/haproxy/": f"{folder}/", "/etc/traefik/": f"{folder}/"}
        for file in self.gateway.files:
            text = (CONFIGURATIONS / self.gateway.folder / file).read_text()
            for _, old, new in (edit for edit in (*self.gateway.changes, *edits) if edit[0] == file):
                if old not in text:
                    raise Unproven(f"{file} does not contain {old!r}")
                text = text.replace(old, new)
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(replaced(text, places))
        # Programs that store something for their user store it in the temporary folder.
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
        """All log files."""
        return {path.name: path.read_bytes() for path in self.folder.glob("**/*.log")}

    # The application

    @property
    def application_port(self) -> int:
        return self._application_port

    def application_counts(self) -> dict:
        """The number of requests that reached the application, and of those with a credential."""
        connection = Connection(self._application_port)
        try:
            return json.loads(connection.ask(SEEN_PATH).body)
        finally:
            connection.close()
