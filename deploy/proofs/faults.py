"""Makes system calls of the service fail one by one. The service must never accept a revoked or unknown credential, and must
report the failure with a message, an exit status or 503, without hanging. See faults and faults-inject.c.

    faults.py PROGRAM SHIM ROUNDS
"""

import errno
import itertools
import mmap
import os
import random
import signal
import struct
import sys
import time

from harness.checks import Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import TIMEOUT_SECONDS
from harness.service import INACTIVE, Introspector, Service, unknown_credential
from histories_check import CREATE, DEAD, EDIT, END, READ, History, Operation, self_test

PROGRAM, SHIM, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
KINDS = ["pwrite", "write", "sync", "open", "mmap", "accept", "epoll_wait", "epoll_ctl", "read", "truncate", "name"]
SHORT = 0
# Errors that the kernel returns for each of them.
ERRORS = {
    "pwrite": [errno.EIO, errno.ENOSPC, SHORT], "write": [errno.EPIPE, errno.ENOBUFS, errno.EIO, SHORT],
    "sync": [errno.EIO, errno.ENOSPC], "open": [errno.EMFILE, errno.ENFILE, errno.EIO],
    "mmap": [errno.ENOMEM], "accept": [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ECONNABORTED, errno.EINTR],
    "epoll_wait": [errno.EINTR], "epoll_ctl": [errno.ENOMEM, errno.ENOSPC], "read": [errno.ECONNRESET, errno.EINTR, SHORT],
    "truncate": [errno.EIO, errno.ENOSPC], "name": [errno.EIO, errno.ENOSPC],
}
# SwiftNIO traps if an event loop cannot be created. That happens before the service is ready.
ONLY_WHILE_RUNNING = {"epoll_ctl"}
STATUSES = (0, 1, 2, 3)
ANSWER_SECONDS_MAX = 15


class Faults:
    """The rows of faults-inject.c, one per kind of call."""

    ROW = 40

    def __init__(self, folder):
        self.path = folder / "faults"
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)

    def arm(self, kind, error, place, times):
        start = KINDS.index(kind) * self.ROW
        # The number of times last, since it activates the row.
        struct.pack_into("<q", self.memory, start, place)
        struct.pack_into("<q", self.memory, start + 24, 0)
        struct.pack_into("<q", self.memory, start + 32, error)
        struct.pack_into("<q", self.memory, start + 8, times)

    def disarm(self):
        """Returns how many calls have failed since the rows were armed."""
        fired = 0
        for index in range(len(KINDS)):
            struct.pack_into("<q", self.memory, index * self.ROW + 8, 0)
            fired += struct.unpack_from("<q", self.memory, index * self.ROW + 24)[0]
            struct.pack_into("<q", self.memory, index * self.ROW + 24, 0)
        return fired


