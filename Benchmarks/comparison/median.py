"""Median, minimum and maximum."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    median: float
    min: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Raises ValueError without values."""
        return Spread(statistics.median(values), min(values), max(values))

    def json(self) -> dict[str, float]:
        return {"median": round(self.median, 4), "min": round(self.min, 4), "max": round(self.max, 4)}
