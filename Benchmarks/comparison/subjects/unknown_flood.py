"""A flood of credentials that belong to nobody beside good ones."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..peers.countersign import countersign
from ..subject import Outcome, Subject, outcome
from .fixture import load_side
from .populations import FEW, MANY, populate


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("flood")
    with countersign(bench, folder) as ours:
        population = populate(ours, folder)
        sides = [
            load_side(bench, "valid", ours.pid, population.active(population.few)),
            load_side(bench, "unknown", ours.pid, population.unknown())]
        questions = [Question("unknown", "valid", RATE, Limit.at_least(0.95)), Question("unknown", "valid", CPU)]
        return outcome(bench, sides, questions)


SUBJECT = Subject(
    "unknown-flood", "a flood of unknown credentials",
    f"Introspections of well-formed credentials that belong to nobody, a new one each time, beside those of {FEW:,} "
    f"keys; the store holds some {MANY:,} keys. Closed loop, 64 connections.", measure)
