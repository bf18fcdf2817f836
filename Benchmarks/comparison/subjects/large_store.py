"""A store of many millions of credentials: its start, its size, and the cost of cold memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bench import Bench, progress
from ..comparisons import CPU, RATE, Question, compare
from ..failure import Failed
from ..loads.generator import Load
from ..median import Spread
from ..peers.control import Control
from ..peers.countersign import Countersign, countersign
from ..rounds import Round, Side, interleaved
from ..sample import sampled
from ..secret_files import write_secret, write_secret_lines
from ..subject import Figure, Outcome, Subject

MAP_BYTES = 64 << 30
SKEWS = {"uniform": "uniform", "zipf": "zipf:0.99"}
REPORT_EVERY = 1_000_000


@dataclass(frozen=True)
class Filled:
    folder: Path
    credentials: Path
    authorization: Path

    @property
    def data(self) -> Path:
        return self.folder / "store" / "data.mdb"

    def load(self, server: Countersign, skew: str) -> Load:
        return Load(server.http, self.credentials, self.authorization, "active", skew=SKEWS[skew])


def measure(bench: Bench) -> Outcome:
    if bench.large_count == 0:
        return Outcome(skipped="asked for with --large N")
    filled = fill(bench, bench.fresh_folder("large"))
    outcome = Outcome(
        figures=[Figure("credentials", bench.large_count, "")],
        notes=["Cold rounds need a start each and come before all warm ones: their ratios are not of neighbours in time."])
    outcome.figures.append(Figure(
        "data.mdb per credential", round(filled.data.stat().st_size / bench.large_count, 1), "bytes"))
    ready = []
    for number in range(1, bench.round_count + 1):
        for skew in SKEWS:
            with started(bench, filled, cold=True) as server:
                ready.append(server.ready_seconds)
                outcome.rounds.append(cold_round(bench, filled, server, skew, number))
    outcome.figures += ready_figures(ready)
    with started(bench, filled, cold=False) as server:
        sides = [warm_side(bench, filled, server, skew) for skew in SKEWS]
        outcome.rounds += interleaved(bench, sides)
    outcome.comparisons = [
        compare(Question(f"{skew} cold", f"{skew} warm", figure), outcome.rounds)
        for skew in SKEWS for figure in (RATE, CPU)]
    return outcome


def fill(bench: Bench, folder: Path) -> Filled:
    """Creates the keys and writes them to a secret file."""
    with countersign(bench, folder, map_bytes=MAP_BYTES) as server:
        control = server.control()
        caller = control.caller()
        return Filled(
            folder, write_secret_lines(folder / "credentials", created(control, bench.large_count)),
            write_secret(folder / "authorization", caller))


def created(control: Control, count: int) -> Iterator[str]:
    for number, key in enumerate(control.keys(count), 1):
        if number % REPORT_EVERY == 0:
            progress(f"  {number:,} of {count:,} keys made")
        yield key.text


@contextmanager
def started(bench: Bench, filled: Filled, *, cold: bool) -> Iterator[Countersign]:
    """Starts Countersign with nothing of the store in memory, or with all of it in the page cache."""
    if cold:
        evict_from_page_cache(filled.data)
    else:
        load_into_page_cache(filled.data)
    with countersign(bench, filled.folder, map_bytes=MAP_BYTES) as server:
        yield server


def evict_from_page_cache(path: Path) -> None:
    """Evicts a file from the page cache. No process may have it mapped."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def load_into_page_cache(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def cold_round(bench: Bench, filled: Filled, server: Countersign, skew: str, number: int) -> Round:
    """The first load after a start. Raises Failed if nothing was read from the disk, so that the store was not cold."""
    before = bytes_read(server.pid)
    load = filled.load(server, skew)
    sample = sampled(server.pid, lambda: load.put(bench, bench.round_seconds))
    if bytes_read(server.pid) == before:
        raise Failed("the cold store was read from memory; put TMPDIR on a disk")
    progress(f"  {number}/{bench.round_count} {skew} cold {sample.requests_per_second:12,.0f} /s")
    return Round(number, f"{skew} cold", sample)


def warm_side(bench: Bench, filled: Filled, server: Countersign, skew: str) -> Side:
    load = filled.load(server, skew)
    return Side(f"{skew} warm", lambda seconds: sampled(server.pid, lambda: load.put(bench, seconds)))


def bytes_read(pid: int) -> int:
    """Bytes that a process has made the kernel fetch from disks, page faults included."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    raise Failed("the kernel does not count what processes read")


def ready_figures(seconds: list[float]) -> list[Figure]:
    spread = Spread.of(seconds)
    return [
        Figure("start to ready, cold, median", round(spread.median, 3), "s"),
        Figure("start to ready, cold, longest", round(spread.max, 3), "s")]


SUBJECT = Subject(
    "large-store", "a large store",
    "Closed-loop introspections over all credentials of a large store. Cold: the process has just started and nothing of "
    "data.mdb is in memory. Warm: data.mdb is in the page cache, and the process's own cache has what earlier load left.",
    measure)
