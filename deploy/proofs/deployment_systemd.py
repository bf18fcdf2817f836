"""deploy/systemd: checks the unit with the tools of systemd, and runs the program with the restrictions of the unit.

No running systemd is needed. The restrictions (system calls, address families, memory that is writable and executable,
namespaces, /proc) are read from the unit and applied to the program.
"""

import ipaddress
import os
import shlex
import shutil
import socket
import urllib.parse
from pathlib import Path

import yaml

from deployment_etcd import Etcd, Machine, certificates
from deployment_fixture import BASE, Sandbox, SandboxedProgram, Fixture, libraries, pepper
from harness.processes import TIMEOUT_SECONDS, wait_until

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


def combined(unit: dict[str, list[str]], dropped_in: dict[str, list[str]]) -> dict[str, list[str]]:
    """The settings of a unit with those of a drop-in: an empty one takes back what was before it."""
    found = {name: list(values) for name, values in unit.items()}
    for name, values in dropped_in.items():
        for value in values:
            found[name] = found.get(name, []) + [value] if value else []
    return found


def prove(fixture: Fixture) -> None:
    unit = fixture.deploy / "systemd/countersign.service"
    config = fixture.deploy / "systemd/countersign.yaml"
    found = settings(unit.read_text())
    readme = (fixture.deploy / "systemd/README.md").read_text()
    fixture.check("\ncountersign pepper create pepper\n" in readme, "the README creates the pepper in this way")
    verify(fixture, unit)
    output = fixture.run(
        "systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    last = output.stdout.strip().splitlines()[-1:] or [output.stderr]
    fixture.check(output.returncode == 0, f"systemd-analyze security: at most {EXPOSURE_MAX / 10}: {last[0]}", last)
    for name, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "LimitCORE": "0",
                        "DynamicUser": "yes", "MemoryDenyWriteExecute": "yes"}.items():
        fixture.check(found.get(name) == [value], f"{name}={value}", found.get(name))
    good = fixture.run(fixture.program, "config", "check", "--settings-only", "--config", config)
    fixture.check(good.returncode == 0, "countersign config check accepts the settings", good.stderr)
    check_times(fixture, found, config)
    credential = pepper(fixture, "systemd/pepper")
    state = fixture.path("systemd/state")
    service = Unit(fixture, "service", found, config, {"pepper": credential}, state)
    if run(fixture, service):
        fleet(fixture, found, credential, state)


def check_times(fixture: Fixture, found: dict[str, list[str]], config: Path) -> None:
    drain = yaml.safe_load(config.read_text()).get("drain-seconds", 10)
    fixture.check(int(found["TimeoutStopSec"][0]) >= drain + 10, "systemd waits longer than the program drains")


def verify(fixture: Fixture, unit: Path, dropped_in: Path | None = None) -> None:
    """In a root folder with the programs that the unit names and the units of Debian."""
    root = fixture.path("systemd/verify-" + (dropped_in.name if dropped_in else unit.name))
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
    if dropped_in:
        (root / f"etc/systemd/system/{unit.name}.d").mkdir()
        shutil.copy2(dropped_in, root / f"etc/systemd/system/{unit.name}.d")
    output = fixture.run(
        "systemd-analyze", "verify", "--no-pager", "--man=no", "--recursive-errors=no", f"--root={root}", unit.name)
    fixture.check(
        output.returncode == 0 and not output.stderr.strip(),
        f"systemd-analyze verify accepts the unit{' with ' + dropped_in.name if dropped_in else ''}", output.stderr)


