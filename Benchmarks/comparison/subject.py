"""A subject of the comparison, and its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .bench import Bench
from .comparisons import Comparison, Limit, Question, compare
from .rounds import Round, Side, interleaved


@dataclass(frozen=True)
class Figure:
    """A single number that is not a ratio of two sides, such as bytes or seconds."""

    name: str
    value: float
    unit: str
    limit: Limit | None = None

    @property
    def is_kept(self) -> bool | None:
        return None if self.limit is None else self.limit.is_kept_by(self.value)

    def json(self) -> dict[str, object]:
        fields: dict[str, object] = {"name": self.name, "value": self.value, "unit": self.unit}
        if self.limit is not None:
            fields |= {"limit": self.limit.json(), "kept": self.is_kept}
        return fields


@dataclass
class Outcome:
    """The result of a subject. `notes` are whole sentences for the report."""

    rounds: list[Round] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str | None = None

    @property
    def judged(self) -> list[Comparison | Figure]:
        """The comparisons and figures with a limit."""
        return [judged for judged in [*self.comparisons, *self.figures] if judged.limit is not None]


@dataclass(frozen=True)
class Subject:
    name: str
    """Must not change: it is the argument of `--only`, and identifies the subject in older results."""
    title: str
    about: str
    """What the two sides do, in a sentence or two."""
    measure: Callable[[Bench], Outcome]
    per: str = "request"
    """What counts as one request."""


def outcome(bench: Bench, sides: Sequence[Side], questions: Sequence[Question], notes: Sequence[str] = ()) -> Outcome:
    """Measures the rounds and computes the ratios."""
    rounds = interleaved(bench, sides)
    return Outcome(rounds, [compare(question, rounds) for question in questions], notes=list(notes))
