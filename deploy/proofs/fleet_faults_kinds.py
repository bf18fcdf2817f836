"""The faults: each is a generator, which does something, yields the seconds until it goes on, and returns its target
when all is healed. When they are injected: fleet_faults_plan.py."""

import base64
import os
import signal
import sys
import time
from pathlib import Path

from fleet_faults_fleet import LEASE_SECONDS
from fleet_faults_links import both_ways, one_way
from harness.checks import Unproven
from harness.processes import output_of, run

# After that time on another node's clock no lease is left that this one had: 1.01 / 0.99 of it, and 2 s for a machine that
# is moved.
FENCE_SECONDS = LEASE_SECONDS * 1.021 + 2
SKEW_SECONDS = 420
WAIT_SECONDS = 15
# Of what a node waits at its end, and some more.
DRAIN_SECONDS = 20
JUNK_BYTES = 1 << 20
# Seconds that a client of etcd waits for a reply. A reply that takes a little less is still used.
REPLY_SECONDS = 0.9


def clock_library(folder):
    """Compiles the library that sets the wall clock of one process. Raises Unproven if another clock is set, too."""
    library = folder / "clock.so"
    source = Path(__file__).with_name("fleet-faults-clock.c")
    output_of(["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", library, source])
    clocks = "import time; print(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())"
    seen = run([sys.executable, "-c", clocks], environment=os.environ | skewed(library, SKEW_SECONDS)).stdout
    wall, *others = (float(word) for word in seen.split())
    here = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    is_other_set = any(abs(one - other) > 60 for one, other in zip(others, here, strict=True))
    if abs(wall - time.time() - SKEW_SECONDS) > 60 or is_other_set:
        raise Unproven("the library that sets the wall clock does not do so, or sets another one")
    return library


def skewed(library, seconds):
    """The environment of a process whose wall clock is wrong, and no other clock."""
    return {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(seconds)}