class Fixture:
    """A service with the shim, the history of its credentials, and the problems found so far."""

    def __init__(self, service):
        self.service = service
        self.faults = Faults(self.service.folder)
        self.service.environment = {
            "COUNTERSIGN_CACHE_BYTES": str(8 << 20), "LD_PRELOAD": SHIM, "FAULTS_CONTROL": str(self.faults.path)}
        self.operations, self.ends, self.problems, self.texts = [], [], [], []
        self.name, self.refused, self.exits = "", 0, 0
        # Whether the message about the exit may be missing, because the call that writes it fails.
        self.may_end_silently = False
        self.expiry = int(time.time()) + 30 * 86_400
        self.service.start()
        self.introspector = Introspector(self.service.json_result("client", "create", "--name", "auditor", "--may", "introspect"))
        # Verified with every fault: a valid key, a revoked one, and an unknown one.
        self.unknown = unknown_credential()
        with Connection(self.service.control) as control:
            self.living, self.revoked = self.create(control), self.create(control)
            self.change(control, "DELETE", f"/v1/keys/{self.revoked[5:16]}", None, END, self.revoked[5:16])

    def problem(self, text):
        self.problems.append(f"{self.name}: {text}")

    # Requests. A broken connection is an acceptable result; one without an answer is not.

    def ask(self, place, *request):
        called = time.monotonic_ns()
        try:
            with Connection(place, ANSWER_SECONDS_MAX) as connection:
                answer = connection.ask(*request)
        except TimeoutError:
            if self.service.process.poll() is None:
                self.problem(f"{request[0]} {request[1]} was not answered within {ANSWER_SECONDS_MAX} s")
            return called, time.monotonic_ns(), None
        except OSError:
            return called, time.monotonic_ns(), None
        return called, time.monotonic_ns(), answer

    def verify(self, place, text):
        called, answered, answer = self.ask(
            place, "POST", "/oauth2/introspect", b"token=" + text.encode(), self.introspector.fields)
        if answer is None or answer.status == 503:
            self.refused += 1
        elif answer.status != 200:
            self.problem(f"introspection was answered with {answer.status}: {answer.body[:200]!r}")
        elif text == self.unknown:
            if answer.body != INACTIVE:
                self.problem("an unknown key is active")
        elif answer.body == INACTIVE:
            self.operations.append(Operation(DEAD, text[5:16], None, called, answered))
        else:
            self.operations.append(Operation(READ, text[5:16], answer.json["exp"], called, answered))

    def change(self, connection, method, target, body, kind, subject, value=None):
        """Uses a connection, or opens one to an address. Returns the answer if the change was carried out."""
        called = time.monotonic_ns()
        answer = None
        try:
            if isinstance(connection, Connection):
                answer = connection.ask_json(method, target, body)
            else:
                with Connection(connection, ANSWER_SECONDS_MAX) as own:
                    answer = own.ask_json(method, target, body)
        except TimeoutError:
            if self.service.process.poll() is None:
                self.problem(f"{method} {target} was not answered within {ANSWER_SECONDS_MAX} s")
        except OSError:
            pass
        answered = time.monotonic_ns()
        if answer is not None and 200 <= answer.status < 300:
            if kind != CREATE:
                self.operations.append(Operation(kind, subject, value, called, answered))
            return called, answered, answer.json
        if answer is not None and answer.status not in (503, 507, 409, 404):
            self.problem(f"{method} {target} was answered with {answer.status}: {answer.body[:200]!r}")
        if kind != CREATE and (answer is None or answer.status == 503):
            self.operations.append(Operation(kind, subject, value, called, None))
        return None

    def create(self, connection):
        made = self.change(connection, "POST", "/v1/keys", {"owner": "o", "scope": "a:b", "expires_in": 900_000}, CREATE, "")
        if not made:
            return None
        called, answered, key = made[0], made[1], made[2]["items"][0]
        self.operations.append(Operation(CREATE, key["id"], key["exp"], called, answered, ("o",)))
        self.texts.append(key["key"])
        return key["key"]

    def exercise(self):
        """One request of each kind, on new connections."""
        control = self.service.control
        for text in (self.living, self.revoked, self.unknown):
            self.verify(self.service.port, text)
        made = self.create(control)
        self.expiry += 1
        self.change(control, "PATCH", f"/v1/keys/{self.living[5:16]}", {"exp": self.expiry}, EDIT, self.living[5:16], self.expiry)
        self.verify(self.service.port, self.living)
        if made:
            self.verify(self.service.port, made)
            self.change(control, "DELETE", f"/v1/keys/{made[5:16]}", None, END, made[5:16])
            self.verify(self.service.port, made)
        self.ask(self.service.port, "GET", "/readyz")
        self.ask(self.service.oauth_port, "GET", "/.well-known/oauth-authorization-server")

    # Results

    def ended(self):
        """Whether the process has ended. It must have an expected status and a message."""
        try:
            # After a failed commit, the process ends shortly after its answer.
            status = self.service.process.wait(0.02)
        except Unproven:
            return False
        self.check_exit(status)
        return True

    def check_exit(self, status):
        self.exits += 1
        self.ends.append(time.monotonic_ns())
        if status not in STATUSES:
            self.problem(f"ended with {status}: {self.service.log_tail(5)}")
        elif not self.may_end_silently and not self.service.log.read_bytes().strip():
            self.problem(f"ended with {status} without a message")

    def recover(self):
        """Without faults the service must work, possibly after a restart."""
        if self.service.process.poll() is not None:
            self.service.log.write_bytes(b"")
            self.service.start()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            refused, before = self.refused, len(self.problems)
            self.exercise()
            if self.refused == refused and len(self.problems) == before:
                return
            if self.service.process.poll() is not None:
                # It only noticed the failure now.
                self.check_exit(self.service.process.poll())
                self.service.log.write_bytes(b"")
                self.service.start()
            elif time.monotonic() > deadline:
                self.problem(f"does not recover without faults: {self.service.log_tail(5)}")
                self.service.end(signal.SIGKILL)
                self.ends.append(time.monotonic_ns())
                self.service.start()
                return
            time.sleep(0.1)

    def while_running(self, kind, error, place, times):
        self.name = f"call {place} of {kind} while the service runs, {times} times, {describe(error)}"
        self.may_end_silently = kind == "write" and times > 1
        self.faults.arm(kind, error, place, times)
        self.exercise()
        ended = self.ended()
        fired = self.faults.disarm()
        if fired or ended:
            self.recover()
        return fired

    def while_starting(self, kind, error, place, times):
        self.name = f"call {place} of {kind} while the service starts, {times} times, {describe(error)}"
        self.may_end_silently = kind == "write" and times > 1
        self.service.end(signal.SIGKILL)
        self.ends.append(time.monotonic_ns())
        self.service.log.write_bytes(b"")
        self.faults.arm(kind, error, place, times)
        self.service.launch()
        ready = self.service.becomes_ready()
        if ready:
            self.exercise()
        elif self.service.process.poll() is None:
            self.problem(f"neither starts nor ends: {self.service.log_tail(5)}")
        if self.service.process.poll() is not None:
            self.check_exit(self.service.process.poll())
        fired = self.faults.disarm()
        if not ready and self.service.process.poll() is None:
            self.service.end(signal.SIGKILL)
            self.ends.append(time.monotonic_ns())
        self.recover()
        return fired


