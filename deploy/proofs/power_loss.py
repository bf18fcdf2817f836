"""Makes the images that a loss of power might leave of a working store, starts the service on each, and compares what it says
with what was acknowledged. See power-loss and power_loss_disk.py.

    power_loss.py PROGRAM SHIM IMAGES sound|losses

Exits with 0 when the outcome is the expected one, with 1 when it is another, and with 2 when nothing was proven.

`losses` is for a service whose syncs do nothing once it is ready. What it writes then may be missing from the disk from some
write on, but is there in order before that. So each image is a sound store of an earlier moment, and all that is wrong with it
is that acknowledged changes are missing. That is the expected outcome: a creation, an end and an edit were missed, and nothing
else was found.

The clock of the history (see histories_check.py) is the size of the record: what was acknowledged when the record had a size is
on the disk whenever power is lost behind it.
"""

import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

from harness.checks import Unproven, conclude
from harness.connection import Connection
from harness.service import FORM, INACTIVE, Service
from histories_check import (
    BULK, CREATE, CREATION_LOST, DEAD, EDIT, EDIT_UNDONE, END, END_UNDONE, READ, History, Operation, self_test)
from power_loss_disk import MODES, Disk, Record

PROGRAM, SHIM, IMAGES, EXPECTED = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
CALLERS, MUTATIONS, OWNERS, IMAGES_A_RECORD, WORKERS = 6, 500, 5, 1000, 2
LOSSES = (CREATION_LOST, END_UNDONE, EDIT_UNDONE)
SMALL = {"COUNTERSIGN_CACHE_BYTES": str(8 << 20)}