class Kinds:
    """What a plan needs: `random`, and `findings` for what should not have happened."""

    def __init__(self, fleet, shared, folder, is_long):
        self.fleet, self.network, self.shared, self.is_long = fleet, fleet.network, shared, is_long
        self.library = clock_library(folder)
        self.in_use, self.findings = set(), []
        self.random = None

    def between(self, low, high):
        return self.random.uniform(low, high)

    def until(self, condition, seconds=WAIT_SECONDS):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            yield 0.1

    # Members of etcd

    def others(self, member):
        return [one.name for one in self.fleet.members if one is not member]

    def some_leader(self):
        """Waits for the end of an election."""
        yield from self.until(lambda: self.fleet.leader())
        return self.fleet.leader() or self.fleet.members[0]

    def some_follower(self):
        leader = yield from self.some_leader()
        return self.random.choice([member for member in self.fleet.members if member is not leader])

    def some_member(self):
        if self.random.random() < 0.5:
            return (yield from self.some_leader())
        return (yield from self.some_follower())

    def healed(self):
        yield from self.until(lambda: all(member.is_healthy() for member in self.fleet.members))

    def restarted(self, member):
        member.kill()
        yield self.between(0.5, 2.5)
        self.fleet.start_member(member)
        yield from self.healed()
        return member.name

    def kill_leader(self):
        return (yield from self.restarted((yield from self.some_leader())))

    def kill_follower(self):
        return (yield from self.restarted((yield from self.some_follower())))

    def pause_leader(self):
        leader = yield from self.some_leader()
        leader.pause()
        yield self.between(1, 15 if self.is_long else 5)
        leader.wake()
        yield from self.healed()
        return leader.name

    def held(self, links, seconds):
        """Nothing passes; then what was held arrives, or never does."""
        self.network.hold(links)
        yield seconds
        if self.random.random() < 0.5:
            self.network.release(links)
        else:
            self.network.reset(links)

    def cut_member(self):
        member = yield from self.some_member()
        yield from self.held(both_ways([member.name], self.others(member)), self.between(2, 8 if self.is_long else 4))
        yield from self.healed()
        return member.name

    def half_cut_member(self):
        """Others hear it and it does not hear them, or the other way round."""
        member = yield from self.some_member()
        ends = [[member.name], self.others(member)]
        self.random.shuffle(ends)
        yield from self.held(one_way(*ends), self.between(2, 8 if self.is_long else 4))
        yield from self.healed()
        return member.name

    def slow_members(self):
        names = [member.name for member in self.fleet.members]
        self.network.delay(both_ways(names, names), self.between(0.002, 0.06), 0.02)
        yield self.between(1.5, 4)
        self.network.delay(both_ways(names, names), 0)
        return "all"

    def pause_majority(self):
        paused = self.random.sample(self.fleet.members, len(self.fleet.members) // 2 + 1)
        for member in paused:
            member.pause()
        yield self.between(LEASE_SECONDS + 1, LEASE_SECONDS + 5)
        for member in paused:
            member.wake()
        yield from self.healed()
        return ",".join(member.name for member in paused)

    def fill_etcd(self):
        """Until it refuses every write, renewals too, for longer than a lease; then makes room, as an operator would."""
        junk, member = [], self.fleet.members[0]
        value = base64.b64encode(self.random.randbytes(JUNK_BYTES)).decode()
        while len(junk) < 200:
            key = base64.b64encode(b"junk/%d" % len(junk)).decode()
            junk.append(key)
            if member.ask("/v3/kv/put", {"key": key, "value": value}, 5) is None:
                break
            yield 0.05
        yield LEASE_SECONDS + 2
        for key in junk:
            member.ask("/v3/kv/deleterange", {"key": key}, 5)
        revision = (member.ask("/v3/kv/range", {"key": junk[0]}, 5) or {}).get("header", {}).get("revision")
        member.ask("/v3/kv/compaction", {"revision": revision, "physical": True}, 5)
        for one in self.fleet.members:
            one.ask("/v3/maintenance/defragment", {}, 10)
        for alarm in (member.ask("/v3/maintenance/alarm", {"action": "GET"}, 5) or {}).get("alarms", []):
            member.ask("/v3/maintenance/alarm", {"action": "DEACTIVATE"} | alarm, 5)
        yield from self.healed()
        # etcd 3.4 remembers what it has executed only with the next write, and not with a disarmed alarm. A member that is
        # killed in between executes, when it starts again, what all members had refused, and differs from then on.
        member.ask("/v3/kv/put", {"key": junk[0], "value": ""}, 5)
        yield 0.5
        return "all"

    # Nodes

    def some_node(self, prefers=None):
        """One that no other lane has, until it is given back."""
        free = [node for node in self.fleet.nodes if node.name not in self.in_use]
        node = max(free, key=prefers) if prefers else self.random.choice(free)
        self.in_use.add(node.name)
        return node

    def given_back(self, node):
        """Half of the time only when it is ready, so that the next fault also finds it on its way."""
        if self.random.random() < 0.5:
            yield from self.until(node.is_ready, 4)
        self.in_use.discard(node.name)
        return node.name

    def members(self):
        return [member.name for member in self.fleet.members]

    def links(self, node):
        return both_ways([node.name], self.members())

    def killed(self, node):
        node.kill()
        yield self.between(0.1, 1.5)
        node.start()
        yield from self.until(node.is_ready, 3)
        return (yield from self.given_back(node))

    def kill_node(self):
        return (yield from self.killed(self.some_node()))

    def kill_writer(self):
        """The node with the most changes under way."""
        return (yield from self.killed(self.some_node(lambda node: self.shared[node.name])))

    def restart_node(self):
        node = self.some_node()
        node.is_wanted = False
        node.process.send(signal.SIGTERM)
        yield from self.until(lambda: node.process.poll() is not None, DRAIN_SECONDS)
        if node.process.poll() != 0:
            self.findings.append(f"{node.name}: exit status {node.process.poll()}, {DRAIN_SECONDS} s after SIGTERM")
            node.kill()
        node.start()
        yield from self.until(node.is_ready, 3)
        return (yield from self.given_back(node))

    def paused(self, seconds):
        node = self.some_node()
        node.pause()
        yield seconds
        node.wake()
        return (yield from self.given_back(node))

    def pause_node(self):
        return (yield from self.paused(self.between(0.3, LEASE_SECONDS - 0.5)))

    def pause_node_for_long(self):
        """So that changes are acknowledged because its lease is over, while questions wait in its sockets."""
        return (yield from self.paused(self.between(FENCE_SECONDS + 0.7, 15 if self.is_long else FENCE_SECONDS + 2)))

    def cut_node(self):
        node = self.some_node()
        yield from self.held(self.links(node), self.between(FENCE_SECONDS + 0.7, FENCE_SECONDS + 3))
        return (yield from self.given_back(node))

    def half_cut(self, node, links):
        yield from self.held(links, self.between(2, FENCE_SECONDS + 4 if self.is_long else LEASE_SECONDS + 1))
        return (yield from self.given_back(node))

    def lose_replies(self):
        """Requests arrive and are executed; replies and events do not come."""
        node = self.some_node()
        return (yield from self.half_cut(node, one_way(self.members(), [node.name])))

    def lose_requests(self):
        node = self.some_node()
        return (yield from self.half_cut(node, one_way([node.name], self.members())))

    def late_replies(self, sleeps=False):
        """Replies come as late as they may, then nothing new does: the reply to the last renewal is much younger than it."""
        node = self.some_node()
        back = one_way(self.members(), [node.name])
        self.network.delay(back, REPLY_SECONDS)
        yield self.between(1.5, 3)
        self.network.hold(self.links(node))
        if sleeps:
            # What is on its way arrives in its sockets, and is read when it wakes.
            node.pause()
            yield self.between(2.5, FENCE_SECONDS - 0.5)
            node.wake()
            yield LEASE_SECONDS
        else:
            yield FENCE_SECONDS + 0.5
        self.network.delay(back, 0)
        self.network.reset(self.links(node))
        return (yield from self.given_back(node))

    def wake_with_replies(self):
        return (yield from self.late_replies(sleeps=True))

    def slow_node(self):
        node = self.some_node()
        self.network.delay(self.links(node), self.between(0.01, 0.3), 0.05)
        yield self.between(1.5, 3)
        self.network.delay(self.links(node), 0)
        return (yield from self.given_back(node))

    def reset_node(self):
        node = self.some_node()
        for _ in range(self.random.randint(1, 5)):
            self.network.reset(self.links(node))
            yield self.between(0.02, 0.4)
        self.network.refuse(self.links(node))
        yield self.between(0.2, 1)
        self.network.release(self.links(node))
        return (yield from self.given_back(node))

    def cut_link(self):
        """To one member only, which may be the one that the node uses."""
        node, member = self.some_node(), self.random.choice(self.members())
        yield from self.held(both_ways([node.name], [member]), self.between(1, 3))
        return (yield from self.given_back(node))

    def skew_node(self):
        """Its wall clock is minutes off."""
        node = self.some_node()
        node.kill()
        node.start(skewed(self.library, self.random.choice((-1, 1)) * self.random.randint(60, SKEW_SECONDS)))
        yield from self.until(node.is_ready, 4)
        yield self.between(0.5, 2)
        node.kill()
        node.start()
        yield from self.until(node.is_ready, 3)
        return (yield from self.given_back(node))
