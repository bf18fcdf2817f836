"""The process that creates and revokes keys at all nodes, with a thread for each change under way. See fleet_faults.py.

A change whose outcome is not known is sent again, at another node, until it is acknowledged. A creation is repeated
under its `Idempotency-Key`, so that it makes one key; what it made without telling the text is revoked.
"""

import collections
import contextlib
import multiprocessing
import random
import secrets
import sys
import threading
import time
import traceback

from fleet_faults_check import ABSENT, CREATE, EVERYWHERE, PARTLY, QUORUM, REVOKE, UNKNOWN
from fleet_faults_links import become_part_of_proof
from fleet_faults_verifier import now
from harness.connection import Connection

# Longer than a node is paused, and than the ten seconds after which it says that an outcome is not known.
ANSWER_SECONDS = 45
POOL_MIN = 24
REPEAT_SECONDS = 0.5
ATTEMPTS_MAX = 60


# - threads: the changes that may be under way. Most of them wait for a lease to end.
# - each_second: how many keys are revoked while nothing is wrong.
Load = collections.namedtuple("Load", "threads each_second")


class Shared:
    """Numbers that the processes share."""

    NAMES = "over", "stopping", EVERYWHERE, "violations"

    def __init__(self, nodes):
        self._places = {name: place for place, name in enumerate([*self.NAMES, *nodes])}
        self._numbers = multiprocessing.get_context("fork").Array("q", len(self._places))

    def count(self, name, by=1):
        with self._numbers.get_lock():
            self._numbers[self._places[name]] += by

    def __getitem__(self, name):
        return self._numbers[self._places[name]]

    @property
    def is_over(self):
        return self["over"] > 0

    @property
    def is_stopping(self):
        return self["stopping"] > 0