class Caller:
    """Changes credentials that all callers share, and notes the size of the record at each call and answer."""

    def __init__(self, service, size, shared, expiry):
        self.service, self.size, self.shared, self.expiry = service, size, shared, expiry
        self.operations = []

    def run(self):
        with Connection(self.service.control) as self.connection:
            for _ in range(MUTATIONS // CALLERS):
                self.change()

    def ask(self, method, target, body, *note):
        called = self.size()
        answer = self.connection.ask_json(method, target, body)
        answered = self.size()
        # An owner to whom nothing was issued yet: nothing ends.
        if b":revoked-or-expired" in answer.body or b":unknown-owner" in answer.body:
            return None
        if not 200 <= answer.status < 300:
            raise Unproven(f"{method} {target} was answered with {answer.status}: {answer.body[:200]!r}")
        if note:
            self.operations.append(Operation(*note, called, answered))
        return called, answered, answer.json

    def change(self):
        choice = random.random()
        text = random.choice(self.shared) if self.shared else None
        if choice < 0.4 or text is None:
            owner = f"owner-{random.randrange(OWNERS)}"
            self.adopt(owner, *self.ask("POST", "/v1/keys", {"owner": owner, "scope": "a:b", "expires_in": 900_000}))
        elif choice < 0.65:
            self.expiry += CALLERS
            self.ask("PATCH", f"/v1/keys/{text[5:16]}", {"exp": self.expiry}, EDIT, text[5:16], self.expiry)
        elif choice < 0.72:
            rotated = self.ask("POST", f"/v1/keys/{text[5:16]}/rotation", {"overlap_seconds": 0}, END, text[5:16], None)
            if rotated:
                self.adopt(rotated[2]["owner"], *rotated)
        elif choice < 0.99:
            self.ask("DELETE", f"/v1/keys/{text[5:16]}", None, END, text[5:16], None)
        else:
            owner = f"owner-{random.randrange(OWNERS)}"
            self.ask("POST", f"/v1/owners/{owner}/revocations", None, BULK, owner, None)

    def adopt(self, owner, called, answered, made):
        made = made.get("items", [made])[0]
        self.operations.append(Operation(CREATE, made["id"], made["exp"], called, answered, (owner,)))
        self.shared.append(made["key"])


def record_work(folder):
    """Lets the daemon work under the shim. Returns the record, when it became ready, all texts, and all operations."""
    log = folder / "record"
    log.touch()
    no_sync = folder / "no-sync"
    place = folder / "work"
    place.mkdir()
    service = Service(PROGRAM, folder=place, environment={
        **SMALL, "LD_PRELOAD": SHIM, "POWER_LOSS_FOLDER": str(place), "POWER_LOSS_LOG": str(log),
        "POWER_LOSS_NO_SYNC": str(no_sync)})
    descriptor = os.open(log, os.O_RDONLY)
    try:
        service.start()
        ready = os.fstat(descriptor).st_size
        if EXPECTED == "losses":
            no_sync.touch()
        shared = []
        expiry = int(time.time()) + 30 * 86_400
        callers = [
            Caller(service, lambda: os.fstat(descriptor).st_size, shared, expiry + number) for number in range(CALLERS)]
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            for done in [pool.submit(caller.run) for caller in callers]:
                done.result()
    finally:
        service.end(signal.SIGKILL)
        os.close(descriptor)
    record = Record(log, place)
    shutil.rmtree(place)
    log.unlink()
    no_sync.unlink(missing_ok=True)
    return record, ready, shared, [operation for caller in callers for operation in caller.operations]


class Image:
    """One state of the disk at one moment, and what the service makes of it."""

    def __init__(self, folder, position, mode, is_ready):
        self.folder, self.position, self.mode, self.is_ready = folder, position, mode, is_ready
        self.socket = folder / "data.sock"

    def __str__(self):
        return f"power lost at {self.position}, '{self.mode}'"

    def problems(self, texts, operations):
        flags = ["--listen", f"unix:{self.socket}?may=introspect", "--threads", "1"]
        with Service(PROGRAM, *flags, folder=self.folder, environment=SMALL, listens=()) as service:
            service.readiness = self.socket
            service.launch()
            if service.becomes_ready():
                return self.compare(service, texts, operations)
            if service.process.poll() is None:
                raise Unproven(f"{self}: the service neither starts nor ends")
            if self.is_ready:
                return [f"{self}: the service did not start: {service.last_words(3)}"]
            # Nothing was promised yet. A store that was begun may be refused, but not without a word.
            return [] if service.process.poll() in (1, 2, 3) and service.last_words(1) else [
                f"{self}: the service ended with {service.process.poll()}: {service.last_words(3)}"]

    def compare(self, service, texts, operations):
        history = [cut for operation in operations if (cut := self.cut(operation))]
        known = {operation.subject for operation in history if operation.kind == CREATE}
        texts = [text for text in texts if text[5:16] in known]
        history = [operation for operation in history if operation.kind == BULK or operation.subject in known]
        with Connection(self.socket) as connection:
            for text, answer in zip(texts, self.introspect(connection, texts), strict=True):
                if answer.status != 200:
                    return [f"{self}: introspection was answered with {answer.status}"]
                kind, value = (DEAD, None) if answer.body == INACTIVE else (READ, answer.json["exp"])
                history.append(Operation(kind, text[5:16], value, self.position + 1, self.position + 2))
        found = [f"{self}: {violation}" for violation in History(history, [self.position]).check()]
        with Connection(service.control) as connection:
            check = connection.ask("GET", "/v1/store/check")
            if check.status != 200 or check.json["problems"]:
                found.append(f"{self}: store check: {check.body[:300]!r}")
            made = connection.ask_json("POST", "/v1/keys", {"owner": "after", "scope": "a:b"})
            if made.status != 201:
                found.append(f"{self}: the store takes no more writes: {made.body[:300]!r}")
        return found

    def cut(self, operation):
        """The operation as it was when power was lost; None when it had not been called."""
        if operation.called >= self.position or (operation.kind == CREATE and operation.answered > self.position):
            return None
        answered = operation.answered if operation.answered <= self.position else None
        return Operation(operation.kind, operation.subject, operation.value, operation.called, answered, operation.group)

    @staticmethod
    def introspect(connection, texts):
        """In bursts that fit the buffers of a socket."""
        fields = f"Host: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 72\r\n"
        for start in range(0, len(texts), 64):
            burst = texts[start:start + 64]
            connection.socket.sendall("".join(
                f"POST /oauth2/introspect HTTP/1.1\r\n{fields}\r\ntoken={text}" for text in burst).encode())
            for _ in burst:
                yield connection.answer()


def losses(problems):
    """Which acknowledged changes are missed, by kind, each with one problem that says so."""
    return {loss: next(problem for problem in problems if loss in problem)
            for loss in LOSSES if any(loss in problem for problem in problems)}


def others(problems):
    """What is wrong beside that."""
    return [problem for problem in problems if not any(loss in problem for loss in LOSSES)]


def is_settled(problems):
    """Whether no further image can change the outcome, or need not."""
    if EXPECTED == "losses":
        return bool(others(problems)) or len(losses(problems)) == len(LOSSES)
    return bool(problems)


def prove(folder):
    """Returns the problems, after as many images as are wanted or when the outcome is settled."""
    made, moments, problems = 0, 0, []
    while made < IMAGES:
        record, ready, texts, operations = record_work(folder)
        count = min(IMAGES - made, IMAGES_A_RECORD)
        # Half of them where writes wait for their sync. Some of a store that is just being made, but not of the mutant: it syncs
        # until it is ready.
        tempting = record.tempting(ready) or [record.index(ready)]
        first = record.index(ready)
        indexes = sorted(
            random.choice(tempting) if choice < 0.5 else
            random.randrange(first, len(record.events) + 1) if choice < 0.95 or EXPECTED == "losses" else random.randrange(first)
            for choice in (random.random() for _ in range(count)))
        moments += len(set(indexes))
        disk, lock = Disk(record), threading.Lock()
        rest = iter(indexes)

        def work():
            while not is_settled(problems):
                with lock:
                    index = next(rest, None)
                    if index is None:
                        return
                    disk.advance(index)
                    mode = random.choice(MODES if EXPECTED == "sound" else ("none", "prefix"))
                    place = pathlib.Path(tempfile.mkdtemp(dir=folder))
                    disk.image(place, mode)
                position = record.positions[index - 1] if index else 0
                problems.extend(Image(place, position, mode, position >= ready).problems(texts, operations))

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(work) for _ in range(WORKERS)]:
                done.result()
        made += count
        if is_settled(problems):
            break
    else:
        print(f"power-loss: {made} images of {moments} moments, {len(texts)} credentials and {len(operations)} acknowledged "
              "mutations in the last record")
    return problems


def judge(problems):
    """Says what was found. Returns whether it is what was expected."""
    if EXPECTED == "sound":
        for line in problems[:20]:
            print(line, file=sys.stderr)
        if not problems:
            print("power-loss: nothing lost, nothing undone, every store sound")
        return not problems
    missed, beside = losses(problems), others(problems)
    for line in [*missed.values(), *beside[:20]]:
        print(line, file=sys.stderr)
    if len(missed) == len(LOSSES) and not beside:
        print("power-loss: a daemon whose syncs do nothing was caught: an acknowledged creation, end and edit are missing")
        return True
    print("power-loss: a daemon whose syncs do nothing was not caught by what it loses: "
          + "; ".join([*(f"no credential '{loss}'" for loss in LOSSES if loss not in missed),
                       *(["something else is wrong"] if beside else [])]))
    return False


def main():
    self_test()
    # In memory where there is some: the images need no disk, for they are never lost.
    folder = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        return judge(prove(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


conclude("power-loss", main)
