"""Holds a history of concurrent calls against the contract, by real time. See histories.py.

A history is a list of operations with the time of the call and that of the answer, on one monotonic clock. What one key or
token is, over time, is a register: what was created or edited last, until it is ended for good. Each value is written once,
so that linearizability is decided value by value (Gibbons and Korach, "Testing Shared Memories", 1997): of all operations
that wrote or saw a value, let F be the first answer and S the last call. Where F < S the register held the value from F to S
at least, and no two values may be held at once; else the value may have been held for a moment between S and F, which must
not lie within the time for which another value was held.

The end of a credential is the value that no other follows. What was not answered, because the daemon was killed, may have been
done or not; once seen it was done, before the kill, and stays.
"""

import bisect
import collections

CREATE, EDIT, END, BULK, READ, ALIVE, DEAD = "create", "edit", "end", "bulk", "read", "alive", "dead"
NEVER = 1 << 62
# How the sentence begins that follows the name of a credential whose acknowledged creation, end or edit is not to be seen.
CREATION_LOST = "is dead although nobody ended it"
END_UNDONE = "lives although its end was acknowledged"
EDIT_UNDONE = "is older again"


class Operation:
    """`value` belongs to creations, edits and reads. `answered` is None when no answer came."""

    __slots__ = ("kind", "subject", "value", "called", "answered", "group")

    def __init__(self, kind, subject, value, called, answered, group=()):
        self.kind, self.subject, self.value, self.called, self.answered = kind, subject, value, called, answered
        # What bulk revocations find a credential by: its owner and its client.
        self.group = group


class History:
    def __init__(self, operations, kills):
        """`kills`: times at which no process was left that could still do what had been asked before."""
        self.kills = sorted(kills)
        self.credentials = collections.defaultdict(list)
        self.bulks = collections.defaultdict(list)
        self.violations = []
        for operation in operations:
            (self.bulks if operation.kind == BULK else self.credentials)[operation.subject].append(operation)
        for bulks in self.bulks.values():
            bulks.sort(key=lambda bulk: bulk.called)

    def died(self, called):
        """When what was called then and not answered cannot be done any more."""
        place = bisect.bisect(self.kills, called)
        return self.kills[place] if place < len(self.kills) else NEVER

    def check(self):
        """Returns the violations, each a sentence."""
        lives = {}
        for name, operations in self.credentials.items():
            created = next((operation for operation in operations if operation.kind == CREATE), None)
            if created is None:
                self.violations.append(f"{name}: was seen and never created")
                continue
            lives[name] = created, self.last_sign_of_life(operations)
        self.refute_bulks(lives)
        for name, (created, alive) in lives.items():
            self.check_end(name, created, alive)
            self.check_values(name)
        return self.violations

    @staticmethod
    def last_sign_of_life(operations):
        """The last call that only a living credential answers like this."""
        return max(
            (operation.called for operation in operations
             if operation.kind in (READ, ALIVE) or (operation.kind == EDIT and operation.answered is not None)),
            default=0)

    def refute_bulks(self, lives):
        """An unanswered bulk revocation after whose kill one of its credentials lived was not done: it ends all or none."""
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
                # What was created meanwhile may have come before or after.
                if bulk.answered is not None and bulk.called > created.answered:
                    ended = min(ended, bulk.answered)
                if bulk not in self.refuted and (bulk.answered is None or bulk.answered > created.called):
                    reasons.append(bulk)
        if alive > ended:
            self.violations.append(f"{name}: {END_UNDONE} {(alive - ended) / 1e6:.3f} ms before")
        elif alive > seen_dead:
            self.violations.append(f"{name}: lives again {(alive - seen_dead) / 1e6:.3f} ms after it was seen dead")
        if seen_dead < NEVER and not any(self.explains(reason, seen_dead, alive) for reason in reasons):
            self.violations.append(f"{name}: {CREATION_LOST}")

    def explains(self, reason, seen_dead, alive):
        if reason.called > seen_dead:
            return False
        # What was not answered and not done before the kill is never done.
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
    """Small histories with their verdicts: a checker that finds nothing proves nothing."""
    def history(*operations, kills=()):
        return History([Operation(*operation) for operation in operations], kills).check()

    born = (CREATE, "k", 1, 0, 10, ("owner",))
    right = [
        [born, (READ, "k", 1, 20, 30)],
        # Concurrent with the end: either.
        [born, (END, "k", None, 20, 40), (READ, "k", 1, 30, 50), (DEAD, "k", None, 31, 35)],
        [born, (EDIT, "k", 2, 20, 40), (READ, "k", 2, 30, 35), (READ, "k", 2, 36, 50)],
        # Not answered: done, or never done.
        [born, (EDIT, "k", 2, 20, None), (READ, "k", 2, 60, 70)],
        [born, (EDIT, "k", 2, 20, None), (READ, "k", 1, 60, 70)],
        [born, (END, "k", None, 20, None), (DEAD, "k", None, 60, 70)],
        [born, (BULK, "owner", None, 5, 20), (READ, "k", 1, 30, 40)],
        [born, (BULK, "owner", None, 20, 30), (DEAD, "k", None, 40, 50)],
    ]
    wrong = [
        [born, (END, "k", None, 20, 30), (READ, "k", 1, 31, 40)],
        [born, (END, "k", None, 20, 30), (EDIT, "k", 2, 31, 40)],
        [born, (BULK, "owner", None, 20, 30), (ALIVE, "k", None, 31, 40)],
        [born, (DEAD, "k", None, 20, 30)],
        [born, (BULK, "other", None, 15, 18), (DEAD, "k", None, 20, 30)],
        # Once seen dead it stays dead, although nobody was told.
        [born, (END, "k", None, 20, None), (DEAD, "k", None, 60, 70), (READ, "k", 1, 71, 80)],
        # Not done before the kill, and done behind it.
        [born, (END, "k", None, 20, None), (READ, "k", 1, 60, 70), (DEAD, "k", None, 71, 80)],
        [born, (EDIT, "k", 2, 20, None), (READ, "k", 1, 60, 70), (READ, "k", 2, 71, 80)],
        # Half of a bulk revocation.
        [born, (CREATE, "l", 1, 0, 10, ("owner",)), (BULK, "owner", None, 20, None), (DEAD, "k", None, 60, 70),
         (READ, "l", 1, 60, 70)],
        [born, (EDIT, "k", 2, 20, 30), (READ, "k", 1, 31, 40)],
        [born, (EDIT, "k", 2, 20, 60), (READ, "k", 2, 25, 30), (READ, "k", 1, 31, 40)],
        [born, (EDIT, "k", 2, 20, 30), (EDIT, "k", 3, 31, 40), (READ, "k", 2, 41, 50)],
        [born, (READ, "k", 7, 20, 30)],
        [(READ, "k", 1, 20, 30)],
    ]
    for operations in right:
        found = history(*operations, kills=[55])
        assert not found, (operations, found)
    for operations in wrong:
        assert history(*operations, kills=[55]), operations
