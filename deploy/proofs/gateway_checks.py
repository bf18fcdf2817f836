"""What has to hold at each gateway. A check is a function of the scene; what does not hold is a `Refuted`."""

import random
import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_to_bytes

from gateway_scene import NEEDED, Credential, Scene, encoded_uri, require
from gateway_wire import CREDENTIAL, Answer, Connection

CLIENTS = 6
REVOCATIONS = 10
# More than the idle connections that a gateway keeps.
CROWD = 200


def identity(scene: Scene) -> None:
    """Valid credentials reach the application, as whom they are"""
    ask, key, token = scene.client.ask, scene.key, scene.token
    for credential in (key, token):
        for scheme in (credential.scheme, credential.scheme.upper(), credential.scheme.lower()):
            answer = ask("/identity?a=1", f"Authorization: {scheme} {credential.text}")
            scene.told(answer, credential, f"a request with {scheme}", "/identity?a=1")
        require(ask("/identity", credential.field, method="HEAD").all("x-application") == ["here"], "HEAD passes")
        body = b"x" * 100_000
        answer = ask("/identity", credential.field, method="POST", body=body)
        scene.told(answer, credential, "a POST", "/identity")
        require(answer.reached["body"] == len(body) and answer.reached["method"] == "POST", "a body arrives whole", answer)
        answer = ask("/identity", credential.field, "If-None-Match: *", "Range: bytes=0-0", "Cookie: a=b")
        scene.told(answer, credential, "a conditional request", "/identity")
    # More fields than Countersign reads.
    long = ask("/identity", key.field, *(f"X-Much-{number}: a" for number in range(70)), "Cookie: " + "a" * 3_000)
    if long.status != 431:
        scene.told(long, key, "a long request", "/identity")
    for name in ("api_key", "api%5Fkey", "%61pi_key"):
        answer = ask(f"/identity?{name}={key.text}")
        if scene.gateway.takes_query:
            scene.told(answer, key, f"a request with {name} in its query", "/identity")
        else:
            scene.refused(answer, 400, "a key in the query")


def refusals(scene: Scene) -> None:
    """What is wrong is refused as the contract says, and the client is told why"""
    expired = scene.make_key("late", "--expires-in", "1s")
    time.sleep(2)
    for text in ("", "Authorization: Basic YTpi", "Authorization: Digest x"):
        answer = scene.client.ask("/refusals", *([text] if text else []))
        scene.refused(answer, 401, f"a request with '{text}'")
        challenge = answer.all("www-authenticate")
        require(len(challenge) == 1 and challenge[0].startswith("Bearer realm=") and "error" not in challenge[0],
                "whoever shows no credential is told how", answer)
    wrong = {
        "an unknown key": scene.unknown().field, "an unknown token": scene.unknown("Bearer").field,
        "an expired key": expired.field, "a mistyped key": scene.key.field[:-1] + "-",
        "a key as Bearer": f"Authorization: Bearer {scene.key.text}",
        "a token as ApiKey": f"Authorization: ApiKey {scene.token.text}"}
    for what, field in wrong.items():
        answer = scene.client.ask("/refusals", field)
        scene.refused(answer, 401, what)
        require('error="invalid_token"' in "".join(answer.all("www-authenticate")), f"{what} is told as such", answer)
    scene.refused(scene.client.ask(f"/refusals?api_key={scene.unknown().text}"), 401, "an unknown key in the query")
    answer = scene.client.ask("/refusals", scene.narrow.field)
    scene.refused(answer, 403, "a key without the scope")
    challenges = answer.all("www-authenticate")
    require(len(challenges) == 1 and f'scope="{NEEDED}"' in challenges[0], "the missing scope is told", answer)
    for asked in ("scope=orders:write", "profile=nginx", "scope=", f"scope=orders:write&scope={NEEDED}"):
        scene.refused(scene.client.ask(f"/refusals?{asked}", scene.narrow.field), 403, "a client that names another scope")
    key = scene.key.text
    for value in ("ApiKey", "ApiKey ", f'ApiKey "{key}"', f"ApiKey\t{key}", f"ApiKey ={key}", f"ApiKey {key},"):
        answer = scene.client.ask("/refusals", f"Authorization: {value}")
        scene.refused(answer, scene.gateway.malformed, f"the malformed value {value!r}")
    for value in ("Bearer \xe4", f"ApiKey {key}\xe4", f"ApiKey \xe4{key}"):
        answer = scene.client.ask("/refusals", f"Authorization: {value}")
        scene.refused(answer, scene.gateway.wrong_bytes or scene.gateway.malformed, "a credential with wrong bytes")


