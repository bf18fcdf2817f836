"""What the parts of the proof of the deployment share: the files under proof, what holds and what does not, processes that are
ended whatever happens, and rooms: roots with nothing but what an image or a machine promises."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from harness.checks import Checks, Unproven
from harness.processes import Process, output_of, run, wait_until
from harness.service import make_certificate, says_ready

# Of what Debian's smallest image holds, what a program needs: all are essential there or needed by apt.
BASE = ("base-files", "libc6", "libgcc-s1", "libstdc++6", "zlib1g")
# `lookup` and pepper 1. The line is the one of the READMEs, which say it this way so that no argument list holds a secret.
PEPPER_LINE = """(umask 077; printf 'lookup %s\\n1 %s\\n' "$(openssl rand -hex 32)" "$(openssl rand -hex 32)" > pepper)"""


class Stage(Checks):
    def __init__(self, program: Path, deploy: Path) -> None:
        super().__init__()
        self.program, self.deploy = program, deploy
        self.folder = Path(tempfile.mkdtemp(prefix="deployment-"))
        # Users without rights find their way to their mounts.
        self.folder.chmod(0o755)
        self.ends = ExitStack()

    def path(self, name: str) -> Path:
        made = self.folder / name
        made.parent.mkdir(parents=True, exist_ok=True)
        return made

    def run(self, *command: object, given: str = "") -> subprocess.CompletedProcess[str]:
        return run(command, given=given)

    def start(self, command: list, log: Path, piped: bool = False) -> Process:
        process = Process(command, log, piped=piped)
        self.ends.callback(process.kill)
        return process

    def close(self) -> None:
        self.ends.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# Files of packages

def owner_of(file: str) -> str | None:
    """The Debian package that a file belongs to; /lib is /usr/lib, and packages know the file under either name."""
    for name in (file, file.removeprefix("/usr"), "/usr" + file):
        done = run(["dpkg-query", "-S", name])
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    return None


@functools.cache
def libraries(program: Path) -> dict[str, str | None]:
    """The libraries of a program and the packages that they come from; None: from none."""
    files = re.findall(r"(/\S+) \(0x", output_of(["ldd", program]))
    return {file: owner_of(file) or owner_of(os.path.realpath(file)) for file in files}


def furnish(root: Path, packages: Iterable[str]) -> None:
    """Lays the files of packages, as they are installed here, into a root."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            (root / name).symlink_to("usr/" + name)
    for package in packages:
        for file in map(Path, output_of(["dpkg-query", "-L", package]).splitlines()):
            if re.match(r"/usr/share/(doc|man|locale|lintian)/", str(file)) or not (file.is_symlink() or file.is_file()):
                continue
            copy(file, root)
    for name in ("dev", "proc", "run", "tmp", "var/lib", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)


def copy(file: Path, root: Path) -> None:
    made = root / str(file).lstrip("/")
    made.parent.mkdir(parents=True, exist_ok=True)
    if made.exists() or made.is_symlink():
        return
    try:
        # The root is only read.
        os.link(file, made, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, made, follow_symlinks=False)


def listing(folder: Path) -> dict[str, tuple]:
    """Every file with what a write would change."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            info = os.lstat(os.path.join(place, name))
            found[os.path.relpath(os.path.join(place, name), folder)] = (info.st_mode, info.st_size, info.st_mtime_ns)
    return found


# Rooms

class Room:
    """A root on which a program runs alone. What is mounted counts for the next start."""

    def __init__(self, stage: Stage, name: str, packages: Iterable[str]) -> None:
        self.stage, self.name = stage, name
        self.root = stage.path(f"{name}/root")
        furnish(self.root, packages)
        self.mounts: dict[str, dict] = {}
        program = self.root / "usr/local/bin/countersign"
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(stage.program, program)
        # A build that is not static finds Swift's libraries where it was built; they belong to no package.
        for file, package in libraries(stage.program).items():
            if package is None:
                copy(Path(file), self.root)
                copy(Path(os.path.realpath(file)), self.root)

    def mount(self, source: Path, target: str, writable: bool = False) -> None:
        place = self.root / target.lstrip("/")
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        self.mounts[target] = {"source": str(source), "target": target, "writable": writable}

    def start(
        self, command: list[str], user: int, group: int, folder: str, groups: Iterable[int] = (),
        environment: dict[str, str] | None = None, calls: dict | None = None, proc: str = "", umask: int = 0o022,
    ) -> "Occupant":
        log = self.stage.path(f"{self.name}/log-{time.monotonic_ns()}")
        task = {
            "root": str(self.root), "mounts": list(self.mounts.values()), "command": command, "user": user, "group": group,
            "groups": list(groups), "folder": folder, "log": str(log), "filter": calls, "proc": proc, "umask": umask,
            "environment": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"} | (environment or {})}
        process = self.stage.start(["/usr/bin/python3", Path(__file__).with_name("deployment_confine.py")], log, piped=True)
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        return Occupant(process, log, user, group)


class Occupant:
    """The program in a room."""

    def __init__(self, process: Process, log: Path, user: int, group: int) -> None:
        self._process, self._log, self._user, self._group = process, log, user, group
        first = process.stdout.readline().strip()
        self.number = int(first) if first else 0

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        return wait_until(lambda: says_ready(self.log), process=self._process)

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.number}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def inside(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """As `docker exec` does: in the same namespaces and root, as the same user, in the same folder."""
        return run(
            ["nsenter", f"--target={self.number}", "--mount", "--net", "--pid", "--ipc", "--root", "--wd",
             f"--setuid={self._user}", f"--setgid={self._group}", "--", *command],
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin"} | (environment or {}))

    def beside(self, *command: object, given: str = "") -> subprocess.CompletedProcess[str]:
        """A program of this machine in the room's network."""
        return run(["nsenter", f"--net=/proc/{self.number}/ns/net", "--", *command], given=given)

    def status_of(self, url: str) -> int:
        asked = self.beside("curl", "-sk", "-m", "5", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url)
        return int(asked.stdout or 0)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit status. Process 1 of a namespace ends only by signals that it handles."""
        if self._process.poll() is None:
            os.kill(self.number, how)
        return self.wait()

    def wait(self) -> int:
        try:
            return self._process.wait()
        except Unproven:
            os.kill(self.number, signal.SIGKILL)
            self._process.wait()
            return -1


# Secrets

def pepper(stage: Stage, name: str) -> Path:
    """Made by the very line that the READMEs give."""
    folder = stage.path(f"{name}/pepper").parent
    (folder / "pepper").unlink(missing_ok=True)
    output_of(["sh", "-c", PEPPER_LINE], folder=folder)
    return folder / "pepper"


def certificate(folder: Path, name: str) -> None:
    """A key and a certificate under the names that Kubernetes gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    make_certificate(folder / "tls.crt", folder / "tls.key", name)
