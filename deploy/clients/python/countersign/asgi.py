"""Middleware for ASGI 3: Starlette, FastAPI, Django.

    app.add_middleware(CredentialMiddleware, client=client, audience="https://orders.example")

Requests with a valid credential reach the application with `scope["countersign.identity"]`, and without `api_key`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Dict, Optional, Sequence, Union

from .client import Client
from .request import Challenges, Guard, Refusal, without_key
from .verdict import Identity

Scope = Dict[str, Any]
_THREADS = 32
# As in the client for Swift: what comes beyond it would wait for longer than anybody waits for it.
_WAITING_MAX = 1_000


def _peer(scope: Scope) -> Optional[str]:
    client = scope.get("client")
    return client[0] if client else None


class CredentialMiddleware:
    """Verifies requests and the openings of web sockets; everything else passes. See `countersign.wsgi` for the parameters."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], client: Client, audience: Optional[str] = None, scopes: Sequence[str] = (),
        challenges: Challenges = Challenges(), client_ip: Callable[[Scope], Optional[str]] = _peer
    ) -> None:
        self._app, self._client_ip = app, client_ip
        self._guard = Guard(client, audience, scopes, challenges)
        # The client waits for its answer, which the event loop must not.
        self._threads = ThreadPoolExecutor(_THREADS, "countersign")
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        query = scope.get("query_string", b"").decode("latin-1")
        admitted = self._guard.admit_at_once(fields, query, self._client_ip(scope))
        if admitted is None:
            admitted = await self._ask(fields, query, self._client_ip(scope))
        if not isinstance(admitted, Refusal):
            scope = {**scope, "countersign.identity": admitted, "query_string": without_key(query).encode("latin-1")}
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            # Closed before it was accepted: the server answers 403 (ASGI, websocket close).
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        await send({
            "type": "http.response.start", "status": admitted.status,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in admitted.headers()]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else admitted.body})

    async def _ask(self, fields: Sequence[str], query: str, client_ip: Optional[str]) -> Union[Identity, Refusal]:
        if self._waiting >= _WAITING_MAX:
            return self._guard.unavailable(1)
        self._waiting += 1
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, self._guard.admit, fields, query, client_ip)
            # With the time that it waits for a thread.
            return await asyncio.wait_for(asked, self._guard.deadline)
        except asyncio.TimeoutError:
            return self._guard.unavailable(1)
        finally:
            self._waiting -= 1
