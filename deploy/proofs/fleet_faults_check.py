"""Checks what concurrent clients of a fleet saw, by the boot clock's time of each call and answer. See fleet_faults.py.

All processes run on one machine, so the times of all of them compare. A verification starts when its request is sent,
and a change is acknowledged when its answer has arrived. Only what the manual's page on fleets promises is demanded:

- *everywhere*: a verification that starts after a revocation was acknowledged everywhere finds the key active on no
  node.
- Every node knows a key whose creation was acknowledged, everywhere or by a quorum, until somebody begins to revoke it.
- *quorum*, and the status 202: the same for the node that answered.
- A node goes nowhere back: it does not find active what it found revoked, and knows what it knew.
- A change finds every key whose creation was acknowledged before, on whatever node.
- At the end every node gives the verdict that the acknowledged changes demand, and where none was acknowledged, the
  same one.

503 is always right; how often it was the answer is counted elsewhere.
"""

import collections

CREATE, REVOKE = "create", "revoke"
# How far a change got. UNKNOWN: 503, or no answer; it may be made later. ABSENT: 404.
EVERYWHERE, QUORUM, PARTLY, UNKNOWN, ABSENT = "everywhere", "quorum", "partly", "unknown", "absent"
ACKNOWLEDGED = EVERYWHERE, QUORUM, PARTLY
# What a verification said. DEAD gives no reason. AWAY: 503. BROKEN: no answer.
ACTIVE, REVOKED, UNKNOWN_ID, DEAD, AWAY, BROKEN = "active", "revoked", "unknown-id", "dead", "away", "broken"
VERDICTS = ACTIVE, REVOKED, UNKNOWN_ID, DEAD
NEVER = 1 << 62
STORY_VERIFICATIONS = 24

Change = collections.namedtuple("Change", "kind node called answered reach")
Verification = collections.namedtuple("Verification", "node called answered verdict")

ACCEPTED_AFTER_EVERYWHERE = "was accepted after its revocation was acknowledged everywhere"
ACCEPTED_BY_ITS_NODE = "was accepted by a node after that node acknowledged its revocation"
REFUSED_AFTER_EVERYWHERE = "was refused after its creation was acknowledged everywhere"
REFUSED_BY_ITS_NODE = "was refused by a node after that node acknowledged its creation"
WENT_BACK = "was accepted by a node that had found it revoked"
FORGOTTEN = "was unknown to a node that had known it"
NOT_FOUND = "was not found by a change, though its creation was acknowledged"
LOST_CREATION = "is not active at the end, though it was created and never revoked"
LOST_REVOCATION = "is not revoked at the end, though its revocation was acknowledged"
DIFFERENT_END = "has different verdicts at the end"
NO_END = "has no verdict of some node at the end"


class Violation(collections.namedtuple("Violation", "name what at nanoseconds")):
    """- at, nanoseconds: when it was seen, and how long after what it contradicts; 0 at the end of a run."""

    def __str__(self):
        return f"{self.name} {self.what}" + (f", {self.nanoseconds / 1e6:.3f} ms later" if self.at else "")


