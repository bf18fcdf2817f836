"""A real fleet on real etcd, faults in both and between them, and callers at all nodes. See `fleet-faults` for its
usage.

Two processes call: fleet_faults_workers.py creates and revokes, fleet_faults_verifier.py verifies. A third one is the
network, fleet_faults_links.py. This one injects the faults of fleet_faults_plan.py. Each call is noted with the boot
clock before it was sent and after it was answered, and fleet_faults_check.py holds all of them against what the fleet
promises.

Exits with 0 if the result is the expected one, with 1 if it is the other one, and with 2 if nothing was proven.
"""

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import fleet_faults_check as check
from fleet_faults_check import CREATE, EVERYWHERE, REVOKE, Change, History, Verification
from fleet_faults_counts import AFTERWARDS_NANOSECONDS, Availability, print_counts
from fleet_faults_fleet import Fleet, compare_stores
from fleet_faults_links import Network
from fleet_faults_plan import Faults
from fleet_faults_verifier import News, Verifier
from fleet_faults_workers import Changers, Load, Shared
from harness.checks import Refuted, Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import wait_until
from harness.service import basic

# From here on it is a long form: more threads, longer pauses, and faults that take minutes.
LONG_REVOKES = 1_000
SHORT_LOAD = Load(threads=180, each_second=20)
LONG_LOAD = Load(threads=240, each_second=50)
CALM_SECONDS = 2.0
READY_SECONDS = 30
SILENCE_SECONDS = 90
SAID_LINES = 2_000
FINAL_BATCH = 500
STORIES_MAX = 3
PROBLEMS_SHOWN_MAX = 12


def arguments():
    parser = argparse.ArgumentParser(prog="fleet-faults")
    parser.add_argument("program", type=os.path.realpath)
    parser.add_argument("revokes", type=int, nargs="?", default=300)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--folder", type=Path, help="for what the fleet writes; it is not removed")
    parser.add_argument("--mutant", default="", help="the guarantee that is gone, which must be caught")
    parser.add_argument("--pretend", action="store_true", help="take a quorum for everywhere, which must be caught")
    return parser.parse_args()


