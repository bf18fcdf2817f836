"""deploy/systemd: checks the unit with the tools of systemd, and runs the program with the restrictions of the unit.

No running systemd is needed. The restrictions (system calls, address families, memory that is writable and executable,
namespaces, /proc) are read from the unit and applied to the program.
"""

import grp
import os
import shlex
import shutil
import socket
from pathlib import Path

import yaml

from deployment_fixture import BASE, Sandbox, Fixture, libraries, pepper
from harness.processes import TIMEOUT_SECONDS

# In tenths, so 1.5 of 10, where 10 is a service without restrictions. More than half of it is due to serving a network.
EXPOSURE_MAX = 15
USER = 61_184  # The first id of the range of DynamicUser=.


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def calls_of(lines: list[str], fixture: Fixture) -> list[str]:
    """The system calls that the filter of a unit allows. A line that begins with `~` removes calls."""
    def expanded(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        output = fixture.run("systemd-analyze", "--no-pager", "syscall-filter", name).stdout
        words = [line.strip() for line in output.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return set().union(*map(expanded, words)) if words else set()

    allowed = expanded("@default")
    for line in lines:
        named = set().union(*map(expanded, line.removeprefix("~").split()))
        allowed = allowed - (named - expanded("@default")) if line.startswith("~") else allowed | named
    return sorted(allowed)


def prove(fixture: Fixture) -> None:
    unit = fixture.deploy / "systemd/countersign.service"
    config = fixture.deploy / "systemd/countersign.yaml"
    found = settings(unit.read_text())
    readme = (fixture.deploy / "systemd/README.md").read_text()
    fixture.check("\ncountersign pepper create pepper\n" in readme, "the README creates the pepper in this way")
    verify(fixture, unit, found)
    output = fixture.run(
        "systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    last = output.stdout.strip().splitlines()[-1:] or [output.stderr]
    fixture.check(output.returncode == 0, f"systemd-analyze security: at most {EXPOSURE_MAX / 10}: {last[0]}", last)
    for name, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "LimitCORE": "0",
                        "DynamicUser": "yes", "MemoryDenyWriteExecute": "yes"}.items():
        fixture.check(found.get(name) == [value], f"{name}={value}", found.get(name))
    good = fixture.run(fixture.program, "config", "check", "--settings-only", "--config", config)
    fixture.check(good.returncode == 0, "countersign config check accepts the settings", good.stderr)
    drain = yaml.safe_load(config.read_text()).get("drain-seconds", 10)
    fixture.check(int(found["TimeoutStopSec"][0]) >= drain + 10, "systemd waits longer than the program drains")
    run(fixture, found, config)


def verify(fixture: Fixture, unit: Path, found: dict[str, list[str]]) -> None:
    """In a root folder with the programs that the unit names and the units of Debian."""
    root = fixture.path("systemd/verify")
    for name in ("usr/local/bin/countersign", "bin/sh", "bin/kill"):
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath("/bin/sh"), place)
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "lib/systemd").mkdir(parents=True)
    (root / "usr/lib/systemd").mkdir(parents=True)
    for place in ("lib/systemd/system", "usr/lib/systemd/system"):
        shutil.copytree("/lib/systemd/system", root / place, symlinks=True)
    shutil.copy2(unit, root / "etc/systemd/system")
    output = fixture.run(
        "systemd-analyze", "verify", "--no-pager", "--man=no", "--recursive-errors=no", f"--root={root}",
        "countersign.service")
    fixture.check(output.returncode == 0 and not output.stderr.strip(), "systemd-analyze verify accepts the unit", output.stderr)


