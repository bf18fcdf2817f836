"""Concurrent processes change and verify the same credentials while the daemon is killed and restarted. One clock times every call
and answer, and a checker looks for an order that explains all results. See histories_check.py.

    histories.py PROGRAM MUTATIONS sound|violations

Exits with 0 if the result is the expected one, with 1 if it is the other one, and with 2 if nothing was proven.
"""

import multiprocessing
import pickle
import random
import signal
import sys
import time

from harness.checks import Unproven, as_expected, conclude
from harness.processes import TIMEOUT_SECONDS
from harness.service import Introspector, Service
from histories_check import ALIVE, BULK, CREATE, DEAD, EDIT, END, READ, History, Operation, self_test
from histories_workers import CLIENTS, MUTATORS, VERIFIERS, Mutator, SharedMemory, Verifier

PROGRAM, MUTATIONS, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
PERIOD_MAX = 1.2  # Seconds between two kills.


def interrupt(service, shared, kills):
    """Kills or ends the daemon now and then, until enough changes were made."""
    deadline, seen = time.monotonic() + TIMEOUT_SECONDS, 0
    while shared.mutations < MUTATIONS and not shared.is_over:
        time.sleep(random.uniform(0.2, PERIOD_MAX))
        if shared.mutations == seen and time.monotonic() > deadline:
            raise Unproven("there are no more changes")
        if shared.mutations > seen:
            deadline, seen = time.monotonic() + TIMEOUT_SECONDS, shared.mutations
        if service.process.poll() is not None:
            raise Unproven("the daemon ended unexpectedly:\n" + service.log_tail())
        is_orderly = random.random() < 0.2
        service.process.send(signal.SIGTERM if is_orderly else signal.SIGKILL)
        status = service.process.wait()
        if is_orderly and status != 0:
            raise Unproven(f"the daemon ended with {status} after SIGTERM")
        kills.append(time.monotonic_ns())
        service.start()


def soon_after(history):
    """The number of verifications that began within a millisecond after an acknowledged end of their credential."""
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
    introspector = Introspector(service.json_result("client", "create", "--name", "auditor", "--may", "introspect"))
    clients = [
        service.json_result("client", "create", "--name", f"client-{number}", "--grant", "client_credentials")["client_id"]
        for number in range(CLIENTS)]
    shared, kills = SharedMemory(), []
    kinds = [Mutator] * MUTATORS + [Verifier] * VERIFIERS
    for number, kind in enumerate(kinds):
        worker = kind(number, shared, service, clients, introspector)
        path = service.folder / f"history-{number}"
        process = multiprocessing.get_context("fork").Process(target=worker.run, args=(path,), daemon=True)
        process.start()
        workers.append((process, path))
    try:
        interrupt(service, shared, kills)
    finally:
        shared.end()
        for process, _ in workers:
            process.join(2 * TIMEOUT_SECONDS)
    operations = []
    for _, path in workers:
        if not path.exists():
            raise Unproven("a worker does not end")
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
    verifications = sum(operation.kind in (READ, ALIVE, DEAD) for operation in operations)
    soon = soon_after(history)
    if not soon or not all(counts.values()) or not kills:
        raise Unproven(f"too little overlap: {counts}, {soon} verifications just after an end, {len(kills)} kills")
    print(f"{unanswered} more were interrupted by a kill; {soon} verifications began within a millisecond after an end")
    print("histories: " + ", ".join(f"{count} {kind}s" for kind, count in counts.items())
          + f" acknowledged, {verifications} verdicts, {len(kills)} kills and restarts, {len(violations)} violations")
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
