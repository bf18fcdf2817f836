"""Floods the service and measures how long a good client waits during each flood. See floods.

    floods.py PROGRAM SECONDS [FLOOD...]

Exits with 0 if the good client's 99th percentile is at most three times that of the idle service on every interface, with 1 if
it is not, and with 2 if nothing was proven.
"""

import itertools
import json
import multiprocessing
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time

from harness.checks import Unproven, conclude
from harness.connection import END_HEADERS, HEADERS, PREFACE, RST_STREAM, SETTINGS, Connection, frame, literal
from harness.service import FORM, Introspector, Service, unknown_credential

PROGRAM, SECONDS, WANTED = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
TIMES_MAX = 3
# Client, attacker and service share two processors, so a thread that wakes up may wait for some time slices of three to four
# milliseconds, once for the request and once for the answer. An unlimited flood would cause delays of seconds.
FLOOR_SECONDS = 0.025
LOST_SECONDS = 5.0
"""The timeout of a request. A failed request counts as one that took that long."""
ATTEMPTS = 3
RECOVERY_SECONDS_MAX = 20
INTERFACES = ("data plane", "data plane, new connection", "Unix socket", "OAuth", "OAuth, new connection", "health")


# The good client

class GoodClient:
    def __init__(self, service, addresses):
        self.service, self.addresses = service, addresses
        self.key = addresses["key"]
        self.introspector = Introspector(addresses["gateway"])
        self.basic = Introspector(addresses["shop"]).fields
        self.connections = {}

    def ask(self, interface):
        address, _, request = {
            "data": (self.service.port, 0, ("POST", "/oauth2/introspect", f"token={self.key}", self.introspector.fields)),
            "Unix": (self.addresses["unix"], 0, ("GET", "/verify", "", f"Authorization: ApiKey {self.key}\r\n")),
            "OAuth": (self.service.oauth_port, 0, ("POST", "/oauth2/token", "grant_type=client_credentials", self.basic)),
            "health": (self.addresses["health"], 0, ("GET", "/readyz")),
        }[interface.replace(",", " ").split(" ")[0]]
        is_reused = interface in self.connections
        if not is_reused:
            self.connections[interface] = Connection(address, LOST_SECONDS)
        try:
            answer = self.connections[interface].ask(*request)
        except ConnectionError:
            # A service may close a connection between two requests. A client then opens another one (RFC 9112 §9.3.1).
            if not is_reused:
                raise
            self.connections.pop(interface).close()
            return self.ask(interface)
        if answer.status != 200:
            raise OSError(f"answered with {answer.status}")
        if "new" in interface or interface == "health":
            self.connections.pop(interface).close()

    def measure(self, seconds):
        """The seconds of each request by interface. The interfaces take turns."""
        waits = {interface: [] for interface in INTERFACES}
        end = time.monotonic() + seconds
        for interface in itertools.cycle(INTERFACES):
            began = time.monotonic()
            if began > end and len(waits[INTERFACES[-1]]) > 0:
                return waits
            try:
                self.ask(interface)
                waits[interface].append(time.monotonic() - began)
            except (OSError, ValueError):
                if connection := self.connections.pop(interface, None):
                    connection.close()
                waits[interface].append(LOST_SECONDS)
            time.sleep(0.0005)


def percentile_99(waits):
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * 0.99))]


# The attackers. Each runs in its own process until it is killed

sent = multiprocessing.Value("q", 0)


def wait_until_full():
    """Waits until the flood of unread answers has filled its buffers. Before that it is a flood of requests."""
    before, end = -1, time.monotonic() + 20
    while sent.value != before:
        if time.monotonic() > end:
            raise Unproven("the connections whose answers are not read still accept requests")
        before = sent.value
        time.sleep(0.5)


def connect(address, buffer_bytes=None):
    if isinstance(address, int):
        made = socket.socket(socket.AF_INET)
        address = ("127.0.0.1", address)
    else:
        made, address = socket.socket(socket.AF_UNIX), str(address)
    if buffer_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    made.settimeout(2)
    made.connect(address)
    made.setblocking(False)
    return made


