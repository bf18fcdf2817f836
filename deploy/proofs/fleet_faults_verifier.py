"""The process that asks all nodes about keys, the whole time, and most often around the end of each. See
fleet_faults.py.

One thread with sockets that never block, so that a node which is paused delays no question to another one. Questions to
such a node go on being sent: they lie in its sockets when it wakes, and were asked after revocations that it has not
heard of.
"""

import collections
import json
import os
import random
import selectors
import socket
import time

from fleet_faults_check import ACTIVE, AWAY, BROKEN, DEAD, REVOKED, UNKNOWN_ID
from fleet_faults_links import become_part_of_proof
from harness.service import INACTIVE

TICK_SECONDS = 0.01
# How long after its end a key is asked about often.
RECENT_SECONDS = 8.0
# Unanswered questions to one node, and at how many nothing but a key's end is asked about.
OPEN_MAX, OPEN_CALM = 400, 24
IDLE_MAX = 16
BATCH_MAX = 12
LIVE_MAX = 4_000
UNANSWERED_SECONDS = 40
REASONS = {"revoked": REVOKED, "unknown": UNKNOWN_ID}


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class News:
    """Tells the verifier about keys. Lines, each written at once, so several processes may write."""

    def __init__(self):
        self.source, self.sink = os.pipe()

    def live(self, name, text):
        self._tell(f"live {name} {text}")

    def hot(self, name):
        """Its revocation is about to be sent."""
        self._tell(f"hot {name}")

    def ended(self, name, is_everywhere):
        """Its revocation was acknowledged, before now."""
        self._tell(f"ended {name} {int(is_everywhere)}")

    def _tell(self, line):
        os.write(self.sink, line.encode() + b"\n")


class Question:
    """One request on one connection."""

    def __init__(self, node, connection, keys, way):
        self.node, self.connection, self.keys, self.way = node, connection, keys, way
        self.called, self.received = 0, b""