class Key:
    """All that is known of one key. `final`: the verdict of each node after the faults have ended."""

    def __init__(self, name):
        self.name = name
        self.changes, self.verifications, self.final = [], [], {}

    def violations(self, nodes, known_at_once):
        created = [change for change in self.changes if change.kind == CREATE and change.reach in ACKNOWLEDGED]
        revokes = [change for change in self.changes if change.kind == REVOKE]
        found = [self.accepted_too_late(revokes), self.refused_too_early(created, revokes, known_at_once), self.went_back(),
                 self.not_found(created, revokes), self.wrong_end(nodes, created, revokes)]
        return [violation for violation in found if violation]

    def violation(self, what, at=0, since=0):
        return Violation(self.name, what, at, at - since)

    def accepted_too_late(self, revokes):
        everywhere, there = acknowledged(revokes)
        for seen in self.verifications:
            if seen.verdict != ACTIVE:
                continue
            if seen.called > everywhere:
                return self.violation(ACCEPTED_AFTER_EVERYWHERE, seen.called, everywhere)
            if seen.called > there[seen.node]:
                return self.violation(ACCEPTED_BY_ITS_NODE, seen.called, there[seen.node])
        return None

    def refused_too_early(self, created, revokes, known_at_once):
        everywhere, there = acknowledged(created)
        if known_at_once:
            everywhere = min(there.values(), default=NEVER)
        revoking = min((change.called for change in revokes), default=NEVER)
        for seen in self.verifications:
            if seen.verdict not in (REVOKED, UNKNOWN_ID, DEAD) or seen.answered > revoking:
                continue
            if seen.called > everywhere:
                return self.violation(REFUSED_AFTER_EVERYWHERE, seen.called, everywhere)
            if seen.called > there[seen.node]:
                return self.violation(REFUSED_BY_ITS_NODE, seen.called, there[seen.node])
        return None

    def went_back(self):
        revoked, known = collections.defaultdict(lambda: NEVER), collections.defaultdict(lambda: NEVER)
        for seen in self.verifications:
            if seen.verdict in (ACTIVE, REVOKED):
                known[seen.node] = min(seen.answered, known[seen.node])
            if seen.verdict == REVOKED:
                revoked[seen.node] = min(seen.answered, revoked[seen.node])
        for seen in self.verifications:
            if seen.verdict == ACTIVE and seen.called > revoked[seen.node]:
                return self.violation(WENT_BACK, seen.called, revoked[seen.node])
            if seen.verdict == UNKNOWN_ID and seen.called > known[seen.node]:
                return self.violation(FORGOTTEN, seen.called, known[seen.node])
        return None

    def not_found(self, created, revokes):
        known = min((change.answered for change in created), default=NEVER)
        absent = [change.called for change in revokes if change.reach == ABSENT and change.called > known]
        return self.violation(NOT_FOUND, min(absent), known) if absent else None

    def wrong_end(self, nodes, created, revokes):
        """At the end each node has been asked. Where no change of a kind was acknowledged, it may be made or not."""
        if not self.final:
            return None
        verdicts = {self.final.get(node, AWAY) for node in nodes}
        if not verdicts <= {ACTIVE, REVOKED, UNKNOWN_ID}:
            return self.violation(NO_END)
        if any(change.reach in ACKNOWLEDGED for change in revokes):
            return None if verdicts == {REVOKED} else self.violation(LOST_REVOCATION)
        if created and not revokes:
            return None if verdicts == {ACTIVE} else self.violation(LOST_CREATION)
        return None if len(verdicts) == 1 else self.violation(DIFFERENT_END)


def acknowledged(changes):
    """When the first of them was acknowledged everywhere, and when by each node."""
    everywhere = min((change.answered for change in changes if change.reach == EVERYWHERE), default=NEVER)
    there = collections.defaultdict(lambda: NEVER)
    for change in changes:
        if change.reach in ACKNOWLEDGED:
            there[change.node] = min(change.answered, there[change.node])
    return everywhere, there


class History:
    """
    - known_at_once: every node looks for what it does not know before it refuses it. Then a creation that was acknowledged
      by a quorum is known to all of them.
    """

    def __init__(self, nodes, known_at_once=False):
        self.nodes, self.known_at_once = nodes, known_at_once
        self.keys = {}

    def key(self, name):
        if name not in self.keys:
            self.keys[name] = Key(name)
        return self.keys[name]

    def check(self):
        return [violation for key in self.keys.values() for violation in key.violations(self.nodes, self.known_at_once)]

    def story(self, violation):
        """What happened to a key, in order, for people: all changes, and the verifications around the violation."""
        key, rows = self.keys[violation.name], []
        for change in key.changes:
            rows.append((change.called, f"{change.node}: {change.kind} is sent"))
            if change.answered is not None:
                rows.append((change.answered, f"{change.node}: {change.kind} is answered: {change.reach}"))
        near = sorted(key.verifications, key=lambda seen: abs(seen.called - violation.at))[:STORY_VERIFICATIONS]
        for seen in near:
            rows.append((seen.called, f"{seen.node}: a verification is sent, answered "
                                      f"{(seen.answered - seen.called) / 1e6:.1f} ms later: {seen.verdict}"))
        rows.sort()
        lines = [f"  {(time - rows[0][0]) / 1e6:10.3f} ms  {text}" for time, text in rows]
        return "\n".join(lines + [f"  at the end, {node}: {verdict}" for node, verdict in sorted(key.final.items())])

    # Counts

    def acknowledged_everywhere(self, kind):
        return sum(any(change.kind == kind and change.reach == EVERYWHERE for change in key.changes)
                   for key in self.keys.values())

    def raced(self):
        """Verifications that overlapped a revocation, and those that began within ten milliseconds after one that was
        acknowledged everywhere."""
        overlapping = soon = 0
        for key in self.keys.values():
            revokes = [change for change in key.changes if change.kind == REVOKE and change.answered is not None]
            if not revokes:
                continue
            ends = [change.answered for change in revokes if change.reach == EVERYWHERE]
            for seen in key.verifications:
                overlapping += any(seen.called < change.answered and seen.answered > change.called for change in revokes)
                soon += any(0 < seen.called - end < 10_000_000 for end in ends)
        return overlapping, soon


