"""Middleware for WSGI (PEP 3333): Flask, Django, Pyramid.

    app.wsgi_app = CredentialMiddleware(app.wsgi_app, client, audience="https://orders.example")

Requests with a valid credential reach the application with `environ["countersign.identity"]`, and without `api_key`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Optional, Sequence

from .client import Client
from .request import Challenges, Guard, Refusal, without_key

Environment = Dict[str, Any]


class CredentialMiddleware:
    """- client_ip: the address of a request's client, for credentials that are limited to networks; None: unknown. The default is
    the peer of the connection, which is a proxy's if there is one in front: then say where the proxy puts the client's.

    The other parameters are those of `Guard`. The server must join several fields of one name, as gunicorn, uWSGI and mod_wsgi do, and
    not keep the last one, as cheroot does.
    """

    def __init__(
        self, application: Callable[..., Iterable[bytes]], client: Client, audience: Optional[str] = None, scopes: Sequence[str] = (),
        challenges: Challenges = Challenges(), client_ip: Callable[[Environment], Optional[str]] = lambda environ: environ.get("REMOTE_ADDR")
    ) -> None:
        self._application, self._client_ip = application, client_ip
        self._guard = Guard(client, audience, scopes, challenges)

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        field = environ.get("HTTP_AUTHORIZATION")
        # Servers join several fields of a name by commas, which no credential has.
        admitted = self._guard.admit([] if field is None else [field], environ.get("QUERY_STRING", ""), self._client_ip(environ) or None)
        if isinstance(admitted, Refusal):
            start_response(f"{admitted.status} {admitted.phrase}", admitted.headers())
            return [] if environ.get("REQUEST_METHOD") == "HEAD" else [admitted.body]
        environ["countersign.identity"] = admitted
        environ["QUERY_STRING"] = without_key(environ.get("QUERY_STRING", ""))
        for name in ("REQUEST_URI", "RAW_URI"):
            # Not of the standard. Some servers set them, and read them again for their logs.
            if name in environ:
                path, mark, query = environ[name].partition("?")
                query = without_key(query)
                environ[name] = path + mark + query if query else path
        return self._application(environ, start_response)
