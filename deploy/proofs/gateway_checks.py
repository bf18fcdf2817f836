"""The checks that every gateway must pass. A check is a function of the fixture and raises `Refuted`."""

import time
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_to_bytes

from gateway_fixture import NEEDED, Credential, Fixture, encoded_uri, require
from gateway_load import CLIENTS, run_load
from gateway_wire import CREDENTIAL, Answer, Connection

REVOCATIONS = 10
# More than the idle connections that a gateway keeps open.
CONCURRENT_MAX = 200


def identity(fixture: Fixture) -> None:
    """Requests with valid credentials reach the application, with their identity"""
    ask, key, token = fixture.client.ask, fixture.key, fixture.token
    for credential in (key, token):
        for scheme in (credential.scheme, credential.scheme.upper(), credential.scheme.lower()):
            answer = ask("/identity?a=1", f"Authorization: {scheme} {credential.text}")
            fixture.require_identity(answer, credential, f"a request with {scheme}", "/identity?a=1")
        require(ask("/identity", credential.field, method="HEAD").all("x-application") == ["here"], "HEAD passes")
        body = b"x" * 100_000
        answer = ask("/identity", credential.field, method="POST", body=body)
        fixture.require_identity(answer, credential, "a POST", "/identity")
        require(answer.received["body"] == len(body) and answer.received["method"] == "POST", "a body arrives whole", answer)
        answer = ask("/identity", credential.field, "If-None-Match: *", "Range: bytes=0-0", "Cookie: a=b")
        fixture.require_identity(answer, credential, "a conditional request", "/identity")
    # More fields than Countersign reads.
    long = ask("/identity", key.field, *(f"X-Much-{number}: a" for number in range(70)), "Cookie: " + "a" * 3_000)
    if long.status != 431:
        fixture.require_identity(long, key, "a long request", "/identity")
    for name in ("api_key", "api%5Fkey", "%61pi_key"):
        answer = ask(f"/identity?{name}={key.text}")
        if fixture.gateway.accepts_query_keys:
            fixture.require_identity(answer, key, f"a request with {name} in its query", "/identity")
        else:
            fixture.require_refused(answer, 400, "a key in the query")


def refusals(fixture: Fixture) -> None:
    """Invalid requests are refused with the specified status and reason"""
    expired = fixture.make_key("late", "--expires-in", "1s")
    time.sleep(2)
    for text in ("", "Authorization: Basic YTpi", "Authorization: Digest x"):
        answer = fixture.client.ask("/refusals", *([text] if text else []))
        fixture.require_refused(answer, 401, f"a request with '{text}'")
        challenge = answer.all("www-authenticate")
        require(len(challenge) == 1 and challenge[0].startswith("Bearer realm=") and "error" not in challenge[0],
                "a request without a credential gets a challenge without an error", answer)
    wrong = {
        "an unknown key": fixture.unknown().field, "an unknown token": fixture.unknown("Bearer").field,
        "an expired key": expired.field, "a mistyped key": fixture.key.field[:-1] + "-",
        "a key as Bearer": f"Authorization: Bearer {fixture.key.text}",
        "a token as ApiKey": f"Authorization: ApiKey {fixture.token.text}"}
    for what, field in wrong.items():
        answer = fixture.client.ask("/refusals", field)
        fixture.require_refused(answer, 401, what)
        challenges = "".join(answer.all("www-authenticate"))
        require('error="invalid_token"' in challenges, f"{what} gets the error invalid_token", answer)
    fixture.require_refused(fixture.client.ask(f"/refusals?api_key={fixture.unknown().text}"), 401, "an unknown key in the query")
    answer = fixture.client.ask("/refusals", fixture.narrow.field)
    fixture.require_refused(answer, 403, "a key without the scope")
    challenges = answer.all("www-authenticate")
    require(len(challenges) == 1 and f'scope="{NEEDED}"' in challenges[0], "the missing scope is named", answer)
    for asked in ("scope=orders:write", "profile=nginx", "scope=", f"scope=orders:write&scope={NEEDED}"):
        answer = fixture.client.ask(f"/refusals?{asked}", fixture.narrow.field)
        fixture.require_refused(answer, 403, "a client that names another scope")
    key = fixture.key.text
    for value in ("ApiKey", "ApiKey ", f'ApiKey "{key}"', f"ApiKey\t{key}", f"ApiKey ={key}", f"ApiKey {key},"):
        answer = fixture.client.ask("/refusals", f"Authorization: {value}")
        fixture.require_refused(answer, fixture.gateway.malformed_status, f"the malformed value {value!r}")
    for value in ("Bearer \xe4", f"ApiKey {key}\xe4", f"ApiKey \xe4{key}"):
        answer = fixture.client.ask("/refusals", f"Authorization: {value}")
        status = fixture.gateway.wrong_bytes_status or fixture.gateway.malformed_status
        fixture.require_refused(answer, status, "a credential with invalid bytes")


