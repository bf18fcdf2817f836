"""Horizontal bars in named groups, each with its value at its end and the range of its rounds as a thin line."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from .style import FAINT, INK, WARNING, bare

BAR_HEIGHT = 0.78
GROUP_GAP = 0.75
# Of the labels, on average.
LETTER_INCHES = 0.072


@dataclass(frozen=True)
class Bar:
    name: str
    value: float
    least: float
    most: float
    colour: str
    label: str
    remark: str = ""
    warning: str = ""
    shaded: float = 0
    """The part of the value drawn in a lighter shade, counted from the bar's end."""


@dataclass(frozen=True)
class Group:
    title: str
    bars: Sequence[Bar]


def rows(groups: Sequence[Group]) -> float:
    """Height of the groups in bars, titles and gaps included."""
    return sum(len(group.bars) + 1 + GROUP_GAP for group in groups)


def axis_length(bar: Bar, axes_inches: float) -> float:
    """The length of the axis at which this bar and its labels fit."""
    labels = len(bar.label) + len(bar.remark) + len(bar.warning) + 4
    return max(bar.value, bar.most) / (1 - min(labels * LETTER_INCHES / axes_inches, 0.8))


def draw_groups(axes: Axes, groups: Sequence[Group], axes_inches: float) -> None:
    place, ticks = 0.0, []
    axes.set_xlim(0, max(axis_length(bar, axes_inches) for group in groups for bar in group.bars))
    for group in groups:
        axes.text(
            -0.012, place, group.title, transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontweight="bold", fontsize=9)
        place += 1
        for bar in group.bars:
            draw_bar(axes, bar, place)
            ticks.append((place, bar.name))
            place += 1
        place += GROUP_GAP
    axes.set_ylim(place - GROUP_GAP, -0.8)
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    bare(axes)
    axes.spines["left"].set_visible(True)


def draw_bar(axes: Axes, bar: Bar, place: float) -> None:
    solid = bar.value * (1 - bar.shaded)
    axes.barh(place, solid, BAR_HEIGHT, color=bar.colour, linewidth=0)
    if bar.shaded:
        axes.barh(place, bar.value - solid, BAR_HEIGHT, left=solid, color=bar.colour, alpha=0.55, linewidth=0)
    axes.plot([bar.least, bar.most], [place, place], color=INK, linewidth=0.9, solid_capstyle="butt")
    label = axes.annotate(
        bar.label, (max(bar.value, bar.most), place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5)
    for text, ink in ((bar.remark, FAINT), (bar.warning, WARNING)):
        if text:
            label = axes.annotate(
                text, (1, 0.5), xycoords=label, xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5,
                color=ink)
