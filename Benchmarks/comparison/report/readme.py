"""README.md of a run: limits first, then each subject, then the machine and how it was measured."""

from collections.abc import Sequence
from typing import Any

from . import words

PEERS = """## What the peers do, and what they do not

- **nginx** answers a constant (`return 200`). It reads the request and writes the same bytes each time: no look-up, no hash, no caller to check, no expiry, no revocation. It stands for the least that an HTTP server can spend on such a request. Where it is given as many headers as we send, it makes none of their values.
- **Redis** looks one key up in memory and copies its value, over its own protocol, which is cheaper to read than HTTP. It checks neither a caller nor a secret. Countersign finds the credential, compares a keyed hash in constant time, checks the caller, expiry and revocation, and writes JSON and HTTP around the answer.
- **LMDB and libcrypto** are called bare, in process, in the same pattern as the verifier calls them.
"""


def readme(results: dict[str, Any], plots: Sequence[str]) -> str:
    subjects = results["subjects"]
    parts = [heading(results), limits(subjects), *(f"![{plot.removesuffix('.svg')}]({plot})\n" for plot in plots)]
    parts += [section(subject) for subject in subjects if "skipped" not in subject]
    parts += [skipped(subjects), PEERS, machine(results), method(results)]
    return "\n".join(part for part in parts if part)


def heading(results: dict[str, Any]) -> str:
    arguments = results["arguments"]
    given = f"--rounds {arguments['rounds']} --seconds {arguments['seconds']}"
    given += f" --only {' '.join(arguments['only'])}" if arguments["only"] else ""
    given += f" --large {arguments['large']}" if arguments["large"] else ""
    return (
        f"# Countersign beside its peers, {results['measured'][:10]}\n\n"
        f"Made by `Benchmarks/compare {given}` at {results['versions']['countersign']}. Medians; the lowest and the highest "
        "round in parentheses. A ratio is the median of those of single rounds, in which both sides were measured one after "
        "the other. Every round is in `results.json`.\n")


def limits(subjects: Sequence[dict[str, Any]]) -> str:
    rows = [limit_row(subject, comparison) for subject in subjects
            for comparison in subject.get("comparisons", []) if "limit" in comparison]
    rows += [
        f"| {subject['title']} | {figure['name']} | | | {words.number(figure['value'])} | {words.limit(figure)} "
        f"| {words.kept(figure)} |"
        for subject in subjects for figure in subject.get("figures", []) if "limit" in figure]
    if not rows:
        return ""
    text = table("## Limits", ["subject", "figure", "ours", "to", "ratio or value", "limit", "kept"], rows)
    whys = [
        f"- {subject['title']}, {judged.get('name') or words.figure_name(judged['figure'], subject['per'])}: "
        f"{judged['accepted']['why']}"
        for subject in subjects for judged in [*subject.get("comparisons", []), *subject.get("figures", [])]
        if "accepted" in judged]
    return text + ("\nMissed and accepted for now:\n\n" + "\n".join(whys) + "\n" if whys else "")


def limit_row(subject: dict[str, Any], comparison: dict[str, Any]) -> str:
    figure = comparison["figure"]
    ours, theirs = (median_of(subject, comparison[end], figure) for end in ("of", "to"))
    return (
        f"| {subject['title']} | {words.figure_name(figure, subject['per'])} | {comparison['of']} {ours} "
        f"| {comparison['to']} {theirs} | {words.ratio(comparison['ratio'])} | {words.limit(comparison)} "
        f"| {words.kept(comparison)} |")


def median_of(subject: dict[str, Any], side: str, figure: str) -> str:
    """A side's median with its unit."""
    values = next(found for found in subject["sides"] if found["side"] == side)
    if figure.startswith("latency_us."):
        return words.number(values["latency_us"][figure.removeprefix("latency_us.")]["median"]) + " µs"
    return words.number(values[figure]["median"]) + (" µs" if figure == "cpu_us_per_request" else " /s")