def duplicates(fixture: Fixture) -> None:
    """Two credentials are refused, even if they are equal"""
    key, token, malformed = fixture.key, fixture.token, fixture.gateway.malformed_status
    cases = {
        "header and query": (f"/duplicates?api_key={key.text}", [key.field]),
        "token and query": (f"/duplicates?api_key={key.text}", [token.field]),
        "an unsupported scheme and query": (f"/duplicates?api_key={key.text}", ["Authorization: Basic YTpi"]),
        "one line with a comma": ("/duplicates", [f"{key.field}, {token.scheme} {token.text}"]),
        "two in the query": (f"/duplicates?api_key={key.text}&api%5fkey={key.text}", [])}
    for what, (target, fields) in cases.items():
        fixture.require_refused(fixture.client.ask(target, *fields), malformed, what)
    # nginx refuses two lines by itself.
    for lines in ([key.field, token.field], [key.field] * 2):
        fixture.require_refused(fixture.client.ask("/duplicates", *lines), 400, "two lines")
    for lines in (["Authorization:", key.field], [key.field, "authorization: "]):
        answer = fixture.client.ask("/duplicates", *lines)
        if fixture.gateway.counts_empty_lines:
            fixture.require_refused(answer, 400, "two lines, one of them empty")
        else:
            fixture.require_identity(answer, key, "two lines, one of them empty", "/duplicates")


def revocation(fixture: Fixture) -> None:
    """A revoked credential is refused from the next request on"""
    for number in range(REVOCATIONS):
        for credential in (fixture.make_key(f"gone-{number}"), fixture.make_token(f"gone-{number}")):
            for _ in range(5):
                answer = fixture.client.ask("/revocation", credential.field)
                fixture.require_identity(answer, credential, "a valid credential", "/revocation")
            fixture.revoke(credential)
            fixture.require_refused(fixture.client.ask("/revocation", credential.field), 401, "a revoked credential")


NAMES = [*(f"X-Auth-{name}" for name in ("Subject", "Client", "Scope", "Type", "Id", "Expires", "Sunset", "Uri", "Status"))]


def forged_headers(fixture: Fixture) -> None:
    """No X-Auth header of a client reaches the application, in any spelling"""
    spellings: list[Callable[[str], str]] = [str, str.lower, str.upper, str.swapcase]
    for sign in fixture.gateway.hyphen_aliases:
        spellings += [
            lambda name, sign=sign: name.replace("-", sign), lambda name, sign=sign: name.replace("-", sign, 1),
            lambda name, sign=sign: name.upper().replace("-", sign), lambda name, sign=sign: name[:6] + sign + name[7:]]
    names = NAMES + (["X-Auth-Roles", "X-Auth-"] if fixture.gateway.strips_all_x_auth else [])
    for credential in (fixture.key, fixture.token):
        for spelling in spellings:
            fields = [f"{spelling(name)}: forged" for name in names]
            for order in ([*fields, credential.field], [credential.field, *fields, *fields]):
                answer = fixture.client.ask("/forged-headers", *order)
                fixture.require_identity(answer, credential, f"forged {fields[0]}", "/forged-headers")
        # A client names the headers in Connection: a gateway that follows this removes what Countersign has set.
        for name in [*NAMES, "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-For", "Authorization"]:
            for fields in ([f"Connection: keep-alive, {name}"], ["Connection: keep-alive", f"Connection: {name.lower()}"]):
                answer = fixture.client.ask("/forged-headers", credential.field, *fields)
                if answer.status < 400:
                    fixture.require_identity(answer, credential, f"a connection that names {name}", "/forged-headers")
        named = "Connection: keep-alive, X-Forwarded-Uri, X-Original-URI"
        answer = fixture.client.ask(f"/forged-headers?api_key={fixture.key.text}", named)
        if answer.status < 400:
            fixture.require_identity(answer, fixture.key, "a connection that names the headers with the URI", "/forged-headers")
    fixture.require_refused(fixture.client.ask("/forged-headers", "X-Auth-Subject: forged"), 401, "nothing but a forged subject")


