"""Introspection over a Unix socket beside nginx on one."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Question
from ..loads.generator import Load
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, active_answer, constant_like, load_side, same_answer, sizes


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("unix")
    with countersign(bench, folder) as ours:
        fixture = Fixture.of(ours, folder)
        answer = active_answer(ours.unix, fixture.introspect())
        with nginx(folder, constant_like(answer), unix=True) as theirs:
            constant = same_answer(theirs.target, fixture.introspect(), answer.body)
            sides = [
                load_side(bench, "countersign", ours.pid, Load(
                    ours.unix, fixture.credentials, fixture.authorization, "active")),
                load_side(bench, "nginx", theirs.worker_pid, Load(
                    theirs.target, fixture.credentials, fixture.authorization, "any"))]
            questions = [Question("countersign", "nginx", CPU), Question("countersign", "nginx", RATE)]
            return outcome(bench, sides, questions, [sizes(answer, constant)])


SUBJECT = Subject(
    "introspect-unix", "introspection over a Unix socket",
    "The same over Unix sockets, asked by the package's own load generator in a closed loop (wrk cannot): it makes each "
    "request and looks at each answer.", measure)
