"""Sends credentials through every path that could spill them and looks for them in what is left behind.

    canaries.py PROGRAM COUNT
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

PROGRAM, COUNT = sys.argv[1], int(sys.argv[2])
WORK = pathlib.Path(tempfile.mkdtemp())
STORE = WORK / "store"
LOG = WORK / "log"
PRINTED = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments, text=None):
    """Runs a verb; what it prints on standard error counts as a place where nothing may be spilled."""
    outcome = subprocess.run(
        [PROGRAM, *arguments, "--store", str(STORE)], input=text, capture_output=True, text=True, timeout=120)
    PRINTED.append(outcome.stderr)
    return outcome


def start(port):
    with open(LOG, "ab") as log:
        daemon = subprocess.Popen([PROGRAM, "serve", "--store", str(STORE), "--listen", f"http://127.0.0.1:{port}"], stderr=log)
    for _ in range(200):
        if b'"ready"' in LOG.read_bytes()[start.seen:]:
            start.seen = LOG.stat().st_size
            return daemon
        if daemon.poll() is not None:
            sys.exit("the daemon did not start:\n" + LOG.read_text())
        time.sleep(0.05)
    daemon.kill()
    sys.exit("the daemon did not become ready")


start.seen = 0


def exchange(port, raw):
    """Sends bytes on a connection of its own and returns what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw)
        try:
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer


def request(method, target, fields=(), body=""):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def form(text, *fields):
    return request("POST", "/oauth2/introspect", ["Content-Type: application/x-www-form-urlencoded", *fields], text)


def provoke(port, credential, basic):
    """One credential through success, refusal and malformed requests. The answers may not repeat it either."""
    wrong = credential[:-1] + ("0" if credential[-1] != "0" else "1")
    answers = [
        exchange(port, raw)
        for raw in [
            form(f"token={credential}", f"Authorization: Basic {basic}"),
            form(f"token={wrong}", f"Authorization: Basic {basic}"),
            form(f"token={credential}&token={credential}", f"Authorization: Basic {basic}"),
            form(f"token={credential}%zz", f"Authorization: Basic {basic}"),
            form(f"token={credential}", f"Authorization: Bearer {credential}"),
            form(f"client_id=x&client_secret={credential}&token=y"),
            request("POST", f"/oauth2/introspect?token={credential}", [f"Authorization: Basic {basic}"]),
            request("GET", f"/verify?api_key={credential}"),
            request("GET", f"/verify?api_key={credential}&api_key={credential}"),
            request("GET", "/verify", [f"Authorization: ApiKey {credential}"]),
            request("GET", "/verify", [f"Authorization: Bearer {credential}"]),
            request("GET", "/verify", [f"Authorization: ApiKey {credential}, x"]),
            request("GET", "/verify", [f"Authorization: {credential}"]),
            request("GET", f"/{credential}"),
            request(credential[:30], "/"),
            f"{credential}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\nHost: a\r\n{credential}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\nHost: {credential} b\r\n\r\n".encode(),
        ]
    ]
    return [answer for answer in answers if credential[17:].encode() in answer]


def search(secrets):
    """Every file that is left, with the number of secrets in it."""
    counts = []
    for place in sorted(path for path in WORK.rglob("*") if path.is_file()):
        content = place.read_bytes()
        count = sum(secret.encode() in content for secret in secrets)
        if count:
            counts.append(f"{place.name}: {count}")
    return counts


def main():
    port = free_port()
    daemon = start(port)
    try:
        keys = [json.loads(line)["key"] for line in command("key", "create", "--owner", "canary", "--count", str(COUNT), "--json").stdout.splitlines()]
        client = json.loads(command("client", "create", "--name", "canary", "--may", "introspect", "--json").stdout)
        token = json.loads(command("token", "issue", "--client", client["client_id"], "--json").stdout)["access_token"]
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        foreign = [f"foreign-key-{os.urandom(16).hex()}" for _ in range(20)]
        lines = "".join(json.dumps({"key": key, "owner": "canary"}) + "\n" for key in foreign + foreign[:3] + ["bad," + foreign[0]])
        (WORK / "import").write_text(lines)
        command("key", "import", str(WORK / "import"))
        assert len(keys) == COUNT, "not all keys were made"

        repeated = []
        for credential in [*keys, token, client["client_secret"]]:
            repeated += provoke(port, credential, basic)
        for credential in foreign:
            answer = exchange(port, form(f"token={urllib.parse.quote(credential)}", f"Authorization: Basic {basic}"))
            assert b'"active":true' in answer, "an imported key is not active"

        # The command line and the control plane: refused arguments, wrong members, explained verdicts.
        command("verify", text=keys[0])
        for arguments in (["verify", keys[1]], ["key", "show", keys[2]], ["key", "revoke", keys[3]], ["key", keys[4]], ["--" + keys[5]]):
            PRINTED.append(command(*arguments).stdout)
        # A crash with credentials in flight: nothing is dumped, and what the runtime prints holds none of them.
        for credential in keys[:50]:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(form(f"token={credential}", f"Authorization: Basic {basic}")[:-1])
        daemon.send_signal(signal.SIGSEGV)
        daemon.wait(60)
        daemon = start(port)
        answer = exchange(port, form(f"token={keys[0]}", f"Authorization: Basic {basic}"))
        assert b'"active":true' in answer, "an acknowledged key is gone after the crash"
    finally:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(60)

    (WORK / "import").unlink()
    (WORK / "printed").write_text("".join(PRINTED))
    secrets = [credential[17:] for credential in [*keys, token, client["client_secret"]]] + foreign
    secrets += [basic]
    # The search finds what is there.
    planted = WORK / "planted"
    planted.write_text("x" * 5000 + secrets[-1] + secrets[0])
    found = search(secrets)
    planted.unlink()
    spilled = [f"{len(repeated)} answers"] if repeated else []
    spilled += search(secrets)
    shutil.rmtree(WORK)
    if "planted: 2" not in found:
        sys.exit("the search does not find a secret that was put there")
    if spilled:
        sys.exit("secrets were found in " + ", ".join(spilled))
    print(f"canaries: {len(secrets)} secrets, none left behind")


main()