def forwarded_headers(fixture: Fixture) -> None:
    """Headers that describe the request come from the gateway, never from the client"""
    for name in ("X-Forwarded-Uri", "X-Original-URI", "X-Original-Url", "X_Forwarded_Uri", "X_Original_URI"):
        answer = fixture.client.ask("/forwarded-headers", f"{name}: /descriptions?api_key={fixture.key.text}")
        fixture.require_refused(answer, 401, f"a key in {name}")
        answer = fixture.client.ask("/forwarded-headers?a=1", fixture.key.field, f"{name}: /elsewhere")
        fixture.require_identity(answer, fixture.key, f"a request with {name}", "/forwarded-headers?a=1")
    for field in ("X-Forwarded-Method: TRACE", "X-Original-Method: TRACE", "X-Forwarded-Host: elsewhere.test",
                  "X-Forwarded-Proto: gopher"):
        answer = fixture.client.ask("/forwarded-headers", fixture.key.field, field, field)
        fixture.require_identity(answer, fixture.key, f"a request with {field}", "/forwarded-headers")
    here, there = "127.0.0.9", "127.0.0.8"
    limited = fixture.make_key("limited", "--network", f"{here}/32")
    for forged in ([], [f"X-Forwarded-For: {here}"], [f"X-Forwarded-For: {there}"], [f"X-Forwarded-For: {here}"] * 2,
                   [f"X-Real-IP: {here}", f"Forwarded: for={here}", f"X_Forwarded_For: {here}"]):
        answer = Connection(fixture.port, here).ask("/forwarded-headers", limited.field, *forged)
        fixture.require_identity(answer, limited, f"a key from its network, with {forged}", "/forwarded-headers")
        addresses = [value for name, value in answer.received["fields"] if name == "x-forwarded-for"]
        require(addresses == [here], "the application is told the client's address", answer)
        answer = Connection(fixture.port, there).ask("/forwarded-headers", limited.field, *forged)
        fixture.require_refused(answer, 401, f"a key from another network, with {forged}")


# Queries to which the key is added.
QUERIES = ("", "a=1", "a=1&b=2", "b=2&a=1", "a", "a=", "=a", "a=1&&b=2", "a=+b", "a=%20b", "a=%2B%26", "a=1;b=2", "a=%zz",
           "a={env.HOME}", "a=?b", "API_KEY=x", "xapi_key=x", "api_key%5B%5D=x", "a=\xe4")
PATHS = ("/", "/uris", "/uris/", "/a%20b", "/a%2520b", "/a%2Fb", "/caf%C3%A9", "/a+b", "/a=b&c", "/a:b@c", "/{env.HOME}",
         "/-", "/$uri")


def uri_spelling(fixture: Fixture) -> None:
    """Path and query arrive as the client sent them, without the key"""
    for path in PATHS:
        for query in QUERIES:
            plain = path + ("?" + query if query else "")
            same_uri(fixture, fixture.client.ask(plain, fixture.token.field), fixture.token, plain)
            key = f"api_key={fixture.key.text}"
            for whole in ((key, query), (query, key)) if query else ((key,),):
                if fixture.gateway.accepts_query_keys:
                    same_uri(fixture, fixture.client.ask(f"{path}?{'&'.join(whole)}"), fixture.key, plain)
    answer = fixture.client.ask(f"http://gateway.test/uris?api_key={fixture.key.text}&a=1")
    if fixture.gateway.accepts_query_keys:
        fixture.require_identity(answer, fixture.key, "an absolute URI")
        require(answer.received["target"].endswith("/uris?a=1"), "an absolute URI keeps its path", answer)
    # No request goes to another host, and a key outside the query is not accepted.
    for target in ("http://elsewhere.test:99", "http://elsewhere.test?a=1", "*", "//elsewhere.test/uris", "/uris#a?b"):
        answer = fixture.client.ask(target, fixture.token.field)
        require(answer.status < 500, f"the target {target} is answered", answer)
        if answer.status < 400:
            fixture.require_identity(answer, fixture.token, f"the target {target}")
    for target in (f"http://gateway.test?api_key={fixture.key.text}", f"/#?api_key={fixture.key.text}"):
        answer = fixture.client.ask(target)
        require(answer.status < 500, f"the target {target} is answered", answer)
        if answer.status < 400:
            fixture.require_identity(answer, fixture.key, f"the target {target}")


def same_uri(fixture: Fixture, answer: Answer, credential: Credential, plain: str) -> None:
    what = f"the URI {plain} with a {credential.scheme} credential"
    if answer.status == 400 and not plain.isascii() and not fixture.gateway.accepts_all_bytes:
        return
    if "%2F" in plain.partition("?")[0] and not fixture.gateway.accepts_encoded_slashes:
        return fixture.require_refused(answer, 400, what)
    fixture.require_identity(answer, credential, what)
    arrived, wanted = encoded_uri(answer.received["target"]), fixture.gateway.respell(encoded_uri(plain))
    if credential.scheme == "ApiKey" and not fixture.gateway.keeps_spelling:
        arrived, wanted = meaning(arrived), meaning(wanted)
    require(arrived == wanted, f"{what} arrives as {wanted}", answer)


def meaning(uri: str) -> tuple[str, list[tuple[str, str]]]:
    """The path and the decoded parameters. Parameters that parsers treat differently (empty, or with a semicolon or an invalid
    percent sign) are left out."""
    path, _, query = uri.partition("?")
    query = "&".join(part for part in query.split("&") if ";" not in part and "%zz" not in part)
    return path, sorted(pair for pair in parse_qsl(query, True) if any(pair))


