"""The control socket of Countersign: makes and revokes what is measured. Secrets stay in memory and in secret files."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..failure import Failed

REVOCATIONS_PER_REQUEST_MAX = 1_000
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
        """Makes keys and yields each as it is there."""
        body = {"owner": "acme", "scope": "orders:read orders:write", "count": count} | members
        lines = self._answer("/v1/keys/bulk", body)
        made = 0
        while line := lines.readline():
            item = json.loads(line)
            yield Key(item["id"], item["key"])
            made += 1
        if made != count:
            raise Failed(f"{made} keys were made of {count}")

    def revoke(self, keys: list[Key]) -> None:
        for start in range(0, len(keys), REVOCATIONS_PER_REQUEST_MAX):
            ids = [key.id for key in keys[start:start + REVOCATIONS_PER_REQUEST_MAX]]
            self._post("/v1/keys/revocations", {"ids": ids})

    def caller(self) -> str:
        """A client that may introspect, as the value of its Authorization header."""
        client = self._post("/v1/clients", {"name": "bench", "may": ["introspect"]})
        pair = f"{client['client_id']}:{client['client_secret']}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def machine(self) -> tuple[str, str]:
        """A client that may ask for tokens of its own: its id and its secret."""
        body = {"name": "bench", "grant_types": ["client_credentials"], "scope": "orders:read"}
        client = self._post("/v1/clients", body)
        return client["client_id"], client["client_secret"]

    def _post(self, path: str, body: dict[str, object]) -> dict:
        return json.loads(self._answer(path, body).read())

    def _answer(self, path: str, body: dict[str, object]) -> http.client.HTTPResponse:
        """Has to be read to its end before the next request."""
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        if not 200 <= answer.status < 300:
            answer.read()
            raise Failed(f"POST {path} on the control socket was answered with {answer.status}")
        return answer
