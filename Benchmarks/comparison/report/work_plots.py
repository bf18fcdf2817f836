"""Processor time and throughput by subject."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as pyplot

from . import words
from .bars import Bar, Group, draw_groups, rows
from .style import colour, headed, saved

# Subjects without bars in these plots.
WITHOUT_BARS = {"open-loop", "large-store"}
ROW_INCHES = 0.205


def draw_cpu(path: Path, subjects: Sequence[dict[str, Any]]) -> bool:
    groups = [
        Group(heading(subject), [cpu_bar(subject, side) for side in subject["sides"]])
        for subject in subjects if subject["name"] not in WITHOUT_BARS]
    return panels(
        path, [groups], "Processor time of the server per request",
        "Microseconds of one core, lower is better. Light: spent in the kernel. Line: lowest to highest round. "
        "×: to the peer or first row.", "µs")


def draw_rate(path: Path, subjects: Sequence[dict[str, Any]]) -> bool:
    single: list[Group] = []
    many: list[Group] = []
    for subject in subjects:
        if subject["name"] in WITHOUT_BARS:
            continue
        for kind, wanted in ((single, False), (many, True)):
            bars = [
                rate_bar(subject, side) for side in subject["sides"] if is_many(subject["name"], side["side"]) == wanted]
            if bars:
                kind.append(Group(heading(subject), bars))
    return panels(
        path, [groups for groups in (single, many) if groups], "Requests a second of one worker",
        "Thousands, higher is better; many at a time on an axis of its own. Line: lowest to highest round. "
        "†: the load was the bottleneck.", "thousand a second")


def heading(subject: dict[str, Any]) -> str:
    return subject["title"] if subject["per"] == "request" else f"{subject['title']}, per {subject['per']}"


def is_many(subject: str, side: str) -> bool:
    """Whether many requests share a write or a message. Such sides have their own axis."""
    return subject in {"introspect-pipelined", "batch"} or "pipelined" in side


def cpu_bar(subject: dict[str, Any], side: dict[str, Any]) -> Bar:
    values = side["cpu_us_per_request"]
    return Bar(
        side["side"], values["median"], values["min"], values["max"], colour(side["side"]),
        f"{words.number(values['median'])} µs", *remark(subject, side["side"], "cpu_us_per_request"),
        side["kernel_share"]["median"])


def rate_bar(subject: dict[str, Any], side: dict[str, Any]) -> Bar:
    values = {name: value / 1e3 for name, value in side["requests_per_second"].items()}
    dagger = " †" if words.is_bound_by_load(side) else ""
    return Bar(
        side["side"], values["median"], values["min"], values["max"], colour(side["side"]),
        f"{words.number(values['median'])} k{dagger}", *remark(subject, side["side"], "requests_per_second"))


def remark(subject: dict[str, Any], side: str, figure: str) -> tuple[str, str]:
    """The side's ratio with its limit, and a warning if the limit is broken."""
    for comparison in subject["comparisons"]:
        if (comparison["of"], comparison["figure"]) == (side, figure):
            limit = f", limit {words.limit(comparison)}" if "limit" in comparison else ""
            return f"×{comparison['ratio']['median']:.2f}{limit}", "" if comparison.get("kept", True) else "broken"
    return "", ""


def panels(path: Path, parts: Sequence[Sequence[Group]], title: str, note: str, unit: str) -> bool:
    """One axis for each part, with the height of its bars. False if there is nothing to draw."""
    if not any(parts):
        return False
    heights = [rows(groups) * ROW_INCHES for groups in parts]
    top, between, bottom, width = 0.75, 0.55, 0.5, 9.2
    total = top + sum(heights) + between * (len(parts) - 1) + bottom
    figure = pyplot.figure(figsize=(width, total))
    headed(figure, title, note)
    edge = total - top
    for groups, height in zip(parts, heights):
        axes = figure.add_axes((0.275, (edge - height) / total, 0.705, height / total))
        draw_groups(axes, groups, 0.705 * width)
        axes.set_xlabel(unit, fontsize=8, loc="right")
        edge -= height + between
    saved(figure, path)
    return True
