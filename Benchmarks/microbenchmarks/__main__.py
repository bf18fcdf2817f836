"""Runs the benchmarks of one verification: `python3 -m microbenchmarks`, started by Benchmarks/micro."""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from comparison.arguments import program
from comparison.bench import progress
from comparison.builds import ROOT, build, service
from harness.checks import Unproven

from . import http_counts, instructions, package_suite, table
from .committed import FOLDER, last_release
from .instructions import Committed
from .path_counts import path_counts

KEPT, BROKEN, FAILED, INTERRUPTED = 0, 1, 3, 130
THRESHOLDS = ROOT / FOLDER
PARTS = ("suite", "instructions")


@dataclass(frozen=True)
class Arguments:
    only: list[str]
    update: bool
    program: Path | None
    markdown: Path | None
    self_test: bool


def read(words: list[str]) -> Arguments:
    """Ends the program with 2 if the arguments are invalid."""
    parser = argparse.ArgumentParser(
        prog="Benchmarks/micro", description="Checks one verification against committed thresholds.",
        epilog="Exit status: 0 kept, 1 a threshold is broken, 2 usage, 3 something could not be measured.")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS, help="do these alone")
    parser.add_argument("--update", action="store_true", help="write what was measured as the thresholds")
    parser.add_argument("--program", type=program, metavar="PATH", help="a release of countersign, which is then not built")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument("--self-test", action="store_true", help="check the parsing and the arithmetic and end")
    return Arguments(**vars(parser.parse_args(words)))


def main() -> int:
    arguments = read(sys.argv[1:])
    if arguments.self_test:
        from .self_test import self_test
        return self_test()
    try:
        return micro(arguments)
    except Unproven as reason:
        print(f"micro: {reason}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("micro: interrupted", file=sys.stderr)
        return INTERRUPTED


def micro(arguments: Arguments) -> int:
    texts, broken = [], []
    with tempfile.TemporaryDirectory(prefix="micro-") as folder:
        for part in arguments.only:
            text, found = (suite if part == "suite" else counts)(arguments, Path(folder))
            print(text, flush=True)
            texts.append(text)
            broken += found
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(texts))
    for line in broken:
        progress(f"threshold broken: {line}")
    return BROKEN if broken else KEPT


def suite(arguments: Arguments, folder: Path) -> tuple[str, list[str]]:
    progress("== Benchmarks of the package's suite (some minutes)")
    figures = folder / "figures"
    figures.mkdir()
    now, committed = package_suite.measure(figures), package_suite.read(THRESHOLDS)
    text = "### Allocations and times\n\n" + table.suite(now, committed, last_release())
    if arguments.update:
        package_suite.update(THRESHOLDS, now)
        return text, []
    return text, package_suite.judge(now, THRESHOLDS).broken


def counts(arguments: Arguments, folder: Path) -> tuple[str, list[str]]:
    counted, server = build("CountedPaths", ".build"), service(arguments.program)
    progress("== Counting instructions")
    now = path_counts(counted, folder) | {http_counts.NAME: http_counts.http_count(server, folder)}
    committed = instructions.read(THRESHOLDS)
    if committed is None or (arguments.update and not committed.is_of_this_machine):
        committed = Committed.of({})
    verdicts = committed.verdicts(now)
    text = "### Instructions of one call\n\n" + table.instructions(verdicts, last_release())
    if arguments.update:
        THRESHOLDS.mkdir(exist_ok=True)
        (THRESHOLDS / instructions.NAME).write_text(Committed.of(now, committed.tolerance_percent).text())
        return text, []
    return text, [f"{verdict.path}: {verdict.words}" for verdict in verdicts if not verdict.is_kept]


sys.exit(main())
