"""The middle and the edges of some figures."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    median: float
    min: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Of an even number of values the median is half way between the middle two."""
        if not values:
            raise ValueError("no values")
        ordered = sorted(values)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        return Spread(median, ordered[0], ordered[-1])

    def json(self) -> dict[str, float]:
        return {"median": round(self.median, 4), "min": round(self.min, 4), "max": round(self.max, 4)}
