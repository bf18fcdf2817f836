"""Upgrades a fleet. See `fleet-upgrade` for its usage."""

import sys
import tempfile
from pathlib import Path

from fleet_faults_fleet import Fleet, compare_stores
from harness.checks import conclude, require
from harness.connection import Connection
from harness.processes import wait_until

# A node of a debug build that knows one level more than this version does: the next version.
NEW = {"PROOF_BREAKS": "know-no-level-ahead"}
SECONDS = 30


def raised(node, level):
    """What the node answers to the wish for a level."""
    return node.administer("POST", "/v1/cluster/level", {"level": level})


def status(node):
    return node.administer("GET", "/v1/cluster").json


def made(node):
    return node.administer("POST", "/v1/keys", {"owner": "acme"}).json["items"][0]


def verdict(node, key):
    with Connection(node.port) as connection:
        return connection.ask("GET", "/verify", fields=f"Authorization: ApiKey {key['key']}\r\n").status


def replace(fleet, node):
    """By the new version."""
    node.end()
    node.environment = node.environment | NEW
    node.start()
    fleet.await_ready([node])


def prove(fleet):
    first, second, third = fleet.nodes
    keys = [made(node) for node in fleet.nodes]

    answer = raised(first, 2)
    require(answer.status == 409 and "n1" in answer.json["detail"], f"a level that no node knows is refused: {answer.body}")
    for node in (first, second):
        replace(fleet, node)
        keys.append(made(node))
        answer = raised(first, 2)
        require(answer.status == 409 and "n3" in answer.json["detail"],
                f"a level that one node does not know is refused, and it is named: {answer.body}")
    known = {node["name"]: node["newest_level"] for node in status(first)["nodes"]}
    require(known == {"n1": 2, "n2": 2, "n3": 1}, f"nodes say what they know: {known}")
    require(wait_until(lambda: status(first).get("level") == 1, SECONDS), "the log is still of level 1")

    # Paused, the old node can say nothing against it when its record is gone.
    third.pause()
    gone = made(first)
    require(second.administer("DELETE", f"/v1/keys/{gone['id']}").status == 200, "a revocation is everywhere without the old node")
    require(wait_until(lambda: raised(first, 2).status == 200, SECONDS),
            "the level is raised when the lease of the old node is over")
    require(wait_until(lambda: status(second).get("level") == 2, SECONDS), "every node learns of the level")
    require(raised(second, 2).json == {"level": 2}, "raising it again changes nothing")
    require(raised(second, 4).status == 409, "a level that no version knows is refused")
    keys.append(made(second))
    third.wake()
    for key in (gone, keys[0]):
        require(wait_until(lambda: verdict(third, key) == 503, SECONDS), "the old node answers nothing after it woke")
    require(wait_until(lambda: "newer version" in third.process.log_tail(), SECONDS),
            f"the old node says why: {third.process.log_tail()}")
    # Its store has nothing of the new level, so it starts, and stops again at the log.
    third.end()
    third.start()
    require(wait_until(lambda: third.process.log_tail().count("newer version") > 1, SECONDS), "and again after a start")
    require(verdict(third, keys[0]) == 503, "the old version answers nothing")
    third.end()
    # The store of another node has the new level.
    second.end()
    environment, second.environment = second.environment, third.environment
    second.start()
    require(wait_until(lambda: second.process.poll() is not None, SECONDS), "the old version does not open a store of the new level")
    require("newer version" in second.process.log_tail(), f"and says why: {second.process.log_tail()}")
    second.is_wanted, second.environment = False, environment
    second.start()

    third.environment = third.environment | NEW
    third.start()
    fleet.await_ready([second, third])
    for node in fleet.nodes:
        for key in keys:
            require(verdict(node, key) == 200, "no key is lost")
        require(verdict(node, gone) == 401, "what was revoked is refused")
    audited = first.administer("GET", "/v1/audit?limit=1000").json["items"]
    require(sum(entry["action"] == "log_level_raised" for entry in audited) == 1, "the audit log says that the level was raised")
    found = compare_stores(fleet)
    require(not found, f"the stores are equal: {found}")
    print("fleet-upgrade: nodes were replaced one by one; the level was raised when all knew it, and the old version stopped")


def main():
    with tempfile.TemporaryDirectory() as folder:
        with Fleet(sys.argv[1], Path(folder), ["m0"], ["n1", "n2", "n3"]) as fleet:
            fleet.begin(lambda first: None)
            prove(fleet)
    return True


conclude("fleet-upgrade", main)
