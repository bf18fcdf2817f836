"""Clients of the authorization server that know the correct state of each token of each family. See crashes.py."""

import base64
import hashlib
import random
import secrets
import urllib.parse

from crash_writers import DEAD, Key, Lost, Writer
from harness.checks import Unproven
from harness.connection import Connection
from harness.service import FORM


class Family:
    """The tokens that one authorization has issued so far."""

    def __init__(self, code, verifier):
        self.code, self.verifier = code, verifier
        self.tokens = []
        # The valid refresh token, and one that was used already.
        self.refresh = self.used = None


class FamilyWriter(Writer):
    """Extends families of tokens by refreshing, and ends them in every way: by reusing a code or a refresh token, and by
    revoking a refresh token. Whatever a kill interrupts, either all tokens of a family are active or none."""

    CALLBACK, SCOPE = "https://shop.example/cb", "orders:read"

    def __init__(self, number, control, port, client_id):
        super().__init__(number, control)
        self.subject, self.port, self.client_id = f"user-{number}", port, client_id
        self.owners = [self.subject]
        self.ended = 0

    def begin(self, cycle):
        # Families from before the kill are not used any more: the result of the interrupted request is unknown.
        self.families = []
        super().begin(cycle)

    def write(self, connection):
        choice = random.random()
        if choice < 0.2 or not self.families:
            self.authorize()
        elif choice < 0.85:
            self.refresh(random.choice(self.families))
        else:
            self.end(self.families.pop(random.randrange(len(self.families))))

    def authorize(self):
        """The authorization code flow, with the steps of the browser and of the login application."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urllib.parse.urlencode({
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.CALLBACK,
            "code_challenge": challenge, "code_challenge_method": "S256"})
        begun = self.ask("GET", "/oauth2/authorize?" + query, status=303)
        cookie = begun.fields["set-cookie"].split(";")[0]
        login = self.parameters(begun)["login_challenge"][0]
        with Connection(self.control) as control:
            decided = self.send(control, "POST", "/v1/authorizations/acceptance", {
                "login_challenge": login, "sub": self.subject})
        path = urllib.parse.urlsplit(decided["redirect_to"])
        resumed = self.ask("GET", f"{path.path}?{path.query}", status=303, fields=f"Cookie: {cookie}\r\n")
        family = Family(self.parameters(resumed)["code"][0], verifier)
        self.adopt_tokens(family, self.redeem(family, 200))
        self.families.append(family)

    def redeem(self, family, status):
        return self.token(status, grant_type="authorization_code", code=family.code, code_verifier=family.verifier,
                          redirect_uri=self.CALLBACK)

    def refresh(self, family):
        old, family.refresh = family.refresh, None
        # Until the answer has arrived, the old token may or may not be used up. After a kill the family is dropped.
        self.families.remove(family)
        self.adopt_tokens(family, self.token(200, grant_type="refresh_token", refresh_token=old))
        family.used = old
        self.families.append(family)

    def end(self, family):
        self.bulk = list(family.tokens)
        for token in family.tokens:
            self.expect(token, token.outcomes | {DEAD})
        way = random.choice(["replay", "reuse", "revoke"])
        if way == "reuse" and family.used:
            self.token(400, grant_type="refresh_token", refresh_token=family.used)
        elif way == "revoke":
            self.ask("POST", "/oauth2/revoke", status=200, form={"token": family.refresh, "client_id": self.client_id})
        else:
            self.redeem(family, 400)
        for token in family.tokens:
            self.expect(token, {DEAD})
        self.bulk = None
        self.ended += 1

    def adopt_tokens(self, family, answer):
        token = Key({"id": answer["access_token"][5:16], "key": answer["access_token"], "owner": self.subject,
                     "scope": answer["scope"]})
        self.keys.append(token)
        self.touched.add(token)
        family.tokens.append(token)
        family.refresh = answer["refresh_token"]

    def token(self, status, **form):
        return self.ask("POST", "/oauth2/token", status=status, form={**form, "client_id": self.client_id}).json

    def ask(self, method, path, status, form=None, fields=""):
        """A change counts as acknowledged once the whole answer has arrived."""
        self.unknown += 1
        if form:
            fields += f"Content-Type: {FORM}\r\n"
        with Connection(self.port) as connection:
            answer = connection.ask(method, path, urllib.parse.urlencode(form or {}), fields)
        if answer.status != status:
            if status == 200 and answer.status == 400:
                raise Lost(f"{path}: an acknowledged code or refresh token is not accepted")
            raise Unproven(f"{method} {path.split('?')[0]} was answered with {answer.status} and not {status}")
        self.unknown -= 1
        self.acknowledged += 1
        return answer

    @staticmethod
    def parameters(answer):
        return urllib.parse.parse_qs(urllib.parse.urlsplit(answer.fields["location"]).query)
