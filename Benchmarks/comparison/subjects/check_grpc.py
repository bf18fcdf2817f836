"""Envoy's check over gRPC beside /verify of the same process."""

import re
import struct

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..failure import Failed
from ..http_exchange import Request, Target, ask
from ..loads.h2load import H2load
from ..peers.countersign import Countersign, countersign
from ..rounds import Side
from ..sample import Sample, sampled
from ..secret_files import write_secret_bytes
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture

PATH = "/envoy.service.auth.v3.Authorization/Check"
GRPC = {"content-type": "application/grpc", "te": "trailers"}
STREAMS = 8
VALID = re.compile(r'^countersign_verifications_total\{[^}]*interface="(\w+)"[^}]*outcome="valid"[^}]*\} (\d+)', re.MULTILINE)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protocol buffers; numbers below 16, contents below 16 KiB."""
    count = len(content)
    length = bytes([count]) if count < 128 else bytes([count & 127 | 128, count >> 7])
    return bytes([number << 3 | 2]) + length + content


def check_request(key: str) -> bytes:
    """The message that Envoy sends for a GET with deploy/gateways/envoy/envoy-grpc.yaml, with its length prefix."""
    def address(text: bytes) -> bytes:
        return field(1, field(1, field(2, text) + b"\x18\xd0\x86\x03"))

    def header(name: bytes, value: bytes) -> bytes:
        return field(1, field(1, name) + field(3, value))

    headers = header(b"authorization", b"ApiKey " + key.encode()) + header(b"x-forwarded-for", b"192.0.2.7")
    http = field(1, b"8537102634187262837") + field(2, b"GET") + field(4, b"/orders/7?page=2") + field(5, b"api.example")
    http += field(6, b"http") + field(10, b"HTTP/1.1") + field(13, headers)
    attributes = field(1, address(b"192.0.2.7")) + field(2, address(b"192.0.2.1"))
    attributes += field(4, field(1, b"\x08\xc9\xf4\x93\xd8\x06\x10\x80\x94\xeb\xdc\x03") + field(2, http))
    attributes += field(10, field(1, b"policy") + field(2, b"orders")) + field(11, b"")
    message = field(1, attributes)
    return b"\0" + struct.pack(">I", len(message)) + message


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("check")
    policies = folder / "policies.yaml"
    policies.write_text("orders:\n  scope: orders:read\n")
    with countersign(bench, folder, policies=policies) as ours:
        fixture = Fixture.of(ours, folder)
        body = write_secret_bytes(folder / "check", check_request(fixture.key))
        connections = max(1, bench.connection_count // STREAMS)
        check = H2load(Target(f"unix:{ours.check}"), PATH, GRPC, connections, STREAMS, body)
        # With the scope that the policy requires, too.
        verify = H2load(
            ours.unix, "/verify?scope=orders:read", {"Authorization": f"ApiKey {fixture.key}"}, bench.connection_count)
        sides = [
            Side("check", lambda seconds: accepted(ours, "grpc", check, seconds)),
            Side("verify", lambda seconds: accepted(ours, "verify", verify, seconds))]
        questions = [Question("check", "verify", CPU, Limit.at_most(3)), Question("check", "verify", RATE)]
        notes = [f"One CheckRequest has {body.stat().st_size} bytes with its prefix; {STREAMS} concurrent calls on each of "
                 f"{connections} connections, and one request on each of {bench.connection_count} for /verify."]
        return outcome(bench, sides, questions, notes)


def accepted(server: Countersign, interface: str, load: H2load, seconds: int) -> Sample:
    """A sample. A refusal over gRPC has the status 200 too, so the accepted credentials are counted by the server's metrics."""
    before = valid(server, interface)
    sample = sampled(server.pid, lambda: load(seconds))
    counted = valid(server, interface) - before
    # Unfinished requests at the end are only counted by the server.
    if not sample.answered.requests <= counted <= sample.answered.requests + 10_000:
        raise Failed(f"{sample.answered.requests} requests were answered and {counted} credentials accepted")
    return sample


def valid(server: Countersign, interface: str) -> int:
    metrics = ask(Target(f"unix:{server.store}/control.sock"), Request("GET", "/metrics", {"Connection": "close"}))
    return sum(int(count) for name, count in VALID.findall(metrics.body.decode()) if name == interface)


SUBJECT = Subject(
    "check-grpc", "Envoy's check over gRPC",
    "The Check of one CheckRequest with an active key, answered with its identity, beside GET /verify with the same key at "
    "the same process, both over Unix sockets and both asked by h2load.", measure, per="check")
