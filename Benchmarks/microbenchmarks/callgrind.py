"""Runs a program under valgrind's callgrind, and reads in whose code it executed instructions.

Counts do not depend on what else the machine does, on its clock, or on the memory's speed. They say nothing of waiting.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.processes import output_of


def without_debugging(program: Path, folder: Path) -> Path:
    """A copy that keeps the functions' names: valgrind 3.19 gives up on the DWARF that Swift writes."""
    copy = folder / program.name
    output_of(["strip", "--strip-debug", "-o", copy, program])
    return copy


def command(program: Path, out: Path, *options: str) -> list[str]:
    """Writes to files whose names begin with `out`."""
    return [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no",
        *options, str(program)]


def executed(lines: Iterable[str]) -> Counter[str]:
    """Instructions by the file name of the program or library that they belong to.

    A line of numbers is a position and what was executed there. Behind a `calls=` line it is what the called function
    took, which stands with that function once more.
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
