"""The paths of the verifier beside the bare calls of libcrypto and LMDB that they consist of, without any network."""

import json
import re

from harness.processes import output_of

from ..bench import Bench
from ..comparisons import Limit
from ..failure import Failed
from ..subject import Figure, Outcome, Subject

SECONDS_MAX = 900
LIMIT_LINE = re.compile(r"(?P<name>.+?)\s+-?[\d.]+ \((?P<kind>at most|at least) (?P<bound>[\d.]+)\) (?:kept|BROKEN)")


def measure(bench: Bench) -> Outcome:
    if bench.programs.path_ratios is None:
        return Outcome(skipped="PathRatios was not built")
    # It exits with 1 if a limit is broken, which its figures show too.
    output = output_of([bench.programs.path_ratios], seconds_max=SECONDS_MAX, statuses=(0, 1), folder=bench.folder)
    return Outcome(figures=parse(output))


def parse(output: str) -> list[Figure]:
    """The figures of the JSON object in the last line, with the limits of the lines before it.

    Raises Failed if the last line is not an object, or if a limit belongs to no figure.
    """
    lines = output.strip().splitlines()
    try:
        values = json.loads(lines[-1] if lines else "")
    except json.JSONDecodeError as bad:
        raise Failed("PathRatios printed no JSON object as its last line") from bad
    limits = {}
    for line in lines[:-1]:
        if match := LIMIT_LINE.fullmatch(line.strip()):
            bound = float(match["bound"])
            limits[match["name"]] = Limit.at_most(bound) if match["kind"] == "at most" else Limit.at_least(bound)
    if lost := limits.keys() - values.keys():
        raise Failed(f"PathRatios has limits without figures: {sorted(lost)}")
    figures = []
    for name, value in flattened(values).items():
        limit = limits.get(name)
        figures.append(Figure(name, value, unit_of(name), limit))
    return figures


def flattened(values: dict[str, object], prefix: str = "") -> dict[str, float]:
    """Numbers by name; those of objects inside carry both names. Texts are left out."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{name}: ")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[prefix + name] = float(value)
    return flat


def unit_of(name: str) -> str:
    """PathRatios gives times in nanoseconds; ratios and counts say so in their names."""
    if " / " in name:
        return "ratio"
    if "per second" in name:
        return "per second"
    return "allocations" if name.startswith("allocations") else "ns"


SUBJECT = Subject(
    "in-process", "the verifier in process",
    "Blocks of each path in turn in one process: a verification from the cache, from the store, of an unknown credential, "
    "and the bare HMAC of libcrypto and the bare mdb_get of LMDB. Taken over from PathRatios with its limits.", measure)
