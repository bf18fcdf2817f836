"""The committed counts of instructions, and the comparison of new ones with them."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comparison.failure import Failed

from .counts import Count

NAME = "instructions.json"
TOLERANCE_PERCENT = 2.0
"""Two runs of one binary differ by less than 0.1 %, because of random ids. Half an instruction is always allowed."""
ALWAYS_ALLOWED = 0.5


@dataclass(frozen=True)
class Committed:
    architecture: str
    tolerance_percent: float
    counts: dict[str, Count]

    @staticmethod
    def of(counts: Mapping[str, Count], tolerance_percent: float = TOLERANCE_PERCENT) -> "Committed":
        return Committed(platform.machine(), tolerance_percent, dict(counts))

    @staticmethod
    def parse(text: str) -> "Committed":
        """Raises Failed if the text is not such a file."""
        try:
            fields = json.loads(text)
            counts = {name: Count.read(count) for name, count in fields["counts"].items()}
            return Committed(fields["architecture"], float(fields["tolerance_percent"]), counts)
        except (ValueError, KeyError, TypeError, AttributeError) as bad:
            raise Failed(f"{NAME} cannot be read: {bad!r}") from bad

    @property
    def is_of_this_machine(self) -> bool:
        return self.architecture == platform.machine()

    def text(self) -> str:
        rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(count.json())}" for name, count in self.counts.items())
        return (
            f'{{\n  "architecture": {json.dumps(self.architecture)},\n'
            f'  "tolerance_percent": {self.tolerance_percent:g},\n  "counts": {{\n{rows}\n  }}\n}}\n')

    def verdicts(self, now: Mapping[str, Count]) -> "list[Verdict]":
        """One verdict for each path of either side. Raises Failed if the two cannot be compared."""
        if not self.is_of_this_machine:
            raise Failed(f"{NAME} is of {self.architecture}: instructions of different architectures cannot be compared")
        return [self._verdict(name, now.get(name)) for name in dict.fromkeys([*self.counts, *now])]

    def _verdict(self, name: str, now: Count | None) -> "Verdict":
        committed = self.counts.get(name)
        if committed is None or now is None:
            return Verdict(name, now, committed, False, "not committed" if committed is None else "not counted")
        worse = any(self._is_over(*pair) for pair in pairs(now, committed))
        better = any(self._is_over(before, after) for after, before in pairs(now, committed))
        words = "BROKEN" if worse else "fewer: --update" if better else "kept"
        return Verdict(name, now, committed, not worse, words)

    def _is_over(self, value: float, bound: float) -> bool:
        return value > bound * (1 + self.tolerance_percent / 100) + ALWAYS_ALLOWED


@dataclass(frozen=True)
class Verdict:
    path: str
    now: Count | None
    committed: Count | None
    is_kept: bool
    words: str


def pairs(now: Count, before: Count) -> list[tuple[float, float]]:
    return [(now.ours, before.ours), (now.libcrypto, before.libcrypto)]


def read(folder: Path) -> Committed | None:
    path = folder / NAME
    return Committed.parse(path.read_text()) if path.exists() else None
