"""The processes of histories.py: each changes or verifies shared credentials, and records its calls and answers."""

import mmap
import pickle
import random
import signal
import time
import traceback
import zlib

from harness.connection import Connection
from harness.service import INACTIVE
from histories_check import ALIVE, BULK, CREATE, DEAD, EDIT, END, READ

MUTATORS, VERIFIERS, OWNERS, CLIENTS = 5, 3, 12, 4
SLOTS, HOT_EACH, SLOT_BYTES, BATCH = 256, 4, 80, 8
DAY = 86_400


class SharedMemory:
    """Memory that the processes share: active credentials, those that are about to be ended, and counters."""

    def __init__(self):
        self.hot = SLOTS * SLOT_BYTES
        self.counters = self.hot + MUTATORS * HOT_EACH * SLOT_BYTES
        self.memory = mmap.mmap(-1, self.counters + 4096)

    def put(self, place, text, owner, client):
        row = text.encode() + bytes([owner, client])
        self.memory[place:place + len(row) + 4] = row + zlib.crc32(row).to_bytes(4, "little")

    def take(self, place):
        """None if the slot is empty or is being written."""
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
    """The connection broke: the request may or may not have been carried out."""


class Worker:
    """One process. It records its calls and their answers, and writes them to a file at its end."""

    def __init__(self, number, shared, service, clients, introspector):
        self.number, self.shared, self.service, self.clients = number, shared, service, clients
        self.introspector = introspector
        self.operations = []
        self.verifying = self.controlling = None

    def run(self, path):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed()
        fault = None
        try:
            while not self.shared.is_over:
                try:
                    self.connect()
                    while not self.shared.is_over:
                        self.work()
                except (Broken, OSError):
                    self.disconnect()
                    time.sleep(0.003)
        except Exception:
            fault = traceback.format_exc()
            self.shared.end()
        with open(path, "wb") as file:
            pickle.dump((self.operations, fault), file)

    def connect(self):
        # Every other process uses the Unix socket.
        self.verifying = Connection(self.service.data_socket if self.number % 2 else self.service.port)
        self.controlling = Connection(self.service.control)

    def disconnect(self):
        for connection in (self.verifying, self.controlling):
            if connection:
                connection.close()
        self.verifying = self.controlling = None

    def note(self, kind, subject, value, called, answered, group=()):
        self.operations.append((kind, subject, value, called, answered, group))

    # Requests

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
                raise RuntimeError("introspection answered about another credential")
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
            found = {self.shared.take(self.place()) for _ in range(BATCH)} - {None}
            if found:
                self.verify_batch([text for text, _, _ in found])
        elif credential := self.shared.take(self.place()):
            self.verify(credential[0])
        else:
            time.sleep(0.0005)

    def place(self):
        return self.shared.hot_slot() if random.random() < 0.75 else self.shared.slot()


class Mutator(Worker):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        # In the distant future, and different from those of the other processes.
        self.expiry = int(time.time()) + 30 * DAY + self.number

    def work(self):
        place = self.shared.slot()
        credential = self.shared.take(place)
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
            self.shared.clear(place)
        else:
            self.revoke(credential[0])
            self.shared.clear(place)
        self.shared.count(self.number)

    def ask(self, method, target, body=None):
        """A change counts as acknowledged once the whole answer has arrived."""
        called = time.monotonic_ns()
        try:
            answer = self.controlling.ask_json(method, target, body)
        except OSError as error:
            return called, None, error
        answered = time.monotonic_ns()
        # A daemon that is stopping answers with 503; queued changes may or may not be carried out.
        return called, None if answer.status == 503 else answered, answer

    def expect(self, called, answered, answer, statuses, notes, subject=None):
        """Records that the change was carried out, that its result is unknown, or that the credential is dead."""
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
        self.shared.put(self.shared.slot(), text, owner, client)
        self.verify(text)

    def edit(self, text):
        self.expiry += MUTATORS
        self.verify(text)
        called, answered, answer = self.ask("PATCH", f"/v1/keys/{text[5:16]}", {"exp": self.expiry})
        if self.expect(called, answered, answer, (200,), [(EDIT, text[5:16], self.expiry)], text[5:16]):
            self.verify(text)

    def about_to_end(self, texts_with_places):
        for index, (text, owner, client) in enumerate(texts_with_places[:HOT_EACH]):
            self.shared.put(self.shared.own_hot_slot(self.number, index), text, owner, client)
            self.verify(text)

    def rotate(self, credential):
        text, owner, client = credential
        self.about_to_end([credential])
        called, answered, answer = self.ask("POST", f"/v1/keys/{text[5:16]}/rotation", {"overlap_seconds": 0})
        if self.expect(called, answered, answer, (201,), [(END, text[5:16], None)], text[5:16]):
            self.verify(text)
            # This answer shows that the credential was active.
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
            other for _ in range(3 * HOT_EACH) if (other := self.shared.take(self.shared.slot()))
            and (other[2] == client if by_client else other[1] == owner)]
        self.about_to_end([credential, *alike])
        subject = self.clients[client] if by_client else f"owner-{owner}"
        path = f"/v1/clients/{subject}/revocations" if by_client else f"/v1/owners/{subject}/revocations"
        if self.expect(*self.ask("POST", path), (200,), [(BULK, subject, None)]):
            for text, _, _ in [credential, *alike][:HOT_EACH]:
                self.verify(text)
