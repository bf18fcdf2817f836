"""The plots of a run, without those whose subjects were not measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .latency_plot import draw_latency
from .work_plots import draw_cpu, draw_rate


PLOTS = {"cpu.svg": draw_cpu, "throughput.svg": draw_rate, "latency.svg": draw_latency}


def draw(folder: Path, results: dict[str, Any]) -> list[str]:
    """Draws into the folder and returns the names of the files in their order in the README."""
    subjects: Sequence[dict[str, Any]] = [subject for subject in results["subjects"] if subject.get("rounds")]
    return [name for name, plot in PLOTS.items() if plot(folder / name, subjects)]
