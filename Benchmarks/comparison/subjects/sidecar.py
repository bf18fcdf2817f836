"""The latency of one request at a time from the same pod, beside nginx on the same kind of socket."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack

from ..bench import Bench, progress
from ..comparisons import Limit
from ..failure import Failed
from ..http_exchange import Request, Target, ask
from ..loads.one_call import grpc_caller
from ..median import Spread
from ..peers.countersign import countersign
from ..peers.nginx import Constant, nginx
from ..peers.same_size import same_size
from ..processes import LOAD_PROCESSOR
from ..subject import Figure, Outcome, Subject
from .check_grpc import GRPC, PATH, check_request, valid
from .fixture import Fixture, sizes
from .verify_http import identity, unavoidable

# Microseconds from the first byte of the request to the last one of the answer.
MEDIAN_MAX = 50
REQUESTS_PER_ROUND = 2_000
WARM_UP = 200
RECEIVE_BYTES = 65_536


def measure(bench: Bench) -> Outcome:
    result = Outcome()
    folder = bench.fresh_folder("sidecar")
    os.sched_setaffinity(0, {LOAD_PROCESSOR})
    policies = folder / "policies.yaml"
    policies.write_text("orders:\n  scope: orders:read\n")
    with countersign(bench, folder, policies=policies) as ours, ExitStack() as peers:
        fixture = Fixture.of(ours, folder)
        answer = identity(ours, fixture.verify())
        added = same_size(answer.headers, unavoidable(folder, fixture.verify()))
        for name, target, is_unix in (("Unix socket", ours.unix, True), ("loopback", ours.http, False)):
            theirs = peers.enter_context(nginx(bench.fresh_folder("n"), Constant("", "", added), unix=is_unix))
            if name == "Unix socket":
                result.notes.append(sizes(answer, ask(theirs.target, fixture.verify())))
            sides = {"countersign": http_caller(target, fixture.verify()), "nginx": http_caller(theirs.target, fixture.verify())}
            if is_unix:
                sides["gRPC Check"] = grpc_caller(Target(f"unix:{ours.check}"), PATH, GRPC, check_request(fixture.key))
            times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
            for number in range(bench.round_count):
                for side in sorted(sides, reverse=number % 2 == 1):
                    times[side].append(percentiles(sides[side]))
            for side, taken in times.items():
                median, last = (Spread.of([pair[place] for pair in taken]).median for place in (0, 1))
                progress(f"  {name}, {side}: p50 {median:.1f} us, p99 {last:.1f} us")
                limit = Limit.at_most(MEDIAN_MAX) if side != "nginx" and is_unix else None
                result.figures.append(Figure(f"{name}, {side}: p50", round(median, 1), "us", limit))
                result.figures.append(Figure(f"{name}, {side}: p99", round(last, 1), "us"))
        # A refusal over gRPC has the status 200 too.
        if valid(ours, "grpc") != bench.round_count * (WARM_UP + REQUESTS_PER_ROUND):
            raise Failed("not every Check was answered with the key's identity")
    return result


def http_caller(target: Target, request: Request) -> Callable[[], float]:
    """A function that sends one request on an open connection and returns the microseconds from its first byte to the last one of
    the answer."""
    connection, text = target.connect(), request.text()
    connection.settimeout(None)

    def once() -> float:
        began = time.perf_counter_ns()
        connection.sendall(text)
        answer = connection.recv(RECEIVE_BYTES)
        while not answer.endswith(b"\r\n\r\n"):
            piece = connection.recv(RECEIVE_BYTES)
            if not piece:
                raise Failed("the connection was closed")
            answer += piece
        taken = time.perf_counter_ns() - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise Failed(f"answered with {answer[9:12].decode()}")
        return taken / 1_000

    return once


def percentiles(once: Callable[[], float]) -> tuple[float, float]:
    """The median and the 99th percentile of requests that are sent one after the other."""
    for _ in range(WARM_UP):
        once()
    times = sorted(once() for _ in range(REQUESTS_PER_ROUND))
    return times[len(times) // 2], times[len(times) * 99 // 100]


SUBJECT = Subject(
    "sidecar", "one question at a time from the same pod",
    "GET /verify with an active key over one connection that stays open, the next when the last is answered, over a Unix socket "
    "and over loopback; nginx answers `return 200` with as many headers and bytes. The same by Envoy's Check over gRPC. "
    "Server and client have a processor each; the times are the client's, a Python program, with its own calls in them.", measure, per="question")