def self_test():
    """Small histories that are known to be right or wrong, which show that the checker finds each kind of violation."""
    def create(reach=EVERYWHERE, node="a", called=0, answered=10):
        return Change(CREATE, node, called, answered, reach)

    def revoke(reach=EVERYWHERE, node="b", called=50, answered=60):
        return Change(REVOKE, node, called, answered, reach)

    def seen(called, verdict, node="c", answered=None):
        return Verification(node, called, called + 2 if answered is None else answered, verdict)

    def found(*events, final=None, known_at_once=False):
        history = History(("a", "b", "c"), known_at_once)
        key = history.key("k")
        key.changes = [event for event in events if isinstance(event, Change)]
        key.verifications = [event for event in events if isinstance(event, Verification)]
        if final is not None:
            key.final = dict(zip("abc", final))
        return [violation.what for violation in history.check()]

    right = [
        ((create(), seen(12, ACTIVE), revoke(), seen(61, DEAD), seen(70, REVOKED)), (REVOKED,) * 3),
        # Raced by the revocation: both are right.
        ((create(), revoke(), seen(49, DEAD), seen(59, ACTIVE)), None),
        ((create(), revoke(), seen(20, DEAD, answered=51)), None),
        # Not answered.
        ((create(), revoke(), seen(61, AWAY), seen(62, BROKEN), seen(20, AWAY)), None),
        # Acknowledged by one node only: another may not know yet.
        ((create(QUORUM), seen(11, UNKNOWN_ID), seen(12, ACTIVE, "a")), (ACTIVE,) * 3),
        ((create(), revoke(QUORUM), seen(61, ACTIVE)), None),
        ((create(), revoke(PARTLY), seen(61, ACTIVE)), None),
        # Nobody knows what became of it.
        ((create(), revoke(UNKNOWN, answered=None)), (ACTIVE,) * 3),
        ((create(), revoke(UNKNOWN)), (REVOKED,) * 3),
        ((create(UNKNOWN), seen(20, UNKNOWN_ID)), (UNKNOWN_ID,) * 3),
        ((create(UNKNOWN), revoke(ABSENT)), None),
        # Two attempts, of which the later one is acknowledged.
        ((create(), revoke(UNKNOWN), revoke(called=70, answered=80), seen(79, ACTIVE)), (REVOKED,) * 3),
    ]
    wrong = [
        (ACCEPTED_AFTER_EVERYWHERE, (create(), revoke(), seen(61, ACTIVE)), None),
        (ACCEPTED_AFTER_EVERYWHERE, (create(), revoke(UNKNOWN), revoke(called=70, answered=80), seen(81, ACTIVE)), None),
        (ACCEPTED_BY_ITS_NODE, (create(), revoke(QUORUM), seen(61, ACTIVE, "b")), None),
        (ACCEPTED_BY_ITS_NODE, (create(), revoke(PARTLY), seen(61, ACTIVE, "b")), None),
        (REFUSED_AFTER_EVERYWHERE, (create(), seen(11, DEAD)), None),
        (REFUSED_AFTER_EVERYWHERE, (create(), seen(11, UNKNOWN_ID), revoke()), None),
        (REFUSED_AFTER_EVERYWHERE, (create(), seen(40, DEAD), revoke(UNKNOWN, answered=None)), None),
        (REFUSED_BY_ITS_NODE, (create(QUORUM), seen(11, DEAD, "a")), None),
        (WENT_BACK, (create(), revoke(UNKNOWN), seen(61, REVOKED), seen(70, ACTIVE)), None),
        (FORGOTTEN, (create(QUORUM), seen(20, ACTIVE), seen(30, UNKNOWN_ID)), None),
        (FORGOTTEN, (create(), revoke(), seen(62, REVOKED), seen(70, UNKNOWN_ID)), None),
        (NOT_FOUND, (create(QUORUM), revoke(ABSENT)), None),
        (LOST_CREATION, (create(QUORUM),), (ACTIVE, UNKNOWN_ID, ACTIVE)),
        (LOST_CREATION, (create(),), (REVOKED,) * 3),
        (LOST_REVOCATION, (create(), revoke(QUORUM)), (REVOKED, ACTIVE, REVOKED)),
        (LOST_REVOCATION, (create(), revoke()), (UNKNOWN_ID,) * 3),
        (DIFFERENT_END, (create(), revoke(UNKNOWN)), (ACTIVE, REVOKED, REVOKED)),
        (NO_END, (create(),), (ACTIVE, ACTIVE, AWAY)),
        (NO_END, (create(),), (ACTIVE, ACTIVE)),
    ]
    for events, final in right:
        assert found(*events, final=final) == [], (events, found(*events, final=final))
    for what, events, final in wrong:
        assert found(*events, final=final) == [what], (what, events, found(*events, final=final))
    late = create(QUORUM), seen(12, UNKNOWN_ID)
    assert found(*late) == [] and found(*late, known_at_once=True) == [REFUSED_AFTER_EVERYWHERE], found(*late)
    missed = {value for name, value in globals().items() if name.isupper() and isinstance(value, str)
              and " " in value} - {what for what, _, _ in wrong}
    assert not missed, missed
    return len(right), len(wrong)