def doubles(scene: Scene) -> None:
    """Two credentials are refused, equal ones too"""
    key, token, malformed = scene.key, scene.token, scene.gateway.malformed
    cases = {
        "header and query": (f"/doubles?api_key={key.text}", [key.field]),
        "token and query": (f"/doubles?api_key={key.text}", [token.field]),
        "an unsupported scheme and query": (f"/doubles?api_key={key.text}", ["Authorization: Basic YTpi"]),
                "one line with a comma": ("/doubles", [f"{key.field}, {token.scheme} {token.text}"]),
        "two in the query": (f"/doubles?api_key={key.text}&api%5fkey={key.text}", [])}
    for what, (target, fields) in cases.items():
        scene.refused(scene.client.ask(target, *fields), malformed, what)
    # Two lines nginx refuses by itself.
    for lines in ([key.field, token.field], [key.field] * 2):
        scene.refused(scene.client.ask("/doubles", *lines), 400, "two lines")
    for lines in (["Authorization:", key.field], [key.field, "authorization: "]):
        answer = scene.client.ask("/doubles", *lines)
        if scene.gateway.sees_empty_lines:
            scene.refused(answer, 400, "two lines, one of them empty")
        else:
            scene.told(answer, key, "two lines, one of them empty", "/doubles")


def revocation(scene: Scene) -> None:
    """What is revoked is refused with the very next request"""
    for number in range(REVOCATIONS):
        for credential in (scene.make_key(f"gone-{number}"), scene.make_token(f"gone-{number}")):
            for _ in range(5):
                scene.told(scene.client.ask("/revocation", credential.field), credential, "a live credential", "/revocation")
            scene.revoke(credential)
            scene.refused(scene.client.ask("/revocation", credential.field), 401, "a revoked credential")


NAMES = [*(f"X-Auth-{name}" for name in ("Subject", "Client", "Scope", "Type", "Id", "Expires", "Sunset", "Uri", "Status"))]


def forgery(scene: Scene) -> None:
    """No X-Auth header of a client arrives, however it is spelled"""
    spellings: list[Callable[[str], str]] = [str, str.lower, str.upper, str.swapcase]
    for sign in scene.gateway.aliases:
        spellings += [
            lambda name, sign=sign: name.replace("-", sign), lambda name, sign=sign: name.replace("-", sign, 1),
            lambda name, sign=sign: name.upper().replace("-", sign), lambda name, sign=sign: name[:6] + sign + name[7:]]
    names = NAMES + (["X-Auth-Roles", "X-Auth-"] if scene.gateway.strips_all else [])
    for credential in (scene.key, scene.token):
        for spelling in spellings:
            fields = [f"{spelling(name)}: forged" for name in names]
            for order in ([*fields, credential.field], [credential.field, *fields, *fields]):
                scene.told(scene.client.ask("/forgery", *order), credential, f"forged {fields[0]}", "/forgery")
        # A client names them as belonging to its connection: a gateway that heeds that takes away what Countersign said.
        for name in [*NAMES, "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-For", "Authorization"]:
            for fields in ([f"Connection: keep-alive, {name}"], ["Connection: keep-alive", f"Connection: {name.lower()}"]):
                answer = scene.client.ask("/forgery", credential.field, *fields)
                if answer.status < 400:
                    scene.told(answer, credential, f"a connection that names {name}", "/forgery")
        named = "Connection: keep-alive, X-Forwarded-Uri, X-Original-URI"
        answer = scene.client.ask(f"/forgery?api_key={scene.key.text}", named)
        if answer.status < 400:
            scene.told(answer, scene.key, "a connection that names what describes it", "/forgery")
    scene.refused(scene.client.ask("/forgery", "X-Auth-Subject: forged"), 401, "nothing but a forged subject")