class Unit:
    """A unit whose program runs with its restrictions, in a sandbox of its own."""

    def __init__(
        self, fixture: Fixture, name: str, found: dict[str, list[str]], config: Path, credentials: dict[str, Path],
        state: Path, network: str = "",
    ) -> None:
        """
        - credentials: by their names.
        - state: the folder of the service's state, which is made if it is not there.
        - network: the file of a network namespace; without one the program gets a new one.
        """
        self.fixture, self.found, self._network = fixture, found, network
        packages = {package for package in libraries(fixture.program).values() if package}
        self.sandbox = Sandbox(fixture, f"systemd/{name}", [*BASE, *packages])
        groups = [word for line in found["SupplementaryGroups"] for word in line.split()]
        self.groups = {group: USER + number for number, group in enumerate(groups, start=1)}
        for file in ("passwd", "group"):
            (self.sandbox.root / "etc" / file).write_text("")
        (self.sandbox.root / "etc/group").write_text("".join(f"{group}:x:{id}:\n" for group, id in self.groups.items()))
        self.runtime = fixture.path(f"systemd/run-{name}")
        for folder, mode in ((state, int(found["StateDirectoryMode"][0], 8)), (self.runtime, 0o755)):
            folder.mkdir(exist_ok=True)
            os.chown(folder, USER, USER)
            folder.chmod(mode)
        # As systemd passes a credential: owned by root, with an access list for the user of the service. The mode of the file
        # then shows the mask of the list. Here a separate group takes the place of the list.
        place = fixture.path(f"systemd/credentials-{name}")
        place.mkdir()
        for credential, file in credentials.items():
            shutil.copy(file, place / credential)
            os.chown(place / credential, 0, USER)
            (place / credential).chmod(0o440)
        self.sandbox.mount(state, "/var/lib/" + found["StateDirectory"][0], writable=True)
        self.sandbox.mount(self.runtime, "/run/" + found["RuntimeDirectory"][0], writable=True)
        self.sandbox.mount(place, "/run/credentials/countersign.service")
        self.command = shlex.split(found["ExecStart"][0])
        self.sandbox.mount(config, self.command[-1])
        # The socket of systemd for notifications, where the service can reach it.
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(self.runtime / "notify"))
        os.chown(self.runtime / "notify", USER, USER)
        self.manager.settimeout(TIMEOUT_SECONDS)
        fixture.cleanup.callback(self.manager.close)
        environment = dict(line.split("=", 1) for line in found["Environment"])
        self.environment = {
            name: value.replace("%d", "/run/credentials/countersign.service") for name, value in environment.items()}
        self.calls = calls_of(found.get("SystemCallFilter", []), fixture)

    def start(self, *command: str, environment: dict[str, str] | None = None) -> SandboxedProgram:
        """Runs a command in place of the unit's, or the unit's."""
        notified = {} if command else {"NOTIFY_SOCKET": f"/run/{self.found['RuntimeDirectory'][0]}/notify"}
        calls = {
            "calls": self.calls, "families": self.found.get("RestrictAddressFamilies", [""])[0].split(),
            "deny_write_execute": self.found.get("MemoryDenyWriteExecute") == ["yes"],
            "deny_namespaces": self.found.get("RestrictNamespaces") == ["yes"],
            "deny_set_id": self.found.get("RestrictSUIDSGID") == ["yes"]}
        proc = ",".join(
            word for name, word in (("ProtectProc", "hidepid=invisible"), ("ProcSubset", "subset=pid")) if name in self.found)
        return self.sandbox.start(
            list(command) or self.command, USER, USER, "/", groups=list(self.groups.values()),
            environment=self.environment | notified | (environment or {}), calls=calls, proc=proc,
            umask=int(self.found["UMask"][0], 8), network=self._network)


def run(fixture: Fixture, unit: Unit) -> bool:
    """Whether it ran."""
    found, web = unit.found, unit.groups[unit.found["SupplementaryGroups"][0]]
    running = unit.start()
    if not fixture.check(running.is_ready(), f"it runs with the {len(unit.calls)} system calls that the unit allows",
                       running.log):
        running.end()
        return False
    fixture.check(running.status()["Seccomp"] == "2" and '"level":"error"' not in running.log
                and "core dumps" not in running.log, "it runs with the filter and logs no error", running.log)
    fixture.check(found["Type"] == ["notify"] and unit.manager.recv(64) == b"READY=1",
                "it notifies systemd that it is ready")
    made = running.inside("countersign", "key", "create", "--store", "/var/lib/countersign/store", "--owner", "o", "--json")
    key = made.stdout.partition('"key":"')[2].partition('"')[0]
    socket_path = unit.runtime / "verify.sock"
    socket_state = socket_path.stat()
    fixture.check(socket_state.st_gid == web and socket_state.st_mode & 0o777 == 0o660, "the socket belongs to its group")
    fixture.check(verifies(running, socket_path, key) == "200", "a new key is accepted over it")
    os.kill(running.pid, 1)
    fixture.check(running.status_of("http://127.0.0.1:9180/readyz") == 200, "a reload (SIGHUP) leaves it running")
    status = running.end()
    fixture.check(unit.manager.recv(64) == b"STOPPING=1", "it notifies systemd that it is stopping")
    fixture.check(status == 0, "it ends with status 0, which systemd does not treat as a failure")
    fixture.check(
        fixture.run(fixture.program, "serve", "--config", "/nowhere").returncode == int(found["RestartPreventExitStatus"][0]),
        "with unreadable settings it ends with the status that prevents a restart")
    return True


