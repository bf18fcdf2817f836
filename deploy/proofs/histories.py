"""Concurrent processes work with the same credentials while the daemon is killed and started again; every call and answer is
timed by one clock, and a checker looks for an order that would explain what everybody saw. See histories_check.py.

    histories.py PROGRAM MUTATIONS sound|violations

Exits with 0 when the outcome is the expected one, with 1 when it is the other, and with 2 when nothing was proven.
"""

import mmap
import multiprocessing
import pickle
import random
import signal
import sys
import time
import traceback
import zlib

from harness.checks import Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import PATIENCE_SECONDS
from harness.service import INACTIVE, Introspector, Service
from histories_check import ALIVE, BULK, CREATE, DEAD, EDIT, END, READ, History, Operation, self_test

PROGRAM, MUTATIONS, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
MUTATORS, VERIFIERS, OWNERS, CLIENTS = 5, 3, 12, 4
SLOTS, HOT_EACH, SLOT_BYTES, BATCH = 256, 4, 80, 8
DAY = 86_400
PERIOD_MAX = 1.2  # Seconds between two kills.


class Board:
    """Memory that the processes share: living credentials, those that are about to be ended, and counters."""

    def __init__(self):
        self.hot = SLOTS * SLOT_BYTES
        self.counters = self.hot + MUTATORS * HOT_EACH * SLOT_BYTES
        self.memory = mmap.mmap(-1, self.counters + 4096)

    def put(self, place, text, owner, client):
        row = text.encode() + bytes([owner, client])
        self.memory[place:place + len(row) + 4] = row + zlib.crc32(row).to_bytes(4, "little")

    def take(self, place):
        """None when there is nothing, or when somebody is just writing it."""
        row = self.memory[place:place + 72]
        if row[0] == 0 or zlib.crc32(row[:68]) != int.from_bytes(row[68:72], "little"):
            return None
        return row[:66].decode(), row[66], row[67]

    def clear(self, place):
        self.memory[place] = 0

    def slot(self):
        return random.randrange(SLOTS) * SLOT_BYTES

    def hot_slot(self):
        return self.hot + random.randrange(MUTATORS * HOT_EACH) * SLOT_BYTES

    def own_hot_slot(self, number, index):
        return self.hot + (number * HOT_EACH + index) * SLOT_BYTES

    def count(self, number):
        place = self.counters + 8 * number
        self.memory[place:place + 8] = (int.from_bytes(self.memory[place:place + 8], "little") + 1).to_bytes(8, "little")

    @property
    def mutations(self):
        return sum(
            int.from_bytes(self.memory[self.counters + 8 * number:self.counters + 8 * number + 8], "little")
            for number in range(MUTATORS))

    @property
    def is_over(self):
        return self.memory[-1] == 1

    def end(self):
        self.memory[-1] = 1


class Broken(Exception):
    """The connection broke: whoever was asked may have done it or not."""


class Worker:
    """One process. It writes down what it called and what it was answered, and gives that away at its end."""

    def __init__(self, number, board, service, clients, introspector):
        self.number, self.board, self.service, self.clients = number, board, service, clients
        self.introspector = introspector
        self.operations = []
        self.verifying = self.controlling = None

    def run(self, path):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed()
        fault = None
        try:
            while not self.board.is_over:
                try:
                    self.connect()
                    while not self.board.is_over:
                        self.work()
                except (Broken, OSError):
                    self.disconnect()
                    time.sleep(0.003)
        except Exception:
            fault = traceback.format_exc()
            self.board.end()
        with open(path, "wb") as file:
            pickle.dump((self.operations, fault), file)

    def connect(self):
        # Every other one over the Unix socket.
        self.verifying = Connection(self.service.data_socket if self.number % 2 else self.service.port)
        self.controlling = Connection(self.service.control)

    def disconnect(self):
        for connection in (self.verifying, self.controlling):
            if connection:
                connection.close()
        self.verifying = self.controlling = None

    def note(self, kind, subject, value, called, answered, group=()):
        self.operations.append((kind, subject, value, called, answered, group))

    # Asking

    def verify(self, text):
        called = time.monotonic_ns()
        answer = self.introspector.ask(self.verifying, text)
        answered = time.monotonic_ns()
        if answer.status == 503:
            return
        if answer.status != 200:
            raise RuntimeError(f"introspection was answered with {answer.status}")
        if answer.body == INACTIVE:
            self.note(DEAD, text[5:16], None, called, answered)
        else:
            members = answer.json
            if members["active"] is not True or members["jti"] != text[5:16]:
                raise RuntimeError("introspection speaks of another credential")
            self.note(READ, text[5:16], members["exp"], called, answered)

    def verify_batch(self, texts):
        called = time.monotonic_ns()
        answer = self.verifying.ask(
            "POST", "/v1/verify", '{"credentials":["' + '","'.join(texts) + '"]}',
            self.introspector.caller + "Content-Type: application/json\r\n")
        answered = time.monotonic_ns()
        if answer.status == 503:
            return
        if answer.status != 200:
            raise RuntimeError(f"a batch was answered with {answer.status}")
        for text, verdict in zip(texts, answer.json["results"], strict=True):
            self.note(ALIVE if verdict["active"] else DEAD, text[5:16], None, called, answered)


