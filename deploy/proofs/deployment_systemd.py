"""deploy/systemd: what systemd says of the unit, and the program behind the unit's walls.

There is no systemd to start it here. Its files are judged by systemd's own tools; what it forbids (system calls, address
families, memory that is both written and run, namespaces, the rest of /proc) is taken from it and put around the program.
"""

import grp
import os
import shlex
import shutil
import socket
from pathlib import Path

import yaml

from deployment_stage import BASE, Room, Stage, libraries, pepper
from harness.processes import PATIENCE_SECONDS

# Tenths: 1.5 of 10, where 10 is a service with every right. More than half of what is left is that it serves a network.
EXPOSURE_MAX = 15
USER = 61_184  # The first of those that DynamicUser= draws from.


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def calls_of(lines: list[str], stage: Stage) -> list[str]:
    """The system calls that a unit's filter allows: the first line decides what the list is of, `~` takes away."""
    def expanded(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        said = stage.run("systemd-analyze", "--no-pager", "syscall-filter", name).stdout
        words = [line.strip() for line in said.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return set().union(*map(expanded, words)) if words else set()

    allowed = expanded("@default")
    for line in lines:
        named = set().union(*map(expanded, line.removeprefix("~").split()))
        allowed = allowed - (named - expanded("@default")) if line.startswith("~") else allowed | named
    return sorted(allowed)


def prove(stage: Stage) -> None:
    unit = stage.deploy / "systemd/countersign.service"
    config = stage.deploy / "systemd/countersign.yaml"
    found = settings(unit.read_text())
    readme = (stage.deploy / "systemd/README.md").read_text()
    stage.check("\ncountersign pepper create pepper\n" in readme, "the README makes the pepper this way")
    verify(stage, unit, found)
    said = stage.run(
        "systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    last = said.stdout.strip().splitlines()[-1:] or [said.stderr]
    stage.check(said.returncode == 0, f"systemd-analyze security: at most {EXPOSURE_MAX / 10}: {last[0]}", last)
    for name, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "LimitCORE": "0",
                        "DynamicUser": "yes", "MemoryDenyWriteExecute": "yes"}.items():
        stage.check(found.get(name) == [value], f"{name}={value}", found.get(name))
    good = stage.run(stage.program, "config", "check", "--settings-only", "--config", config)
    stage.check(good.returncode == 0, "countersign config check takes the settings", good.stderr)
    drain = yaml.safe_load(config.read_text()).get("drain-seconds", 10)
    stage.check(int(found["TimeoutStopSec"][0]) >= drain + 10, "systemd waits longer than the program drains")
    run(stage, found, config)


def verify(stage: Stage, unit: Path, found: dict[str, list[str]]) -> None:
    """On a root of its own that has the programs which the unit names, and Debian's units."""
    root = stage.path("systemd/verify")
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
    said = stage.run(
        "systemd-analyze", "verify", "--no-pager", "--man=no", "--recursive-errors=no", f"--root={root}",
        "countersign.service")
    stage.check(said.returncode == 0 and not said.stderr.strip(), "systemd-analyze verify has nothing to say", said.stderr)


def run(stage: Stage, found: dict[str, list[str]], config: Path) -> None:
    packages = {package for package in libraries(stage.program).values() if package}
    room = Room(stage, "systemd/room", [*BASE, *packages])
    for name in ("passwd", "group"):
        (room.root / "etc" / name).write_text("")
    web = grp.getgrnam(found["SupplementaryGroups"][0]).gr_gid
    (room.root / "etc/group").write_text(f"{found['SupplementaryGroups'][0]}:x:{web}:\n")
    state, runtime = stage.path("systemd/state"), stage.path("systemd/run")
    for folder, mode in ((state, int(found["StateDirectoryMode"][0], 8)), (runtime, 0o755)):
        folder.mkdir()
        os.chown(folder, USER, USER)
        folder.chmod(mode)
    # As systemd hands a credential over: root's, with an access list that lets the service's user read; the file's mode
    # then shows what the list grants at most. A group of its own stands for the list here.
    credential = pepper(stage, "systemd/credentials")
    os.chown(credential, 0, USER)
    credential.chmod(0o440)
    room.mount(state, "/var/lib/" + found["StateDirectory"][0], writable=True)
    room.mount(runtime, "/run/" + found["RuntimeDirectory"][0], writable=True)
    room.mount(credential.parent, "/run/credentials/countersign.service")
    room.mount(config, "/etc/countersign/countersign.yaml")
    # systemd's end of the notifications, where the service may find it.
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(runtime / "notify"))
    os.chown(runtime / "notify", USER, USER)
    manager.settimeout(PATIENCE_SECONDS)
    environment = dict(line.split("=", 1) for line in found["Environment"])
    environment = {
        name: value.replace("%d", "/run/credentials/countersign.service") for name, value in environment.items()}
    environment["NOTIFY_SOCKET"] = f"/run/{found['RuntimeDirectory'][0]}/notify"
    calls = {
        "calls": calls_of(found.get("SystemCallFilter", []), stage),
        "families": found.get("RestrictAddressFamilies", [""])[0].split(),
        "deny_write_execute": found.get("MemoryDenyWriteExecute") == ["yes"],
        "deny_namespaces": found.get("RestrictNamespaces") == ["yes"],
        "deny_set_id": found.get("RestrictSUIDSGID") == ["yes"]}
    proc = ",".join(
        word for name, word in (("ProtectProc", "hidepid=invisible"), ("ProcSubset", "subset=pid")) if name in found)
    occupant = room.start(
        shlex.split(found["ExecStart"][0]), USER, USER, "/", groups=[web], environment=environment, calls=calls, proc=proc,
        umask=int(found["UMask"][0], 8))
    if not stage.check(occupant.is_ready(), f"it runs with the {len(calls['calls'])} system calls that the unit allows",
                       occupant.log):
        occupant.end()
        return
    stage.check(occupant.status()["Seccomp"] == "2" and '"level":"error"' not in occupant.log
                and "core dumps" not in occupant.log, "behind the filter, and with no complaint in its log", occupant.log)
    stage.check(found["Type"] == ["notify"] and manager.recv(64) == b"READY=1",
                "the unit waits for word that it is ready, and gets it")
    made = occupant.inside("countersign", "key", "create", "--store", "/var/lib/countersign/store", "--owner", "o", "--json")
    key = made.stdout.partition('"key":"')[2].partition('"')[0]
    asked_at = runtime / "verify.sock"
    stage.check(asked_at.stat().st_gid == web and asked_at.stat().st_mode & 0o777 == 0o660, "the socket belongs to its group")
    asked = occupant.beside(
        "curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", asked_at, "-H", "@-", "http://c/verify",
        given=f"Authorization: ApiKey {key}\n")
    stage.check(asked.stdout == "200", "a new key is accepted over it", asked.stdout)
    os.kill(occupant.number, 1)
    stage.check(occupant.status_of("http://127.0.0.1:9180/readyz") == 200, "a reload (SIGHUP) leaves it running")
    status = occupant.end()
    stage.check(manager.recv(64) == b"STOPPING=1", "it says that it ends")
    manager.close()
    stage.check(status == 0, "it ends with status 0, which systemd does not take for a failure")
    stage.check(
        stage.run(stage.program, "serve", "--config", "/nowhere").returncode == int(found["RestartPreventExitStatus"][0]),
        "settings that cannot be read end with the status that is not started again")
