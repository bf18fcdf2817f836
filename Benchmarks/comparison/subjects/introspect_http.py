"""Introspection over HTTP beside nginx with the very same body."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..loads.wrk import Wrk
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..rounds import Side
from ..sample import sampled
from ..subject import Outcome, Subject, outcome
from .scene import Scene, active_answer, constant_like, same_answer, sizes


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("http")
    with countersign(bench, folder) as ours:
        scene = Scene.of(ours, folder)
        answer = active_answer(ours.http, scene.introspect())
        with nginx(folder, constant_like(answer)) as theirs:
            constant = same_answer(theirs.target, scene.introspect(), answer.body)
            load = Wrk.prepare(folder, ours.http, scene.introspect(), bench.connection_count)
            peer_load = Wrk.prepare(folder, theirs.target, scene.introspect(), bench.connection_count)
            sides = [
                Side("countersign", lambda seconds: sampled(ours.pid, lambda: load(seconds))),
                Side("nginx", lambda seconds: sampled(theirs.worker_pid, lambda: peer_load(seconds)))]
            questions = [
                Question("countersign", "nginx", CPU, Limit.at_most(1.10)), Question("countersign", "nginx", RATE)]
            result = outcome(bench, sides, questions, [sizes(answer, constant)])
            active_answer(ours.http, scene.introspect())
    return result


SUBJECT = Subject(
    "introspect-http", "introspection over HTTP",
    "POST /oauth2/introspect with an active key, its caller checked by Basic; nginx answers `return 200` with the very "
    "same body. 64 connections from wrk, the same request again and again.", measure)
