"""Rolls through a fleet under load. See `fleet-roll` for its usage.

The settings of nginx are those that deploy/fleet writes, taken from there. A revoked key is among those that are asked
about: while a node is replaced, nobody may accept it.
"""

import argparse
import collections
import json
import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path

from fleet_faults_fleet import Fleet
from harness.checks import Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import Process, free_port, wait_until
from harness.service import FORM, basic

CONNECTIONS = 8
CALM_SECONDS = 2.0
KEYS = 12
END_SECONDS = 30
ANSWER_SECONDS = 10
LOST_SHOWN_MAX = 12


def nginx_settings(folder, nodes, port, retries):
    """What deploy/fleet gives nginx, with the ports of this fleet."""
    script = (Path(__file__).parent.parent / "fleet").read_text()
    found = re.search(r"<<NGINX\n(.*?)\nNGINX\n", script, re.DOTALL)
    if not found:
        raise Unproven("deploy/fleet has no settings of nginx")
    text, ports = found[1].replace("$folder", str(folder)), iter([*(node.port for node in nodes), port])
    text = re.sub(r"\$\{ports\[\d+\]\}", lambda _: str(next(ports)), text)
    if next(ports, None) is not None or "${" in text:
        raise Unproven("the settings of nginx in deploy/fleet are not for three nodes")
    if not retries:
        text, count = re.subn(r"proxy_next_upstream [^;]*;", "proxy_next_upstream off;", text)
        if count != 1:
            raise Unproven("deploy/fleet does not say when nginx asks another node")
    return text


class Load:
    """Callers at a steady rate, each with a connection of its own that is kept alive. Two of three requests are POSTs,
    which nginx does not repeat once they are sent.
    """

    def __init__(self, port, keys, caller, rate):
        """
        - keys: each with whether it is active.
        - caller: the header line of a client that may introspect.
        """
        self.port, self.keys, self.pause = port, keys, CONNECTIONS / rate
        self.caller = caller
        self.is_over = False
        self.counts, self.lost, self.slowest = collections.Counter(), [], 0.0
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(CONNECTIONS)]

    def single(self, connection, text):
        answer = connection.ask("GET", "/verify", fields=f"Authorization: ApiKey {text}\r\n")
        return answer, {200: True, 401: False}.get(answer.status)

    def introspect(self, connection, text):
        answer = connection.ask("POST", "/oauth2/introspect", "token=" + text, f"{self.caller}Content-Type: {FORM}\r\n")
        return answer, answer.json["active"] if answer.status == 200 else None

    def batch(self, connection, text):
        answer = connection.ask(
            "POST", "/v1/verify", json.dumps({"credentials": [text]}), f"{self.caller}Content-Type: application/json\r\n")
        return answer, answer.json["results"][0]["active"] if answer.status == 200 else None

    def run(self, number):
        connection, place, due = None, number, time.monotonic()
        while not self.is_over:
            (text, right), way = self.keys[place % len(self.keys)], (self.single, self.introspect, self.batch)[place % 3]
            place += 1
            due += self.pause
            time.sleep(max(0, due - time.monotonic()))
            begun, was_new = time.monotonic(), connection is None
            try:
                connection = connection or Connection(self.port, ANSWER_SECONDS)
                answer, verdict = way(connection, text)
                what = f"{answer.status}" if verdict is None else "active" if verdict else "inactive"
                if answer.fields.get("connection") == "close":
                    connection.close()
                    connection = None
            except OSError as error:
                verdict, what = None, f"{type(error).__name__} on a {'new' if was_new else 'kept'} connection"
                if connection:
                    connection.close()
                connection = None
            taken = time.monotonic() - begun
            self.slowest = max(self.slowest, taken)
            self.counts[what] += 1
            if verdict is not right:
                self.lost.append((time.time(), f"{way.__name__}: {what} instead of {right}, {taken * 1e3:.1f} ms"))