class Verifier(Worker):
    def work(self):
        if random.random() < 0.3:
            found = {self.board.take(self.place()) for _ in range(BATCH)} - {None}
            if found:
                self.verify_batch([text for text, _, _ in found])
        elif credential := self.board.take(self.place()):
            self.verify(credential[0])
        else:
            time.sleep(0.0005)

    def place(self):
        return self.board.hot_slot() if random.random() < 0.75 else self.board.slot()


class Mutator(Worker):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Far away, and written by nobody else.
        self.expiry = int(time.time()) + 30 * DAY + self.number

    def work(self):
        place = self.board.slot()
        credential = self.board.take(place)
        choice = random.random()
        if credential is None or choice < 0.25:
            if random.random() < 0.8:
                self.create_key()
            else:
                self.issue_token()
        elif choice < 0.26:
            self.end_all(credential)
        elif credential[0][2] == "k" and choice < 0.63:
            self.edit(credential[0])
        elif credential[0][2] == "k" and choice < 0.72:
            self.rotate(credential)
            self.board.clear(place)
        else:
            self.revoke(credential[0])
            self.board.clear(place)
        self.board.count(self.number)

    def ask(self, method, target, body=None):
        """When the whole answer is here, what was asked for is acknowledged."""
        called = time.monotonic_ns()
        try:
            answer = self.controlling.ask_json(method, target, body)
        except OSError as error:
            return called, None, error
        answered = time.monotonic_ns()
        # An end that was begun refuses; whether what waited is still done is not said.
        return called, None if answer.status == 503 else answered, answer

    def expect(self, called, answered, answer, statuses, notes, subject=None):
        """Writes down what was done, or that nobody knows, or that the credential is dead."""
        if answered is None:
            for note in notes:
                self.note(*note, called, None)
            raise Broken
        if subject and (answer.status == 404 or b":revoked-or-expired" in answer.body):
            self.note(DEAD, subject, None, called, answered)
            return False
        if answer.status not in statuses:
            raise RuntimeError(f"a mutation was answered with {answer.status}: {answer.body[:300]!r}")
        for note in notes:
            self.note(*note, called, answered)
        return True

    def create_key(self):
        owner = random.randrange(OWNERS)
        called, answered, answer = self.ask("POST", "/v1/keys", {
            "owner": f"owner-{owner}", "scope": "orders:read", "expires_in": random.randrange(DAY, 20 * DAY)})
        if self.expect(called, answered, answer, (200, 201), []):
            made = answer.json["items"][0]
            self.adopt(made["key"], made["exp"], called, answered, owner, 255)

    def issue_token(self):
        owner, client = random.randrange(OWNERS), random.randrange(CLIENTS)
        called, answered, answer = self.ask("POST", "/v1/tokens", {
            "client_id": self.clients[client], "sub": f"owner-{owner}", "expires_in": 3000})
        if self.expect(called, answered, answer, (200, 201), []):
            made = answer.json
            self.adopt(made["access_token"], made["exp"], called, answered, owner, client)

    def adopt(self, text, expiry, called, answered, owner, client):
        group = (f"owner-{owner}",) if client == 255 else (f"owner-{owner}", self.clients[client])
        self.note(CREATE, text[5:16], expiry, called, answered, group)
        self.board.put(self.board.slot(), text, owner, client)
        self.verify(text)

    def edit(self, text):
        self.expiry += MUTATORS
        self.verify(text)
        called, answered, answer = self.ask("PATCH", f"/v1/keys/{text[5:16]}", {"exp": self.expiry})
        if self.expect(called, answered, answer, (200,), [(EDIT, text[5:16], self.expiry)], text[5:16]):
            self.verify(text)

    def about_to_end(self, texts_with_places):
        for index, (text, owner, client) in enumerate(texts_with_places[:HOT_EACH]):
            self.board.put(self.board.own_hot_slot(self.number, index), text, owner, client)
            self.verify(text)

    def rotate(self, credential):
        text, owner, client = credential
        self.about_to_end([credential])
        called, answered, answer = self.ask("POST", f"/v1/keys/{text[5:16]}/rotation", {"overlap_seconds": 0})
        if self.expect(called, answered, answer, (201,), [(END, text[5:16], None)], text[5:16]):
            self.verify(text)
            # That it was answered like this shows that it lived.
            self.note(ALIVE, text[5:16], None, called, answered)
            made = answer.json
            self.adopt(made["key"], made["exp"], called, answered, owner, client)

    def revoke(self, text):
        self.about_to_end([(text, 0, 255)])
        path = "keys" if text[2] == "k" else "tokens"
        if random.random() < 0.5:
            result = self.ask("DELETE", f"/v1/{path}/{text[5:16]}")
        else:
            result = self.ask("POST", f"/v1/{path}/revocations", {"ids": [text[5:16]]})
        if self.expect(*result, (200,), [(END, text[5:16], None)], text[5:16]):
            self.verify(text)

    def end_all(self, credential):
        _, owner, client = credential
        by_client = client != 255 and random.random() < 0.7
        alike = [
            other for _ in range(3 * HOT_EACH) if (other := self.board.take(self.board.slot()))
            and (other[2] == client if by_client else other[1] == owner)]
        self.about_to_end([credential, *alike])
        subject = self.clients[client] if by_client else f"owner-{owner}"
        path = f"/v1/clients/{subject}/revocations" if by_client else f"/v1/owners/{subject}/revocations"
        if self.expect(*self.ask("POST", path), (200,), [(BULK, subject, None)]):
            for text, _, _ in [credential, *alike][:HOT_EACH]:
                self.verify(text)


