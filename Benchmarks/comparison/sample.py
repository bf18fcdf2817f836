"""The result of one round of one side."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .clocks import Reading, Spent
from .processes import LOAD_PROCESSOR, SERVER_PROCESSOR


@dataclass(frozen=True)
class LoadResult:
    """The counts of a load generator. A batch counts as one request per credential."""

    requests: int
    seconds: float
    latency_us: dict[str, float] = field(default_factory=dict)
    """From sending, or in an open loop from the scheduled time, to the last byte of the answer: p50, p90, p99, p99.9, max, mean."""
    load_share: float | None = None
    """The generator's share of the load's processor."""
    intended_rate: float | None = None
    """Requests per second of an open loop."""
    dropped: int = 0
    """Requests of an open loop that were scheduled and never sent."""
    lateness_us_p99: float | None = None
    """The generator's own delay in an open loop."""


@dataclass(frozen=True)
class Sample:
    """A round of one side with the clocks of the server. Shares are parts of the time of one processor."""

    answered: LoadResult
    spent: Spent

    @property
    def requests_per_second(self) -> float:
        return self.answered.requests / self.answered.seconds

    @property
    def cpu_us_per_request(self) -> float:
        return self.spent.server_ns / 1e3 / self.answered.requests

    def figure(self, name: str) -> float:
        """A figure by its name in the results, such as `latency_us.p99`."""
        if name.startswith("latency_us."):
            return self.answered.latency_us[name.removeprefix("latency_us.")]
        return float(getattr(self, name))

    def json(self) -> dict[str, object]:
        answered, spent = self.answered, self.spent
        fields: dict[str, object] = {
            "requests": answered.requests,
            "seconds": round(answered.seconds, 3),
            "server_cpu_ns": spent.server_ns,
            "cpu_us_per_request": round(self.cpu_us_per_request, 4),
            "requests_per_second": round(self.requests_per_second, 1),
            "kernel_share": round(spent.kernel_share, 3),
            "server_share": round(spent.server_share, 3),
            "others_share": round(spent.others_share, 3),
            "idle_share": round(spent.idle_share, 3),
            "load_taken_share": round(spent.load_taken_share, 3),
        }
        if answered.load_share is not None:
            fields["load_share"] = round(answered.load_share, 3)
        if answered.intended_rate is not None:
            fields |= {
                "intended_rate": round(answered.intended_rate, 1), "dropped": answered.dropped,
                "lateness_us_p99": answered.lateness_us_p99}
        if answered.latency_us:
            fields["latency_us"] = {name: round(value, 1) for name, value in answered.latency_us.items()}
        return fields


def sampled(pid: int, put_load: Callable[[], LoadResult]) -> Sample:
    """Puts load on the server with that process id and reads its clocks before and after."""
    before = Reading.now(pid, SERVER_PROCESSOR, LOAD_PROCESSOR)
    answered = put_load()
    return Sample(answered, Spent.between(before, Reading.now(pid, SERVER_PROCESSOR, LOAD_PROCESSOR)))