def restart(node):
    """As an operator does it. Returns when it began, ended and was ready again."""
    begun = time.time()
    node.is_wanted = False
    node.process.send(signal.SIGTERM)
    status = node.process.wait(END_SECONDS)
    ended = time.time()
    if status != 0:
        raise Unproven(f"{node.name} ended with {status} after SIGTERM:\n{node.process.log_tail()}")
    node.start()
    if not wait_until(node.is_ready, END_SECONDS, 0.02, node.process):
        raise Unproven(f"{node.name} is not ready:\n{node.process.log_tail()}")
    return begun, ended, time.time()


def roll(fleet, folder, options):
    caller = f"Authorization: {basic(fleet.begin(lambda node: node.introspector()))}\r\n"
    port = free_port()
    settings = folder / "nginx.conf"
    settings.write_text(nginx_settings(folder, fleet.nodes, port, not options.mutant))
    keys = []
    for number in range(KEYS):
        made = fleet.nodes[number % 3].administer("POST", "/v1/keys", {"owner": "acme"}).json["items"][0]
        if number % 4 == 3:
            fleet.nodes[0].administer("DELETE", f"/v1/keys/{made['id']}")
        keys.append((made["key"], number % 4 != 3))
    with Process(["nginx", "-e", "stderr", "-g", "daemon off;", "-c", settings], folder / "nginx-start.log") as nginx:
        if not wait_until(lambda: answers(port), process=nginx):
            raise Unproven("nginx does not start:\n" + nginx.log_tail())
        load, times = Load(port, keys, caller, options.rate), []
        for thread in load.threads:
            thread.start()
        try:
            time.sleep(CALM_SECONDS)
            for node in fleet.nodes:
                times.append((node.name, *restart(node)))
                time.sleep(CALM_SECONDS)
        finally:
            load.is_over = True
            for thread in load.threads:
                thread.join()
    report(load, times)
    return [explain(moment, what, times) for moment, what in load.lost[:LOST_SHOWN_MAX]] + (
        [f"{len(load.lost)} requests were lost", *nginx_says(folder)] if load.lost else [])


def answers(port):
    try:
        with Connection(port) as connection:
            return connection.ask("GET", "/readyz").status == 200
    except OSError:
        return False


def report(load, times):
    for name, begun, ended, ready in times:
        print(f"  {name}: ended {ended - begun:.2f} s after SIGTERM, ready {ready - ended:.2f} s after its start")
    print(f"  {sum(load.counts.values())} requests: "
          + ", ".join(f"{count} with {what}" for what, count in sorted(load.counts.items()))
          + f"; the slowest took {load.slowest * 1e3:.0f} ms; {len(load.lost)} lost")


def explain(moment, what, times):
    """A lost request, by where in the restarts it was."""
    for name, begun, ended, ready in times:
        if begun <= moment <= ready + CALM_SECONDS:
            event, since = next(
                pair for pair in (("it was ready", ready), ("its end", ended), ("SIGTERM", begun)) if moment >= pair[1])
            return f"lost: {what}; {name}, {(moment - since) * 1e3:.0f} ms after {event}"
    return f"lost: {what}; no node was restarted then"


def nginx_says(folder):
    log = folder / "nginx.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    kinds = collections.Counter(re.sub(r"^\S+ \S+ |\*?\d+#?\d*: |\*\d+ |, client: .*", "", line) for line in lines)
    return [f"nginx, {count} times: {text[:160]}" for text, count in kinds.most_common(6)]


def main():
    parser = argparse.ArgumentParser(prog="fleet-roll")
    parser.add_argument("program", type=os.path.realpath)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--mutant", action="store_true", help="nginx asks no other node, which must be caught")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        with Fleet(options.program, Path(name), ["m0", "m1", "m2"], ["n1", "n2", "n3"]) as fleet:
            return as_expected(
                "fleet-roll", roll(fleet, Path(name), options), "nginx that asks no other node" if options.mutant else "")


conclude("fleet-roll", main)
