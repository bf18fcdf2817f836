"""The one credential of a request, and the answers to requests without one.

Strict, because this and the service must never choose differently: two credentials are refused. The answers are those of the service's
`/verify`, and have nothing of the request in them.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import List, Optional, Sequence, Tuple, Union
from urllib.parse import unquote_to_bytes

from .client import Client
from .verdict import Identity, Requirement, Unavailable, Verdict, VerificationFailure

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Visible ASCII without comma and quote, and without a leading equals sign.
_CREDENTIAL = re.compile(r"(?!=)[!#-+\--~]{1,8192}")
_TEXT = re.compile(r"[\t -~]*")
_logger = logging.getLogger("countersign")


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the application's."""

    status: int
    detail: str
    fields: Tuple[Tuple[str, str], ...] = ()

    @property
    def phrase(self) -> str:
        return HTTPStatus(self.status).phrase

    @property
    def body(self) -> bytes:
        return json.dumps(
            {"type": "about:blank", "title": self.phrase, "status": self.status, "detail": self.detail}, separators=(",", ":")).encode()

    def headers(self) -> List[Tuple[str, str]]:
        return [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store"),
                ("Content-Length", str(len(self.body))), *self.fields]


@dataclass(frozen=True)
class Found:
    """A credential and how it was presented: "ApiKey" or "Bearer"."""

    text: str = field(repr=False)
    kind: str


@dataclass(frozen=True)
class Challenges:
    """The protection space of an application (RFC 9110 section 11.6.1).

    - resource_metadata: URL of the metadata of the protected resource (RFC 9728 section 5.1).
    """

    realm: str = "api"
    resource_metadata: Optional[str] = None

    def _field(self, error: str = "") -> Tuple[Tuple[str, str], ...]:
        realm = _quotable(self.realm)
        metadata = f', resource_metadata="{_quotable(self.resource_metadata)}"' if self.resource_metadata else ""
        # One line with Bearer first: some gateways pass on only the first line of the field.
        return (("WWW-Authenticate", f'Bearer realm="{realm}"{error}{metadata}, ApiKey realm="{realm}"'),)

    def missing(self) -> Refusal:
        return Refusal(401, "a credential is required", self._field())

    def invalid(self) -> Refusal:
        return Refusal(401, "the credential is not accepted", self._field(', error="invalid_token"'))

    def malformed(self, detail: str) -> Refusal:
        return Refusal(400, detail, self._field(', error="invalid_request"'))

    def insufficient_scope(self, scopes: Sequence[str]) -> Refusal:
        needed = _quotable(" ".join(scopes))
        return Refusal(403, "the credential lacks a scope", self._field(f', error="insufficient_scope", scope="{needed}"'))

    @staticmethod
    def unavailable(seconds: int) -> Refusal:
        """This never means "invalid"."""
        return Refusal(503, "credentials cannot be verified now", (("Retry-After", str(seconds)),))


def _quotable(text: str) -> str:
    return "".join(one for one in text if " " <= one <= "~" and one not in '"\\')


def find(authorization: Sequence[str], query: str) -> Union[Found, str, None]:
    """The credential of a request; a text: why it has none that is well-formed; None: it has none.

    - authorization: the values of all such fields. query: without its `?`.
    """
    if len(authorization) > 1:
        return "more than one Authorization field"
    keys = [pair for pair in query.split("&") if _is_key(pair)]
    if len(keys) > 1:
        return "more than one api_key in the query"
    if keys:
        value = _decoded(keys[0].partition("=")[2])
        if value is None or not _CREDENTIAL.fullmatch(value):
            return "api_key in the query is malformed"
        return "a credential in the header and one in the query" if authorization else Found(value, "ApiKey")
    if not authorization:
        return None
    scheme, _, rest = authorization[0].partition(" ")
    if not _TEXT.fullmatch(authorization[0]) or not _TOKEN.fullmatch(scheme):
        return "the Authorization field is malformed"
    kind = {"bearer": "Bearer", "apikey": "ApiKey"}.get(scheme.lower())
    if kind is None:
        return None
    text = rest.lstrip(" ")
    return Found(text, kind) if _CREDENTIAL.fullmatch(text) else "the Authorization field is malformed"


def without_key(query: str) -> str:
    """The query as the application and its logs may see it."""
    return "&".join(pair for pair in query.split("&") if not _is_key(pair))


def _is_key(pair: str) -> bool:
    # Decoded once: `api%5Fkey` is the name, `API_KEY` is not.
    return _decoded(pair.partition("=")[0]) == "api_key"


def _decoded(text: str) -> Optional[str]:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return None
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        return None


def _address(text: Optional[str]) -> Optional[str]:
    """None for what is no address: the name of a Unix socket's peer, a test's, one with a zone."""
    try:
        return None if text is None or "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return None


class Guard:
    """Decides about requests, for both kinds of middleware.

    - audience: the URI of the application, which a credential with audiences must include (RFC 8707).
    - scopes: what every request needs.
    """

    def __init__(
        self, client: Client, audience: Optional[str] = None, scopes: Sequence[str] = (), challenges: Challenges = Challenges()
    ) -> None:
        self._client, self._audience, self._scopes = client, audience, tuple(scopes)
        self._challenges = challenges

    def admit(self, authorization: Sequence[str], query: str, client_ip: Optional[str]) -> Union[Identity, Refusal]:
        found = self._found(authorization, query)
        if isinstance(found, Refusal):
            return found
        try:
            verdict = self._client.verify(found.text, audience=self._audience, client_ip=_address(client_ip))
        except Unavailable as failure:
            _logger.warning("%s", failure)
            return self.unavailable(failure.retry_after_seconds)
        except VerificationFailure as failure:
            # Wrong settings on either side, which the client of the request cannot tell apart.
            _logger.error("%s", failure)
            return self.unavailable(10)
        return self._judged(found, verdict)

    def admit_at_once(
        self, authorization: Sequence[str], query: str, client_ip: Optional[str]
    ) -> Union[Identity, Refusal, None]:
        """The same without asking the service; None: it must be asked."""
        found = self._found(authorization, query)
        if isinstance(found, Refusal):
            return found
        verdict = self._client.cached(found.text, Requirement((), self._audience, _address(client_ip)))
        return None if verdict is None else self._judged(found, verdict)

    def unavailable(self, seconds: int) -> Refusal:
        return self._challenges.unavailable(seconds)

    @property
    def deadline(self) -> float:
        return self._client.deadline

    def _found(self, authorization: Sequence[str], query: str) -> Union[Found, Refusal]:
        found = find(authorization, query)
        if found is None:
            return self._challenges.missing()
        return self._challenges.malformed(found) if isinstance(found, str) else found

    def _judged(self, found: Found, verdict: Verdict) -> Union[Identity, Refusal]:
        identity = verdict.identity
        # A key that is presented as a token, or a token as a key, is not what it is presented as.
        if identity is None or identity.kind != found.kind:
            return self._challenges.invalid()
        if not identity.grants(self._scopes):
            return self._challenges.insufficient_scope(self._scopes)
        return identity
