"""Runs a program under callgrind, and counts its instructions by library.

The counts do not depend on other load, the clock rate or the speed of memory. They do not include waiting.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.processes import output_of


def without_debugging(program: Path, folder: Path) -> Path:
    """A copy without debug information, which valgrind 3.19 cannot read for Swift. The names of functions are kept."""
    copy = folder / program.name
    output_of(["strip", "--strip-debug", "-o", copy, program])
    return copy


def command(program: Path, out: Path, *options: str) -> list[str]:
    """Writes to files whose names begin with `out`."""
    return [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no",
        *options, str(program)]


def executed(lines: Iterable[str]) -> Counter[str]:
    """Instructions by the file name of their program or library.

    A line of numbers is a position and its instructions. After a `calls=` line it is the inclusive cost of the called function,
    which is also listed with that function.
    """
    counts: Counter[str] = Counter()
    library, is_of_call = "", False
    for line in lines:
        if line.startswith("ob="):
            library = os.path.basename(line.removeprefix("ob=").strip())
        elif line.startswith("calls="):
            is_of_call = True
        elif line[:1].isdigit():
            if not is_of_call:
                counts[library] += int(line.split()[1])
            is_of_call = False
    return counts
