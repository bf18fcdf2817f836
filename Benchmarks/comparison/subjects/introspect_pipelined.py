"""Introspections sent sixteen at a time beside nginx asked likewise."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..loads.wrk import Wrk
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..rounds import Side
from ..sample import sampled
from ..subject import Outcome, Subject, outcome
from .scene import Scene, active_answer, constant_like, same_answer, sizes

DEPTH = 16


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("pipe")
    with countersign(bench, folder) as ours:
        scene = Scene.of(ours, folder)
        answer = active_answer(ours.http, scene.introspect())
        with nginx(folder, constant_like(answer)) as theirs:
            constant = same_answer(theirs.target, scene.introspect(), answer.body)
            load = Wrk.prepare(folder, ours.http, scene.introspect(), bench.connection_count, DEPTH)
            peer_load = Wrk.prepare(folder, theirs.target, scene.introspect(), bench.connection_count, DEPTH)
            sides = [
                Side("countersign", lambda seconds: sampled(ours.pid, lambda: load(seconds))),
                Side("nginx", lambda seconds: sampled(theirs.worker_pid, lambda: peer_load(seconds)))]
            questions = [
                Question("countersign", "nginx", RATE, Limit.at_least(4)), Question("countersign", "nginx", CPU)]
            result = outcome(bench, sides, questions, [sizes(answer, constant)])
            active_answer(ours.http, scene.introspect())
    return result


SUBJECT = Subject(
    "introspect-pipelined", "introspection, pipelined by 16",
    "The same over HTTP with sixteen requests in each write of wrk.", measure)
