"""wrk: one thread, keep-alive connections, the same request again and again.

The request is in a Lua file, so that no secret is on a command line. It is created once, also when several are pipelined: wrk
only calls Lua for each request if the script defines that. `done` prints the counts of wrk with more digits than wrk does.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..failure import Failed
from ..http_exchange import Request, Target
from ..processes import put_load
from ..sample import LoadResult
from ..secret_files import write_secret

MARK = "summary "
PLAIN = re.compile(r"[A-Za-z0-9_=&+/ .:-]*")

DONE = """
done = function(summary, latency)
  local e = summary.errors
  print(string.format('summary {"requests":%d,"duration_us":%d,"errors":{"connect":%d,"read":%d,"write":%d,' ..
    '"status":%d,"timeout":%d},"latency_us":{"p50":%d,"p90":%d,"p99":%d,"p99.9":%d,"max":%d,"mean":%.1f}}',
    summary.requests, summary.duration, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9),
    latency.max, latency.mean))
end
"""


def script(request: Request, pipeline: int) -> str:
    """The text of the Lua file. Raises ValueError for characters with a meaning in Lua or HTTP."""
    texts = [request.method, request.body, *request.headers, *request.headers.values()]
    if not all(PLAIN.fullmatch(text) for text in texts):
        raise ValueError("a request for wrk must be plain text")
    lines = [f'wrk.method = "{request.method}"']
    if request.body:
        lines.append(f'wrk.body = "{request.body}"')
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
    if pipeline > 1:
        lines += [
            "init = function()",
            "  local one = wrk.format()",
            f"  wrk.format = function() return string.rep(one, {pipeline}) end",
            "end"]
    return "\n".join(lines) + DONE


def parse(output: str, load_seconds: float, pipeline: int = 1) -> LoadResult:
    """Parses the summary line of the script.

    - load_seconds: processor time that wrk used, for its share.
    - pipeline: with more than one request in a write there are no latencies, since wrk counts one for all of them.
    Raises Failed when an answer was no 2xx, a connection broke, or nothing was counted.
    """
    line = next((line for line in output.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise Failed("wrk printed no summary")
    summary = json.loads(line.removeprefix(MARK))
    errors = {name: count for name, count in summary["errors"].items() if count}
    if errors:
        raise Failed(f"wrk counted errors: {errors}")
    if "Non-2xx" in output or summary["requests"] < 1:
        raise Failed("wrk got an answer other than 200")
    seconds = summary["duration_us"] / 1e6
    return LoadResult(
        requests=summary["requests"], seconds=seconds, load_share=load_seconds / seconds,
        latency_us={name: float(value) for name, value in summary["latency_us"].items()} if pipeline == 1 else {})


@dataclass(frozen=True)
class Wrk:
    """A prepared run against one target."""

    target: Target
    path: str
    script: Path
    connection_count: int
    pipeline: int

    @staticmethod
    def prepare(folder: Path, target: Target, request: Request, connection_count: int, pipeline: int = 1) -> "Wrk":
        file = write_secret(folder / f"wrk-{pipeline}.lua", script(request, pipeline))
        return Wrk(target, request.path, file, connection_count, pipeline)

    def __call__(self, seconds: int) -> LoadResult:
        command = [
            "wrk", "-t1", f"-c{self.connection_count}", f"-d{seconds}s", "-s", str(self.script),
            self.target.url + self.path]
        return parse(*put_load(command, seconds + 30), self.pipeline)
