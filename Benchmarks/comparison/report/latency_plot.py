"""Latency at fixed rates: one panel per rate, one row per percentile, both sides on a logarithmic axis."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from . import words
from .style import bare, colour, headed, saved

QUANTILES = ("p50", "p99", "p99.9")
SIDES = ("countersign", "nginx")
PANEL_INCHES, PLOT_INCHES = 2.05, 1.4


def draw_latency(path: Path, subjects: Sequence[dict[str, Any]]) -> bool:
    subject = next((subject for subject in subjects if subject["name"] == "open-loop"), None)
    if subject is None:
        return False
    sides = {side["side"]: side for side in subject["sides"]}
    shares = list(dict.fromkeys(match[1] for name in sides if (match := re.search(r" at (\d+%)$", name))))
    figure = pyplot.figure(figsize=(9.2, 0.55 + PANEL_INCHES * len(shares)))
    headed(
        figure, "Latency of introspection at a fixed rate",
        "From when a request was due to its answer, lower is better; logarithmic. Dot: median of rounds. "
        "Line: lowest to highest round.")
    height = figure.get_figheight()
    panels: list[Axes] = []
    for number, share in enumerate(shares):
        bottom = height - 0.75 - PANEL_INCHES * number - PLOT_INCHES - 0.15
        axes = figure.add_axes((0.13, bottom / height, 0.84, PLOT_INCHES / height), sharex=panels[0] if panels else None)
        panels.append(axes)
        draw_share(axes, subject, sides, share)
    edges = [edge for axes in panels for edge in axes.dataLim.intervalx]
    for axes in panels:
        scale(axes, min(edges), max(edges))
    saved(figure, path)
    return True


def draw_share(axes: Axes, subject: dict[str, Any], sides: dict[str, Any], share: str) -> None:
    rate = next(taken["intended_rate"] for taken in subject["rounds"] if taken["side"].endswith(share))
    axes.set_title(f"{rate:,.0f} requests a second ({share} of the closed loop)", fontsize=9, loc="left", fontweight="bold")
    for row, quantile in enumerate(QUANTILES):
        for side, place in zip(SIDES, (row - 0.17, row + 0.17)):
            values = sides[f"{side} at {share}"]["latency_us"][quantile]
            axes.plot([values["min"], values["max"]], [place, place], color=colour(side), linewidth=2.2, alpha=0.45,
                      solid_capstyle="round")
            axes.plot(values["median"], place, "o", color=colour(side), markersize=6)
            axes.annotate(
                f"{side} {time(values['median'])}", (values["max"], place), xytext=(8, 0),
                textcoords="offset points", va="center", fontsize=8.5, color=colour(side))
    axes.set_yticks(range(len(QUANTILES)), QUANTILES)
    axes.set_ylim(len(QUANTILES) - 0.5, -0.5)


def time(us: float) -> str:
    return f"{words.number(us)} µs" if us < 1_000 else f"{words.number(us / 1_000)} ms"


def scale(axes: Axes, least: float, most: float) -> None:
    """A logarithmic axis with room for the last label: a fifth of what is drawn."""
    axes.set_xscale("log")
    axes.set_xlim(least / 1.15, most * max((most / least) ** 0.22, 1.3))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} µs" if value < 1_000 else f"{value / 1_000:g} ms"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    bare(axes)
