"""What happened in a run, in numbers. See fleet_faults.py."""

import bisect
import collections

from fleet_faults_check import AWAY, BROKEN, CREATE, PARTLY, REVOKE, UNKNOWN, VERDICTS
from fleet_faults_plan import MEMBERS, MEMBERS_LONG

# How long after a fault its effects may last: connections are made anew, a node catches up, a lease is got.
AFTERWARDS_NANOSECONDS = 4_000_000_000
SITUATIONS = "no fault", "a fault elsewhere", "a fault of etcd", "a fault of the node"


class Intervals:
    """A union of intervals of time."""

    def __init__(self, intervals):
        self.begins, self.ends = [], []
        for begin, end in sorted(intervals):
            if self.ends and begin <= self.ends[-1]:
                self.ends[-1] = max(end, self.ends[-1])
            else:
                self.begins.append(begin)
                self.ends.append(end)

    def __contains__(self, time):
        place = bisect.bisect(self.begins, time) - 1
        return place >= 0 and time <= self.ends[place]


    def overlaps(self, begin, end):
        place = bisect.bisect(self.begins, end) - 1
        return place >= 0 and begin <= self.ends[place]


class Availability:
    """How many verifications got a verdict, and how many 503 or no answer, by what was wrong then."""

    def __init__(self, history, faults, nodes):
        etcd, own = [], {node: [] for node in nodes}
        for kind, target, begun, ended in faults:
            interval = begun, (ended or begun) + AFTERWARDS_NANOSECONDS
            (etcd if kind in MEMBERS + MEMBERS_LONG else own[target]).append(interval)
        any_node = Intervals([interval for intervals in own.values() for interval in intervals])
        etcd, self.own = Intervals(etcd), {node: Intervals(intervals) for node, intervals in own.items()}
        self.counts = {situation: collections.Counter() for situation in SITUATIONS}
        for key in history.keys.values():
            for seen in key.verifications:
                if seen.called in self.own[seen.node]:
                    situation = SITUATIONS[3]
                elif seen.called in etcd:
                    situation = SITUATIONS[2]
                elif seen.called in any_node:
                    situation = SITUATIONS[1]
                else:
                    situation = SITUATIONS[0]
                self.counts[situation][seen.verdict] += 1

    def is_well(self, change):
        """Whether nothing was wrong with a change's node or its links."""
        return not self.own[change.node].overlaps(change.called, change.answered or change.called)

    def of(self, situation):
        counts = self.counts[situation]
        return sum(counts[verdict] for verdict in VERDICTS) / max(1, counts.total())

    def total(self, verdict):
        return sum(counts[verdict] for counts in self.counts.values())


def longest(changes):
    return max((change.answered - change.called for change in changes if change.answered), default=0) / 1e9


def print_counts(history, faults, availability):
    def row(what, *figures):
        print(f"  {what:46}" + "".join(f"{figure:>12}" for figure in figures))

    changes = [change for key in history.keys.values() for change in key.changes]
    overlapping, soon = history.raced()
    row("creations acknowledged everywhere", history.acknowledged_everywhere(CREATE))
    row("revocations acknowledged everywhere", history.acknowledged_everywhere(REVOKE))
    row("revocations answered with 202", sum(change.reach == PARTLY for change in changes))
    row("revocations answered with 503, or not at all", sum(change.reach == UNKNOWN for change in changes))
    # A creation is noted with its first attempt.
    revokes = [change for change in changes if change.kind == REVOKE]
    row("the longest revocation, in seconds", f"{longest(revokes):.1f}")
    row("the longest at a node without a fault", f"{longest(filter(availability.is_well, revokes)):.1f}")
    row("verdicts", sum(availability.total(verdict) for verdict in VERDICTS))
    row("verifications answered with 503", availability.total(AWAY))
    row("verifications without an answer", availability.total(BROKEN))
    row("verifications that overlapped a revocation", overlapping)
    row("verifications begun within 10 ms after one", soon)
    for situation in SITUATIONS:
        row(f"answered with {situation}", f"{availability.of(situation):.2%}", availability.counts[situation].total())
    counts = faults.counts()
    print("  faults: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
