"""Starts processes on one processor and ends them by their id, whatever happens in between."""

import ctypes
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .failure import Failed

SERVER_PROCESSOR = 0
LOAD_PROCESSOR = 1
END_SECONDS_MAX = 20
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In the child: when this program is killed, the kernel ends the child too."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pinned(processor: int, command: list[str]) -> list[str]:
    """The command on that processor. taskset replaces itself, so that the process id stays."""
    return ["taskset", "-c", str(processor), *command]


@contextmanager
def server(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server on its processor until the block ends. Its own session: Ctrl-C reaches this program alone."""
    with open(log, "ab") as words:
        process = subprocess.Popen(
            pinned(SERVER_PROCESSOR, command), stdin=subprocess.DEVNULL, stdout=words, stderr=words,
            env=environment, start_new_session=True, preexec_fn=_end_with_parent)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL when that is not enough."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has ended meanwhile.
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def run(command: list[str], *, seconds_max: float, statuses: tuple[int, ...] = (0,), cwd: Path | None = None) -> str:
    """Runs a command to its end and returns its standard output; it is killed when this program is interrupted.

    Raises Failed with the command's last words when its exit status is none of the expected ones.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds_max, cwd=cwd,
            preexec_fn=_end_with_parent)
    except subprocess.TimeoutExpired as slow:
        raise Failed(f"{Path(command[0]).name} took more than {seconds_max:.0f} s") from slow
    if done.returncode not in statuses:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise Failed(f"{' '.join(command[:6])} ended with {done.returncode}:\n{words}")
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
