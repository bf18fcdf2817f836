"""Kills a node between its append and its commit. See `fleet-crashes` for its usage."""

import json
import sys
import tempfile
import uuid
from pathlib import Path

from fleet_faults_fleet import Fleet, compare_stores
from harness.checks import Unproven, conclude, require
from harness.connection import Connection
from harness.processes import wait_until

# The switch by which a node of a debug build kills itself behind one append in twenty.
DYING = {"PROOF_BREAKS": "survive-until-commit"}
CHANGES_MAX = 200
READY_SECONDS = 20


class Change:
    """One change, which can be asked for again and is made once."""

    def __init__(self, number, living):
        self.owner = f"o{number}"
        self.fields = f"Idempotency-Key: {uuid.uuid4()}\r\nContent-Type: application/json\r\n"
        # Every third one revokes.
        self.revokes = living.pop(0) if number % 3 == 2 and living else None

    def ask(self, node):
        """The answer. Raises OSError when the node dies."""
        with Connection(node.control) as connection:
            if self.revokes:
                return connection.ask("DELETE", "/v1/keys/" + self.revokes["id"])
            return connection.ask("POST", "/v1/keys", json.dumps({"owner": self.owner}), self.fields)

    def verdict(self, node):
        """Whether the change is there, as one node sees it; None if it says 503."""
        if self.revokes:
            status = status_of(node, self.revokes["key"])
            return None if status == 503 else status == 401
        with Connection(node.control) as connection:
            answer = connection.ask("GET", "/v1/keys?owner=" + self.owner)
            return None if answer.status != 200 else len(answer.json["items"]) == 1


def status_of(node, key):
    with Connection(node.port) as connection:
        return connection.ask("GET", "/verify", fields=f"Authorization: ApiKey {key}\r\n").status


def change_until_death(writer, other, living, number):
    """Changes until the node dies. Returns the change that was under way."""
    for _ in range(CHANGES_MAX):
        change = Change(number[0], living)
        number[0] += 1
        try:
            answer = change.ask(writer)
        except OSError:
            return change
        require(answer.status in (200, 201), f"a change is answered with {answer.status}: {answer.body[:200]}")
        if change.revokes:
            require(status_of(other, change.revokes["key"]) == 401, "the other node refuses what was revoked everywhere")
        else:
            living.append(answer.json["items"][0])
    raise Unproven(f"the node has not died within {CHANGES_MAX} changes")


def restarted(fleet, writer):
    """Started again. It may die once more, by what it writes itself at a start."""
    for _ in range(5):
        writer.process.wait()
        writer.start(DYING)
        if wait_until(lambda: writer.has_failed or writer.is_ready(), READY_SECONDS) and not writer.has_failed:
            return
    raise Unproven(f"{writer.name} does not start again:\n{writer.process.log_tail(6)}")


def main():
    program, kills = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        with Fleet(program, Path(folder), ["m0"], ["n1", "n2"]) as fleet:
            fleet.begin(lambda first: None)
            writer, other = fleet.nodes
            writer.end()
            writer.start(DYING)
            fleet.await_ready([writer])
            living, number, held, lost = [], [0], 0, 0
            for _ in range(kills):
                change = change_until_death(writer, other, living, number)
                writer.is_wanted = False
                restarted(fleet, writer)
                seen = set()
                for node in (other, writer):
                    wait_until(lambda: change.verdict(node) is not None, READY_SECONDS)
                    seen.add(change.verdict(node))
                require(len(seen) == 1, f"both nodes say the same of the change that was under way: {seen}")
                held += seen == {True}
                lost += seen == {False}
                try:
                    answer = change.ask(writer)
                except OSError:
                    # It has died again; the next round finds it so.
                    continue
                require(answer.status in (200, 201), f"a repeated change is answered with {answer.status}")
                # The secret of what was made already is not said again.
                if not change.revokes and answer.json["items"][0].get("key"):
                    living.append(answer.json["items"][0])
            require(held > 0, "some changes were in the log when the node died")
            writer.end()
            writer.start()
            fleet.await_ready([writer])
            for key in living[-200:]:
                statuses = {node.name: status_of(node, key["key"]) for node in fleet.nodes}
                require(set(statuses.values()) == {200}, f"every node knows what was made and never revoked: {statuses}")
            found = compare_stores(fleet)
            require(not found, f"the stores are equal: {found}")
    print(f"fleet-crashes: {kills} kills behind an append, {number[0]} changes; of those under way {held} were held by the log, "
          f"{lost} were not made; the stores are equal")
    return True


if __name__ == "__main__":
    conclude("fleet-crashes", main)
