"""Instructions of each path of the verifier, in process."""

from pathlib import Path

from comparison.failure import Failed
from harness.processes import output_of

from . import callgrind
from .counts import Count

SECTION = "counted_section"
SECONDS_MAX = 900


def path_counts(program: Path, folder: Path) -> dict[str, Count]:
    """Runs CountedPaths. callgrind writes the counts of each section to a file, out.1 and so on.

    The program itself checks the result of each path. Raises Failed if one is wrong.
    """
    out = folder / "paths"
    options = (f"--toggle-collect={SECTION}", f"--dump-after={SECTION}")
    copy = callgrind.without_debugging(program, folder)
    printed = output_of(callgrind.command(copy, out, *options), seconds_max=SECONDS_MAX, folder=folder)
    counts = {}
    for number, line in enumerate(printed.splitlines(), 1):
        name, runs = line.split()
        with open(f"{out}.{number}") as lines:
            counts[name] = Count.of(callgrind.executed(lines), int(runs))
    if not counts or not all(count.ours > 0 for count in counts.values()):
        raise Failed("callgrind counted nothing")
    return counts
