"""Figures of a fleet. See `fleet-figures` for its usage.

    fleet_figures.py PROGRAM FIGURES [SECONDS [KILLS [KEYS]]]
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fleet_faults_fleet import Fleet
from harness.checks import Unproven, conclude
from harness.connection import Connection
from harness.processes import free_ports, run, wait_until
from harness.service import environment_without_settings

MEMBERS = ["m0", "m1", "m2"]
PAUSE_SECONDS = 0.002
CALM_SECONDS = 3
AFTER_SECONDS = 6
DEFAULT_LEASE_SECONDS = 10


def in_one_process(program, figures, folder, seconds):
    with Fleet(program, folder, MEMBERS, []) as fleet:
        for member in fleet.members:
            fleet.start_member(member)
        fleet.await_members()
        endpoints = ",".join(f"127.0.0.1:{member.client_port}" for member in fleet.members)
        done = run([figures, endpoints, folder / "stores", str(seconds)], seconds_max=60 + 20 * seconds)
        if done.returncode != 0:
            raise Unproven(done.stderr[-2000:] + done.stdout)
        print(done.stdout, end="", flush=True)


class Callers:
    """Verifications at every node, and creations at each, one after the other."""

    def __init__(self, nodes, key):
        self.nodes, self.key = nodes, key
        self.is_over = False
        # When a verification ended that was not answered with 200; when a creation ended well, by node.
        self.wrong, self.asked = [], 0
        self.created = {node.name: [] for node in nodes}
        self.threads = [
            threading.Thread(target=work, args=(node,)) for node in nodes for work in (self.verify, self.create)]

    def verify(self, node):
        connection = None
        while not self.is_over:
            try:
                connection = connection or Connection(node.port)
                status = connection.ask("GET", "/verify", fields=f"Authorization: ApiKey {self.key}\r\n").status
            except OSError as error:
                connection, status = None, error
            self.asked += 1
            if status != 200:
                self.wrong.append((time.monotonic(), node.name, status))
            time.sleep(PAUSE_SECONDS)

    def create(self, node):
        while not self.is_over:
            try:
                if node.administer("POST", "/v1/keys", {"owner": "acme"}).status == 201:
                    self.created[node.name].append(time.monotonic())
            except OSError:
                pass
            time.sleep(PAUSE_SECONDS)


def without_leader(program, folder, kills):
    """The longest time without a change, at the node that waited longest, for each leader that was killed."""
    with Fleet(program, folder, MEMBERS, ["n1", "n2", "n3"]) as fleet:
        for node in fleet.nodes:
            node.lease_seconds = DEFAULT_LEASE_SECONDS
        key = fleet.begin(lambda node: node.administer("POST", "/v1/keys", {"owner": "acme"}).json["items"][0]["key"])
        callers, moments = Callers(fleet.nodes, key), []
        for thread in callers.threads:
            thread.start()
        try:
            for _ in range(kills):
                time.sleep(CALM_SECONDS)
                leader = fleet.leader()
                moments.append(time.monotonic())
                leader.kill()
                time.sleep(AFTER_SECONDS)
                fleet.start_member(leader)
                if not wait_until(leader.is_healthy, 30):
                    raise Unproven("a member of etcd does not come back:\n" + leader.process.log_tail())
        finally:
            callers.is_over = True
            for thread in callers.threads:
                thread.join()
    gaps, end = [], time.monotonic()
    for moment in moments:
        gaps.append(max(
            max((after - before for before, after in zip([moments[0], *times], [*times, end])
                 if before < moment + AFTER_SECONDS and after > moment), default=AFTER_SECONDS)
            for times in callers.created.values()))
    print(f"leaders of etcd killed: {kills}; changes waited, in seconds: " + " ".join(f"{gap:.2f}" for gap in sorted(gaps)))
    print(f"verifications meanwhile: {callers.asked}, not answered with 200: {len(callers.wrong)}")
    return not callers.wrong


def joining(program, folder, keys):
    """How long a node with an empty folder takes until it is ready."""
    with Fleet(program, folder, MEMBERS, ["n1", "n2"]) as fleet:
        first, second = fleet.nodes
        for member in fleet.members:
            fleet.start_member(member)
        first.start(is_alone=True)
        fleet.await_ready([first])
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            subprocess.run(
                [program, "key", "create", "--store", first.store, "--owner", "acme", "--count", str(keys), "--json"],
                stdout=nowhere, stdin=subprocess.DEVNULL, check=True, env=environment_without_settings())
        first.end()
        fleet.await_members()
        first.on_store("cluster", "init", "--cluster", first.cluster)
        for node, port in zip(fleet.nodes, free_ports(2)):
            node.environment["COUNTERSIGN_CLUSTER_LISTEN"] = f"http://127.0.0.1:{port}"
        first.start()
        fleet.await_ready([first])
        begun = time.monotonic()
        second.start()
        if not wait_until(second.is_ready, 900, 0.05, second.process):
            raise Unproven("the second node is not ready:\n" + second.process.log_tail())
        taken = time.monotonic() - begun
        size = (second.store / "data.mdb").stat().st_size
        print(f"a node that begins with a copy of {keys} keys, {size / 1e9:.2f} GB, is ready after {taken:.1f} s")


def main():
    program, figures, *rest = sys.argv[1:]
    seconds, kills = int(rest[0]) if rest else 10, int(rest[1]) if len(rest) > 1 else 5
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        for part in ("one", "three", "two"):
            (Path(name) / part).mkdir()
        in_one_process(program, figures, Path(name) / "one", seconds)
        if len(rest) > 2:
            joining(program, Path(name) / "two", int(rest[2]))
        return without_leader(program, Path(name) / "three", kills)


conclude("fleet-figures", main)
