"""Servers on one processor, and the load on the other."""

import resource
from collections.abc import Sequence
from pathlib import Path

from harness.processes import Process, output_of

SERVER_PROCESSOR = 0
LOAD_PROCESSOR = 1


def pinned(processor: int, command: Sequence[object] = ()) -> list[object]:
    """The command on that processor. taskset executes it in the same process, so the process id is that of the command."""
    return ["taskset", "-c", processor, *command]


def server(command: Sequence[object], log: Path) -> Process:
    """Runs a server on its processor until the `with` block ends."""
    return Process(pinned(SERVER_PROCESSOR, command), log)


def put_load(command: Sequence[object], seconds_max: float) -> tuple[str, float]:
    """The output of a load generator, and the processor time that it used, in seconds."""
    before = _children_seconds()
    output = output_of(pinned(LOAD_PROCESSOR, command), seconds_max=seconds_max)
    return output, _children_seconds() - before


def _children_seconds() -> float:
    """Processor time of children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
