"""The document of a run, and the files that are made from it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import accepted
from ..accepted import Accepted
from ..median import Spread
from ..rounds import Round
from ..subject import Outcome, Subject

FILE_BYTES_MAX = 1 << 20
LINE_MAX = 420
SPREADS = (
    "cpu_us_per_request", "requests_per_second", "kernel_share", "server_share", "others_share", "idle_share",
    "load_share", "load_taken_share")


def document(
    outcomes: Sequence[tuple[Subject, Outcome]], misses: Mapping[str, Accepted], arguments: dict[str, object],
    when: datetime, machine: dict[str, object], versions: dict[str, str],
) -> dict[str, Any]:
    return {
        "format": 1, "measured": f"{when:%Y-%m-%dT%H:%MZ}", "arguments": arguments, "machine": machine,
        "versions": versions, "subjects": [described(subject, outcome, misses) for subject, outcome in outcomes]}


def described(subject: Subject, outcome: Outcome, misses: Mapping[str, Accepted]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": subject.name, "title": subject.title, "about": subject.about, "per": subject.per}
    if outcome.skipped:
        return fields | {"skipped": outcome.skipped}
    comparisons, figures = (
        [judged.json() | accepted.fields(subject, judged, misses) for judged in judgeds]
        for judgeds in (outcome.comparisons, outcome.figures))
    return fields | {
        "notes": outcome.notes, "comparisons": comparisons, "figures": figures, "sides": sides(outcome.rounds),
        "rounds": [taken.json() for taken in outcome.rounds]}


def sides(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Median, minimum and maximum of each side, in the order of the first round."""
    names = list(dict.fromkeys(taken.side for taken in rounds))
    return [
        {"side": name} | spreads([taken.json() for taken in rounds if taken.side == name]) for name in names]


def spreads(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {name: Spread.of([taken[name] for taken in rounds]).json() for name in SPREADS if name in rounds[0]}
    latency = {
        quantile: Spread.of([taken["latency_us"][quantile] for taken in rounds]).json()
        for quantile in rounds[0].get("latency_us", {})}
    return found | ({"latency_us": latency} if latency else {})


def write(folder: Path, results: dict[str, Any]) -> None:
    """Writes results.json, the plots and README.md. Removes plots of an earlier run from the folder."""
    from .plots import PLOTS, draw
    from .readme import readme

    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTS:
        (folder / name).unlink(missing_ok=True)
    (folder / "results.json").write_text(laid_out(results) + "\n")
    plots = draw(folder, results)
    (folder / "README.md").write_text(readme(results, plots))
    for file in folder.iterdir():
        if file.stat().st_size > FILE_BYTES_MAX:
            raise RuntimeError(f"{file.name} is larger than {FILE_BYTES_MAX} bytes")


def laid_out(value: Any, indent: str = "") -> str:
    """JSON in which a value that fits is on one line, so that a round is a line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= LINE_MAX or not isinstance(value, (dict, list)):
        return line
    deeper = indent + " "
    if isinstance(value, list):
        parts, (opening, closing) = [laid_out(item, deeper) for item in value], "[]"
    else:
        parts, (opening, closing) = [f"{json.dumps(key)}: {laid_out(item, deeper)}" for key, item in value.items()], "{}"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"
