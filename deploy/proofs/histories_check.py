"""Checks a history of concurrent calls for linearizability. See histories.py.

A history is a list of operations with the times of call and answer on one monotonic clock. The state of one credential is a
register, whose value is what was created or edited last, until it is ended. Each value is written once, so linearizability is
decided value by value (Gibbons and Korach, "Testing Shared Memories", 1997): of all operations that wrote or read a value, let
F be the first answer and S the last call. If F < S, the register held the value at least from F to S, and no two values may be
held at once. Otherwise the value was held for a moment between S and F, which must not lie within the time for which another
value was held.

The end of a credential is its last value. An operation without an answer, because the daemon was killed, may or may not have
been carried out. Once its value is read, it was carried out before the kill.
"""

import bisect
import collections

CREATE, EDIT, END, BULK, READ, ALIVE, DEAD = "create", "edit", "end", "bulk", "read", "alive", "dead"
NEVER = 1 << 62
# Messages about a credential whose acknowledged creation, end or edit is missing.
CREATION_LOST = "is dead although it was not ended"
END_UNDONE = "is active although its end was acknowledged"
EDIT_UNDONE = "has an older value again"


class Operation:
    """`value` is for creations, edits and reads. `answered` is None if there was no answer."""

    __slots__ = ("kind", "subject", "value", "called", "answered", "group")

    def __init__(self, kind, subject, value, called, answered, group=()):
        self.kind, self.subject, self.value, self.called, self.answered = kind, subject, value, called, answered
        # The owner and client of a created credential, by which bulk revocations find it.
        self.group = group


class History:
    def __init__(self, operations, kills):
        """`kills`: times after which no earlier request can be carried out any more, since the process has ended."""
        self.kills = sorted(kills)
        self.credentials = collections.defaultdict(list)
        self.bulks = collections.defaultdict(list)
        self.violations = []
        for operation in operations:
            (self.bulks if operation.kind == BULK else self.credentials)[operation.subject].append(operation)
        for bulks in self.bulks.values():
            bulks.sort(key=lambda bulk: bulk.called)

    def died(self, called):
        """The time after which an unanswered operation of that call time cannot be carried out any more."""
        place = bisect.bisect(self.kills, called)
        return self.kills[place] if place < len(self.kills) else NEVER

    def check(self):
        """Returns the violations, one sentence each."""
        lives = {}
        for name, operations in self.credentials.items():
            created = next((operation for operation in operations if operation.kind == CREATE), None)
            if created is None:
                self.violations.append(f"{name}: was seen and never created")
                continue
            lives[name] = created, self.last_seen_active(operations)
        self.refute_bulks(lives)
        for name, (created, alive) in lives.items():
            self.check_end(name, created, alive)
            self.check_values(name)
        return self.violations

    @staticmethod
    def last_seen_active(operations):
        """The last call with an answer that only an active credential has."""
        return max(
            (operation.called for operation in operations
             if operation.kind in (READ, ALIVE) or (operation.kind == EDIT and operation.answered is not None)),
            default=0)

    def refute_bulks(self, lives):
        """A bulk revocation ends all or none. An unanswered one was not carried out if one of its credentials was active after the
        kill."""
        self.refuted = set()
        members = collections.defaultdict(list)
        for created, alive in lives.values():
            for group in created.group:
                members[group].append((created, alive))
        for group, bulks in self.bulks.items():
            for bulk in bulks:
                if bulk.answered is None:
                    died = self.died(bulk.called)
                    if any(created.answered < bulk.called and alive > died for created, alive in members[group]):
                        self.refuted.add(bulk)

    def check_end(self, name, created, alive):
        ended, seen_dead, reasons = NEVER, NEVER, []
        for operation in self.credentials[name]:
            if operation.kind == END:
                if operation.answered is not None:
                    ended = min(ended, operation.answered)
                reasons.append(operation)
            elif operation.kind == DEAD:
                seen_dead = min(seen_dead, operation.answered)
        for group in created.group:
            for bulk in self.bulks[group]:
                if bulk.called > ended:
                    break
                # A credential that was created concurrently may have come before or after.
                if bulk.answered is not None and bulk.called > created.answered:
                    ended = min(ended, bulk.answered)
                if bulk not in self.refuted and (bulk.answered is None or bulk.answered > created.called):
                    reasons.append(bulk)
        if alive > ended:
            self.violations.append(f"{name}: {END_UNDONE} {(alive - ended) / 1e6:.3f} ms before")
        elif alive > seen_dead:
            self.violations.append(f"{name}: is active again {(alive - seen_dead) / 1e6:.3f} ms after it was seen dead")
        if seen_dead < NEVER and not any(self.explains(reason, seen_dead, alive) for reason in reasons):
            self.violations.append(f"{name}: {CREATION_LOST}")

    def explains(self, reason, seen_dead, alive):
        if reason.called > seen_dead:
            return False
        # An unanswered operation that was not carried out before the kill never is.
        return reason.answered is not None or alive < self.died(reason.called)

    def check_values(self, name):
        first, last, written = {}, {}, {}
        for operation in self.credentials[name]:
            if operation.kind in (CREATE, EDIT):
                written[operation.value] = operation
            if operation.kind == READ or (operation.kind in (CREATE, EDIT) and operation.answered is not None):
                first[operation.value] = min(first.get(operation.value, NEVER), operation.answered)
                last[operation.value] = max(last.get(operation.value, 0), operation.called)
        held, moments = [], []
        for value, answered in first.items():
            write = written.get(value)
            if write is None or answered < write.called:
                self.violations.append(f"{name}: {value} was seen and not written before")
                continue
            if write.answered is None:
                answered = min(answered, self.died(write.called))
            called = max(last[value], write.called)
            (held if answered < called else moments).append((min(answered, called), max(answered, called), value))
        held.sort()
        for (_, until, value), (since, _, other) in zip(held, held[1:]):
            if since < until:
                self.violations.append(f"{name}: {value} was seen after {other}, which was written later")
        starts = [since for since, _, _ in held]
        for since, until, value in moments:
            place = bisect.bisect(starts, since) - 1
            if place >= 0 and held[place][1] > until:
                self.violations.append(f"{name}: {EDIT_UNDONE}: {value} was acknowledged and then {held[place][2]} was seen")


