"""The fixture of the gateway checks: credentials, a client, and requirements on answers."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from gateway_setup import Setup
from gateway_wire import CREDENTIAL, Answer, Connection
from harness.checks import Refuted
from harness.service import unknown_credential

NEEDED = "orders:read"
VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
URI_BYTES = "!$%&'()*+,/:;=?@[]"


def redacted(text: str) -> str:
    """The text without credentials, for the message of a failure."""
    return CREDENTIAL.sub(b"<redacted>", text.encode()).decode()


def require(holds: bool, what: str, answer: Answer | None = None) -> None:
    if not holds:
        details = f": {answer.status}, {answer.received or answer.fields}" if answer else ""
        raise Refuted(f"failed: {what}{details}")


@dataclass
class Credential:
    text: str
    scheme: str
    id: str
    # The headers that the application must get.
    identity: dict[str, str]
    status: int = 200

    @property
    def field(self) -> str:
        return f"Authorization: {self.scheme} {self.text}"


def encoded(text: str) -> str:
    return quote(text, safe=VISIBLE)


def encoded_uri(text: str) -> str:
    """Path and query with their own percent signs. Bytes that are invalid in a URI are encoded, as only some gateways do."""
    return quote(re.sub("^http://[^/?]*", "", text), safe=URI_BYTES, encoding="latin-1")


class Fixture:
    """A running gateway, credentials, and a client connection."""

    def __init__(self, setup: Setup, port: int, requests: int) -> None:
        self.setup, self.gateway, self.port, self.requests = setup, setup.gateway, port, requests
        self._clients = {}
        self.key, self.token = self.make_key("acme co"), self.make_token("alice")
        self.narrow = self.make_key("narrow", scope="orders:write", status=403)
        self.client = Connection(port)

    def make_key(self, owner: str, *words: str, scope: str = NEEDED, status: int = 200) -> Credential:
        made = self.setup.service.json_result("key", "create", "--owner", owner, "--scope", scope, *words)
        return Credential(made["key"], "ApiKey", made["id"], self._identity(made, owner, "-", "ApiKey"), status)

    def make_token(self, subject: str, scope: str = NEEDED) -> Credential:
        if scope not in self._clients:
            words = ("client", "create", "--name", "shop", "--grant", "client_credentials", "--scope", scope)
            self._clients[scope] = self.setup.service.json_result(*words)["client_id"]
        client = self._clients[scope]
        made = self.setup.service.json_result("token", "issue", "--client", client, "--subject", subject, "--scope", scope)
        return Credential(made["access_token"], "Bearer", made["id"], self._identity(made, subject, client, "Bearer"))

    @staticmethod
    def _identity(made: dict, subject: str, client: str, kind: str) -> dict[str, str]:
        return {
            "x-auth-subject": encoded(subject), "x-auth-client": client, "x-auth-scope": encoded(made["scope"]),
            "x-auth-type": kind, "x-auth-id": made["id"], "x-auth-expires": str(made["exp"] or "-"), "x-auth-sunset": "-"}

    def revoke(self, credential: Credential) -> None:
        self.setup.service.json_result("key" if credential.scheme == "ApiKey" else "token", "revoke", credential.id)
        credential.status = 401

    def unknown(self, scheme: str = "ApiKey") -> Credential:
        """A well-formed credential that was never issued."""
        return Credential(unknown_credential("k" if scheme == "ApiKey" else "b"), scheme, "", {}, 401)

    def require_refused(self, answer: Answer, status: int, what: str) -> None:
        """The request was refused with that status and did not reach the application."""
        require(answer.status == status and not answer.all("x-application"), f"{what} is refused with {status}", answer)

    def require_identity(self, answer: Answer, credential: Credential, what: str, target: str | None = None) -> None:
        """The request reached the application with exactly this identity and without the credential."""
        received = answer.received
        require(answer.status == 200 and received is not None, f"{what} reaches the application", answer)
        require(target in (None, received["target"]), f"{what} arrives as {target}", answer)
        # Every spelling that an application may treat as one of these headers.
        told = [pair for pair in received["fields"] if re.match("x[^a-z0-9]auth[^a-z0-9]", pair[0])]
        uri = [value for name, value in told if name == "x-auth-uri"]
        rest = sorted((name, value) for name, value in told if name != "x-auth-uri")
        require(rest == sorted(credential.identity.items()), f"{what} arrives with {credential.identity}", answer)
        same = not self.gateway.keeps_spelling or [encoded_uri(value) for value in uri] == [encoded_uri(received["target"])]
        require(len(uri) == 1 and same, f"{what} arrives with its URI in X-Auth-Uri", answer)
        self.require_no_credential(answer, what)

    @staticmethod
    def require_no_credential(answer: Answer, what: str) -> None:
        text = str(answer.received).encode()
        hidden = not CREDENTIAL.search(text) and not CREDENTIAL.search(unquote_to_bytes(text))
        names = [name for name, _ in answer.received["fields"]]
        require(hidden and "authorization" not in names, f"{what} arrives without its credential", answer)