def hold(address, count, first, more):
    """Keeps `count` connections open. Each sends `first`, and then a byte of `more` every now and then."""
    held = []
    while True:
        while len(held) < count:
            try:
                one = connect(address)
                one.send(first)
                held.append(one)
            except OSError:
                break
        if more:
            for one in random.sample(held, len(held) // 4):
                try:
                    one.send(more)
                except OSError:
                    one.close()
                    held.remove(one)
        readable = select.poll()
        for one in held:
            readable.register(one, select.POLLIN | select.POLLHUP)
        byte_of = {one.fileno(): one for one in held}
        for number, _ in readable.poll(0):
            one = byte_of[number]
            try:
                gone = not one.recv(65536)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                one.close()
                held.remove(one)
        time.sleep(0.2)


def fill(address, count, request):
    """Sends requests on `count` connections without reading answers. `sent` grows until all buffers are full; small buffers on this
    side make that quick."""
    # The unsent rest of the requests, by connection.
    held = {}
    while True:
        while len(held) < count:
            try:
                held[connect(address, buffer_bytes=16_384)] = b""
            except OSError:
                break
        for one, rest in list(held.items()):
            rest = rest or request * 50
            try:
                count_sent = one.send(rest)
                sent.value += count_sent
                held[one] = rest[count_sent:]
            except BlockingIOError:
                pass
            except OSError:
                one.close()
                del held[one]
        time.sleep(0.02)


def ask_on(address, requests, burst):
    """Sends requests as fast as they are answered, in bursts over one connection."""
    while True:
        try:
            with Connection(address) as connection:
                for request in requests:
                    connection.socket.sendall(request * burst)
                    for _ in range(burst):
                        connection.answer()
        except OSError:
            time.sleep(0.01)


def reset(address):
    """HTTP/2: opens streams and resets them immediately (CVE-2023-44487)."""
    head = b"".join(literal(*pair) for pair in (
        (":method", "POST"), (":scheme", "http"), (":path", "/envoy.service.auth.v3.Authorization/Check"),
        (":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers")))
    while True:
        try:
            with Connection(address) as connection:
                connection.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
                for start in range(1, 1 << 20, 100):
                    connection.socket.sendall(b"".join(
                        frame(HEADERS, END_HEADERS, stream, head) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
                        for stream in range(start, start + 100, 2)))
                    connection.socket.setblocking(False)
                    try:
                        while connection.socket.recv(65536):
                            pass
                        raise ConnectionResetError
                    except BlockingIOError:
                        connection.socket.setblocking(True)
                        connection.socket.settimeout(2)
        except OSError:
            time.sleep(0.01)


def posted(path, kind, body, fields=""):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
            f"{body}").encode()