def self_test():
    """Small histories that are known to be right or wrong. They show that the checker finds violations."""
    def history(*operations, kills=()):
        return History([Operation(*operation) for operation in operations], kills).check()

    created = (CREATE, "k", 1, 0, 10, ("owner",))
    right = [
        [created, (READ, "k", 1, 20, 30)],
        # Concurrent with the end: both states are right.
        [created, (END, "k", None, 20, 40), (READ, "k", 1, 30, 50), (DEAD, "k", None, 31, 35)],
        [created, (EDIT, "k", 2, 20, 40), (READ, "k", 2, 30, 35), (READ, "k", 2, 36, 50)],
        # Without an answer: carried out, or never carried out.
        [created, (EDIT, "k", 2, 20, None), (READ, "k", 2, 60, 70)],
        [created, (EDIT, "k", 2, 20, None), (READ, "k", 1, 60, 70)],
        [created, (END, "k", None, 20, None), (DEAD, "k", None, 60, 70)],
        [created, (BULK, "owner", None, 5, 20), (READ, "k", 1, 30, 40)],
        [created, (BULK, "owner", None, 20, 30), (DEAD, "k", None, 40, 50)],
    ]
    wrong = [
        [created, (END, "k", None, 20, 30), (READ, "k", 1, 31, 40)],
        [created, (END, "k", None, 20, 30), (EDIT, "k", 2, 31, 40)],
        [created, (BULK, "owner", None, 20, 30), (ALIVE, "k", None, 31, 40)],
        [created, (DEAD, "k", None, 20, 30)],
        [created, (BULK, "other", None, 15, 18), (DEAD, "k", None, 20, 30)],
        # Once seen dead it stays dead, even if the end was not acknowledged.
        [created, (END, "k", None, 20, None), (DEAD, "k", None, 60, 70), (READ, "k", 1, 71, 80)],
        # Carried out only after the kill.
        [created, (END, "k", None, 20, None), (READ, "k", 1, 60, 70), (DEAD, "k", None, 71, 80)],
        [created, (EDIT, "k", 2, 20, None), (READ, "k", 1, 60, 70), (READ, "k", 2, 71, 80)],
        # A part of a bulk revocation.
        [created, (CREATE, "l", 1, 0, 10, ("owner",)), (BULK, "owner", None, 20, None), (DEAD, "k", None, 60, 70),
         (READ, "l", 1, 60, 70)],
        [created, (EDIT, "k", 2, 20, 30), (READ, "k", 1, 31, 40)],
        [created, (EDIT, "k", 2, 20, 60), (READ, "k", 2, 25, 30), (READ, "k", 1, 31, 40)],
        [created, (EDIT, "k", 2, 20, 30), (EDIT, "k", 3, 31, 40), (READ, "k", 2, 41, 50)],
        [created, (READ, "k", 7, 20, 30)],
        [(READ, "k", 1, 20, 30)],
    ]
    for operations in right:
        found = history(*operations, kills=[55])
        assert not found, (operations, found)
    for operations in wrong:
        assert history(*operations, kills=[55]), operations
