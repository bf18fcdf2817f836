"""What the proofs of a fleet need beside its nodes: machines, a member of etcd, and certificates.

A machine is a network namespace; a cable joins two of them. Debian's etcd is older than a fleet needs, and good enough for this.
"""

import os
import shutil
from pathlib import Path

from deployment_fixture import Fixture
from harness.checks import Unproven
from harness.processes import output_of, wait_until

# The commands of the README of deploy/kubernetes/fleet, which make an authority and what it signs. Both ends of a connection
# present a certificate.
AUTHORITY_LINES = """\
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=fleet -keyout ca.key -out ca.crt
issue() {   # NAME HOSTS: NAME.crt and NAME.key
    openssl req -x509 -CA ca.crt -CAkey ca.key -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=$1" \\
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth \\
        -addext "subjectAltName=$2" -keyout "$1.key" -out "$1.crt"
}
"""
ADDRESSES = ("10.99.0.1", "10.99.0.2")
# The flags of versions that are newer than Debian's.
UNKNOWN_FLAGS = ("--feature-gates",)


class Machine:
    """A network namespace."""

    def __init__(self, fixture: Fixture, name: str) -> None:
        self.fixture, self.name = fixture, name
        self.process = fixture.start(["unshare", "--net", "sleep", "infinity"], fixture.path(f"machines/{name}.log"))
        ours = os.readlink("/proc/self/ns/net")
        if not wait_until(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != ours, process=self.process):
            raise Unproven(f"no network namespace: {self.process.log_tail()}")
        self.network = f"/proc/{self.process.pid}/ns/net"
        self.ip("link", "set", "lo", "up")

    def command(self, *words: object) -> list[object]:
        return ["nsenter", f"--net={self.network}", "--", *words]

    def ip(self, *words: str) -> None:
        output_of(self.command("ip", *words))

    def connect(self, other: "Machine") -> None:
        self.ip("link", "add", other.name, "type", "veth", "peer", "name", self.name, "netns", str(other.process.pid))
        for machine, towards, address in ((self, other, ADDRESSES[0]), (other, self, ADDRESSES[1])):
            machine.ip("address", "add", f"{address}/30", "dev", towards.name)
            machine.ip("link", "set", towards.name, "up")


class Etcd:
    """A member of etcd on a machine."""

    def __init__(self, fixture: Fixture, machine: Machine, folder: Path, flags: list[str]) -> None:
        self.machine = machine
        self.process = fixture.start(machine.command("etcd", *flags, f"--data-dir={folder / 'data'}"), folder / "log")

    def is_ready(self) -> bool:
        asked = self.machine.command("curl", "-s", "-m", "2", "http://127.0.0.1:2381/health")
        return wait_until(lambda: '"true"' in self.machine.fixture.run(*asked).stdout, process=self.process)


def first_member(manifest: dict, certificates: Path) -> list[str]:
    """The flags of the first member of a StatefulSet, alone."""
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    own = manifest["metadata"]["name"] + "-0"
    mounted = next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "etcd")
    flags = []
    for flag in container["command"][1:]:
        name, equals, value = flag.replace("$(POD_NAME)", own).partition("=")
        if name == "--initial-cluster":
            value = value.split(",")[0]
        if name not in (*UNKNOWN_FLAGS, "--data-dir"):
            flags.append(name + equals + value.replace(mounted, str(certificates)))
    return flags


def certificates(folder: Path, hosts: dict[str, str]) -> dict[str, Path]:
    """A folder for each name, with the certificate for its hosts under the names that a Secret gives its files."""
    folder.mkdir(parents=True)
    lines = [f"issue {name} {alternatives}" for name, alternatives in hosts.items()]
    output_of(["sh", "-ec", AUTHORITY_LINES + "\n".join(lines)], folder=folder)
    found = {name: folder / name for name in hosts}
    for name, place in found.items():
        place.mkdir()
        for source, file in (("ca.crt", "ca.crt"), (f"{name}.crt", "tls.crt"), (f"{name}.key", "tls.key")):
            shutil.copy(folder / source, place / file)
    return found
