"""What the parts of the deployment proof share: the files that are tested, the checks, processes that are ended after any error,
and sandboxes: root folders that contain only what an image or a machine provides."""

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
from harness.service import make_certificate, reports_ready

# The packages of Debian's smallest image that a program needs. All are essential or required by apt.
BASE = ("base-files", "libc6", "libgcc-s1", "libstdc++6", "zlib1g")
# Those of the others in that image that a script needs.
SHELL = ("dash", "coreutils", "libacl1", "libattr1", "libgmp10", "libpcre2-8-0", "libselinux1")
# The command of the READMEs, which creates the lookup secret and pepper 1 without a secret in an argument list.
PEPPER_LINE = """(umask 077; printf 'lookup %s\\n1 %s\\n' "$(openssl rand -hex 32)" "$(openssl rand -hex 32)" > pepper)"""


class Fixture(Checks):
    def __init__(self, program: Path, deploy: Path) -> None:
        super().__init__()
        self.program, self.deploy = program, deploy
        self.folder = Path(tempfile.mkdtemp(prefix="deployment-"))
        # Unprivileged users must be able to reach their mounts.
        self.folder.chmod(0o755)
        self.cleanup = ExitStack()

    def path(self, name: str) -> Path:
        made = self.folder / name
        made.parent.mkdir(parents=True, exist_ok=True)
        return made

    def run(self, *command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run(command, stdin=stdin)

    def start(self, command: list, log: Path, piped: bool = False) -> Process:
        process = Process(command, log, piped=piped)
        self.cleanup.callback(process.kill)
        return process

    def close(self) -> None:
        self.cleanup.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# Files of packages

def package_of(file: str) -> str | None:
    """The Debian package of a file. /lib is /usr/lib, and packages may list the file under either name."""
    for name in (file, file.removeprefix("/usr"), "/usr" + file):
        done = run(["dpkg-query", "-S", name])
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    return None


@functools.cache
def libraries(program: Path) -> dict[str, str | None]:
    """The libraries of a program and their packages; None for a library without a package."""
    files = re.findall(r"(/\S+) \(0x", output_of(["ldd", program]))
    return {file: package_of(file) or package_of(os.path.realpath(file)) for file in files}


def install_packages(root: Path, packages: Iterable[str]) -> None:
    """Copies the files of packages that are installed here to a root folder."""
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
        # A hard link is enough, since the root is mounted read-only.
        os.link(file, made, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, made, follow_symlinks=False)


def file_states(folder: Path) -> dict[str, tuple]:
    """Mode, size and modification time of every file."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            info = os.lstat(os.path.join(place, name))
            found[os.path.relpath(os.path.join(place, name), folder)] = (info.st_mode, info.st_size, info.st_mtime_ns)
    return found


# Sandboxes

class Sandbox:
    """A root folder in which a program runs. Mounts apply to the next start."""

    def __init__(self, fixture: Fixture, name: str, packages: Iterable[str]) -> None:
        self.fixture, self.name = fixture, name
        self.root = fixture.path(f"{name}/root")
        install_packages(self.root, packages)
        self.mounts: dict[str, dict] = {}
        program = self.root / "usr/local/bin/countersign"
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(fixture.program, program)
        # A build that is not static uses the Swift libraries of the toolchain, which belong to no package.
        for file, package in libraries(fixture.program).items():
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
        network: str = "",
    ) -> "SandboxedProgram":
        """
        - network: the file of a network namespace; without one the program gets a new one.
        """
        log = self.fixture.path(f"{self.name}/log-{time.monotonic_ns()}")
        task = {
            "root": str(self.root), "mounts": list(self.mounts.values()), "command": command, "user": user, "group": group,
            "groups": list(groups), "folder": folder, "log": str(log), "filter": calls, "proc": proc, "umask": umask,
            "network": network,
            "environment": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"} | (environment or {})}
        process = self.fixture.start(["/usr/bin/python3", Path(__file__).with_name("deployment_confine.py")], log, piped=True)
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        return SandboxedProgram(process, log, user, group)


class SandboxedProgram:
    """A program that runs in a sandbox."""

    def __init__(self, process: Process, log: Path, user: int, group: int) -> None:
        self._process, self._log, self._user, self._group = process, log, user, group
        first = process.stdout.readline().strip()
        self.pid = int(first) if first else 0

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        return wait_until(lambda: reports_ready(self.log), process=self._process)

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def inside(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command as `docker exec` does: in the same namespaces, root and folder, as the same user."""
        return run(
            ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--ipc", "--root", "--wd",
             f"--setuid={self._user}", f"--setgid={self._group}", "--", *command],
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin"} | (environment or {}))

    def in_network(self, *command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a program of this machine in the network namespace of the sandbox."""
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *command], stdin=stdin)

    def status_of(self, url: str) -> int:
        asked = self.in_network("curl", "-sk", "-m", "5", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url)
        return int(asked.stdout or 0)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit status. Process 1 of a namespace ends only by signals that it handles."""
        if self._process.poll() is None:
            os.kill(self.pid, how)
        return self.wait()

    def wait(self) -> int:
        try:
            return self._process.wait()
        except Unproven:
            self.kill()
            return -1

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        if not self.has_ended:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()


# Secrets

def pepper(fixture: Fixture, name: str) -> Path:
    """Created with the command of the READMEs."""
    folder = fixture.path(f"{name}/pepper").parent
    (folder / "pepper").unlink(missing_ok=True)
    output_of(["sh", "-c", PEPPER_LINE], folder=folder)
    return folder / "pepper"


def certificate(folder: Path, name: str) -> None:
    """A key and a certificate under the names that Kubernetes gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    make_certificate(folder / "tls.crt", folder / "tls.key", name)
