"""The control socket of Countersign: makes and revokes what is measured. Secrets stay in memory and in secret files."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..failure import Failed

KEYS_PER_REQUEST_MAX = 1_000
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Key:
    id: str
    text: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Control:
    def __init__(self, socket_path: Path) -> None:
        self._connection = _Connection(socket_path)

    def keys(self, count: int, **members: object) -> Iterator[Key]:
        """Makes keys, in requests of at most a thousand, and yields each as it is there."""
        while count > 0:
            part = min(count, KEYS_PER_REQUEST_MAX)
            count -= part
            body = {"owner": "acme", "scope": "orders:read orders:write", "count": part} | members
            for item in self._post("/v1/keys", body)["items"]:
                yield Key(item["id"], item["key"])

    def revoke(self, keys: list[Key]) -> None:
        for start in range(0, len(keys), KEYS_PER_REQUEST_MAX):
            ids = [key.id for key in keys[start:start + KEYS_PER_REQUEST_MAX]]
            self._post("/v1/keys/revocations", {"ids": ids})

    def caller(self) -> str:
        """A client that may introspect, as the value of its Authorization header."""
        client = self._post("/v1/clients", {"name": "bench", "may": ["introspect"]})
        pair = f"{client['client_id']}:{client['client_secret']}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _post(self, path: str, body: dict[str, object]) -> dict:
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if not 200 <= answer.status < 300:
            raise Failed(f"POST {path} on the control socket was answered with {answer.status}")
        return json.loads(content)
