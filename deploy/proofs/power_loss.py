"""Creates disk images as a loss of power may leave them, starts the service on each, and compares its answers with what was
acknowledged. See power-loss and power_loss_disk.py.

    power_loss.py PROGRAM SHIM IMAGES sound|losses

Exits with 0 if the result is the expected one, with 1 if it is another one, and with 2 if nothing was proven.

`losses` is for a service whose syncs do nothing once it is ready. Its writes may then be missing from some point on, but are
complete and in order before it. So each image is an intact store of an earlier moment, in which acknowledged changes are
missing. The expected result is a missing creation, a missing end and a missing edit, and no other problem.

The clock of the history (see histories_check.py) is the size of the record of writes: what was acknowledged at some size must
be on the disk if power is lost at a greater size.
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
        # Not a failure: the owner has no credentials yet, or the credential has ended.
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
    """Runs the daemon with the shim. Returns the record, the time at which it became ready, all credentials, and all operations."""
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
    """One possible state of the disk at one moment, and the check of the service on it."""

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
                return [f"{self}: the service did not start: {service.log_tail(3)}"]
            # Nothing was acknowledged yet. An incomplete store may be refused, but not without a message.
            return [] if service.process.poll() in (1, 2, 3) and service.log_tail(1) else [
                f"{self}: the service ended with {service.process.poll()}: {service.log_tail(3)}"]

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
                found.append(f"{self}: the store does not accept writes: {made.body[:300]!r}")
        return found

    def cut(self, operation):
        """The operation at the loss of power; None if it had not been called by then."""
        if operation.called >= self.position or (operation.kind == CREATE and operation.answered > self.position):
            return None
        answered = operation.answered if operation.answered <= self.position else None
        return Operation(operation.kind, operation.subject, operation.value, operation.called, answered, operation.group)

    @staticmethod
    def introspect(connection, texts):
        """Pipelines requests in bursts that fit the socket buffers."""
        fields = f"Host: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 72\r\n"
        for start in range(0, len(texts), 64):
            burst = texts[start:start + 64]
            connection.socket.sendall("".join(
                f"POST /oauth2/introspect HTTP/1.1\r\n{fields}\r\ntoken={text}" for text in burst).encode())
            for _ in burst:
                yield connection.answer()


def missing_changes(problems):
    """The kinds of acknowledged changes that are missing, each with one problem as an example."""
    return {loss: next(problem for problem in problems if loss in problem)
            for loss in LOSSES if any(loss in problem for problem in problems)}


def other_problems(problems):
    """The problems that are not missing changes."""
    return [problem for problem in problems if not any(loss in problem for loss in LOSSES)]


def is_settled(problems):
    """Whether the result is certain, so that no more images are needed."""
    if EXPECTED == "losses":
        return bool(other_problems(problems)) or len(missing_changes(problems)) == len(LOSSES)
    return bool(problems)


def prove(folder):
    """Returns the problems, after the wanted number of images or once the result is certain."""
    made, moments, problems = 0, 0, []
    while made < IMAGES:
        record, ready, texts, operations = record_work(folder)
        count = min(IMAGES - made, IMAGES_A_RECORD)
        # Half of them while writes are not synced yet. Some during the creation of the store, except for the mutant, which syncs
        # until it is ready.
        unsynced = record.unsynced(ready) or [record.index(ready)]
        first = record.index(ready)
        indexes = sorted(
            random.choice(unsynced) if choice < 0.5 else
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
    """Prints the result. Returns whether it is the expected one."""
    if EXPECTED == "sound":
        for line in problems[:20]:
            print(line, file=sys.stderr)
        if not problems:
            print("power-loss: no change was lost, and every store is intact")
        return not problems
    missed, other = missing_changes(problems), other_problems(problems)
    for line in [*missed.values(), *other[:20]]:
        print(line, file=sys.stderr)
    if len(missed) == len(LOSSES) and not other:
        print("power-loss: a daemon whose syncs do nothing was caught: an acknowledged creation, end and edit are missing")
        return True
    print("power-loss: a daemon whose syncs do nothing was not caught by its lost changes: "
          + "; ".join([*(f"no credential '{loss}'" for loss in LOSSES if loss not in missed),
                       *(["there are other problems"] if other else [])]))
    return False


def main():
    self_test()
    # In memory if possible, since it is faster: the images need not be durable.
    folder = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        return judge(prove(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


conclude("power-loss", main)