def verifies(running: SandboxedProgram, socket_path: Path, key: str) -> str:
    answer = running.in_network(
        "curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket_path, "-H", "@-", "http://c/verify",
        stdin=f"Authorization: ApiKey {key}\n")
    return answer.stdout


def fleet(fixture: Fixture, unit: dict[str, list[str]], credential: Path, state: Path) -> None:
    """The same store as the first of a fleet."""
    print("  fleet.conf", flush=True)
    config, dropped_in = (fixture.deploy / "systemd" / name for name in ("countersign-fleet.yaml", "fleet.conf"))
    verify(fixture, fixture.deploy / "systemd/countersign.service", dropped_in)
    found = combined(unit, settings(dropped_in.read_text()))
    check_times(fixture, found, config)
    chosen = yaml.safe_load(config.read_text())
    url = urllib.parse.urlsplit(chosen["cluster"])
    files = {name: value for name, [value] in urllib.parse.parse_qs(url.query).items()}
    passed = dict(line.split(":", 1) for line in found["LoadCredential"])
    fixture.check(
        {Path(value).name for value in files.values()} | {"pepper"} == set(passed)
        and all(value.startswith("/run/credentials/countersign.service/") for value in files.values()),
        "the unit passes the certificates that the settings name", (files, passed))
    hosts = [member.rsplit(":", 1)[0] for member in url.netloc.split(",")]
    network = ipaddress.ip_network(found["IPAddressAllow"][-1])
    fixture.check(
        len(hosts) == 3 and all(ipaddress.ip_address(host) in network for host in hosts), "the unit may reach the three members of etcd",
        (hosts, network))

    machine = Machine(fixture, "node")
    own = urllib.parse.urlsplit(chosen["cluster.listen"]).hostname
    for host in (*hosts, own):
        machine.ip("address", "add", f"{host}/32", "dev", "lo")
    made = certificates(fixture.folder / "systemd/certificates", {
        "members": ",".join(f"IP:{host}" for host in hosts), "node": f"IP:{own}", "served": "DNS:localhost"})
    member, node = made["members"], made["node"]
    etcd = Etcd(fixture, machine, fixture.path("systemd/etcd/log").parent, [
        "--name=m", "--initial-cluster=m=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--listen-peer-urls=http://127.0.0.1:2380", "--listen-client-urls=https://0.0.0.0:2379",
        f"--advertise-client-urls=https://{hosts[0]}:2379", "--listen-metrics-urls=http://127.0.0.1:2381", "--client-cert-auth",
        f"--trusted-ca-file={member / 'ca.crt'}", f"--cert-file={member / 'tls.crt'}", f"--key-file={member / 'tls.key'}"])
    if not fixture.check(etcd.is_ready(), "etcd runs", etcd.process.log_tail()):
        return
    sources = {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
    service = Unit(
        fixture, "fleet", found, config,
        {"pepper": credential} | {Path(value).name: node / sources[name] for name, value in files.items()}, state, machine.network)
    # tls-key is read by its group.
    for setting, file in (("tls-certificate", "tls.crt"), ("tls-key", "tls.key")):
        source = made["served"] / file
        os.chown(source, 0, list(service.groups.values())[-1])
        source.chmod(0o640)
        service.sandbox.mount(source, chosen[setting])
    good = service.start("countersign", "config", "check", *service.command[2:])
    fixture.check(good.wait() == 0, "countersign config check accepts the settings", good.log)
    begun = service.start(
        "countersign", "cluster", "init", "--store", chosen["store"], environment={"COUNTERSIGN_CLUSTER": chosen["cluster"]})
    if not fixture.check(begun.wait() == 0, "the store becomes the first of a fleet, by the credentials", begun.log):
        return
    running = service.start()
    if not fixture.check(running.is_ready(), "the node runs with what the unit allows", running.log):
        running.end()
        return
    fixture.check(
        service.manager.recv(64) == b"READY=1"
        and wait_until(lambda: running.status_of("http://127.0.0.1:9180/readyz") == 200),
        "it notifies systemd, and has a lease", running.log)
    made_key = running.inside("countersign", "key", "create", "--store", chosen["store"], "--owner", "o", "--json")
    key = made_key.stdout.partition('"key":"')[2].partition('"')[0]
    fixture.check(
        verifies(running, service.runtime / "verify.sock", key) == "200", "a new key, which etcd has, is accepted", made_key.stderr)
    fixture.check(running.end() == 0, "it ends with status 0", running.log)
