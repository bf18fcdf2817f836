"""What the service says of a credential, and why it may say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple


@dataclass(frozen=True)
class Requirement:
    """What a credential must meet.

    - scopes: all of them (RFC 6749 section 3.3).
    - audience: a URI (RFC 8707); a credential without audiences is valid for all.
    - client_ip: where it came from. Without it, a credential that is limited to networks is not accepted.
    """

    scopes: Tuple[str, ...] = ()
    audience: Optional[str] = None
    client_ip: Optional[str] = None

    def members(self) -> dict[str, str]:
        members = {}
        if self.scopes:
            members["scope"] = " ".join(self.scopes)
        if self.audience is not None:
            members["audience"] = self.audience
        if self.client_ip is not None:
            members["client_ip"] = self.client_ip
        return members


@dataclass(frozen=True)
class Identity:
    """The owner of a credential, and what it grants (RFC 7662 section 2.2). Times are seconds since 1970-01-01.

    - kind: "ApiKey" or "Bearer", as it must be presented.
    - id: public; it may be logged, and names the credential for a revocation.
    - family: the grant of a token.
    """

    kind: str
    id: str
    subject: str
    scopes: Tuple[str, ...]
    audiences: Tuple[str, ...]
    issued_at: int
    client_id: Optional[str] = None
    not_before: Optional[int] = None
    expires_at: Optional[int] = None
    issuer: Optional[str] = None
    family: Optional[str] = None

    def grants(self, scopes: Sequence[str]) -> bool:
        """Whether it has all of these scopes."""
        return all(scope in self.scopes for scope in scopes)


@dataclass(frozen=True)
class Verdict:
    """True if the credential is accepted.

    `reason` is for logs and metrics: do not tell it the client that presented the credential.
    """

    identity: Optional[Identity] = None
    reason: str = "valid"

    def __bool__(self) -> bool:
        return self.identity is not None


class VerificationFailure(Exception):
    """There is no verdict. It says nothing about the credential: refuse the request, and do not call the credential invalid."""


@dataclass(eq=False)
class Unavailable(VerificationFailure):
    """No connection, no answer in time, too many verifications at once, or the service cannot answer (503)."""

    cause: str
    retry_after_seconds: int = 1

    def __str__(self) -> str:
        return f"credentials cannot be verified now: {self.cause}"


@dataclass(eq=False)
class CallerRefused(VerificationFailure):
    """The service does not accept the credentials of this program (401), or they lack the right (403)."""

    status: int

    def __str__(self) -> str:
        return f"the service refuses this program: {self.status}"


@dataclass(eq=False)
class QuestionRefused(VerificationFailure):
    """The service refuses the question (400, 413): a scope, audience or address that is none, or too many credentials."""

    detail: str

    def __str__(self) -> str:
        return f"the service refuses the question: {self.detail}"


class AnswerNotUnderstood(VerificationFailure):
    """This version of the library cannot read the answer."""

    def __str__(self) -> str:
        return "the answer of the service is not understood"


def read_verdict(members: Mapping[str, Any]) -> Verdict:
    """Reads one result. Raises AnswerNotUnderstood for whatever is not as it should be."""
    try:
        active = members["active"]
        if active is False:
            return Verdict(None, _text(members["reason"]))
        if active is not True:
            raise AnswerNotUnderstood
        kind = members["token_type"]
        # A type that this version does not know must not be accepted.
        if kind not in ("ApiKey", "Bearer"):
            raise AnswerNotUnderstood
        audience = members.get("aud", [])
        audiences = (audience,) if isinstance(audience, str) else tuple(_text(one) for one in audience)
        return Verdict(Identity(
            kind=kind, id=_text(members["jti"]), subject=_text(members["sub"]), scopes=tuple(_text(members["scope"]).split()),
            audiences=audiences, issued_at=_number(members["iat"]), client_id=_optional(members, "client_id", _text),
            not_before=_optional(members, "nbf", _number), expires_at=_optional(members, "exp", _number),
            issuer=_optional(members, "iss", _text), family=_optional(members, "family", _text)))
    except (KeyError, TypeError, AttributeError):
        raise AnswerNotUnderstood from None


def _optional(members: Mapping[str, Any], name: str, read: Any) -> Any:
    return read(members[name]) if name in members else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value