def interrupt(service, board, kills):
    """Works, and kills or ends the daemon now and then, until enough was changed."""
    patience, seen = time.monotonic() + PATIENCE_SECONDS, 0
    while board.mutations < MUTATIONS and not board.is_over:
        time.sleep(random.uniform(0.2, PERIOD_MAX))
        if board.mutations == seen and time.monotonic() > patience:
            raise Unproven("nothing is changed any more")
        if board.mutations > seen:
            patience, seen = time.monotonic() + PATIENCE_SECONDS, board.mutations
        if service.process.poll() is not None:
            raise Unproven("the daemon ended by itself:\n" + service.last_words())
        polite = random.random() < 0.2
        service.process.send(signal.SIGTERM if polite else signal.SIGKILL)
        status = service.process.wait()
        if polite and status != 0:
            raise Unproven(f"the daemon ended with {status} after SIGTERM")
        kills.append(time.monotonic_ns())
        service.start()


def soon_after(history):
    """How many questions began within a millisecond after an acknowledged end of the same credential."""
    count = 0
    for operations in history.credentials.values():
        ends = [operation.answered for operation in operations if operation.kind == END and operation.answered is not None]
        if ends:
            end = min(ends)
            count += sum(operation.kind in (READ, ALIVE, DEAD) and 0 < operation.called - end < 1_000_000
                         for operation in operations)
    return count


def prove(service, workers):
    service.start()
    introspector = Introspector(service.made("client", "create", "--name", "auditor", "--may", "introspect"))
    clients = [
        service.made("client", "create", "--name", f"client-{number}", "--grant", "client_credentials")["client_id"]
        for number in range(CLIENTS)]
    board, kills = Board(), []
    kinds = [Mutator] * MUTATORS + [Verifier] * VERIFIERS
    for number, kind in enumerate(kinds):
        worker = kind(number, board, service, clients, introspector)
        path = service.folder / f"history-{number}"
        process = multiprocessing.get_context("fork").Process(target=worker.run, args=(path,), daemon=True)
        process.start()
        workers.append((process, path))
    try:
        interrupt(service, board, kills)
    finally:
        board.end()
        for process, _ in workers:
            process.join(2 * PATIENCE_SECONDS)
    operations = []
    for _, path in workers:
        if not path.exists():
            raise Unproven("a worker hangs")
        with open(path, "rb") as file:
            found, fault = pickle.load(file)
        if fault:
            raise Unproven(fault)
        operations += found
    operations = [Operation(*operation) for operation in operations]
    history = History(operations, kills)
    violations = history.check()
    counts = {kind: 0 for kind in (CREATE, EDIT, END, BULK)}
    unanswered = 0
    for operation in operations:
        if operation.kind in counts:
            counts[operation.kind] += operation.answered is not None
            unanswered += operation.answered is None
    questions = sum(operation.kind in (READ, ALIVE, DEAD) for operation in operations)
    soon = soon_after(history)
    if not soon or not all(counts.values()) or not kills:
        raise Unproven(f"not everything met: {counts}, {soon} questions just after an end, {len(kills)} kills")
    print(f"{unanswered} more were under way at a kill; {soon} questions began within a millisecond after an end")
    print("histories: " + ", ".join(f"{count} {kind}s" for kind, count in counts.items())
          + f" acknowledged, {questions} verdicts, {len(kills)} kills and restarts, {len(violations)} violations")
    check = service.command("store", "check")
    if check.returncode != 0:
        violations.append("store check: " + check.stdout + check.stderr)
    return violations


def main():
    self_test()
    workers = []
    with Service(PROGRAM) as service:
        service.data_socket = service.folder / "data.sock"
        service.flags += ["--listen", f"unix:{service.data_socket}"]
        try:
            violations = prove(service, workers)
        finally:
            for process, _ in workers:
                if process.is_alive():
                    process.kill()
    return as_expected("histories", violations, "the broken build" if EXPECTED == "violations" else "")


conclude("histories", main)
