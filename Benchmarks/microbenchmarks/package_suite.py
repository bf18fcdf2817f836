"""Runs Benchmarks/HotPath with the plugin of the benchmark package, and checks its thresholds.

The plugin ignores a benchmark without a threshold, and a threshold without a benchmark. Here both are errors.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.bench import progress
from comparison.builds import ROOT
from comparison.failure import Failed

PACKAGE = ROOT / "Benchmarks"
SUITE, BASELINE = "HotPath", "micro"
SUFFIX = ".p90.json"
# The names in the benchmarks. The wall-clock time is shown and has no threshold.
ALLOCATIONS, RATIO, TIME = "allocations", "thousandths of a bare HMAC", "wallClock"
JUDGED = (ALLOCATIONS, RATIO)
# Calls in one measurement.
CALLS = 1_000

Figures = dict[str, dict[str, int]]
"""By the benchmark's name and the figure's, the 90th percentile."""


@dataclass(frozen=True)
class SuiteResult:
    now: Figures
    broken: list[str]
    """The broken thresholds. The output of the plugin was printed."""


def measure(folder: Path) -> Figures:
    """Runs the suite. Raises Failed if a benchmark fails."""
    status, words = plugin("baseline", "update", BASELINE)
    if status != 0:
        raise Failed(f"the benchmarks of {SUITE} ended with {status}:\n{words}")
    status, words = plugin("thresholds", "update", BASELINE, "--path", str(folder), writes_to=folder)
    if status != 0:
        raise Failed(f"the figures of {SUITE} could not be written:\n{words}")
    return read(folder)


def judge(now: Figures, thresholds: Path) -> SuiteResult:
    """Compares the last run with the thresholds."""
    broken = differing(now, read(thresholds))
    status, words = plugin("thresholds", "check", BASELINE, "--path", str(thresholds))
    if not is_kept(status, words):
        progress(words)
        broken.append(f"{SUITE}: worse than its thresholds")
    return SuiteResult(now, broken)


def is_kept(status: int, words: str) -> bool:
    """The plugin exits with 1 for improvements and for regressions, and prints which it was."""
    return status == 0 or (status == 1 and "error: benchmarkThresholdImprovement" in words.splitlines())


def differing(now: Figures, committed: Figures) -> list[str]:
    """Benchmarks and figures that are only on one side."""
    judged = {(name, figure) for name, figures in now.items() for figure in figures if figure in JUDGED}
    held = {(name, figure) for name, figures in committed.items() for figure in figures}
    return (
        [f"{name}: no threshold for {figure}" for name, figure in sorted(judged - held)]
        + [f"{name}: a threshold for {figure}, which was not measured" for name, figure in sorted(held - judged)])


def read(folder: Path) -> Figures:
    names = sorted(path.name for path in folder.glob(file_name("*")))
    return {benchmark_name(name): json.loads((folder / name).read_text()) for name in names}


def update(thresholds: Path, now: Figures) -> None:
    """Writes the figures as thresholds, except those without one. The suite defines the tolerances."""
    thresholds.mkdir(exist_ok=True)
    for path in thresholds.glob(file_name("*")):
        path.unlink()
    for name, figures in now.items():
        kept = {figure: value for figure, value in sorted(figures.items()) if figure in JUDGED}
        (thresholds / file_name(name)).write_text(json.dumps(kept, indent=2) + "\n")


def file_name(benchmark: str) -> str:
    return f"{SUITE}.{benchmark}{SUFFIX}"


def benchmark_name(file: str) -> str:
    return file.removeprefix(f"{SUITE}.").removesuffix(SUFFIX)


def plugin(*words: str, writes_to: Path | None = None) -> tuple[int, str]:
    """Returns the exit status and the output."""
    allowed = ["--allow-writing-to-package-directory"]
    if writes_to is not None:
        allowed += ["--allow-writing-to-directory", str(writes_to)]
    try:
        done = subprocess.run(
            ["swift", "package", *allowed, "benchmark", *words, "--target", SUITE, "--no-progress"], cwd=PACKAGE,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # Two processes write at once and may split a character.
            errors="replace")
    except FileNotFoundError as missing:
        raise Failed("Swift 6.2 or later is needed: https://www.swift.org/install/linux") from missing
    return done.returncode, done.stdout
