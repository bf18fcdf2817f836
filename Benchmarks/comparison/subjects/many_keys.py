"""More keys than fit into the caches of a processor, with uniform and skewed requests, and inactive keys."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Question
from ..peers.countersign import countersign
from ..subject import Outcome, Subject, outcome
from .fixture import load_side
from .populations import FEW, MANY, populate

FEWER, MORE = f"{FEW:,} keys", f"{MANY:,} keys"


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("many")
    with countersign(bench, folder) as ours:
        population = populate(ours, folder)
        loads = {
            FEWER: population.active(population.few),
            f"{MORE} uniform": population.active(population.many),
            f"{MORE} zipf 0.99": population.active(population.many, "zipf:0.99"),
            f"{FEWER} expired": population.inactive(population.expired),
            f"{FEWER} revoked": population.inactive(population.revoked)}
        sides = [load_side(bench, name, ours.pid, load) for name, load in loads.items()]
        questions = [Question(name, FEWER, figure) for name in list(loads)[1:] for figure in (RATE, CPU)]
        return outcome(bench, sides, questions)


SUBJECT = Subject(
    "many-keys", "many keys, and dead ones",
    f"Introspections spread over {FEW:,} and {MANY:,} keys, evenly or as in a Zipf distribution with exponent 0.99, and of "
    f"keys that are expired or revoked. Closed loop, 64 connections.", measure)
