"""The load generator of this package: Unix sockets, many credentials, unknown ones, batches, and open loops."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..bench import Bench
from ..failure import Failed, Skipped
from ..http_exchange import Target
from ..processes import put_load
from ..sample import LoadResult

# The generator may have to read and check 670 MB of credentials first.
START_SECONDS_MAX = 120


@dataclass(frozen=True)
class Load:
    """The requests, and the expected answers. Credentials and the client's secret are in files."""

    target: Target
    credentials: Path
    authorization: Path
    expect: str
    request: str = "introspect"
    unknown_share: float = 0
    skew: str = "uniform"
    rate: float = 0
    """Requests per second of an open loop; 0 for a closed loop."""
    pipeline: int = 1
    batch_size: int = 1

    def arguments(self, connection_count: int, seconds: int) -> list[str]:
        """Without warm-up, whose processor time would be counted but not its requests. Rounds are warmed up before."""
        arguments = [
            "--target", self.target.url, "--request", self.request, "--credentials", str(self.credentials),
            "--authorization", str(self.authorization), "--expect", self.expect, "--skew", self.skew,
            "--unknown-share", f"{self.unknown_share:g}", "--rate", f"{self.rate:g}",
            "--connections", str(connection_count), "--pipeline", str(self.pipeline),
            "--seconds", str(seconds), "--warmup", "0", "--json"]
        if self.request == "batch":
            arguments += ["--batch-size", str(self.batch_size)]
        return arguments

    def put(self, bench: Bench, seconds: int) -> LoadResult:
        if bench.programs.load is None:
            raise Skipped("there is no load generator")
        command = [bench.programs.load, *self.arguments(bench.connection_count, seconds)]
        output, _ = put_load(command, seconds + START_SECONDS_MAX)
        return parse(output, per_request=self.batch_size if self.request == "batch" else 1)


def parse(output: str, per_request: int = 1) -> LoadResult:
    """Parses the last line of the output.

    - per_request: credentials that one request carries.
    Raises Failed for a wrong answer, a broken connection, or a run that was interrupted or counted nothing.
    """
    lines = output.strip().splitlines()
    try:
        report = json.loads(lines[-1] if lines else "")
    except json.JSONDecodeError as bad:
        raise Failed("the load generator printed no JSON object") from bad
    wrong = {name: report[name] for name in ("mismatches", "errors", "interrupted") if report.get(name)}
    if wrong or report["requests"] < 1:
        raise Failed(f"the load generator counted {wrong or 'no requests'}")
    rate = report.get("intended_rate") or None
    return LoadResult(
        requests=report["requests"] * per_request, seconds=report["seconds"], latency_us=report["latency_us"],
        load_share=report.get("generator_cpu_share"), intended_rate=rate, dropped=report.get("dropped", 0),
        lateness_us_p99=report["lateness_us"]["p99"] if rate and "lateness_us" in report else None)
