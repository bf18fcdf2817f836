"""Alternates between the sides of a subject.

The order is reversed in each round (A B, B A, A B, …). A drift during the run, such as that of the clock rate or of other
load, then favours neither side, and the two sides of a ratio are always measured one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .bench import Bench, progress
from .sample import Sample

WARM_SECONDS_MAX = 2


@dataclass(frozen=True)
class Side:
    name: str
    measure: Callable[[int], Sample]
    """Puts load on this side for that number of seconds."""


@dataclass(frozen=True)
class Round:
    number: int
    side: str
    sample: Sample

    def json(self) -> dict[str, object]:
        return {"round": self.number, "side": self.side} | self.sample.json()


def order(sides: Sequence[Side], number: int) -> list[Side]:
    """The order of the round with that number, counted from 1."""
    return list(sides) if number % 2 else list(reversed(sides))


def interleaved(bench: Bench, sides: Sequence[Side]) -> list[Round]:
    """Runs each side once to warm it up, and then measures the rounds."""
    for side in sides:
        side.measure(min(bench.round_seconds, WARM_SECONDS_MAX))
    taken = []
    for number in range(1, bench.round_count + 1):
        for side in order(sides, number):
            sample = side.measure(bench.round_seconds)
            taken.append(Round(number, side.name, sample))
            progress(
                f"  {number}/{bench.round_count} {side.name:<28} {sample.cpu_us_per_request:8.3f} us CPU "
                f"{sample.requests_per_second:12,.0f} /s  others {sample.spent.others_share:4.0%}")
    return taken