def floods(service, addresses):
    data, oauth, gateway = service.port, service.oauth_port, Introspector(addresses["gateway"])
    head_start = b"POST /oauth2/introspect HTTP/1.1\r\nHost: localhost\r\nX-A: "
    token_head = f"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 60000\r\n\r\na=".encode()
    body_head = head_start.replace(b"X-A: ", f"{gateway.fields}Content-Length: 60000\r\n\r\ntoken=".encode())
    verify = b"GET /verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: ApiKey " + addresses["key"].encode() + b"\r\n\r\n"
    tokens = [posted("/oauth2/introspect", FORM, f"token={unknown_credential()}", gateway.caller) for _ in range(500)]
    wrong = [posted("/oauth2/token", FORM, f"grant_type=client_credentials&client_id={addresses['shop']['client_id']}"
                    f"&client_secret={unknown_credential('c')}") for _ in range(500)]
    leaks = [posted("/v1/leaks", "application/json", json.dumps({"credential": unknown_credential()})) for _ in range(500)]
    # The control plane accepts 256 connections, so a few more keep it full. Many more would be a flood of new connections, since
    # those that are closed for a newer one are reopened: of 600 connections, 340 five times per second.
    return {
        "slow heads, data plane": [(hold, data, 400, head_start, b"a")],
        "slow heads, OAuth": [(hold, oauth, 300, b"GET /oauth2/authorize?a=", b"a")],
        "slow bodies, data plane": [(hold, data, 400, body_head, b"a")],
        "slow bodies, OAuth": [(hold, oauth, 300, token_head, b"a")],
        "idle connections, data plane": [(hold, data, 900, b"", b"")],
        "idle connections, OAuth": [(hold, oauth, 400, b"", b"")],
        "unread answers, data plane": [(fill, data, 20, verify)],
        "unread answers, OAuth": [(fill, oauth, 20, b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: a\r\n\r\n")],
        "gRPC resets": [(reset, addresses["grpc"])],
        "unknown tokens": [(ask_on, data, tokens, 16)],
        "wrong client secrets": [(ask_on, oauth, wrong, 1)],
        "leaks": [(ask_on, oauth, leaks, 1)],
    }


def attack(act, *arguments):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A real attacker has its own processors. Here it must not take those of the service.
    os.nice(15)
    # Repeats the requests without end.
    if act is ask_on:
        address, requests, burst = arguments
        while True:
            ask_on(address, requests, burst)
    act(*arguments)


def recover(good, name):
    """Waits until requests succeed again after an attack."""
    end = time.monotonic() + RECOVERY_SECONDS_MAX
    while any(LOST_SECONDS in waits for waits in good.measure(0.2).values()):
        if time.monotonic() > end:
            raise Unproven(f"{name}: {RECOVERY_SECONDS_MAX} s after its end a good client is not served yet")


def prove(service, addresses):
    good = GoodClient(service, addresses)
    good.measure(0.5)
    quiet = {interface: percentile_99(waits) for interface, waits in good.measure(SECONDS).items()}
    print("without floods: " + ", ".join(f"{interface} {wait * 1000:.1f}" for interface, wait in quiet.items()) + " ms")
    known = floods(service, addresses)
    if missing := set(WANTED) - set(known):
        raise Unproven(f"no such flood: {missing}; there are {', '.join(known)}")
    broken = []
    for name in WANTED or known:
        for _ in range(ATTEMPTS):
            attackers = [multiprocessing.get_context("fork").Process(target=attack, args=one, daemon=True) for one in known[name]]
            try:
                for one in attackers:
                    one.start()
                time.sleep(0.7)
                wait_until_full()
                during = good.measure(SECONDS)
                if not all(one.is_alive() for one in attackers):
                    raise Unproven(f"{name}: an attacker has ended")
            finally:
                for one in attackers:
                    one.kill()
                    one.join()
            if service.process.poll() is not None:
                raise Unproven(f"{name}: the service ended: {service.log_tail()}")
            recover(good, name)
            waits = {interface: percentile_99(found) for interface, found in during.items()}
            late = [interface for interface in INTERFACES if waits[interface] > max(FLOOR_SECONDS, TIMES_MAX * quiet[interface])]
            print(f"{name:30} " + ", ".join(
                f"{interface} {wait * 1000:.1f}{' LATE' if interface in late else ''}" for interface, wait in waits.items()),
                flush=True)
            if not late:
                break
        else:
            broken.append(name)
    return broken


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Service(PROGRAM, listens=("--listen", "--control-listen", "--health-listen")) as service:
        addresses = {"health": service.health_port, "unix": service.folder / "data.sock", "grpc": service.folder / "grpc.sock"}
        service.flags += ["--listen", f"unix:{addresses['unix']}", "--grpc-listen", f"grpc+unix:{addresses['grpc']}",
                          "--issuer", f"http://127.0.0.1:{service.oauth_port}"]
        service.start()
        addresses["gateway"] = service.json_result("client", "create", "--name", "gateway", "--may", "introspect")
        addresses["shop"] = service.json_result("client", "create", "--name", "shop", "--grant", "client_credentials")
        addresses["key"] = service.json_result("key", "create", "--owner", "acme")["key"]
        broken = prove(service, addresses)
    print("floods: " + (f"a good client waits too long during: {', '.join(broken)}" if broken
                        else f"a good client's 99th percentile stayed within {TIMES_MAX} times that of the quiet service"))
    return not broken


conclude("floods", main)
