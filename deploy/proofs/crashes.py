"""Kills the daemon during writes, restarts it, and compares its answers with what it acknowledged. Then the log of the store
is replayed to a backup from the beginning, which must give the same store.

    crashes.py PROGRAM CYCLES sound|losses

Exits with 0 if the result is the expected one, with 1 if it is the other one, and with 2 if nothing was proven.
"""

import concurrent.futures
import json
import os
import random
import signal
import sys
import time

from crash_families import FamilyWriter
from crash_writers import DEAD, Writer
from harness.checks import Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import TIMEOUT_SECONDS, run
from harness.service import INACTIVE, Introspector, Service, environment_without_settings

PROGRAM, CYCLES, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
WRITERS, FAMILY_WRITERS, SAMPLE, CONNECTIONS = 6, 3, 300, 4
READY_SECONDS_MAX = 2.0
LOG = "COUNTERSIGN_STORE_LOG"


class Auditor:
    """Introspects keys on the data plane."""

    def __init__(self, port, client):
        self.port, self.introspector = port, Introspector(client)

    def losses(self, keys):
        """The contradictions to what was acknowledged. The state that is found is the only correct one from then on."""
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            return sum(pool.map(self.compare, [keys[start::CONNECTIONS] for start in range(CONNECTIONS)]), [])

    def compare(self, keys):
        losses = []
        with Connection(self.port) as connection:
            for key in keys:
                answer = self.introspector.ask(connection, key.secret)
                if answer.status != 200:
                    raise Unproven(f"introspection was answered with {answer.status}")
                seen = self.outcome(key, answer)
                if seen not in key.outcomes:
                    right = " or ".join(sorted(map(self.describe, key.outcomes)))
                    losses.append(f"{key.id}: must be {right}, is {self.describe(seen)}")
                key.outcomes = {seen}
        return losses

    @staticmethod
    def outcome(key, answer):
        if answer.body == INACTIVE:
            return DEAD
        members = answer.json
        if (members["active"], members["jti"], members["sub"]) != (True, key.id, key.owner):
            raise Unproven(f"introspection of {key.id} answered about another key")
        return members["scope"]

    @staticmethod
    def describe(outcome):
        return "inactive" if outcome is DEAD else f"active with scope '{outcome}'"


def kill_in_the_middle(service, writers, cycle):
    for writer in writers:
        writer.begin(cycle)
    time.sleep(random.uniform(0.05, 0.4))
    for writer in writers:
        writer.killed = True
    # Right after the marks: a connection that broke in between would be excused.
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()
    for writer in writers:
        writer.thread.join(2 * TIMEOUT_SECONDS)
        if writer.thread.is_alive() or writer.fault:
            raise Unproven(writer.fault or "a writer does not end")
    return [writer.lost for writer in writers if writer.lost]


def same_after_replay(service, copy):
    """The differences between the store and its first backup, after the log was replayed to that."""
    def store_command(verb, *words):
        words = (PROGRAM, "store", verb, *words, "--pepper-file", f"{service.store}.pepper", "--json")
        done = run(words, environment=environment_without_settings())
        if done.returncode != 0:
            raise Unproven(f"store {verb}: {done.stderr}")
        return done.stdout

    entries = json.loads(store_command("replay", service.environment[LOG], "--store", copy))["entries"]
    digests = [store_command("digest", "--store", store) for store in (service.store, copy)]
    if digests[0] != digests[1]:
        return ["a replay of the log gives another store:", *digests]
    print(f"{entries} entries of the log give the same store")
    return []


def prove(service):
    service.start()
    copy = service.folder / "copy"
    copy.mkdir(mode=0o700)
    if service.command("store", "backup", copy / "data.mdb").returncode != 0:
        raise Unproven("no backup was made")
    auditor = Auditor(service.port, service.json_result("client", "create", "--name", "auditor", "--may", "introspect"))
    client_id = service.json_result(
        "client", "create", "--name", "shop", "--public", "--grant", "authorization_code", "--grant", "refresh_token",
        "--redirect-uri", FamilyWriter.CALLBACK, "--scope", FamilyWriter.SCOPE)["client_id"]
    writers = [Writer(number, service.control) for number in range(WRITERS)]
    writers += [FamilyWriter(number, service.control, service.oauth_port, client_id) for number in range(FAMILY_WRITERS)]
    slowest = 0.0
    losses = []
    for cycle in range(1, CYCLES + 1):
        losses = kill_in_the_middle(service, writers, cycle)
        if losses:
            return [f"before kill {cycle}:", *losses]
        slowest = max(slowest, service.start())
        touched = set().union(*(writer.touched for writer in writers))
        older = [key for writer in writers for key in writer.keys if key not in touched]
        losses = auditor.losses([*touched, *random.sample(older, min(SAMPLE, len(older)))])
        for writer in writers:
            # One watermark ends all keys of an owner and all tokens of a family, never a part of them.
            if writer.bulk and len({key.outcomes == {DEAD} for key in writer.bulk}) > 1:
                losses.append(f"{writer.bulk[0].owner}: a bulk revocation was carried out partly")
        if losses:
            return [f"after kill {cycle}:", *losses]
    losses = auditor.losses([key for writer in writers for key in writer.keys])
    if losses:
        return ["at the end:", *losses]
    check = service.command("store", "check")
    if check.returncode != 0 or "sound" not in check.stdout:
        raise Unproven("the store is not sound: " + check.stdout + check.stderr)
    if service.end() != 0:
        raise Unproven("the daemon ended with an error after SIGTERM")
    losses = same_after_replay(service, copy)
    if losses:
        return losses
    if slowest > READY_SECONDS_MAX:
        raise Unproven(f"ready again only after {slowest:.2f} s")
    acknowledged, unknown = (sum(getattr(writer, name) for writer in writers) for name in ("acknowledged", "unknown"))
    print(f"{unknown} more writes were interrupted by a kill")
    families = sum(writer.ended for writer in writers if isinstance(writer, FamilyWriter))
    print(f"{families} families of tokens were ended, none partly")
    print(
        f"crashes: {CYCLES} cycles, {acknowledged} acknowledged writes, none lost, nothing un-revoked, "
        f"ready again after at most {slowest:.2f} s")
    return []


def main():
    with Service(PROGRAM, "--login-url", "https://login.example/") as service:
        service.environment[LOG] = str(service.folder / "store-log")
        losses = prove(service)
    return as_expected("crashes", losses, "the mutant" if EXPECTED == "losses" else "")


conclude("crashes", main)
