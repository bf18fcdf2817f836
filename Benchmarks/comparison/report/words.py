"""Formats numbers and names for the README and the plots."""

from typing import Any

# A round begins and ends with idle time, while the generator starts and ends.
IDLE_SHARE_MAX = 0.1


def figure_name(figure: str, per: str) -> str:
    """`cpu_us_per_request` → CPU per request."""
    if figure == "cpu_us_per_request":
        return f"CPU per {per}"
    if figure == "requests_per_second":
        return f"{per}s a second"
    return figure.removeprefix("latency_us.") + " latency"


def number(value: float) -> str:
    """Three digits or more: 0.123, 1.23, 12.3, 123, 12,345."""
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def spread(values: dict[str, float]) -> str:
    """Median and, in parentheses, the range."""
    return f"{number(values['median'])} ({number(values['min'])}–{number(values['max'])})"


def ratio(values: dict[str, float]) -> str:
    return f"{values['median']:.3f} ({values['min']:.3f}–{values['max']:.3f})"


def limit(fields: dict[str, Any]) -> str:
    """≤ 1.1 or ≥ 4; a dash without limit."""
    if "limit" not in fields:
        return "–"
    [(kind, value)] = fields["limit"].items()
    return f"{'≤' if kind == 'at_most' else '≥'} {value:,g}"


def kept(fields: dict[str, Any]) -> str:
    if "accepted" in fields:
        accepted = fields["accepted"]
        value = accepted.get("at_most", accepted.get("at_least"))
        return f"no, accepted to {value:,g}" if accepted["kept"] else f"**no**, nor the accepted {value:,g}"
    return {True: "yes", False: "**no**"}.get(fields.get("kept"), "–")  # type: ignore[arg-type]


def is_bound_by_load(side: dict[str, Any]) -> bool:
    """Whether the server's processor had idle time, so that the rate is that of the load and not of the server."""
    return side["idle_share"]["median"] > IDLE_SHARE_MAX
