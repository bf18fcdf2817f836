"""Uses credentials in every way that could leak them, and searches for them in all files afterwards.

    canaries.py PROGRAM COUNT
"""

import json
import os
import signal
import socket
import sys
import urllib.parse

from harness.checks import Refuted, Unproven, conclude, require
from harness.connection import connected
from harness.service import FORM, Service, basic

PROGRAM, COUNT = sys.argv[1], int(sys.argv[2])


def exchange(port, raw):
    """Sends bytes on a new connection and returns the answer."""
    answer = b""
    with connected(port, 10) as connection:
        connection.sendall(raw)
        try:
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer


def request(method, target, fields=(), body=""):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def form(text, *fields):
    return request("POST", "/oauth2/introspect", [f"Content-Type: {FORM}", *fields], text)


def provoke(port, credential, caller):
    """Sends one credential in accepted, refused and malformed requests. Returns the answers that contain it."""
    wrong = credential[:-1] + ("0" if credential[-1] != "0" else "1")
    answers = [
        exchange(port, raw)
        for raw in [
            form(f"token={credential}", f"Authorization: {caller}"),
            form(f"token={wrong}", f"Authorization: {caller}"),
            form(f"token={credential}&token={credential}", f"Authorization: {caller}"),
            form(f"token={credential}%zz", f"Authorization: {caller}"),
            form(f"token={credential}", f"Authorization: Bearer {credential}"),
            form(f"client_id=x&client_secret={credential}&token=y"),
            request("POST", f"/oauth2/introspect?token={credential}", [f"Authorization: {caller}"]),
            request("GET", f"/verify?api_key={credential}"),
            request("GET", f"/verify?api_key={credential}&api_key={credential}"),
            request("GET", "/verify", [f"Authorization: ApiKey {credential}"]),
            request("GET", "/verify", [f"Authorization: Bearer {credential}"]),
            request("GET", "/verify", [f"Authorization: ApiKey {credential}, x"]),
            request("GET", "/verify", [f"Authorization: {credential}"]),
            request("GET", f"/{credential}"),
            request("GET", "/verify", [f"X-Request-Id: {credential}", f"Authorization: ApiKey {credential}"]),
            request("GET", "/nowhere", [f"X-Request-Id: request-{credential}-1"]),
            request("GET", "/nowhere", [f"Traceparent: {credential}"]),
            request(credential[:30], "/"),
            f"{credential}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\nHost: a\r\n{credential}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\nHost: {credential} b\r\n\r\n".encode(),
        ]
    ]
    return [answer for answer in answers if credential[17:].encode() in answer]


def search(folder, secrets):
    """The files that contain secrets, with the number of secrets in each."""
    counts = []
    for place in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = place.read_bytes()
        count = sum(secret.encode() in content for secret in secrets)
        if count:
            counts.append(f"{place.name}: {count}")
    return counts


def use_credentials(service):
    """Returns all secrets, the number of answers that contained one, and what was printed."""
    printed = []

    def command(*words, stdin=""):
        """Standard error is searched too."""
        done = service.command(*words, stdin=stdin, seconds_max=120)
        printed.append(done.stderr)
        return done

    service.start()
    keys = [json.loads(line)["key"] for line in command(
        "key", "create", "--owner", "canary", "--count", COUNT, "--json").stdout.splitlines()]
    client = json.loads(command("client", "create", "--name", "canary", "--may", "introspect", "--json").stdout)
    token = json.loads(command("token", "issue", "--client", client["client_id"], "--json").stdout)["access_token"]
    caller = basic(client)
    foreign = [f"foreign-key-{os.urandom(16).hex()}" for _ in range(20)]
    lines = "".join(
        json.dumps({"key": key, "owner": "canary"}) + "\n" for key in foreign + foreign[:3] + ["bad," + foreign[0]])
    imported = service.folder / "import"
    imported.write_text(lines)
    command("key", "import", imported)
    require(len(keys) == COUNT, "all keys were made")

    repeated = []
    for credential in [*keys, token, client["client_secret"]]:
        repeated += provoke(service.port, credential, caller)
    for credential in foreign:
        answer = exchange(service.port, form(f"token={urllib.parse.quote(credential)}", f"Authorization: {caller}"))
        require(b'"active":true' in answer, "an imported key is active")

    # The command line and the control plane: refused arguments, wrong members, explained verdicts.
    command("verify", stdin=keys[0])
    for words in (
            ["verify", keys[1]], ["key", "show", keys[2]], ["key", "revoke", keys[3]], ["key", keys[4]], ["--" + keys[5]]):
        printed.append(command(*words).stdout)
    # A crash during requests with credentials: there is no dump, and the output of the runtime does not contain them.
    for credential in keys[:50]:
        with connected(service.port) as connection:
            connection.sendall(form(f"token={credential}", f"Authorization: {caller}")[:-1])
    service.process.send(signal.SIGSEGV)
    service.process.wait(60)
    service.start()
    answer = exchange(service.port, form(f"token={keys[0]}", f"Authorization: {caller}"))
    require(b'"active":true' in answer, "an acknowledged key still exists after the crash")
    service.process.send(signal.SIGTERM)
    service.process.wait(60)
    imported.unlink()
    secrets = [credential[17:] for credential in [*keys, token, client["client_secret"]]] + foreign
    return [*secrets, caller.removeprefix("Basic ")], len(repeated), "".join(printed)


def main():
    with Service(PROGRAM, listens=("--listen",)) as service:
        # Every request in every log.
        service.environment |= {
            "COUNTERSIGN_LOG_LEVEL": "trace", "COUNTERSIGN_ACCESS_LOG": "all",
            "COUNTERSIGN_ACCESS_LOG_FILE": str(service.folder / "access.log")}
        secrets, repeated, printed = use_credentials(service)
        (service.folder / "printed").write_text(printed)
        # Shows that the search works.
        planted = service.folder / "planted"
        planted.write_text("x" * 5000 + secrets[-1] + secrets[0])
        found = search(service.folder, secrets)
        planted.unlink()
        if (service.folder / "access.log").read_bytes().count(b"\n") < 20 * COUNT:
            raise Unproven("the access log does not have the requests")
        leaked = [f"{repeated} answers"] if repeated else []
        leaked += search(service.folder, secrets)
    if "planted: 2" not in found:
        raise Unproven("the search does not find a secret that was put there")
    if leaked:
        raise Refuted("secrets were found in " + ", ".join(leaked))
    print(f"canaries: {len(secrets)} secrets, none left behind")
    return True


conclude("canaries", main, unproven=1)
