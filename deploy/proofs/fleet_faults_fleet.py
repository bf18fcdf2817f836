"""A fleet on this machine: members of etcd and nodes, each of which can be killed, paused and started again. See
fleet_faults.py."""

import concurrent.futures
import http.client
import json
import os
import signal
import time

from harness.checks import Unproven
from harness.connection import Connection
from harness.processes import Process, free_ports, run, wait_until
from harness.service import environment_without_settings

CLUSTER = "proof"
# The shortest that is allowed, so that leases end often.
LEASE_SECONDS = 3
START_SECONDS = 40
# Also when the proof itself is killed, and also a process that is paused.
END_WITH_PROOF = ["setpriv", "--pdeathsig", "KILL"]


class Program:
    """A process of the fleet, which is ended and started again under one name."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.log = folder / f"{name}.log"
        self.process = None
        # Whether it should run now. One that ends by itself is a finding.
        self.is_wanted = False

    def launch(self, command, environment):
        self.process = Process(END_WITH_PROOF + command, self.log, environment)
        self.is_wanted = True

    @property
    def pid(self):
        return self.process.pid

    @property
    def has_failed(self):
        return self.is_wanted and self.process.poll() is not None

    def pause(self):
        self.process.send(signal.SIGSTOP)

    def wake(self):
        self.process.send(signal.SIGCONT)

    def kill(self):
        self.is_wanted = False
        if self.process:
            self.process.kill()

    def end(self):
        """As an operator ends it. Raises Unproven if it does not end. Returns the exit status."""
        self.is_wanted = False
        return self.process.end()


class Member(Program):
    """A member of etcd. Others reach it by `ports_of_others`, nodes and this proof by ports of its own."""

    def __init__(self, name, folder, client_port, peer_port, advertised, flags):
        super().__init__(name, folder)
        self.client_port, self.peer_port, self.advertised = client_port, peer_port, advertised
        self.flags = flags

    def start(self, members):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        self.launch(
            ["etcd", "--name", self.name, "--data-dir", str(self.folder / f"{self.name}-data"),
             "--initial-cluster", ",".join(f"{one.name}=http://127.0.0.1:{one.advertised}" for one in members),
             "--listen-peer-urls", f"http://127.0.0.1:{self.peer_port}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.advertised}",
             "--listen-client-urls", f"http://127.0.0.1:{self.client_port}",
             "--advertise-client-urls", f"http://127.0.0.1:{self.client_port}",
             "--snapshot-count", "5000", "--logger", "zap", *self.flags], environment)

    def ask(self, path, request=None, seconds=1.0):
        """An answer of its JSON gateway; None if there is none in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.client_port, timeout=seconds)
        try:
            connection.request("POST", path, json.dumps(request or {}))
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def leads(self):
        status = self.ask("/v3/maintenance/status", seconds=0.5)
        return bool(status) and status["header"]["member_id"] == status.get("leader")

    def is_healthy(self):
        """Whether it takes part in an agreement: a linearizable read needs a majority."""
        return self.ask("/v3/kv/range", {"key": "AA=="}) is not None


class Node(Program):
    """A node of the fleet, which reaches etcd by links of its own."""

    def __init__(self, program, name, folder, port, cluster, peppers, environment):
        super().__init__(name, folder)
        self.program, self.port, self.cluster, self.peppers = program, port, cluster, peppers
        self.store = folder / name
        self.control = self.store / "control.sock"
        self.environment = environment_without_settings() | environment
        self.lease_seconds = LEASE_SECONDS

    def start(self, environment=None, is_alone=False):
        """
        - environment: of this start only.
        - is_alone: before the fleet has begun.
        """
        # The proof pauses processes and not machines, and the boot clock goes on for those.
        fleet = {} if is_alone else {
            "COUNTERSIGN_CLUSTER": self.cluster, "COUNTERSIGN_CLUSTER_NODE": self.name,
            "COUNTERSIGN_CLUSTER_LEASE_SECONDS": str(self.lease_seconds), "COUNTERSIGN_CLUSTER_CLOCK": "trusted"}
        # By `env`, so that no program before this one is started with it.
        more = ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []
        self.launch(
            [*more, self.program, "serve", "--store", str(self.store), "--pepper-file", str(self.peppers), "--listen",
             f"http://127.0.0.1:{self.port}"], self.environment | fleet)

    def command(self, *words):
        """The output of a command of the program. Raises Unproven if it fails."""
        done = run([self.program, *words], environment=environment_without_settings())
        if done.returncode != 0:
            raise Unproven(f"countersign {' '.join(map(str, words[:2]))}: {done.stderr}{done.stdout}")
        return done.stdout

    def on_store(self, *words):
        return self.command(*words, "--store", self.store, "--pepper-file", self.peppers)

    def introspector(self):
        """A new client that may introspect."""
        return json.loads(
            self.command("client", "create", "--name", "auditor", "--may", "introspect", "--store", self.store, "--json"))

    def is_ready(self):
        try:
            with Connection(self.port, 2) as connection:
                return connection.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def administer(self, method, target, value=None):
        with Connection(self.control) as connection:
            return connection.ask_json(method, target, value)


