"""The style of all plots. Every bar has a label, so the axes need not be read."""

from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402  (the backend comes first)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

INK, FAINT, WARNING = "#24292f", "#6e7781", "#c1121f"
COLOURS = {"countersign": "#0b62c4", "nginx": "#8a9a5b", "redis": "#c2553f"}

matplotlib.rcParams.update({
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "xtick.color": FAINT,
    "ytick.color": INK, "axes.edgecolor": FAINT, "axes.linewidth": 0.6, "figure.facecolor": "white",
    # Letters as outlines, since another font would shift the labels. With a fixed salt, equal plots are equal files.
    "svg.fonttype": "path", "svg.hashsalt": "countersign"})


def colour(side: str) -> str:
    """The peer's colour where a side names one, and ours otherwise."""
    return next((value for name, value in COLOURS.items() if side.startswith(name)), COLOURS["countersign"])


def bare(axes: Axes) -> None:
    """Hides the parts of the frame without information."""
    for edge in ("top", "right", "left"):
        axes.spines[edge].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=2, labelsize=8)


def headed(figure: Figure, title: str, note: str) -> None:
    """A title, and a line that explains the plot, at the top left."""
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.14 / height, title, fontsize=12.5, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.42 / height, note, fontsize=8.5, color="#57606a", va="top")


def saved(figure: Figure, path: Any) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
