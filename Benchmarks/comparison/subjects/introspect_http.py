"""Introspection over HTTP beside nginx with the very same body."""

from collections.abc import Sequence

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, active_answer, constant_like, same_answer, sizes, wrk_side


def measure(bench: Bench) -> Outcome:
    return beside_nginx(bench, "http", [
        Question("countersign", "nginx", CPU, Limit.at_most(1.10)), Question("countersign", "nginx", RATE)])


def beside_nginx(bench: Bench, name: str, questions: Sequence[Question], depth: int = 1) -> Outcome:
    """Both sides, with as many requests in each write of wrk as `depth`."""
    folder = bench.fresh_folder(name)
    with countersign(bench, folder) as ours:
        fixture = Fixture.of(ours, folder)
        answer = active_answer(ours.http, fixture.introspect())
        with nginx(folder, constant_like(answer)) as theirs:
            constant = same_answer(theirs.target, fixture.introspect(), answer.body)
            sides = [
                wrk_side(bench, folder, "countersign", ours.pid, ours.http, fixture.introspect(), depth),
                wrk_side(bench, folder, "nginx", theirs.worker_pid, theirs.target, fixture.introspect(), depth)]
            result = outcome(bench, sides, questions, [sizes(answer, constant)])
            active_answer(ours.http, fixture.introspect())
    return result


SUBJECT = Subject(
    "introspect-http", "introspection over HTTP",
    "POST /oauth2/introspect with an active key, its caller checked by Basic; nginx answers `return 200` with the very "
    "same body. 64 connections from wrk, the same request again and again.", measure)
