"""Latency at a fixed rate that does not depend on answers, so that a stall delays all requests that were scheduled in it."""

from ..bench import Bench, progress
from ..comparisons import Question
from ..loads.generator import Load
from ..median import Spread
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..rounds import Side, interleaved
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, active_answer, constant_like, load_side, same_answer

SHARES = (0.3, 0.6)
QUANTILES = ("p50", "p99", "p99.9")


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("open")
    with countersign(bench, folder) as ours:
        fixture = Fixture.of(ours, folder)
        answer = active_answer(ours.http, fixture.introspect())
        with nginx(folder, constant_like(answer)) as theirs:
            same_answer(theirs.target, fixture.introspect(), answer.body)

            def sides(rate: float, suffix: str) -> list[Side]:
                return [
                    load_side(bench, "countersign" + suffix, ours.pid, Load(
                        ours.http, fixture.credentials, fixture.authorization, "active", rate=rate)),
                    load_side(bench, "nginx" + suffix, theirs.worker_pid, Load(
                        theirs.target, fixture.credentials, fixture.authorization, "any", rate=rate))]

            closed = closed_loop_rate(bench, sides(0, " closed loop"))
            rates = {share: float(round(closed * share)) for share in SHARES}
            open_sides = [side for share, rate in rates.items() for side in sides(rate, f" at {share:.0%}")]
            questions = [
                Question(f"countersign at {share:.0%}", f"nginx at {share:.0%}", f"latency_us.{quantile}")
                for share in SHARES for quantile in QUANTILES]
            result = outcome(bench, open_sides, questions, [rates_note(closed, rates)])
    result.notes += accuracy_notes(result)
    return result


def closed_loop_rate(bench: Bench, sides: list[Side]) -> float:
    """Requests per second that both sides can answer: the lower one of their medians."""
    progress("  closed loop first, for the rates")
    rounds = interleaved(bench, sides)
    return min(
        Spread.of([taken.sample.requests_per_second for taken in rounds if taken.side == side.name]).median
        for side in sides)


def rates_note(closed: float, rates: dict[float, float]) -> str:
    shown = " and ".join(f"{rate:,.0f} ({share:.0%})" for share, rate in rates.items())
    return f"In a closed loop the slower side answered {closed:,.0f} requests a second; the fixed rates are {shown} for both."


def accuracy_notes(result: Outcome) -> list[str]:
    """Notes on the accuracy of the percentiles."""
    dropped = sum(taken.sample.answered.dropped for taken in result.rounds)
    lateness = max((taken.sample.answered.lateness_us_p99 or 0 for taken in result.rounds), default=0)
    notes = [f"The generator's own delay was at most {lateness:,.0f} us at its 99th percentile in any round."]
    if dropped:
        notes.append(f"{dropped:,} requests were due and never sent: the percentiles leave them out and are too good.")
    return notes


SUBJECT = Subject(
    "open-loop", "latency at a fixed rate",
    "Introspection over HTTP at 30 % and 60 % of the requests a second that the slower side answers in a closed loop, the "
    "same rate for both. Latency counts from when a request was due.", measure)