def outage(fixture: Fixture) -> None:
    """Without Countersign no request passes; after its return all requests work again"""
    def closed(client: Connection, target: str, *fields: str) -> None:
        answer = client.ask(target, *fields)
        is_refused = 500 <= answer.status < 600 and not answer.all("x-application")
        require(is_refused, "a request without Countersign is refused with 5xx", answer)

    before = fixture.setup.application_counts()["requests"]
    fixture.setup.suspend_service()
    try:
        began = time.monotonic()
        closed(fixture.client, "/outage", fixture.key.field)
        print(f"    refused after {time.monotonic() - began:.1f} s while Countersign hung")
        fixture.setup.kill_service()
        for client in (fixture.client, Connection(fixture.port)):
            for fields in ([fixture.key.field], [fixture.token.field], [fixture.unknown().field], []):
                closed(client, "/outage", *fields)
            closed(client, f"/outage?api_key={fixture.key.text}")
        require(fixture.setup.application_counts()["requests"] == before, "no request reached the application in that time")
    finally:
        fixture.setup.kill_service()
        fixture.setup.start_service()
    began = time.monotonic()
    while fixture.client.ask("/outage", fixture.key.field).status != 200:
        require(time.monotonic() - began < 10, "requests pass again within 10 s after Countersign is ready")
        time.sleep(0.05)
    fixture.require_identity(fixture.client.ask("/outage", fixture.token.field), fixture.token, "a request afterwards", "/outage")
    print(f"    requests pass again {time.monotonic() - began:.2f} s after Countersign was ready")
    # Killed and restarted during requests: each answer is correct or a 5xx.
    counts = run_load(fixture, fixture.requests // 5, lambda: (fixture.setup.kill_service(), fixture.setup.start_service()))
    print(f"    {counts['unavailable']} of {counts['all']} requests were refused with 5xx during a kill and a restart")


def load(fixture: Fixture) -> None:
    """Under load over reused connections, each answer belongs to its request"""
    began = time.monotonic()
    counts = run_load(fixture, fixture.requests)
    rate = counts["all"] / (time.monotonic() - began)
    print(f"    {counts['all']} requests over {CLIENTS} connections (opened {counts['opened']} times), {rate:.0f} a second: "
          f"{counts['passed']} passed and {counts['refused']} were refused, all correctly")


def concurrency(fixture: Fixture) -> None:
    """Of many concurrent requests, each gets its own verdict"""
    # For more requests than it has connections, a gateway opens new ones to Countersign and to the application. If it mixed
    # them up, a 200 of the application would count as a verdict.
    wrong = [fixture.unknown(), fixture.unknown("Bearer"), fixture.narrow]
    clients = [Connection(fixture.port) for _ in range(CONCURRENT_MAX)]
    try:
        for turn in range(-(-fixture.requests // CONCURRENT_MAX) // 3 + 1):
            asked = [fixture.token if number % 2 else wrong[(number + turn) % len(wrong)] for number in range(CONCURRENT_MAX)]
            for number, (client, credential) in enumerate(zip(clients, asked)):
                client.send(f"/concurrency/{number}", credential.field)
            for number, (client, credential) in enumerate(zip(clients, asked)):
                answer = client.answer()
                if credential.status == 200:
                    fixture.require_identity(answer, credential, "one of many requests", f"/concurrency/{number}")
                else:
                    fixture.require_refused(answer, credential.status, "an invalid credential in one of many requests")
    finally:
        for client in clients:
            client.close()
    require(fixture.setup.application_counts()["credentials"] == 0, "no credential has reached the application")


def leaks(fixture: Fixture) -> None:
    """No credential reaches the application or a log"""
    # The URI of a refused request still contains its key.
    for fields in ([], ["Authorization: Basic YTpi"]):
        fixture.client.ask(f"/leaks?api_key={fixture.unknown().text}", *fields)
    # Envoy writes its log with a delay.
    time.sleep(0.2)
    seen = fixture.setup.application_counts()
    require(seen["requests"] > 0 and seen["credentials"] == 0, f"no request arrives with a credential ({seen})")
    logs = fixture.setup.logs()
    require(any(b"/identity" in text or b"/load" in text for text in logs.values()), "the gateway logs requests")
    for name, text in logs.items():
        found = CREDENTIAL.search(text) or CREDENTIAL.search(unquote_to_bytes(text))
        require(not found, f"{name} contains no credential")


Check = Callable[[Fixture], None]
CHECKS: tuple[Check, ...] = (
    identity, refusals, duplicates, revocation, forged_headers, forwarded_headers, uri_spelling, outage, load, concurrency, leaks)
