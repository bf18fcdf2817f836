"""Markdown tables of the figures beside those of the last release."""

import json
from collections.abc import Mapping, Sequence

from comparison.report.readme import table

from .committed import Release
from .counts import Count
from .instructions import NAME, Committed, Verdict
from .package_suite import ALLOCATIONS, CALLS, RATIO, TIME, Figures, file_name

NONE = "–"


def instructions(verdicts: Sequence[Verdict], release: Release | None) -> str:
    released = counts_of(release)
    rows = []
    for verdict in verdicts:
        now, committed, before = verdict.now, verdict.committed, released.get(verdict.path)
        rows.append("| " + " | ".join([
            verdict.path, number(now and now.ours), number(committed and committed.ours), change(now, committed),
            number(before and before.ours), change(now, before), number(now and now.libcrypto), verdict.words]) + " |")
    columns = [
        "path", "instructions", "committed", "change", named(release), "change since", "besides, in libcrypto", ""]
    return aligned(table("", columns, rows))


def suite(now: Figures, committed: Figures, release: Release | None) -> str:
    """The 90th percentile of each figure."""
    rows = []
    for name, figures in now.items():
        limits, before = committed.get(name, {}), figures_of(release, name)
        rows.append("| " + " | ".join([
            name, number(figures.get(ALLOCATIONS)), number(limits.get(ALLOCATIONS)), ratio(figures), ratio(limits),
            ratio(before), number(figures[TIME] / CALLS if TIME in figures else None)]) + " |")
    columns = [
        "path", f"allocations per {CALLS:,}", "committed", "÷ bare HMAC", "committed", named(release), "ns on the wall"]
    return aligned(table("", columns, rows))


def counts_of(release: Release | None) -> Mapping[str, Count]:
    text = release and release.read(NAME)
    return Committed.parse(text).counts if text else {}


def figures_of(release: Release | None, name: str) -> dict[str, int]:
    text = release and release.read(file_name(name))
    return json.loads(text) if text else {}


def named(release: Release | None) -> str:
    return release.tag if release else "last release"


def number(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 1_000 or value == int(value) else f"{value:.1f}"


def ratio(figures: Mapping[str, int]) -> str:
    return f"{figures[RATIO] / 1_000:.2f}" if RATIO in figures else NONE


def change(now: Count | None, before: Count | None) -> str:
    if now is None or before is None or before.ours == 0:
        return NONE
    percent = (now.ours / before.ours - 1) * 100
    return f"{percent:+.1f} %" if abs(percent) >= 0.05 else "0.0 %"


def aligned(markdown: str) -> str:
    """Pads the columns to equal widths, with numbers at the right."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    heads, _, *rows = lines
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]
    rule = [":" + "-" * max(width - 1, 2) if column == 0 else "-" * max(width - 1, 2) + ":"
            for column, width in enumerate(widths)]
    return "\n".join(
        "| " + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))) + " |"
        for line in [heads, rule, *rows]) + "\n"
