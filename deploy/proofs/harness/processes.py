"""Starts programs, waits for them, and ends them by their id, also after an error."""

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

TIMEOUT_SECONDS = 20
"""After that, a program that has not answered or ended counts as hanging."""
PR_SET_PDEATHSIG = 1

_prctl = ctypes.CDLL(None).prctl


def _end_with_parent() -> None:
    """In the child: when this program is killed, the kernel ends the child too."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _before_program() -> Callable[[], None] | None:
    # With other threads, Python code must not run between fork and exec. The kernel would also send the signal at the end
    # of the thread that started the child, not at the end of the program.
    return _end_with_parent if threading.active_count() == 1 else None


class Process:
    """A program with its output in a file. It has its own session, so Ctrl-C reaches only the proof."""

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
        # The state follows the name, which is in parentheses.
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def send(self, what: signal.Signals) -> None:
        """Does nothing if the program has ended."""
        self._process.send_signal(what)

    def wait(self, seconds: float = TIMEOUT_SECONDS) -> int:
        """The exit status. Raises Unproven if the program is still running after `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unproven(f"{self._name} did not end within {seconds:g} s") from None

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit status. Raises Unproven if the program had to be killed."""
        self.send(how)
        try:
            return self.wait()
        except Unproven as reason:
            raise Unproven(f"{reason} after {how.name}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """Kills the program and everything in its process group."""
        if self._is_over:
            return  # The id may belong to another process by now.
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
        """Ends the program with SIGTERM, or with SIGKILL if that does not end it."""
        try:
            self.end()
        except Unproven:
            pass

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has ended in the meantime.
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def run(
    command: Sequence[object], *, seconds_max: float = 3 * TIMEOUT_SECONDS, stdin: str = "", folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, with `stdin` as its standard input. Raises Unproven if it takes longer than `seconds_max`."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=seconds_max, cwd=folder, env=environment,
            preexec_fn=_before_program())
    except subprocess.TimeoutExpired:
        raise Unproven(f"{Path(words[0]).name} took more than {seconds_max:.0f} s") from None


def output_of(
    command: Sequence[object], *, seconds_max: float = 3 * TIMEOUT_SECONDS, statuses: tuple[int, ...] = (0,),
    folder: Path | None = None,
) -> str:
    """The standard output of a command. Raises Unproven if it takes longer, or if its exit status is not in `statuses`."""
    done = run(command, seconds_max=seconds_max, folder=folder)
    if done.returncode not in statuses:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise Unproven(f"{' '.join(map(str, command[:6]))} ended with {done.returncode}:\n{words}")
    return done.stdout


def wait_until(
    condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS, every: float = 0.05, process: Process | None = None,
) -> bool:
    """Whether the condition became true in time, and before the process ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or (process and process.poll() is not None):
            return False
        time.sleep(every)
    return True


def free_ports(count: int) -> list[int]:
    """Different free ports on the loopback interface."""
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
