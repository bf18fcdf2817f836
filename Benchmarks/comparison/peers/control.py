"""The control socket of Countersign, which creates and revokes credentials. Secrets stay in memory and in secret files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.connection import Connection
from harness.service import basic

from ..failure import Failed

REVOCATIONS_PER_REQUEST_MAX = 1_000
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Key:
    id: str
    text: str


class Control:
    def __init__(self, socket_path: Path) -> None:
        self._connection = Connection(socket_path, TIMEOUT_SECONDS)

    def keys(self, count: int, **members: object) -> Iterator[Key]:
        """Creates keys and yields each as it arrives."""
        body = {"owner": "acme", "scope": "orders:read orders:write", "count": count} | members
        self._connection.send("POST", "/v1/keys/bulk", json.dumps(body), "Content-Type: application/json\r\n")
        status, _ = self._connection.head()
        require_success(status, "/v1/keys/bulk")
        made, rest = 0, b""
        for piece in self._connection.chunks():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                item = json.loads(line)
                yield Key(item["id"], item["key"])
                made += 1
        if made != count:
            raise Failed(f"{made} keys were created of {count}")

    def revoke(self, keys: list[Key]) -> None:
        for start in range(0, len(keys), REVOCATIONS_PER_REQUEST_MAX):
            ids = [key.id for key in keys[start:start + REVOCATIONS_PER_REQUEST_MAX]]
            self._post("/v1/keys/revocations", {"ids": ids})

    def caller(self) -> str:
        """A client that may introspect, as the value of its Authorization header."""
        return basic(self._post("/v1/clients", {"name": "bench", "may": ["introspect"]}))

    def machine(self) -> tuple[str, str]:
        """A client that may ask for tokens of its own: its id and its secret."""
        body = {"name": "bench", "grant_types": ["client_credentials"], "scope": "orders:read"}
        client = self._post("/v1/clients", body)
        return client["client_id"], client["client_secret"]

    def _post(self, path: str, body: dict[str, object]) -> dict:
        answer = self._connection.ask_json("POST", path, body)
        require_success(answer.status, path)
        return answer.json


def require_success(status: int, path: str) -> None:
    """Raises Failed unless the status is 2xx."""
    if not 200 <= status < 300:
        raise Failed(f"POST {path} on the control socket was answered with {status}")
