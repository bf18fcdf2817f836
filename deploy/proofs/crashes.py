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
import threading
import time
import traceback

PROGRAM, CYCLES, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# Not /tmp: where that lies in memory, a commit takes no time and a kill seldom falls into one.
WORK = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
STORE = WORK / "store"
LOG = WORK / "log"
WRITERS, OWNERS_EACH, SAMPLE, CONNECTIONS = 8, 3, 300, 4
READY_SECONDS_MAX = 2.0
PATIENCE = 20  # Seconds for anything else: nothing may hang.
DEAD = None  # Where a scope would stand.


class Unproven(Exception):
    """Something that is no lost write went wrong."""


class Lost(Exception):
    """The daemon itself does not know what it has acknowledged."""


class Key:
    """A key and the outcomes that would be right: its scope, DEAD, or several while nobody knows what was done."""

    __slots__ = ("id", "secret", "owner", "outcomes")

    def __init__(self, resource):
        self.id, self.secret, self.owner = resource["id"], resource["key"], resource["owner"]
        self.outcomes = {resource["scope"]}


class ControlConnection(http.client.HTTPConnection):
    # A connection that broke must be noticed, not opened again.
    auto_open = 0

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(STORE / "control.sock"))


class Daemon:
    def __init__(self):
        self.process = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self):
        """Returns the seconds from the start to the first 200 of /readyz."""
        began = time.monotonic()
        with open(LOG, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--store", str(STORE), "--listen", f"http://127.0.0.1:{self.port}"],
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


class Writer:
    """One caller. It alone writes to its owners' keys, so that it knows what each of them has to be."""

    def __init__(self, number):
        self.owners = [f"owner-{number}-{index}" for index in range(OWNERS_EACH)]
        self.keys = []
        self.acknowledged = self.unknown = 0

    def begin(self, cycle):
        self.living = {owner: [] for owner in self.owners}
        for key in self.keys:
            if DEAD not in key.outcomes:
                self.living[key.owner].append(key)
        # Some scopes that the store knows, and one that it has to learn after each kill.
        self.scopes = ["", "orders:read", "orders:read orders:write", f"cycle:{cycle}"]
        self.touched, self.bulk, self.fault, self.lost, self.killed = set(), None, None, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection = ControlConnection("localhost", timeout=PATIENCE)
        try:
            connection.connect()
            while True:
                self.write(connection)
        except (OSError, http.client.HTTPException) as error:
            # What a kill does. The request that was under way may have been done or not.
            if not self.killed:
                self.fault = f"a writer's connection broke before the kill: {type(error).__name__}"
        except Lost as loss:
            self.lost = str(loss)
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def write(self, connection):
        living = self.living[random.choice(self.owners)]
        choice = random.random()
        if choice < 0.4 or not living:
            self.create(connection)
        elif choice < 0.42:
            self.revoke_owner(connection, living)
        else:
            place = random.randrange(len(living))
            living[place], living[-1] = living[-1], living[place]
            self.change(connection, living.pop(), choice)

    def create(self, connection):
        body = {"owner": random.choice(self.owners), "scope": random.choice(self.scopes)}
        self.adopt(self.send(connection, "POST", "/v1/keys", body)["items"][0], body)

    def revoke_owner(self, connection, living):
        self.bulk = list(living)
        for key in living:
            self.expect(key, key.outcomes | {DEAD})
        self.send(connection, "POST", f"/v1/owners/{living[0].owner}/revocations", None)
        for key in living:
            self.expect(key, {DEAD})
        living.clear()
        self.bulk = None

    def change(self, connection, key, choice):
        path, before, scope = f"/v1/keys/{key.id}", key.outcomes, random.choice(self.scopes)
        after = {scope} if choice < 0.7 else {DEAD}
        # Until the answer is here either outcome is right; then only the new one.
        self.expect(key, before | after)
        if choice < 0.7:
            self.send(connection, "PATCH", path, {"scope": scope})
            self.living[key.owner].append(key)
        elif choice < 0.85:
            self.send(connection, "DELETE", path, None)
        else:
            successor = self.send(connection, "POST", path + "/rotation", {"overlap_seconds": 0})
            self.adopt(successor, {"owner": key.owner, "scope": next(iter(before))})
        self.expect(key, after)

    def expect(self, key, outcomes):
        key.outcomes = outcomes
        self.touched.add(key)

    def adopt(self, resource, asked):
        if any(resource[member] != value for member, value in asked.items()):
            raise Unproven(f"the new key {resource['id']} is not what was asked for")
        key = Key(resource)
        self.keys.append(key)
        self.touched.add(key)
        self.living[key.owner].append(key)

    def send(self, connection, method, path, body):
        """Counts as acknowledged when the whole answer is here."""
        self.unknown += 1
        text = json.dumps(body).encode() if body else None
        connection.request(method, path, text, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 404:
            raise Lost(f"{path}: an acknowledged key is not found")
        if not 200 <= answer.status < 300:
            raise Unproven(f"{method} {path} was answered with {answer.status}")
        self.unknown -= 1
        self.acknowledged += 1
        return json.loads(content)


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
    writers = [Writer(number) for number in range(WRITERS)]
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
            # One watermark ends all of an owner's keys: half of them is no outcome.
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
