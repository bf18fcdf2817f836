"""h2load, of nghttp2: one thread, the same request again and again, over HTTP/2 or HTTP/1.1 and over Unix sockets."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..failure import Failed
from ..http_exchange import Target
from ..processes import put_load
from ..sample import LoadResult

FINISHED = re.compile(r"^finished in ([\d.]+)(s|ms), ", re.MULTILINE)
REQUESTS = re.compile(r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, ", re.MULTILINE)


def parse(output: str, load_seconds: float) -> LoadResult:
    """Parses the output. Raises Failed if an answer was not 2xx, or nothing was counted."""
    finished, requests = FINISHED.search(output), REQUESTS.search(output)
    if finished is None or requests is None:
        raise Failed("h2load printed no summary")
    done, succeeded = int(requests[1]), int(requests[2])
    if done != succeeded or done < 1:
        raise Failed(f"h2load was answered {done} times, and {succeeded} times with 200")
    seconds = float(finished[1]) / (1 if finished[2] == "s" else 1_000)
    return LoadResult(requests=done, seconds=seconds, load_share=load_seconds / seconds)


@dataclass(frozen=True)
class H2load:
    """A prepared run against a Unix socket."""

    target: Target
    path: str
    headers: dict[str, str]
    connection_count: int
    streams: int = 1
    """Concurrent requests on each connection."""
    body: Path | None = None
    """None: GET over HTTP/1.1."""

    def __call__(self, seconds: int) -> LoadResult:
        command = [
            "h2load", f"--duration={seconds}", f"--clients={self.connection_count}", "--threads=1",
            f"--max-concurrent-streams={self.streams}", f"--base-uri={self.target.url}"]
        command += [f"--header={name}: {value}" for name, value in self.headers.items()]
        command += ["--h1"] if self.body is None else [f"--data={self.body}"]
        return parse(*put_load([*command, "http://localhost" + self.path], seconds + 30))
