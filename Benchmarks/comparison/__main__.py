"""Runs the comparison: `python3 -m comparison`, started by Benchmarks/compare."""

import json
import os
import shutil
import signal
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from harness.checks import Unproven

from . import accepted
from . import arguments as command_line
from .arguments import Arguments
from .bench import Bench, progress
from .builds import ROOT, programs
from .failure import Failed
from .machine import machine, versions
from .report.results import document, write
from .self_test import self_test
from .subject import Outcome, Subject
from .subjects import SUBJECTS

ACCEPTED = ROOT / "Benchmarks" / "Thresholds" / "accepted.json"
DONE, BROKEN, FAILED, INTERRUPTED = 0, 1, 3, 130
# Includes SIGINT, which a shell sets to ignored for a background job.
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    arguments = command_line.read(sys.argv[1:])
    if arguments.list:
        print("\n".join(f"{subject.name:<22}{subject.title}" for subject in SUBJECTS))
        return DONE
    if arguments.self_test:
        return self_test()
    if arguments.redraw:
        results = json.loads((arguments.redraw / "results.json").read_text())
        write(arguments.redraw, results)
        return DONE
    for number in ENDS:
        signal.signal(number, interrupt)
    try:
        return compare(arguments)
    except Unproven as reason:
        print(f"compare: {reason}\ncompare: nothing was written", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("compare: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, so that every block ends its processes. Further signals are ignored until that is done."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def compare(arguments: Arguments) -> int:
    chosen = [subject for subject in SUBJECTS if not arguments.only or subject.name in arguments.only]
    if not {0, 1} <= os.sched_getaffinity(0):
        raise Failed("processors 0 and 1 are needed, one for the server and one for the load")
    misses = accepted.read(ACCEPTED, [subject.name for subject in SUBJECTS])
    built = programs(arguments, {subject.name for subject in chosen})
    # Before measuring, so that a missing program ends the run at once.
    described = machine(), versions()
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    try:
        bench = Bench(built, folder, arguments.rounds, arguments.seconds, arguments.large)
        outcomes = [(subject, measured(subject, bench)) for subject in chosen]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    when = datetime.now(timezone.utc)
    out = arguments.out or new_folder(ROOT / "Benchmarks" / "Results", f"{when:%Y-%m-%d}")
    write(out, document(outcomes, misses, arguments.public(), when, *described))
    progress(f"== Written to {out}")
    judgement = accepted.judge(outcomes, misses)
    for line in judgement.missed:
        progress(f"limit missed: {line}")
    for line in judgement.broken:
        progress(f"limit broken: {line}")
    return BROKEN if judgement.broken and arguments.check else DONE


def measured(subject: Subject, bench: Bench) -> Outcome:
    progress(f"== {subject.name}: {subject.title}")
    outcome = subject.measure(bench)
    if outcome.skipped:
        progress(f"  skipped: {outcome.skipped}")
    for comparison in outcome.comparisons:
        question, spread = comparison.question, comparison.spread
        kept = {None: "", True: "  kept", False: "  BROKEN"}[comparison.is_kept]
        progress(
            f"  {question.of} / {question.to}, {question.figure}: {spread.median:.3f} "
            f"({spread.min:.3f} to {spread.max:.3f}){kept}")
    return outcome


def new_folder(parent: Path, name: str) -> Path:
    """A folder of that name, with a number appended if there are results of the same day already."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


sys.exit(main())