class Run:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
        self.is_mutant = bool(options.mutant or options.pretend)
        self.is_long = options.revokes >= LONG_REVOKES and not self.is_mutant
        members = [f"m{number}" for number in range(3)]
        nodes = [f"n{number}" for number in range(1, options.nodes + 1)]
        self.network = Network(nodes, members)
        self.fleet = Fleet(
            options.program, folder, members, nodes, self.network,
            ("--quota-backend-bytes", str(64 << 20)) if self.is_long else (),
            {"PROOF_BREAKS": options.mutant} if options.mutant else {})
        self.shared = Shared(nodes)
        self.faults = None
        self.processes = []
        # What should not have happened, one text each.
        self.findings = []

    # The processes that call

    def start_workers(self, caller):
        news = News()
        verifier = Verifier(
            {node.name: node.port for node in self.fleet.nodes}, caller, news, self.folder / "verifications", self.shared)
        changers = Changers(
            self.fleet.nodes, news, self.folder, self.shared,
            LONG_LOAD if self.is_long else SHORT_LOAD, pretend=check.QUORUM if self.options.pretend else None)
        for worker in verifier, changers:
            process = multiprocessing.get_context("fork").Process(target=worker.run, daemon=True)
            process.start()
            self.processes.append(process)

    def end_workers(self):
        """First the changes under way, so that each is acknowledged or known not to be."""
        verifier, changers = self.processes
        self.shared.count("stopping")
        changers.join(SILENCE_SECONDS)
        if changers.is_alive():
            self.findings.append(f"changes are still under way {SILENCE_SECONDS} s after all faults have ended")
            changers.kill()
        time.sleep(0.3)
        self.shared.count("over")
        verifier.join(10)
        if verifier.exitcode or (changers.exitcode or 0) > 0:
            raise Unproven("a process that calls has failed")

    # Faults

    def is_enough(self, kinds):
        """Whether no more faults of these kinds are needed."""
        if self.shared.is_stopping or (self.is_mutant and self.shared["violations"]):
            return True
        counts = self.faults.counts()
        return self.shared[EVERYWHERE] >= self.options.revokes and (self.is_mutant or all(counts[kind] for kind in kinds))

    def watch(self):
        """What ends by itself is a finding, and is started again."""
        for one in self.fleet.failed():
            self.findings.append(f"{one.name} has ended by itself, with {one.process.poll()}:\n{one.process.log_tail(8)}")
            if one in self.fleet.members:
                self.fleet.start_member(one)
            else:
                one.start()
        if any(process.exitcode is not None for process in self.processes):
            raise Unproven("a process that calls has ended")
        count = self.shared[EVERYWHERE]
        if count != self.seen:
            self.seen, self.seen_at = count, time.monotonic()
        elif time.monotonic() - self.seen_at > SILENCE_SECONDS:
            refusals = (self.folder / "refusals").read_text(encoding="utf-8").splitlines()[-SAID_LINES:]
            said = collections.Counter(re.sub(r"\d+", "N", line) for line in refusals).most_common(6)
            raise Refuted(
                f"no revocation was acknowledged everywhere for {SILENCE_SECONDS} s; nodes said:\n"
                + "\n".join(f"{count} times {text}" for text, count in said))

    def inject(self):
        self.faults.run(self.is_enough, self.watch)
        self.findings += self.faults.findings
        self.network.heal()

    def note_faults(self):
        """Beside the other logs, for whoever looks for the reason of a violation."""
        entries = self.faults.log if self.faults else []
        (self.folder / "faults").write_text("".join(" ".join(map(str, entry)) + "\n" for entry in entries))

    def rest(self, seconds):
        """A time without faults."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.watch()
            time.sleep(0.05)

    def recover(self):
        """After the faults everything works again, by itself."""
        if not wait_until(lambda: all(member.is_healthy() for member in self.fleet.members), READY_SECONDS, 0.2):
            raise Unproven("etcd is not healthy after the faults")
        late = self.fleet.late(self.fleet.nodes, READY_SECONDS)
        self.findings += [
            f"{node.name} is not ready {READY_SECONDS} s after all faults have ended:\n{node.process.log_tail(8)}"
            for node in late]
        return not late

    # The end

    def ask_for_all(self, history):
        """The verdict of every node about every key. One whose text nobody knows is looked up by its id."""
        texts = dict(line.split() for line in (self.folder / "texts").read_text().splitlines())
        names = [name for name in history.keys if name in texts]
        for node in self.fleet.nodes:
            for begin in range(0, len(names), FINAL_BATCH):
                part = names[begin:begin + FINAL_BATCH]
                for name, verdict in zip(part, self.final_verdicts(node, [texts[name] for name in part])):
                    history.keys[name].final[node.name] = verdict
            for name in history.keys.keys() - texts.keys():
                answer = node.administer("GET", f"/v1/keys/{name}")
                verdict = {200: check.ACTIVE, 404: check.UNKNOWN_ID}.get(answer.status, check.AWAY)
                is_revoked = answer.status == 200 and answer.json["state"] == "revoked"
                history.keys[name].final[node.name] = check.REVOKED if is_revoked else verdict

    def final_verdicts(self, node, texts):
        body = json.dumps({"credentials": texts})
        for _ in range(20):
            with Connection(node.port) as connection:
                answer = connection.ask("POST", "/v1/verify", body, self.caller + "Content-Type: application/json\r\n")
            if answer.status == 200:
                reasons = {"revoked": check.REVOKED, "unknown": check.UNKNOWN_ID}
                return [check.ACTIVE if result["active"] else reasons.get(result["reason"], check.DEAD)
                        for result in answer.json["results"]]
            time.sleep(0.5)
        return [check.AWAY] * len(texts)

    def history(self):
        nodes = [node.name for node in self.fleet.nodes]
        history, changes = History(nodes, known_at_once=True), {}
        with open(self.folder / "changes", encoding="ascii") as file:
            for line in file:
                kind, node, name, called, answered, reach = line.split()
                # A revocation is noted before it is sent, and again with its answer.
                changes[kind, node, name, called] = name, Change(
                    kind, sys.intern(node), int(called), None if answered == "-" else int(answered), reach)
        for name, change in changes.values():
            history.key(name).changes.append(change)
        with open(self.folder / "verifications", encoding="ascii") as file:
            for line in file:
                node, name, called, answered, verdict = line.split()
                if name in history.keys:
                    history.keys[name].verifications.append(
                        Verification(sys.intern(node), int(called), int(answered), sys.intern(verdict)))
        return history

    def prove(self):
        begun = time.monotonic()
        print(f"fleet-faults: seed {self.seed}, {self.options.nodes} nodes, {self.options.revokes} revocations", flush=True)
        self.caller = f"Authorization: {basic(self.fleet.begin(lambda node: node.introspector()))}\r\n"
        self.faults = Faults(self.fleet, self.shared, self.folder, self.seed, self.is_long, self.options.mutant)
        ready = time.monotonic()
        self.start_workers(self.caller)
        self.seen, self.seen_at = 0, time.monotonic()
        self.rest(CALM_SECONDS)
        self.inject()
        healed = time.monotonic()
        if self.is_mutant and self.shared["violations"]:
            self.shared.count("over")
            self.processes[0].join(10)
        else:
            if self.recover():
                self.rest(1 + AFTERWARDS_NANOSECONDS / 1e9)
            self.end_workers()
        history = self.history()
        if not self.is_mutant:
            self.ask_for_all(history)
            self.findings += compare_stores(self.fleet)
        wrong = history.check()
        for violation in wrong[:1 if self.is_mutant else STORIES_MAX]:
            print(f"{violation}:\n{history.story(violation)}", file=sys.stderr)
        availability = Availability(history, self.faults.log, [node.name for node in self.fleet.nodes])
        print_counts(history, self.faults, availability)
        print(f"seconds: {ready - begun:.0f} until ready, {healed - ready:.0f} with faults, "
              f"{time.monotonic() - healed:.0f} for the end")
        if not self.is_mutant:
            self.require_enough(history, availability)
        # A mutant has to be caught by what its callers saw.
        return [str(violation) for violation in wrong] + ([] if self.is_mutant else self.findings)

    def require_enough(self, history, availability):
        """Raises Unproven if the run did too little to prove anything."""
        revokes = history.acknowledged_everywhere(REVOKE)
        creations = history.acknowledged_everywhere(CREATE)
        overlapping, soon = history.raced()
        missing = [kind for kind, count in self.faults.counts().items() if count == 0]
        calm = availability.of("no fault")
        for holds, what in (
            (revokes >= self.options.revokes, f"{revokes} revocations were acknowledged everywhere"),
            (creations >= self.options.revokes // 4, f"{creations} creations were acknowledged everywhere"),
            (min(overlapping, soon) >= self.options.revokes,
             f"{overlapping} verifications overlapped a revocation, {soon} came just after"),
            (not missing, f"faults that did not happen: {missing}"),
            (calm >= 0.95, f"{calm:.1%} of the verifications without faults were answered"),
        ):
            if not holds:
                raise Unproven(f"too little happened: {what}")


def main():
    options = arguments()
    check.self_test()
    folder = options.folder or Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Unproven("--folder names a folder that is not empty")
    run, problems = Run(options, folder), ["it failed"]
    try:
        with run.fleet:
            try:
                problems = run.prove()
            finally:
                for process in run.processes:
                    process.kill()
                run.note_faults()
    finally:
        if problems and not run.is_mutant:
            print(f"fleet-faults: seed {run.seed}; logs are kept in {folder}", file=sys.stderr)
        elif not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
    wrong = options.mutant or ("a quorum that is taken for everywhere" if options.pretend else "")
    return as_expected("fleet-faults", problems[:PROBLEMS_SHOWN_MAX], wrong)


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        print("fleet-faults: the checker judged {} right and {} wrong histories".format(*check.self_test()))
    else:
        conclude("fleet-faults", main)