class Fleet:
    """Started by `begin`. As a context manager it kills all processes."""

    def __init__(self, program, folder, members, nodes, network=None, member_flags=(), environment=None):
        """
        - members, nodes: names.
        - network: between all of them; without one they are connected directly.
        """
        ports = free_ports(2 * len(members) + len(nodes))
        self.network, self.peppers = network, folder / "pepper"
        self.members = []
        for index, name in enumerate(members):
            client, peer = ports[2 * index:2 * index + 2]
            self.members.append(Member(
                name, folder, client, peer, network.port(None, name) if network else peer, list(member_flags)))
        self.nodes = []
        for name, port in zip(nodes, ports[2 * len(members):]):
            ways = [network.port(name, member.name) if network else member.client_port for member in self.members]
            addresses = ",".join(f"127.0.0.1:{way}" for way in ways)
            self.nodes.append(Node(
                program, name, folder, port, f"etcd://{addresses}/{CLUSTER}", self.peppers, environment or {}))
        self.by_name = {one.name: one for one in [*self.members, *self.nodes]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.by_name.values():
            one.kill()
        if self.network:
            self.network.close()

    def start_member(self, member):
        member.start(self.members)
        if self.network:
            self.network.own({one.name: one.pid for one in self.members if one.process})

    def begin(self, prepare):
        """Starts everything. `prepare` gets the first node before the others copy its store."""
        if self.network:
            self.network.start({one.name: (one.client_port, one.peer_port) for one in self.members})
        for member in self.members:
            self.start_member(member)
        first, *others = self.nodes
        # A first start makes store and pepper file.
        first.start(is_alone=True)
        self.await_ready([first])
        prepared = prepare(first)
        first.end()
        self.await_members()
        first.on_store("cluster", "init", "--cluster", first.cluster)
        first.start()
        self.await_ready([first])
        seed = first.folder / "seed.mdb"
        first.command("store", "backup", seed, "--store", first.store)

        def join(node):
            node.on_store("cluster", "join", "--from", seed, "--cluster", node.cluster)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(join, others))
        # Not on those threads, with which the processes would end.
        for node in others:
            node.start()
        self.await_ready(others)
        return prepared

    def await_members(self):
        if not wait_until(lambda: all(member.is_healthy() for member in self.members), START_SECONDS):
            raise Unproven("etcd is not healthy:\n" + "\n".join(one.process.log_tail(3) for one in self.members))

    def await_ready(self, nodes, seconds=START_SECONDS):
        """Raises Unproven if they are not ready in time."""
        late = self.late(nodes, seconds)
        if late:
            raise Unproven("\n".join(f"{one.name} is not ready:\n{one.process.log_tail(6)}" for one in late))

    def late(self, nodes, seconds):
        """Those that are not ready after that time."""
        wait_until(lambda: all(node.has_failed or node.is_ready() for node in nodes), seconds)
        return [node for node in nodes if not node.is_ready()]

    def leader(self):
        """None during an election."""
        return next((member for member in self.members if member.is_wanted and member.leads()), None)

    def failed(self):
        """Processes that have ended by themselves."""
        return [one for one in self.by_name.values() if one.process and one.has_failed]


def differences(fleet):
    """What differs between the stores of running nodes, as texts. This is what `countersign cluster compare` will tell."""
    stores = {}
    for node in fleet.nodes:
        digest = json.loads(node.on_store("store", "digest", "--json"))
        stores[node.name] = {"entry": digest["entry"]} | {
            table["name"]: (table["rows"], table["sha256"]) for table in digest["tables"]}
    first, *others = stores
    return [
        f"the stores of {first} and {other} differ in {part}: {stores[first].get(part)} and {stores[other].get(part)}"
        for other in others for part in stores[first] | stores[other] if stores[first].get(part) != stores[other].get(part)]


def compare_stores(fleet, attempts=5):
    """Ends all nodes, starts each once more, and compares their stores. What the last one had was in the log before it
    ended, so each gets it at its next start.
    """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        statuses = list(pool.map(Node.end, fleet.nodes))
    for node, status in zip(fleet.nodes, statuses):
        if status != 0:
            return [f"{node.name} ended with {status} after SIGTERM:\n{node.process.log_tail(5)}"]
    for node in fleet.nodes:
        node.start()
    late = fleet.late(fleet.nodes, START_SECONDS)
    if late:
        return [f"{node.name} is not ready after its last start:\n{node.process.log_tail(5)}" for node in late]
    for attempt in range(attempts):
        found = differences(fleet)
        if not found:
            return []
        time.sleep(1)  # One of them may have written something of its own meanwhile.
    return found