def descriptions(scene: Scene) -> None:
    """What describes the request comes from the gateway, never from the client"""
    for name in ("X-Forwarded-Uri", "X-Original-URI", "X-Original-Url", "X_Forwarded_Uri", "X_Original_URI"):
        answer = scene.client.ask("/descriptions", f"{name}: /descriptions?api_key={scene.key.text}")
        scene.refused(answer, 401, f"a key in {name}")
        answer = scene.client.ask("/descriptions?a=1", scene.key.field, f"{name}: /elsewhere")
        scene.told(answer, scene.key, f"a request with {name}", "/descriptions?a=1")
    for field in ("X-Forwarded-Method: TRACE", "X-Original-Method: TRACE", "X-Forwarded-Host: elsewhere.test",
                  "X-Forwarded-Proto: gopher"):
        answer = scene.client.ask("/descriptions", scene.key.field, field, field)
        scene.told(answer, scene.key, f"a request with {field}", "/descriptions")
    here, there = "127.0.0.9", "127.0.0.8"
    limited = scene.make_key("limited", "--network", f"{here}/32")
    for forged in ([], [f"X-Forwarded-For: {here}"], [f"X-Forwarded-For: {there}"], [f"X-Forwarded-For: {here}"] * 2,
                   [f"X-Real-IP: {here}", f"Forwarded: for={here}", f"X_Forwarded_For: {here}"]):
        answer = Connection(scene.port, here).ask("/descriptions", limited.field, *forged)
        scene.told(answer, limited, f"a key from its network, with {forged}", "/descriptions")
        addresses = [value for name, value in answer.reached["fields"] if name == "x-forwarded-for"]
        require(addresses == [here], "the application is told the client's address", answer)
        answer = Connection(scene.port, there).ask("/descriptions", limited.field, *forged)
        scene.refused(answer, 401, f"a key from another network, with {forged}")


# Without the key. {} is where it goes; the marks around it go with it.
QUERIES = ("", "a=1", "a=1&b=2", "b=2&a=1", "a", "a=", "=a", "a=1&&b=2", "a=+b", "a=%20b", "a=%2B%26", "a=1;b=2", "a=%zz",
           "a={env.HOME}", "a=?b", "API_KEY=x", "xapi_key=x", "api_key%5B%5D=x", "a=\xe4")
PATHS = ("/", "/uris", "/uris/", "/a%20b", "/a%2520b", "/a%2Fb", "/caf%C3%A9", "/a+b", "/a=b&c", "/a:b@c", "/{env.HOME}",
         "/-", "/$uri")


def uris(scene: Scene) -> None:
    """Path and query arrive as the client spelled them, without the key"""
    for path in PATHS:
        for query in QUERIES:
            plain = path + ("?" + query if query else "")
            same_uri(scene, scene.client.ask(plain, scene.token.field), scene.token, plain)
            key = f"api_key={scene.key.text}"
            for whole in ((key, query), (query, key)) if query else ((key,),):
                if scene.gateway.takes_query:
                    same_uri(scene, scene.client.ask(f"{path}?{'&'.join(whole)}"), scene.key, plain)
    answer = scene.client.ask(f"http://gateway.test/uris?api_key={scene.key.text}&a=1")
    if scene.gateway.takes_query:
        scene.told(answer, scene.key, "an absolute URI")
        require(answer.reached["target"].endswith("/uris?a=1"), "an absolute URI keeps its path", answer)
    # Nobody is sent elsewhere, and a key that is no parameter of the query is none.
    for target in ("http://elsewhere.test:99", "http://elsewhere.test?a=1", "*", "//elsewhere.test/uris", "/uris#a?b"):
        answer = scene.client.ask(target, scene.token.field)
        require(answer.status < 500, f"the target {target} is answered", answer)
        if answer.status < 400:
            scene.told(answer, scene.token, f"the target {target}")
    for target in (f"http://gateway.test?api_key={scene.key.text}", f"/#?api_key={scene.key.text}"):
        answer = scene.client.ask(target)
        require(answer.status < 500, f"the target {target} is answered", answer)
        if answer.status < 400:
            scene.told(answer, scene.key, f"the target {target}")