def section(subject: dict[str, Any]) -> str:
    parts = [f"## {subject['title'][0].upper()}{subject['title'][1:]} (`{subject['name']}`)\n", subject["about"] + "\n"]
    if subject["notes"]:
        parts.append(" ".join(subject["notes"]) + "\n")
    if subject["sides"]:
        parts.append(sides(subject))
    if subject["comparisons"]:
        rows = [
            f"| {words.figure_name(comparison['figure'], subject['per'])} | {comparison['of']} / {comparison['to']} "
            f"| {words.ratio(comparison['ratio'])} | {words.limit(comparison)} | {words.kept(comparison)} |"
            for comparison in subject["comparisons"]]
        parts.append(table("", ["figure", "sides", "ratio", "limit", "kept"], rows))
    if subject["figures"]:
        rows = [
            f"| {figure['name']} | {words.number(figure['value'])} {'' if figure['unit'] == 'ratio' else figure['unit']} "
            f"| {words.limit(figure)} | {words.kept(figure)} |" for figure in subject["figures"]]
        parts.append(table("", ["figure", "value", "limit", "kept"], rows))
    return "\n".join(parts)


def sides(subject: dict[str, Any]) -> str:
    """A table of the sides; a dagger where a closed loop's load was the bottleneck."""
    is_closed = not any("intended_rate" in taken for taken in subject["rounds"])
    bound = [side["side"] for side in subject["sides"] if is_closed and words.is_bound_by_load(side)]
    quantiles = [
        quantile for quantile in ("p50", "p99", "p99.9")
        if any(quantile in side.get("latency_us", {}) for side in subject["sides"])]
    rows = []
    for side in subject["sides"]:
        dagger = " †" if side["side"] in bound else ""
        latencies = [
            words.spread(side["latency_us"][quantile]) if quantile in side.get("latency_us", {}) else "–"
            for quantile in quantiles]
        rows.append("| " + " | ".join([
            side["side"], words.spread(side["cpu_us_per_request"]), f"{side['kernel_share']['median']:.0%}",
            words.spread(side["requests_per_second"]) + dagger, *latencies]) + " |")
    per = subject["per"]
    columns = ["side", f"CPU per {per}, µs", "of it in the kernel", f"{per}s a second"]
    text = table("", columns + [f"{quantile}, µs" for quantile in quantiles], rows)
    if bound:
        text += "\n† The server's processor had time left: the load was the bottleneck, and the rate is not the server's.\n"
    return text


def skipped(subjects: Sequence[dict[str, Any]]) -> str:
    lines = [f"- `{subject['name']}`: {subject['skipped']}" for subject in subjects if "skipped" in subject]
    return "## Skipped\n\n" + "\n".join(lines) + "\n" if lines else ""


def machine(results: dict[str, Any]) -> str:
    described, versions = results["machine"], results["versions"]
    rows = [f"| {name} | {value} |" for name, value in described.items()]
    rows += [f"| {name} | {version} |" for name, version in versions.items()]
    return table("## The machine and the versions", ["what", ""], rows)


def method(results: dict[str, Any]) -> str:
    rounds = [taken for subject in results["subjects"] for taken in subject.get("rounds", [])]
    lines = [
        "One worker of each server on processor 0, one thread of load on processor 1, all on loopback. Sides take turns, in "
        "turned order every other round, after one unmeasured round of each.",
        "CPU is the process's own clock of the kernel, in nanoseconds, over all threads; of nginx, that of its worker. Work "
        "of the kernel that it charges to nobody is in neither side. The part in the kernel is sampled by its ticks.",
        "wrk's latencies are those of a closed loop and corrected by wrk for what it could not send meanwhile; those at a "
        "fixed rate count from when a request was due.",
        "Before measuring, each side's answer is read and has to be the right one; any other status, wrong verdict or broken "
        "connection under load ends the run without results."]
    if results["arguments"]["program_given"]:
        lines.append("The program was given, not built by this run: its commit is not known to be the one named here.")
    if rounds:
        lines.append(disturbance(rounds))
    return "## How it was measured\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def disturbance(rounds: Sequence[dict[str, Any]]) -> str:
    """How much else the machine did."""
    server = sorted(taken["others_share"] for taken in rounds)
    load = sorted(max(taken["load_taken_share"] - taken["load_share"], 0) for taken in rounds if "load_share" in taken)
    middle, worst = (
        [f"{shares[int(place * (len(shares) - 1))]:.0%}" for shares in (server, load) if shares] for place in (0.5, 1))
    return (
        f"Other work, that of the host included, had {' and '.join(middle)} of processors 0 and 1 in the middle one of all "
        f"rounds, {' and '.join(worst)} in the worst. It lowers rates and raises latencies, and changes how many requests "
        "are answered at a time.")


def table(title: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    lines = [title, ""] if title else []
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *rows]
    return "\n".join(lines) + "\n"