def run(fixture: Fixture, found: dict[str, list[str]], config: Path) -> None:
    packages = {package for package in libraries(fixture.program).values() if package}
    sandbox = Sandbox(fixture, "systemd/sandbox", [*BASE, *packages])
    for name in ("passwd", "group"):
        (sandbox.root / "etc" / name).write_text("")
    web = grp.getgrnam(found["SupplementaryGroups"][0]).gr_gid
    (sandbox.root / "etc/group").write_text(f"{found['SupplementaryGroups'][0]}:x:{web}:\n")
    state, runtime = fixture.path("systemd/state"), fixture.path("systemd/run")
    for folder, mode in ((state, int(found["StateDirectoryMode"][0], 8)), (runtime, 0o755)):
        folder.mkdir()
        os.chown(folder, USER, USER)
        folder.chmod(mode)
    # As systemd passes a credential: owned by root, with an access list for the user of the service. The mode of the file then
    # shows the mask of the list. Here a separate group takes the place of the list.
    credential = pepper(fixture, "systemd/credentials")
    os.chown(credential, 0, USER)
    credential.chmod(0o440)
    sandbox.mount(state, "/var/lib/" + found["StateDirectory"][0], writable=True)
    sandbox.mount(runtime, "/run/" + found["RuntimeDirectory"][0], writable=True)
    sandbox.mount(credential.parent, "/run/credentials/countersign.service")
    sandbox.mount(config, "/etc/countersign/countersign.yaml")
    # The socket of systemd for notifications, where the service can reach it.
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(runtime / "notify"))
    os.chown(runtime / "notify", USER, USER)
    manager.settimeout(TIMEOUT_SECONDS)
    environment = dict(line.split("=", 1) for line in found["Environment"])
    environment = {
        name: value.replace("%d", "/run/credentials/countersign.service") for name, value in environment.items()}
    environment["NOTIFY_SOCKET"] = f"/run/{found['RuntimeDirectory'][0]}/notify"
    calls = {
        "calls": calls_of(found.get("SystemCallFilter", []), fixture),
        "families": found.get("RestrictAddressFamilies", [""])[0].split(),
        "deny_write_execute": found.get("MemoryDenyWriteExecute") == ["yes"],
        "deny_namespaces": found.get("RestrictNamespaces") == ["yes"],
        "deny_set_id": found.get("RestrictSUIDSGID") == ["yes"]}
    proc = ",".join(
        word for name, word in (("ProtectProc", "hidepid=invisible"), ("ProcSubset", "subset=pid")) if name in found)
    running = sandbox.start(
        shlex.split(found["ExecStart"][0]), USER, USER, "/", groups=[web], environment=environment, calls=calls, proc=proc,
        umask=int(found["UMask"][0], 8))
    if not fixture.check(running.is_ready(), f"it runs with the {len(calls['calls'])} system calls that the unit allows",
                       running.log):
        running.end()
        return
    fixture.check(running.status()["Seccomp"] == "2" and '"level":"error"' not in running.log
                and "core dumps" not in running.log, "it runs with the filter and logs no error", running.log)
    fixture.check(found["Type"] == ["notify"] and manager.recv(64) == b"READY=1",
                "it notifies systemd that it is ready")
    made = running.inside("countersign", "key", "create", "--store", "/var/lib/countersign/store", "--owner", "o", "--json")
    key = made.stdout.partition('"key":"')[2].partition('"')[0]
    socket_path = runtime / "verify.sock"
    socket_state = socket_path.stat()
    fixture.check(socket_state.st_gid == web and socket_state.st_mode & 0o777 == 0o660, "the socket belongs to its group")
    answer = running.in_network(
        "curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket_path, "-H", "@-", "http://c/verify",
        stdin=f"Authorization: ApiKey {key}\n")
    fixture.check(answer.stdout == "200", "a new key is accepted over it", answer.stdout)
    os.kill(running.pid, 1)
    fixture.check(running.status_of("http://127.0.0.1:9180/readyz") == 200, "a reload (SIGHUP) leaves it running")
    status = running.end()
    fixture.check(manager.recv(64) == b"STOPPING=1", "it notifies systemd that it is stopping")
    manager.close()
    fixture.check(status == 0, "it ends with status 0, which systemd does not treat as a failure")
    fixture.check(
        fixture.run(fixture.program, "serve", "--config", "/nowhere").returncode == int(found["RestartPreventExitStatus"][0]),
        "with unreadable settings it ends with the status that prevents a restart")