def same_uri(scene: Scene, answer: Answer, credential: Credential, plain: str) -> None:
    what = f"the URI {plain} with a {credential.scheme} credential"
    if answer.status == 400 and not plain.isascii() and not scene.gateway.takes_all_bytes:
        return
    if "%2F" in plain.partition("?")[0] and not scene.gateway.takes_hidden_slashes:
        return scene.refused(answer, 400, what)
    scene.told(answer, credential, what)
    arrived, wanted = encoded_uri(answer.reached["target"]), scene.gateway.spelled(encoded_uri(plain))
    if credential.scheme == "ApiKey" and not scene.gateway.keeps_spelling:
        arrived, wanted = meaning(arrived), meaning(wanted)
    require(arrived == wanted, f"{what} arrives as {wanted}", answer)


def meaning(uri: str) -> tuple[str, list[tuple[str, str]]]:
    """What a reader of forms makes of it; a parameter with a semicolon or a wrong percent sign, or nothing at all, is none to
    all of them."""
    path, _, query = uri.partition("?")
    query = "&".join(part for part in query.split("&") if ";" not in part and "%zz" not in part)
    return path, sorted(pair for pair in parse_qsl(query, True) if any(pair))


def trouble(scene: Scene) -> None:
    """Without Countersign nothing passes, and with it all is well again"""
    def closed(client: Connection, target: str, *fields: str) -> None:
        answer = client.ask(target, *fields)
        require(500 <= answer.status < 600 and not answer.all("x-application"), "without Countersign it is closed", answer)

    before = scene.stage.seen()["requests"]
    scene.stage.hold_service()
    try:
        began = time.monotonic()
        closed(scene.client, "/trouble", scene.key.field)
        print(f"    closed after {time.monotonic() - began:.1f} s while Countersign hung")
        scene.stage.kill_service()
        for client in (scene.client, Connection(scene.port)):
            for fields in ([scene.key.field], [scene.token.field], [scene.unknown().field], []):
                closed(client, "/trouble", *fields)
            closed(client, f"/trouble?api_key={scene.key.text}")
        require(scene.stage.seen()["requests"] == before, "nothing reached the application meanwhile")
    finally:
        scene.stage.kill_service()
        scene.stage.start_service()
    began = time.monotonic()
    while scene.client.ask("/trouble", scene.key.field).status != 200:
        require(time.monotonic() - began < 10, "it is open again once Countersign is ready")
        time.sleep(0.05)
    scene.told(scene.client.ask("/trouble", scene.token.field), scene.token, "a request afterwards", "/trouble")
    print(f"    open again {time.monotonic() - began:.2f} s after Countersign was ready")
    # Killed and started anew in the midst of requests: each is answered rightly or not at all.
    counts = run_load(scene, scene.requests // 5, lambda: (scene.stage.kill_service(), scene.stage.start_service()))
    print(f"    {counts['trouble']} of {counts['all']} requests were told to wait while it was killed and started anew")


def load(scene: Scene) -> None:
    """Under load over reused connections each answer belongs to its request"""
    began = time.monotonic()
    counts = run_load(scene, scene.requests)
    rate = counts["all"] / (time.monotonic() - began)
    print(f"    {counts['all']} requests over {CLIENTS} connections (opened {counts['opened']} times), {rate:.0f} a second: "
          f"{counts['passed']} passed and {counts['refused']} were refused, none wrongly")


def run_load(scene: Scene, requests: int, meanwhile: Callable[[], object] | None = None) -> dict[str, int]:
    """Random credentials at random places. With something happening meanwhile, 5xx is an answer too."""
    scopes = (NEEDED, f"{NEEDED} orders:write", f"a:b {NEEDED}")
    credentials = [scene.make_key(f"owner {index}", scope=scopes[index % 3]) for index in range(9)]
    credentials += [scene.make_token(f"subject-{index}", scopes[index % 3]) for index in range(9)]
    for credential in (scene.make_key("revoked"), scene.make_key("revoked too"), scene.make_token("revoked")):
        scene.revoke(credential)
        credentials.append(credential)
    credentials += [scene.unknown(), scene.unknown("Bearer"), scene.narrow]
    before = scene.stage.seen()["requests"]
    counts = dict.fromkeys(("all", "passed", "refused", "trouble", "opened"), 0)
    lock, failures, over = threading.Lock(), [], threading.Event()

    def run(number: int) -> None:
        client, mine = Connection(scene.port), dict.fromkeys(counts, 0)
        draw = random.Random(number)
        try:
            while not failures and (mine["all"] < -(-requests // CLIENTS) or meanwhile and not over.is_set()):
                credential, path = draw.choice(credentials), f"/load/{number}/{mine['all']}"
                if credential.scheme == "ApiKey" and scene.gateway.takes_query and draw.random() < 0.3:
                    answer = client.ask(f"{path}?api_key={credential.text}")
                else:
                    answer = client.ask(path, credential.field)
                mine["all"] += 1
                if meanwhile and 500 <= answer.status < 600 and not answer.all("x-application"):
                    mine["trouble"] += 1
                elif credential.status == 200:
                    scene.told(answer, credential, f"a request of {credential.identity['x-auth-subject']}", path)
                    mine["passed"] += 1
                else:
                    scene.refused(answer, credential.status, "a credential that is none")
                    mine["refused"] += 1
        except Exception as error:
            failures.append(error)
        finally:
            client.close()
            with lock:
                for name, value in (mine | {"opened": client.opened}).items():
                    counts[name] += value

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    if meanwhile:
        time.sleep(0.3)
        meanwhile()
        time.sleep(0.3)
        over.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    reached = scene.stage.seen()["requests"] - before
    require(reached == counts["passed"], f"{reached} requests reached the application and {counts['passed']} passed")
    return counts


def crowd(scene: Scene) -> None:
    """Of many requests at once each has the verdict that Countersign gave about it"""
    # For more of them than it has connections a gateway opens new ones, to Countersign and to the application, and takes
    # whichever is ready first. None of those to the one may come among those to the other: 200 would be a verdict.
    wrong = [scene.unknown(), scene.unknown("Bearer"), scene.narrow]
    clients = [Connection(scene.port) for _ in range(CROWD)]
    try:
        for turn in range(-(-scene.requests // CROWD) // 3 + 1):
            asked = [scene.token if number % 2 else wrong[(number + turn) % len(wrong)] for number in range(CROWD)]
            for number, (client, credential) in enumerate(zip(clients, asked)):
                client.send(f"/crowd/{number}", credential.field)
            for number, (client, credential) in enumerate(zip(clients, asked)):
                answer = client.answer()
                if credential.status == 200:
                    scene.told(answer, credential, "a request of a crowd", f"/crowd/{number}")
                else:
                    scene.refused(answer, credential.status, "a wrong credential in a crowd")
    finally:
        for client in clients:
            client.close()
    require(scene.stage.seen()["credentials"] == 0, "no credential of a crowd has come to the application")


def silence(scene: Scene) -> None:
    """No credential has come to the application or into a log"""
    # What is refused keeps its key to the end.
    for fields in ([], ["Authorization: Basic YTpi"]):
        scene.client.ask(f"/silence?api_key={scene.unknown().text}", *fields)
    # Envoy writes its log a little later.
    time.sleep(0.2)
    seen = scene.stage.seen()
    require(seen["requests"] > 0 and seen["credentials"] == 0, f"no request arrives with a credential ({seen})")
    logs = scene.stage.logs()
    require(any(b"/identity" in text or b"/load" in text for text in logs.values()), "the gateway logs requests")
    for name, text in logs.items():
        found = CREDENTIAL.search(text) or CREDENTIAL.search(unquote_to_bytes(text))
        require(not found, f"{name} holds no credential")


Check = Callable[[Scene], None]
CHECKS: tuple[Check, ...] = (identity, refusals, doubles, revocation, forgery, descriptions, uris, trouble, load, crowd, silence)
