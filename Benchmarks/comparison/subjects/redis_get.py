"""Redis's GET of a value as long as an introspection's body, beside introspection."""

from pathlib import Path

from ..bench import Bench
from ..comparisons import CPU, RATE, Question
from ..failure import Failed
from ..http_exchange import Answer
from ..loads.generator import Load
from ..loads.redis_benchmark import RedisBenchmark
from ..peers.countersign import Countersign, countersign
from ..peers.redis import Redis, command, redis
from ..rounds import Side
from ..sample import sampled
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, active_answer, load_side, wrk_side

DEPTH = 16
# As long as a credential, and none.
KEY = "k" * 66


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("redis")
    with countersign(bench, folder) as ours, redis(folder) as theirs:
        fixture = Fixture.of(ours, folder)
        answer = active_answer(ours.http, fixture.introspect())
        put_value(theirs, answer)
        sides, questions = [], []
        for transport in ("TCP", "Unix"):
            for depth in (1, DEPTH):
                pair = [
                    our_side(bench, folder, ours, fixture, transport, depth), their_side(bench, theirs, transport, depth)]
                sides += pair
                questions += [Question(pair[0].name, pair[1].name, figure) for figure in (CPU, RATE)]
        notes = [
            f"Redis's value has {len(answer.body)} bytes, as the body of the introspection; its key has 66, as a credential.",
            "Over TCP wrk asks Countersign, over Unix sockets the package's own generator; redis-benchmark asks Redis. "
            "Requests a second of different generators compare less well than processor time."]
        return outcome(bench, sides, questions, notes)


def put_value(server: Redis, answer: Answer) -> None:
    """Raises Failed unless GET gives exactly the value on both sockets."""
    command(server.tcp, "SET", KEY, answer.body.decode())
    if any(command(target, "GET", KEY) != answer.body for target in (server.tcp, server.unix)):
        raise Failed("Redis does not give back its value")


def side_name(server: str, transport: str, depth: int) -> str:
    return f"{server}, {transport}" + (f", pipelined by {depth}" if depth > 1 else "")


def our_side(bench: Bench, folder: Path, ours: Countersign, fixture: Fixture, transport: str, depth: int) -> Side:
    name = side_name("countersign", transport, depth)
    if transport == "Unix":
        return load_side(bench, name, ours.pid, Load(
            ours.unix, fixture.credentials, fixture.authorization, "active", pipeline=depth))
    return wrk_side(bench, folder, name, ours.pid, ours.http, fixture.introspect(), depth)


def their_side(bench: Bench, theirs: Redis, transport: str, depth: int) -> Side:
    where = theirs.tcp_arguments() if transport == "TCP" else theirs.unix_arguments()
    load = RedisBenchmark(where, KEY, bench.connection_count, depth)
    return Side(
        side_name("redis", transport, depth), lambda seconds: sampled(theirs.pid, lambda: load(seconds)))


SUBJECT = Subject(
    "redis-get", "introspection beside Redis's GET",
    "Redis looks up one key in memory and answers in its own protocol; an introspection checks its caller and a credential "
    "and answers over HTTP. Shown to tell the order of size, not as a race.", measure)
