"""Ratios between sides, and their limits.

A ratio is that of the two sides of one round, which were measured one after the other, and the result is the median of these
ratios. A temporary slowdown of the machine then affects both sides. The ratio of the two medians would mix rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .median import Spread
from .rounds import Round


@dataclass(frozen=True)
class Limit:
    """The maximum or minimum of a figure, inclusive."""

    value: float
    is_most: bool

    @staticmethod
    def at_most(value: float) -> "Limit":
        return Limit(value, True)

    @staticmethod
    def at_least(value: float) -> "Limit":
        return Limit(value, False)

    def is_kept_by(self, value: float) -> bool:
        return value <= self.value if self.is_most else value >= self.value

    def json(self) -> dict[str, float]:
        return {"at_most" if self.is_most else "at_least": self.value}


CPU, RATE = "cpu_us_per_request", "requests_per_second"


@dataclass(frozen=True)
class Question:
    """The ratio of a figure of two sides: `of` divided by `to`."""

    of: str
    to: str
    figure: str
    limit: Limit | None = None


@dataclass(frozen=True)
class Comparison:
    question: Question
    ratios: list[float]

    @property
    def spread(self) -> Spread:
        return Spread.of(self.ratios)

    @property
    def name(self) -> str:
        return f"{self.question.figure} of {self.question.of} / {self.question.to}"

    @property
    def limit(self) -> Limit | None:
        return self.question.limit

    @property
    def value(self) -> float:
        """The value for the limit: the unrounded median."""
        return self.spread.median

    @property
    def is_kept(self) -> bool | None:
        """None without a limit."""
        return None if self.limit is None else self.limit.is_kept_by(self.value)

    def json(self) -> dict[str, object]:
        question = self.question
        fields: dict[str, object] = {"figure": question.figure, "of": question.of, "to": question.to}
        fields["ratio"] = self.spread.json()
        fields["ratios"] = [round(ratio, 4) for ratio in self.ratios]
        if question.limit is not None:
            fields |= {"limit": question.limit.json(), "kept": self.is_kept}
        return fields


def ratios(question: Question, rounds: Sequence[Round]) -> list[float]:
    """One ratio for each round, in the rounds' order. Raises ValueError when a round lacks a side."""
    by_round: dict[int, dict[str, float]] = {}
    for taken in rounds:
        if taken.side in (question.of, question.to):
            by_round.setdefault(taken.number, {})[taken.side] = taken.sample.figure(question.figure)
    pairs = [by_round[number] for number in sorted(by_round)]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"not every round has {question.of} and {question.to}")
    return [pair[question.of] / pair[question.to] for pair in pairs]


def compare(question: Question, rounds: Sequence[Round]) -> Comparison:
    return Comparison(question, ratios(question, rounds))
