"""Processor time of processes and processors, as the kernel counts it.

The CPU clock of a process counts the nanoseconds of all its threads, including those that have ended. utime and stime of
/proc/PID/stat count hundredths of a second; they are only used for the share of the kernel.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def process_nanoseconds(pid: int) -> int:
    """Processor time of a process so far, by its CPU clock (clock_getcpuclockid(3): the complement of the id, kind 2)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def process_ticks(stat: str) -> tuple[int, int]:
    """User and system time of a line of /proc/PID/stat, in ticks. The name of the command may contain spaces and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def processor_ticks(stat: str, processor: int) -> int:
    """Busy and stolen time of a processor in /proc/stat, in ticks. Waiting for a disk is neither."""
    for line in stat.splitlines():
        name, *values = line.split()
        if name == f"cpu{processor}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
            return user + nice + system + irq + softirq + steal
    raise ValueError(f"no processor {processor}")


@dataclass(frozen=True)
class Reading:
    """All clocks at one moment. Times in nanoseconds and ticks as their names say."""

    wall_ns: int
    server_ns: int
    server_user_ticks: int
    server_system_ticks: int
    taken_ticks: int
    """Of the server's processor: used by any process, or stolen by the host."""
    load_taken_ticks: int
    """The same of the load's processor."""

    @staticmethod
    def now(pid: int, processor: int, load_processor: int) -> "Reading":
        user, system = process_ticks(Path(f"/proc/{pid}/stat").read_text())
        processors = Path("/proc/stat").read_text()
        return Reading(
            time.monotonic_ns(), process_nanoseconds(pid), user, system, processor_ticks(processors, processor),
            processor_ticks(processors, load_processor))


@dataclass(frozen=True)
class Spent:
    """The difference of two readings."""

    wall_seconds: float
    server_ns: int
    kernel_share: float
    """Of the server's time, the part spent in the kernel."""
    server_share: float
    """Of the processor's time, the server's part."""
    others_share: float
    """Of the processor's time, the part of other processes and of the host."""
    load_taken_share: float
    """Of the time of the load's processor, the part that was used."""

    @property
    def idle_share(self) -> float:
        """Of the processor's time, the idle part. In a closed loop it shows how far the server was from its limit."""
        return max(1 - self.server_share - self.others_share, 0)

    @staticmethod
    def between(before: Reading, after: Reading) -> "Spent":
        wall = (after.wall_ns - before.wall_ns) / 1e9
        server = (after.server_ns - before.server_ns) / 1e9
        user = after.server_user_ticks - before.server_user_ticks
        system = after.server_system_ticks - before.server_system_ticks
        taken = (after.taken_ticks - before.taken_ticks) / TICKS_PER_SECOND
        load_taken = (after.load_taken_ticks - before.load_taken_ticks) / TICKS_PER_SECOND
        return Spent(
            wall_seconds=wall,
            server_ns=after.server_ns - before.server_ns,
            kernel_share=system / max(user + system, 1),
            server_share=server / wall,
            others_share=max(taken - server, 0) / wall,
            load_taken_share=load_taken / wall)