def describe(error):
    return "a partial result" if error == SHORT else errno.errorcode[error]


def plan(rounds):
    """`rounds` faults: each kind with each of its errors at the first calls, then random ones."""
    first = [(when, kind, error, place, 1) for place in (1, 2) for when in ("running", "starting")
             for kind in KINDS for error in ERRORS[kind] if is_possible(when, kind)]
    random.shuffle(first)
    yield from itertools.islice(first, rounds)
    for _ in range(rounds - len(first)):
        kind = random.choice(KINDS)
        when = random.choice(("running", "running", "starting")) if is_possible("starting", kind) else "running"
        yield when, kind, random.choice(ERRORS[kind]), int(random.expovariate(0.1)) + 1, random.choice((1, 1, 2, 5, 50))


def is_possible(when, kind):
    return when == "running" or kind not in ONLY_WHILE_RUNNING


def prove(fixture):
    fired = {kind: 0 for kind in KINDS}
    for when, kind, error, place, times in plan(ROUNDS):
        act = fixture.while_running if when == "running" else fixture.while_starting
        fired[kind] += act(kind, error, place, times)
    fixture.name = "at the end"
    for text in fixture.texts:
        fixture.verify(fixture.service.port, text)
    fixture.problems += History(fixture.operations, fixture.ends).check()
    check = fixture.service.command("store", "check")
    if check.returncode != 0:
        fixture.problem(f"store check: {check.stdout}{check.stderr}")
    if not fixture.problems and ROUNDS >= 100 and (silent := [kind for kind in KINDS if not fired[kind]]):
        raise Unproven(f"never failed: {silent}")
    print("faults: " + ", ".join(f"{kind} {count}" for kind, count in fired.items()))
    print(f"faults: {sum(fired.values())} failed calls, {fixture.exits} exits of the process, {fixture.refused} requests refused, "
          f"{len(fixture.problems)} problems")
    return fixture.problems


def main():
    self_test()
    random.seed(int(os.environ.get("FAULTS_SEED", time.time_ns())))
    fixture = None
    with Service(PROGRAM, "--threads", "1") as service:
        try:
            fixture = Fixture(service)
            problems = prove(fixture)
        except Unproven as reason:
            raise Unproven("\n".join([f"{fixture and fixture.name}: {reason}", *(fixture.problems if fixture else [])])) from None
    return as_expected("faults", problems)


conclude("faults", main)