class Verifier:
    def __init__(self, ports, caller, news, log, shared):
        """
        - ports: of each node, by its name.
        - caller: the header line of a client that may introspect.
        - log: a file.
        """
        self.ports, self.caller, self.news, self.log, self.shared = ports, caller, news, log, shared
        self.selector = selectors.DefaultSelector()
        self.idle = {node: collections.deque() for node in ports}
        self.open = {node: set() for node in ports}
        self.texts, self.live, self.hot, self.revoking = {}, [], {}, set()
        self.recent = collections.deque()
        self.ended_everywhere = {}
        self.rest = b""

    def run(self):
        become_part_of_proof()
        os.set_blocking(self.news.source, False)
        self.selector.register(self.news.source, selectors.EVENT_READ)
        with open(self.log, "w", encoding="ascii") as self.file:
            next_tick = time.monotonic()
            while not self.shared.is_over:
                for chosen, _ in self.selector.select(max(0, next_tick - time.monotonic())):
                    if chosen.fileobj == self.news.source:
                        self.learn()
                    else:
                        self.receive(chosen.data)
                if time.monotonic() >= next_tick:
                    self.tick()
                    next_tick = max(next_tick + TICK_SECONDS, time.monotonic())

    # What to ask about

    def learn(self):
        try:
            self.rest += os.read(self.news.source, 65_536)
        except BlockingIOError:
            return
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            what, name, *more = line.decode().split(" ")
            if what == "live":
                self.texts[name] = more[0]
                self.live.append(name)
                if len(self.live) > LIVE_MAX:
                    self.live.pop(random.randrange(LIVE_MAX))
                self.everywhere([name])
            elif name in self.texts and what == "hot":
                self.hot[name] = time.monotonic()
                self.revoking.add(name)
                self.everywhere([name])
            elif name in self.texts:
                self.hot.pop(name, None)
                if more[0] == "1":
                    self.ended_everywhere[name] = now()
                self.recent.append((time.monotonic(), name))
                # At once, at all nodes, in each way.
                self.everywhere([name], ways=(self.single, self.introspect, self.batch))

    def everywhere(self, names, ways=None):
        for way in ways or [random.choice((self.single, self.introspect, self.batch))]:
            for node in self.ports:
                self.ask(node, names, way, is_urgent=True)

    def tick(self):
        moment = time.monotonic()
        while self.recent and moment - self.recent[0][0] > RECENT_SECONDS:
            _, name = self.recent.popleft()
            # Now and then somebody asks for a key that ended long ago.
            if random.random() < 0.2 and len(self.live) < LIVE_MAX:
                self.live.append(name)
        hot, recent = list(self.hot), [name for _, name in random.choices(self.recent, k=4)] if self.recent else []
        for node in self.ports:
            if hot:
                self.ask(node, [random.choice(hot)], random.choice((self.single, self.introspect)))
            if recent and random.random() < 0.5:
                self.ask(node, recent[:1], random.choice((self.single, self.introspect)))
            if self.live and random.random() < 0.3:
                self.ask(node, [random.choice(self.live)], random.choice((self.single, self.introspect)))
            if random.random() < 0.2:
                names = set(random.sample(hot, min(len(hot), BATCH_MAX // 3)) + recent
                            + random.choices(self.live, k=4) if self.live else [])
                if names:
                    self.ask(node, list(names), self.batch)
        for node in self.ports:
            late = now() - UNANSWERED_SECONDS * 1_000_000_000
            for question in [question for question in self.open[node] if question.called < late]:
                self.broken(question)

    # Requests

    def single(self, names):
        return f"GET /verify HTTP/1.1\r\nHost: node\r\nAuthorization: ApiKey {self.texts[names[0]]}\r\n\r\n"

    def introspect(self, names):
        body = "token=" + self.texts[names[0]]
        return (f"POST /oauth2/introspect HTTP/1.1\r\nHost: node\r\n{self.caller}"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}")

    def batch(self, names):
        body = json.dumps({"credentials": [self.texts[name] for name in names]})
        return (f"POST /v1/verify HTTP/1.1\r\nHost: node\r\n{self.caller}"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")

    def ask(self, node, names, way, is_urgent=False):
        unanswered = len(self.open[node])
        if unanswered >= (OPEN_MAX if is_urgent else OPEN_CALM):
            return
        # The one that was used longest ago, so that none idles until the node closes it.
        connection = self.idle[node].popleft() if self.idle[node] else self.connect(node)
        question = Question(node, connection, names, way)
        content = way(names).encode()
        self.open[node].add(question)
        # Before it is sent.
        question.called = now()
        try:
            if connection.send(content) != len(content):
                raise OSError
        except OSError:
            return self.broken(question)
        self.selector.register(connection, selectors.EVENT_READ, question)

    def connect(self, node):
        connection = socket.socket()
        connection.setblocking(False)
        # The kernel completes it at once, also for a process that is paused. If not, the first bytes cannot be sent.
        connection.connect_ex(("127.0.0.1", self.ports[node]))
        return connection

    # Answers

    def receive(self, question):
        try:
            piece = question.connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            return self.broken(question)
        question.received += piece
        head, end, body = question.received.partition(b"\r\n\r\n")
        if not end:
            return
        fields = head.lower().split(b"\r\n")
        length = next((int(field[15:]) for field in fields if field.startswith(b"content-length:")), 0)
        if len(body) < length:
            return
        answered = now()
        self.selector.unregister(question.connection)
        self.open[question.node].discard(question)
        if b"connection: close" in fields or len(self.idle[question.node]) >= IDLE_MAX:
            question.connection.close()
        else:
            self.idle[question.node].append(question.connection)
        self.judge(question, int(fields[0].split()[1]), body, answered)

    def judge(self, question, status, body, answered):
        if status == 503:
            verdicts = [AWAY] * len(question.keys)
        elif question.way == self.single and status in (200, 401):
            verdicts = [ACTIVE if status == 200 else DEAD]
        elif question.way == self.introspect and status == 200:
            verdicts = [DEAD if body == INACTIVE else ACTIVE]
        elif question.way == self.batch and status == 200:
            verdicts = [ACTIVE if result["active"] else REASONS[result["reason"]] for result in json.loads(body)["results"]]
        else:
            raise RuntimeError(f"{question.node} answered {question.way.__name__} with {status}: {body[:200]!r}")
        for name, verdict in zip(question.keys, verdicts, strict=True):
            self.note(question, name, answered, verdict)
            # The checker finds it, too. So a run that is to find one need not go on.
            if verdict == ACTIVE:
                self.shared.count("violations", question.called > self.ended_everywhere.get(name, answered))
            elif verdict not in (AWAY, BROKEN) and name not in self.revoking:
                self.learn()  # Its revocation may just have begun.
                self.shared.count("violations", name not in self.revoking)

    def broken(self, question):
        try:
            self.selector.unregister(question.connection)
        except KeyError:
            pass  # It was never sent.
        question.connection.close()
        self.open[question.node].discard(question)
        # What lies idle to that node is broken, too, or soon will be.
        for connection in self.idle[question.node]:
            connection.close()
        self.idle[question.node].clear()
        for name in question.keys:
            self.note(question, name, now(), BROKEN)

    def note(self, question, name, answered, verdict):
        self.file.write(f"{question.node} {name} {question.called} {answered} {verdict}\n")
