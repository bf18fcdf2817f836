"""nginx with one worker that answers every request with a constant.

It reads the head and body of the request, but looks nothing up, hashes nothing and authenticates no client. What remains is the
cost of HTTP in an efficient server.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import children, free_port, wait_until
from harness.service import Certificate

from ..failure import Failed
from ..http_exchange import Request, Target, ask
from ..processes import server

START_SECONDS_MAX = 10


@dataclass(frozen=True)
class Constant:
    """The answer. An empty content type leaves that header out."""

    body: str
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Nginx:
    worker_pid: int
    target: Target


def program() -> str:
    """The path of nginx, which is only in root's search path."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Failed("nginx is not installed")
    return found


def configuration(folder: Path, listen: str, constant: Constant, tls_lines: str) -> str:
    """Raises ValueError for texts that would end a quoted string or contain a variable of nginx."""
    texts = [constant.body, *(value for _, value in constant.headers)]
    if any(character in text for text in texts for character in "'$\\\n"):
        raise ValueError("an answer of nginx must not contain quotes, dollar signs or backslashes")
    added = "\n".join(f"    add_header {name} '{value}';" for name, value in constant.headers)
    return f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; server_tokens off; keepalive_requests 1000000000; default_type '{constant.content_type}';
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen {listen};
{tls_lines}{added}
    location / {{ return 200 '{constant.body}'; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, constant: Constant, *, unix: bool = False, certificate: Certificate | None = None,
          cipher: str = "") -> Iterator[Nginx]:
    """Runs nginx on HTTP, TLS 1.3 with that cipher, or a Unix socket in the folder, until the block ends."""
    port = free_port()
    listen, target, tls_lines = f"127.0.0.1:{port}", Target(f"http://127.0.0.1:{port}"), ""
    if unix:
        listen, target = f"unix:{folder}/nginx.sock", Target(f"unix:{folder}/nginx.sock")
    if certificate is not None:
        listen, target = f"{listen} ssl", Target(f"https://127.0.0.1:{port}", certificate.certificate)
        tls_lines = (
            f"    ssl_certificate {certificate.certificate}; ssl_certificate_key {certificate.key};\n"
            f"    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {cipher};\n")
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, listen, constant, tls_lines))
    with server([program(), "-e", f"{folder}/start.log", "-c", file, "-p", folder], folder / "nginx.log") as master:
        _wait_until_answering(target, folder)
        workers = children(master.pid)
        if len(workers) != 1:
            raise Failed(f"nginx has {len(workers)} workers")
        yield Nginx(workers[0], target)


def _wait_until_answering(target: Target, folder: Path) -> None:
    def answers() -> bool:
        try:
            ask(target, Request("GET", "/", {}))
            return True
        except OSError:
            return False

    if not wait_until(answers, START_SECONDS_MAX, 0.02):
        logs = [folder / name for name in ("nginx.log", "start.log", "error.log")]
        words = "\n".join(log.read_text(errors="replace")[-1_000:] for log in logs if log.exists())
        raise Failed(f"nginx did not start:\n{words}")
