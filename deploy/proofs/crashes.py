"""Kills the daemon in the middle of writes, starts it anew, and compares what it answers with what it acknowledged.

    crashes.py PROGRAM CYCLES sound|losses

Exits with 0 when the outcome is the expected one, with 1 when it is the other, and with 2 when nothing was proven.
"""

import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from crash_families import FamilyWriter
from crash_writers import DEAD, PATIENCE, Unproven, Writer

PROGRAM, CYCLES, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# Not /tmp: where that lies in memory, a commit takes no time and a kill seldom falls into one.
WORK = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
STORE = WORK / "store"
LOG = WORK / "log"
WRITERS, FAMILY_WRITERS, SAMPLE, CONNECTIONS = 6, 3, 300, 4
READY_SECONDS_MAX = 2.0
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    def __init__(self):
        self.process = None
        self.port, self.oauth_port = free_port(), free_port()

    def start(self):
        """Returns the seconds from the start to the first 200 of /readyz."""
        began = time.monotonic()
        with open(LOG, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--store", str(STORE), "--listen", f"http://127.0.0.1:{self.port}",
                 "--control-listen", f"http://127.0.0.1:{self.oauth_port}", "--login-url", "https://login.example/"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while time.monotonic() - began < PATIENCE and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.002)
        lines = LOG.read_text(errors="replace").splitlines()[-20:]
        raise Unproven("the daemon did not become ready; its last words:\n" + "\n".join(lines))

    def end(self, how):
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Auditor:
    """Asks the data plane about keys."""

    def __init__(self, port, client):
        pair = f"{client['client_id']}:{client['client_secret']}".encode()
        self.port = port
        self.fields = {
            "Authorization": "Basic " + base64.b64encode(pair).decode(),
            "Content-Type": "application/x-www-form-urlencoded"}

    def losses(self, keys):
        """What contradicts the acknowledgements. What is seen has to stay: it is the only right outcome from now on."""
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            return sum(pool.map(self.compare, [keys[start::CONNECTIONS] for start in range(CONNECTIONS)]), [])

    def compare(self, keys):
        losses = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            for key in keys:
                connection.request("POST", "/oauth2/introspect", f"token={key.secret}", self.fields)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    raise Unproven(f"introspection was answered with {answer.status}")
                seen = self.outcome(key, content)
                if seen not in key.outcomes:
                    right = " or ".join(sorted(map(self.describe, key.outcomes)))
                    losses.append(f"{key.id}: has to be {right}, is {self.describe(seen)}")
                key.outcomes = {seen}
        finally:
            connection.close()
        return losses

    @staticmethod
    def outcome(key, content):
        if content == b'{"active":false}':
            return DEAD
        members = json.loads(content)
        if (members["active"], members["jti"], members["sub"]) != (True, key.id, key.owner):
            raise Unproven(f"introspection of {key.id} speaks of another key")
        return members["scope"]

    @staticmethod
    def describe(outcome):
        return "inactive" if outcome is DEAD else f"active with scope '{outcome}'"


def command(*arguments):
    return subprocess.run(
        [PROGRAM, *arguments, "--store", str(STORE)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE)


def kill_in_the_middle(daemon, writers, cycle):
    for writer in writers:
        writer.begin(cycle)
    time.sleep(random.uniform(0.05, 0.4))
    for writer in writers:
        writer.killed = True
    # At once: a connection that breaks between the mark and the kill would be excused.
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(PATIENCE)
    for writer in writers:
        writer.thread.join(2 * PATIENCE)
        if writer.thread.is_alive() or writer.fault:
            raise Unproven(writer.fault or "a writer hangs")
    return [writer.lost for writer in writers if writer.lost]


def prove(daemon):
    daemon.start()
    client = command("client", "create", "--name", "auditor", "--may", "introspect", "--json")
    auditor = Auditor(daemon.port, json.loads(client.stdout))
    shop = command(
        "client", "create", "--name", "shop", "--public", "--grant", "authorization_code", "--grant", "refresh_token",
        "--redirect-uri", FamilyWriter.CALLBACK, "--scope", FamilyWriter.SCOPE, "--json")
    client_id = json.loads(shop.stdout)["client_id"]
    writers = [Writer(number, STORE / "control.sock") for number in range(WRITERS)]
    writers += [
        FamilyWriter(number, STORE / "control.sock", daemon.oauth_port, client_id) for number in range(FAMILY_WRITERS)]
    slowest = 0.0
    losses = []
    for cycle in range(1, CYCLES + 1):
        losses = kill_in_the_middle(daemon, writers, cycle)
        if losses:
            return [f"before kill {cycle}:", *losses]
        slowest = max(slowest, daemon.start())
        touched = set().union(*(writer.touched for writer in writers))
        older = [key for writer in writers for key in writer.keys if key not in touched]
        losses = auditor.losses([*touched, *random.sample(older, min(SAMPLE, len(older)))])
        for writer in writers:
            # One watermark ends all keys of an owner and all tokens of a family: half of them is no outcome.
            if writer.bulk and len({key.outcomes == {DEAD} for key in writer.bulk}) > 1:
                losses.append(f"{writer.bulk[0].owner}: a bulk revocation was done by half")
        if losses:
            return [f"after kill {cycle}:", *losses]
    losses = auditor.losses([key for writer in writers for key in writer.keys])
    if losses:
        return ["at the end:", *losses]
    check = command("store", "check")
    if check.returncode != 0 or "sound" not in check.stdout:
        raise Unproven("the store is not sound: " + check.stdout + check.stderr)
    if daemon.end(signal.SIGTERM) != 0:
        raise Unproven("the daemon did not end well after SIGTERM")
    if slowest > READY_SECONDS_MAX:
        raise Unproven(f"ready again only after {slowest:.2f} s")
    acknowledged, unknown = (sum(getattr(writer, name) for writer in writers) for name in ("acknowledged", "unknown"))
    print(f"{unknown} more writes were under way at a kill")
    families = sum(writer.ended for writer in writers if isinstance(writer, FamilyWriter))
    print(f"{families} families of tokens were ended, none by half")
    print(
        f"crashes: {CYCLES} cycles, {acknowledged} acknowledged writes, none lost, nothing un-revoked, "
        f"ready again after at most {slowest:.2f} s")
    return []


def main():
    # A polite end runs the `finally` below too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    daemon = Daemon()
    try:
        losses = prove(daemon)
    except Unproven as reason:
        print(f"crashes: {reason}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 2
    finally:
        if daemon.process:
            daemon.end(signal.SIGKILL)
        shutil.rmtree(WORK, ignore_errors=True)
    for line in losses[:50]:
        print(line, file=sys.stderr)
    if EXPECTED == "losses":
        print("crashes: the mutant " + ("was caught" if losses else "was not noticed"))
    return 0 if bool(losses) == (EXPECTED == "losses") else 1


sys.exit(main())
