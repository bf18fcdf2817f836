"""Starts programs, waits for what they come to, and ends them by their id, whatever happens in between."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .checks import Unproven

PATIENCE_SECONDS = 20
"""What has not answered or ended by then counts as hanging."""
PR_SET_PDEATHSIG = 1

_prctl = ctypes.CDLL(None).prctl


def _end_with_parent() -> None:
    """In the child: when this program is killed, the kernel ends the child too."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _before_program() -> Callable[[], None] | None:
    # Beside other threads Python may run nothing between fork and exec; and the kernel would not wait for the end of the
    # program but for that of the thread that started the child.
    return _end_with_parent if threading.active_count() == 1 else None


class Process:
    """A program in a session of its own, so that Ctrl-C reaches this program alone, with its output in a file."""

    def __init__(
        self, command: Sequence[object], log: Path, environment: Mapping[str, str] | None = None, folder: Path | None = None,
        piped: bool = False,
    ) -> None:
        """With `piped`, standard input and standard output are pipes, and only standard error goes to the file."""
        self.log = log
        words = [str(word) for word in command]
        self._name = Path(words[0]).name
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output, stderr=output, env=environment, cwd=folder,
                start_new_session=True, preexec_fn=_before_program())
        self.pid, self.stdin, self.stdout = self._process.pid, self._process.stdin, self._process.stdout
        self._is_over = False

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def is_stopped(self) -> bool:
        # The state stands behind the name, which is in brackets.
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def send(self, what: signal.Signals) -> None:
        """Nothing happens when it has ended."""
        self._process.send_signal(what)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status. Raises Unproven when it goes on running."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unproven(f"{self._name} did not end within {seconds:g} s") from None

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit status. Raises Unproven when it has to be killed."""
        self.send(how)
        try:
            return self.wait()
        except Unproven as reason:
            raise Unproven(f"{reason} after {how.name}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """With all that it started and that is still there."""
        if self._is_over:
            return  # The number may be another's by now.
        self._is_over = True
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe:
                pipe.close()

    def close(self) -> None:
        """Ends it politely if that is possible."""
        try:
            self.end()
        except Unproven:
            pass

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def last_words(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


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


def run(
    command: Sequence[object], *, seconds_max: float = 3 * PATIENCE_SECONDS, given: str = "", folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, with `given` on its standard input. Raises Unproven when it takes longer."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(
            words, input=given, capture_output=True, text=True, timeout=seconds_max, cwd=folder, env=environment,
            preexec_fn=_before_program())
    except subprocess.TimeoutExpired:
        raise Unproven(f"{Path(words[0]).name} took more than {seconds_max:.0f} s") from None


def output_of(
    command: Sequence[object], *, seconds_max: float = 3 * PATIENCE_SECONDS, statuses: tuple[int, ...] = (0,),
    folder: Path | None = None,
) -> str:
    """The standard output of a command. Raises Unproven when it takes longer, or when its exit status is none of these."""
    done = run(command, seconds_max=seconds_max, folder=folder)
    if done.returncode not in statuses:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise Unproven(f"{' '.join(map(str, command[:6]))} ended with {done.returncode}:\n{words}")
    return done.stdout


def wait_until(
    is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS, every: float = 0.05, process: Process | None = None,
) -> bool:
    """Whether it was so in time, and before the end of the process."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline or (process and process.poll() is not None):
            return False
        time.sleep(every)
    return True


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


def free_port() -> int:
    return free_ports(1)[0]
