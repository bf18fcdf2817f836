"""When which fault is injected into a fleet. See fleet_faults_kinds.py for what each of them does.

Three lanes inject one fault after the other: into members of etcd, into nodes for longer than a lease, and into other
nodes for less. So up to three overlap, and a majority of etcd stays but where a fault says otherwise.
"""

import random
import time

from fleet_faults_kinds import Kinds
from fleet_faults_verifier import now

MEMBERS = ("kill-leader", "kill-follower", "pause-leader", "cut-member", "half-cut-member", "slow-members")
MEMBERS_LONG = ("fill-etcd", "pause-majority")
NODES_LONG = ("pause-node-for-long", "cut-node", "late-replies", "wake-with-replies", "lose-requests")
NODES_SHORT = (
    "kill-node", "kill-writer", "restart-node", "pause-node", "slow-node", "reset-node", "cut-link", "skew-node",
    "lose-replies")

# Which faults show that a guarantee is gone, and how many times as often they are injected.
PREFERRED = {
    "acknowledge-before-confirmation": {"slow-node": 6, "pause-node": 4, "lose-replies": 4},
    "answer-without-lease": {"cut-node": 6, "pause-node-for-long": 4, "lose-replies": 2},
    "unknown-without-barrier": {"slow-node": 6, "pause-node": 2, "lose-replies": 2},
    # A reply that is a second late is used no more. So it takes a node that is paused before it reads the reply to a renewal.
    "lease-from-reply": {"wake-with-replies": 12, "late-replies": 4},
}


class Faults(Kinds):
    def __init__(self, fleet, shared, folder, seed, is_long, prefer=""):
        super().__init__(fleet, shared, folder, is_long)
        self.weights = PREFERRED.get(prefer, {})
        # What happened: kind, target, begin and end.
        self.log = []
        self.lanes = [MEMBERS + (MEMBERS_LONG if is_long else ()), NODES_LONG, NODES_SHORT]
        if self.weights:
            # Nothing else, so that many changes get through meanwhile.
            self.lanes = [lane for lane in self.lanes if any(kind in self.weights for kind in lane)]
        self.decks = [[] for _ in self.lanes]
        # One for each lane, so that its faults do not depend on what the others do meanwhile.
        self.randoms = [random.Random(f"{seed} {number}") for number in range(len(self.lanes))]

    @property
    def kinds(self):
        return [kind for lane in self.lanes for kind in lane]

    def counts(self):
        return {kind: sum(entry[0] == kind for entry in self.log) for kind in self.kinds}

    def next(self, lane):
        """Every kind comes once before any comes twice, but for those that are preferred."""
        if self.weights:
            weights = [self.weights.get(kind, 1) for kind in self.lanes[lane]]
            return self.random.choices(self.lanes[lane], weights)[0]
        if not self.decks[lane]:
            self.decks[lane] = self.random.sample(self.lanes[lane], len(self.lanes[lane]))
        return self.decks[lane].pop()

    def run(self, is_enough, watch):
        """All lanes, until it is enough for each.

        - is_enough: told the kinds of a lane.
        - watch: called again and again.
        """
        lanes = {number: (0.0, self.lane(number, is_enough)) for number in range(len(self.lanes))}
        while lanes:
            for number, (due, lane) in list(lanes.items()):
                if time.monotonic() < due:
                    continue
                self.random = self.randoms[number]
                try:
                    lanes[number] = time.monotonic() + next(lane), lane
                except StopIteration:
                    del lanes[number]
            watch()
            if lanes:
                time.sleep(min(0.05, max(0.001, min(due for due, _ in lanes.values()) - time.monotonic())))

    def lane(self, number, is_enough):
        """One fault after the other."""
        yield self.random.uniform(0, 1)
        while not is_enough(self.lanes[number]):
            kind = self.next(number)
            begun = now()
            self.log.append(entry := [kind, "", begun, 0])
            entry[1] = yield from getattr(self, kind.replace("-", "_"))()
            entry[3] = now()
            yield self.random.uniform(0.2, 0.8)
