"""Limits that are not met yet, each with the value that is accepted for now.

A limit is a goal and does not change. A value worse than the accepted one is an error, so a miss cannot grow unnoticed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .comparisons import Comparison, Limit
from .failure import Failed
from .subject import Figure, Outcome, Subject

Judged = Comparison | Figure


@dataclass(frozen=True)
class Accepted:
    value: float
    why: str


@dataclass(frozen=True)
class Judgement:
    broken: list[str]
    """Limits that make `--check` fail."""
    missed: list[str]
    """Accepted misses, and accepted limits that are met now."""


def name_of(subject: Subject, judged: Judged) -> str:
    """The name of a limit in messages and in the file."""
    return f"{subject.name}: {judged.name}"


def read(path: Path, subjects: Sequence[str]) -> dict[str, Accepted]:
    """Raises Failed when the file cannot be read or names an unknown subject."""
    if not path.exists():
        return {}
    try:
        accepted = {
            name: Accepted(float(fields["accepted"]), str(fields["why"]))
            for name, fields in json.loads(path.read_text()).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as bad:
        raise Failed(f"{path.name} cannot be read: {bad!r}") from bad
    if unknown := [name for name in accepted if name.split(":")[0] not in subjects]:
        raise Failed(f"{path.name} names unknown subjects: {unknown}")
    return accepted


def bound(limit: Limit, accepted: Accepted) -> Limit:
    """The accepted value as a limit of the same kind."""
    return Limit(accepted.value, limit.is_most)


def judge(outcomes: Sequence[tuple[Subject, Outcome]], accepted: Mapping[str, Accepted]) -> Judgement:
    broken, missed = [], []
    found = set()
    for subject, outcome in outcomes:
        for judged in outcome.judged:
            name = name_of(subject, judged)
            found.add(name)
            held, limit = accepted.get(name), judged.limit
            if limit is None or (judged.is_kept and held is None):
                continue
            if held is None:
                broken.append(name)
            elif limit.is_kept_by(held.value):
                broken.append(f"{name}: accepted is {held.value:g}, which the limit allows")
            elif judged.is_kept:
                missed.append(f"{name}: kept again, so it need not be accepted any more")
            elif bound(limit, held).is_kept_by(judged.value):
                missed.append(f"{name}: {judged.value:.3f}, accepted to {held.value:g}: {held.why}")
            else:
                broken.append(f"{name}: {judged.value:.3f}, worse than the accepted {held.value:g}")
    measured = {subject.name for subject, outcome in outcomes if not outcome.skipped}
    broken += [f"{name}: accepted, but nothing of that name was judged"
               for name in accepted if name not in found and name.split(":")[0] in measured]
    return Judgement(broken, missed)


def fields(subject: Subject, judged: Judged, accepted: Mapping[str, Accepted]) -> dict[str, object]:
    """The fields of a missed limit in results, besides the limit itself."""
    held = accepted.get(name_of(subject, judged))
    if held is None or judged.limit is None or judged.is_kept:
        return {}
    limit = bound(judged.limit, held)
    return {"accepted": limit.json() | {"kept": limit.is_kept_by(judged.value), "why": held.why}}
