"""What a check of the gateways stands on: credentials, a client, and what may be required of an answer."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from gateway_stage import Stage
from gateway_wire import CREDENTIAL, Answer, Connection
from harness.checks import Refuted
from harness.service import unknown_credential

NEEDED = "orders:read"
VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
URI_BYTES = "!$%&'()*+,/:;=?@[]"


def redacted(text: str) -> str:
    """A failure tells what happened and never a credential."""
    return CREDENTIAL.sub(b"<redacted>", text.encode()).decode()


def require(holds: bool, what: str, answer: Answer | None = None) -> None:
    if not holds:
        said = f": {answer.status}, {answer.reached or answer.fields}" if answer else ""
        raise Refuted(f"it should be that {what}{said}")


@dataclass
class Credential:
    text: str
    scheme: str
    id: str
    # What the application has to be told.
    identity: dict[str, str]
    status: int = 200

    @property
    def field(self) -> str:
        return f"Authorization: {self.scheme} {self.text}"


def encoded(text: str) -> str:
    return quote(text, safe=VISIBLE)


def encoded_uri(text: str) -> str:
    """A path and query with its own percent signs. Bytes that no URI may hold, some gateways spell so and some do not."""
    return quote(re.sub("^http://[^/?]*", "", text), safe=URI_BYTES, encoding="latin-1")


class Scene:
    """A gateway that runs, credentials, and a connection of a client."""

    def __init__(self, stage: Stage, port: int, requests: int) -> None:
        self.stage, self.gateway, self.port, self.requests = stage, stage.gateway, port, requests
        self._clients = {}
        self.key, self.token = self.make_key("acme co"), self.make_token("alice")
        self.narrow = self.make_key("narrow", scope="orders:write", status=403)
        self.client = Connection(port)

    def make_key(self, owner: str, *words: str, scope: str = NEEDED, status: int = 200) -> Credential:
        made = self.stage.service.made("key", "create", "--owner", owner, "--scope", scope, *words)
        return Credential(made["key"], "ApiKey", made["id"], self._identity(made, owner, "-", "ApiKey"), status)

    def make_token(self, subject: str, scope: str = NEEDED) -> Credential:
        if scope not in self._clients:
            words = ("client", "create", "--name", "shop", "--grant", "client_credentials", "--scope", scope)
            self._clients[scope] = self.stage.service.made(*words)["client_id"]
        client = self._clients[scope]
        made = self.stage.service.made("token", "issue", "--client", client, "--subject", subject, "--scope", scope)
        return Credential(made["access_token"], "Bearer", made["id"], self._identity(made, subject, client, "Bearer"))

    @staticmethod
    def _identity(made: dict, subject: str, client: str, kind: str) -> dict[str, str]:
        return {
            "x-auth-subject": encoded(subject), "x-auth-client": client, "x-auth-scope": encoded(made["scope"]),
            "x-auth-type": kind, "x-auth-id": made["id"], "x-auth-expires": str(made["exp"] or "-"), "x-auth-sunset": "-"}

    def revoke(self, credential: Credential) -> None:
        self.stage.service.made("key" if credential.scheme == "ApiKey" else "token", "revoke", credential.id)
        credential.status = 401

    def unknown(self, scheme: str = "ApiKey") -> Credential:
        """Well formed and never issued."""
        return Credential(unknown_credential("k" if scheme == "ApiKey" else "b"), scheme, "", {}, 401)

    def refused(self, answer: Answer, status: int, what: str) -> None:
        """Refused so, without the application."""
        require(answer.status == status and not answer.all("x-application"), f"{what} is refused with {status}", answer)

    def told(self, answer: Answer, credential: Credential, what: str, target: str | None = None) -> None:
        """The application knows exactly whose request it is, and not the credential."""
        reached = answer.reached
        require(answer.status == 200 and reached is not None, f"{what} reaches the application", answer)
        require(target in (None, reached["target"]), f"{what} arrives as {target}", answer)
        # What an application may take for one of these, whatever the spelling.
        told = [pair for pair in reached["fields"] if re.match("x[^a-z0-9]auth[^a-z0-9]", pair[0])]
        uri = [value for name, value in told if name == "x-auth-uri"]
        rest = sorted((name, value) for name, value in told if name != "x-auth-uri")
        require(rest == sorted(credential.identity.items()), f"{what} arrives with {credential.identity}", answer)
        same = not self.gateway.keeps_spelling or [encoded_uri(value) for value in uri] == [encoded_uri(reached["target"])]
        require(len(uri) == 1 and same, f"{what} arrives with its URI in X-Auth-Uri", answer)
        self.bare(answer, what)

    @staticmethod
    def bare(answer: Answer, what: str) -> None:
        text = str(answer.reached).encode()
        hidden = not CREDENTIAL.search(text) and not CREDENTIAL.search(unquote_to_bytes(text))
        names = [name for name, _ in answer.reached["fields"]]
        require(hidden and "authorization" not in names, f"{what} arrives without its credential", answer)