class Changers:
    """
    - folder: gets the files of what was done (`changes`), of the keys' texts (`texts`), and of what nodes said when they
      refused a change (`refusals`).
    - pretend: a reach that is taken for `everywhere`, which is wrong and must be caught.
    """

    def __init__(self, nodes, news, folder, shared, load, pretend=None):
        self.nodes = {node.name: node for node in nodes}
        self.news, self.folder, self.shared = news, folder, shared
        self.load, self.pretend = load, pretend
        # At one node, so that one which does not answer leaves threads for the others.
        self.each_node_max = load.threads // len(self.nodes)
        self.next_begin = time.monotonic()
        self.lock = threading.Lock()
        self.busy = dict.fromkeys(self.nodes, 0)
        self.pool = []
        self.fault = None

    def run(self):
        become_part_of_proof()
        with contextlib.ExitStack() as files:
            self.changes, self.texts, self.refusals = (
                files.enter_context(open(self.folder / name, "w", encoding="utf-8"))
                for name in ("changes", "texts", "refusals"))
            threads = [threading.Thread(target=self.work, args=(number,)) for number in range(self.load.threads)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self.fault:
            sys.exit(self.fault)

    def work(self, number):
        try:
            count = 0
            while not self.shared.is_stopping:
                count += 1
                self.await_turn()
                if self.shared.is_stopping:
                    break
                self.create(f"{number}-{count}")
                with self.lock:
                    if len(self.pool) < POOL_MIN:
                        continue
                    name = self.pool.pop(random.randrange(len(self.pool)))
                self.revoke(name)
        except Exception:
            self.fault = traceback.format_exc()
            self.shared.count("stopping")

    def await_turn(self):
        """At a steady rate, however many threads are free."""
        with self.lock:
            self.next_begin = max(time.monotonic(), self.next_begin + 1 / self.load.each_second)
            begin = self.next_begin
        while (left := begin - time.monotonic()) > 0 and not self.shared.is_stopping:
            time.sleep(min(0.2, left))

    # Requests

    def choose(self):
        with self.lock:
            free = [name for name, count in self.busy.items() if count < self.each_node_max]
            chosen = random.choice(free or list(self.busy))
            self.busy[chosen] += 1
        self.shared.count(chosen)
        return chosen

    def send(self, method, target, body=None, fields="", sending=None):
        """Sends a change to some node. Returns the node, the two times, and the answer; None for what there is not.

        - sending: called with the node and the time before anything is sent.
        """
        if body is not None:
            fields += "Content-Type: application/json\r\n"
        while True:
            node, called = self.choose(), None
            try:
                with Connection(self.nodes[node].control, ANSWER_SECONDS) as connection:
                    called = now()
                    if sending:
                        sending(node, called)
                    answer = connection.ask(method, target, body or b"", fields)
                    return node, called, now(), answer
            except (OSError, ValueError):
                if called is not None:
                    return node, called, None, None
            finally:
                with self.lock:
                    self.busy[node] -= 1
                self.shared.count(node, -1)
            # Nothing was sent, since the node does not listen.
            time.sleep(random.uniform(0, REPEAT_SECONDS))

    def reach(self, node, answer, statuses):
        if answer is None:
            return UNKNOWN
        if answer.status == 503:
            with self.lock:
                self.refusals.write(f"{node}: {answer.json.get('detail')}\n")
                self.refusals.flush()
            return UNKNOWN
        if answer.status == 404:
            return ABSENT
        if answer.status == 202:
            return PARTLY
        if answer.status not in statuses:
            raise RuntimeError(f"a change was answered with {answer.status}: {answer.body[:300]!r}")
        reach = answer.fields.get("acknowledged")
        if reach not in (EVERYWHERE, QUORUM):
            raise RuntimeError(f"a change was answered with 'Acknowledged: {reach}'")
        return EVERYWHERE if reach == self.pretend else reach

    def note(self, kind, node, name, called, answered, reach):
        line = f"{kind} {node} {name} {called} {'-' if answered is None else answered} {reach}\n"
        with self.lock:
            self.changes.write(line)
            self.changes.flush()

    def create(self, label):
        fields = f"Idempotency-Key: {secrets.token_hex(12)}\r\n"
        if random.random() < 0.3:
            fields += "Ack: everywhere\r\n"
        first = None
        for _ in range(ATTEMPTS_MAX):
            node, called, answered, answer = self.send(
                "POST", "/v1/keys", f'{{"owner":"owner-{label}","scope":"orders:read"}}', fields)
            first = first or called
            reach = self.reach(node, answer, (200, 201))
            if reach == UNKNOWN:
                time.sleep(random.uniform(0, 2 * REPEAT_SECONDS))
                continue
            made = answer.json["items"][0]
            # An earlier attempt may have made it.
            self.note(CREATE, node, made["id"], first, answered, reach)
            if made["key"] is None:
                return self.revoke(made["id"], is_known=False)
            self.news.live(made["id"], made["key"])
            with self.lock:
                self.texts.write(f"{made['id']} {made['key']}\n")
                self.pool.append(made["id"])
            return None
        return None

    def revoke(self, name, is_known=True):
        fields = random.choices(("", "Ack: everywhere\r\n", "Ack: quorum\r\n"), (8, 1, 1))[0]
        if is_known:
            self.news.hot(name)
        for _ in range(ATTEMPTS_MAX):
            node, called, answered, answer = self.send(
                "DELETE", f"/v1/keys/{name}", fields=fields,
                # It may be made before it is answered, or without.
                sending=lambda node, called: self.note(REVOKE, node, name, called, None, UNKNOWN))
            reach = self.reach(node, answer, (200, 204))
            self.note(REVOKE, node, name, called, answered, reach)
            if reach == EVERYWHERE:
                self.shared.count(EVERYWHERE)
            if is_known and reach in (EVERYWHERE, QUORUM, PARTLY):
                self.news.ended(name, reach == EVERYWHERE)
            if reach in (EVERYWHERE, ABSENT):
                return
            if reach != UNKNOWN:
                # It is done. Asked for again, it gets everywhere.
                fields = "Ack: everywhere\r\n"
            time.sleep(random.uniform(0, 2 * REPEAT_SECONDS))
