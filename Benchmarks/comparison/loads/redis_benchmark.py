"""redis-benchmark: Redis's own load generator, with GET of one key."""

import csv
import io
from dataclasses import dataclass

from ..failure import Failed
from ..processes import put_load
from ..sample import LoadResult

COLUMNS = {"p50": "p50_latency_ms", "p99": "p99_latency_ms", "max": "max_latency_ms", "mean": "avg_latency_ms"}
CALIBRATION_REQUESTS = 50_000


def parse(output: str, requests: int, load_cpu_seconds: float) -> LoadResult:
    """Parses the row of --csv. Raises Failed without one, as when the server refused the requests."""
    rows = list(csv.DictReader(io.StringIO(output)))
    if len(rows) != 1 or None in rows[0].values() or "rps" not in rows[0]:
        raise Failed("redis-benchmark printed no row of figures")
    row = rows[0]
    seconds = requests / float(row["rps"])
    return LoadResult(
        requests=requests, seconds=seconds, load_share=load_cpu_seconds / seconds,
        latency_us={name: float(row[column]) * 1e3 for name, column in COLUMNS.items()})


@dataclass
class RedisBenchmark:
    """It runs for a number of requests, so a short run first determines how many fill the wanted seconds."""

    where: list[str]
    key: str
    connection_count: int
    pipeline: int
    requests_per_second: float = 0

    def __call__(self, seconds: int) -> LoadResult:
        if not self.requests_per_second:
            self.requests_per_second = self._get(CALIBRATION_REQUESTS, seconds).requests / self._last_seconds
        return self._get(int(self.requests_per_second * seconds), seconds)

    def _get(self, requests: int, seconds: int) -> LoadResult:
        command = [
            "redis-benchmark", *self.where, "-c", str(self.connection_count), "--threads", "1", "-P", str(self.pipeline),
            "-n", str(requests), "--precision", "3", "--csv", "GET", self.key]
        output, used = put_load(command, 10 * seconds + 60)
        answered = parse(output, requests, used)
        self._last_seconds = answered.seconds
        return answered
