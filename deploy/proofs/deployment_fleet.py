"""deploy/kubernetes/fleet: runs two of its pods, on machines of their own, and a member of etcd with the settings of etcd.yaml."""

import os
import signal
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from deployment_etcd import ADDRESSES, AUTHORITY_LINES, Etcd, Machine, certificates, first_member
from deployment_fixture import Fixture, SandboxedProgram, file_states, pepper
from harness.processes import wait_until

if TYPE_CHECKING:
    from deployment_kubernetes import Pod


def prove(fixture: Fixture, make: Callable[..., "Pod"]) -> None:
    """
    - make: makes a pod of the manifests, by its number and its Secrets.
    """
    readme = (fixture.deploy / "kubernetes/fleet/README.md").read_text()
    fixture.check(AUTHORITY_LINES in readme, "the README creates the certificates in this way")
    documents = [each for each in yaml.safe_load_all((fixture.deploy / "kubernetes/fleet/etcd.yaml").read_text()) if each]
    etcd = next(each for each in documents if each["kind"] == "StatefulSet")
    made = certificates(fixture.folder / "kubernetes/fleet-certificates", {
        "etcd-members": "DNS:etcd-0.etcd,DNS:etcd-1.etcd,DNS:etcd-2.etcd,DNS:localhost",
        "countersign-etcd": "DNS:*.countersign-nodes.default.svc", "countersign-tls": "DNS:countersign.default.svc"})
    secrets = {"pepper": pepper(fixture, "kubernetes/fleet-pepper").parent,
               "tls": made["countersign-tls"], "etcd": made["countersign-etcd"]}
    pods = [make(number, secrets) for number in range(2)]
    judge(fixture, pods[0], etcd)
    run(fixture, pods, etcd, made["etcd-members"])


def judge(fixture: Fixture, pod: "Pod", etcd: dict) -> None:
    manifests, workload = pod.manifests, pod.manifests.workload
    labels = workload["selector"]
    fixture.check(
        workload["updateStrategy"] == {"type": "RollingUpdate"} and workload["podManagementPolicy"] == "Parallel"
        and [budget["spec"]["maxUnavailable"] for budget in manifests.all("PodDisruptionBudget")] == [1],
        "an update and a drain end one node at a time, and each starts without the others")
    apart = manifests.pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    spread = manifests.pod["topologySpreadConstraints"]
    fixture.check(
        [(term["topologyKey"], term["labelSelector"]) for term in apart] == [("kubernetes.io/hostname", labels)]
        and [(each["topologyKey"], each["maxSkew"], each["whenUnsatisfiable"], each["labelSelector"]) for each in spread]
        == [("topology.kubernetes.io/zone", 1, "DoNotSchedule", labels)], "the nodes are on different machines and in all zones")
    join, node = manifests.pod["initContainers"][0], manifests.verifier
    fixture.check(
        join["volumeMounts"] == node["volumeMounts"] and join["envFrom"] == node["envFrom"]
        and all(entry in join["env"] for entry in node["env"][:2]), "the container that joins has what the node has")
    headless = next(each for each in manifests.all("Service") if each["metadata"]["name"] == workload["serviceName"])
    fixture.check(
        headless["spec"].get("clusterIP") == "None" and len(manifests.all("Service")) == 2,
        "each node has a name, and all of them have one")
    url = urllib.parse.urlsplit(pod.environment["COUNTERSIGN_CLUSTER"])
    set_name, service = etcd["metadata"]["name"], etcd["spec"]["serviceName"]
    container = etcd["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    members = [f"{set_name}-{number}.{service}:{ports['client']}" for number in range(etcd["spec"]["replicas"])]
    fixture.check(url.netloc.split(",") == members and len(members) == 3, "the nodes ask the three members of etcd", url.netloc)
    files = urllib.parse.parse_qs(url.query)
    mounted = {mount["name"]: mount["mountPath"] for mount in node["volumeMounts"]}
    fixture.check(
        {name: value for name, [value] in files.items()} == {
            "ca": mounted["etcd"] + "/ca.crt", "cert": mounted["etcd"] + "/tls.crt", "key": mounted["etcd"] + "/tls.key"},
        "the nodes present the certificate of the Secret", files)
    address = urllib.parse.urlsplit(pod.environment["COUNTERSIGN_CLUSTER_ADDRESS"])
    listened = {port["name"]: port["containerPort"] for port in node["ports"]}
    fixture.check(
        address.hostname == f"{pod.name}.{workload['serviceName']}.default.svc" and address.port == listened["nodes"]
        and "nodes" in {port["targetPort"] for port in headless["spec"]["ports"]}, "a node says by which name the others reach it", address)
    asked = {(tuple(rule["to"][0]["podSelector"]["matchLabels"].values()), tuple(port["port"] for port in rule["ports"]))
             for rule in manifests.all("NetworkPolicy")[0]["spec"]["egress"]}
    fixture.check(
        asked == {((set_name,), (ports["client"],)), (tuple(labels["matchLabels"].values()), ("nodes",)), (("kube-dns",), (53, 53))},
        "a node may ask etcd, the other nodes and DNS, and nobody else", asked)
    flags = dict(word.lstrip("-").partition("=")[::2] for word in container["command"][1:])
    fixture.check(
        flags["snapshot-count"] == "5000" and int(flags["quota-backend-bytes"]) == 8 << 30
        and {"client-cert-auth", "peer-client-cert-auth"} <= set(flags) and "auto-compaction-retention" not in flags,
        "etcd has the settings that the manual asks for", flags)
    version = tuple(map(int, container["image"].rsplit(":v", 1)[1].split(".")))
    fixture.check(version[:2] == (3, 5) and version >= (3, 5, 33) or version >= (3, 6, 14), "etcd is a version without known faults", version)


def run(fixture: Fixture, pods: list["Pod"], etcd: dict, members: Path) -> None:
    first, second = pods
    machines = [Machine(fixture, name) for name in ("first", "second")]
    machines[0].connect(machines[1])
    # In place of DNS.
    names = [f"{etcd['metadata']['name']}-{number}.{etcd['spec']['serviceName']}" for number in range(3)]
    service = first.manifests.workload["serviceName"]
    root = first.sandbox.root
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n" + f"{ADDRESSES[0]} {' '.join(names)}\n" + "".join(
        f"{address} {pod.name}.{service}.default.svc\n" for pod, address in zip(pods, ADDRESSES)))
    (root / "etc/nsswitch.conf").write_text("hosts: files\n")
    join = first.manifests.pod["initContainers"][0]
    begins = {"countersign-begins": {"pod": first.name}}

    def store(pod: "Pod") -> Path:
        return pod.folders["store"] / "countersign-data/data.mdb"

    def waits(pod: "Pod", machine: Machine, what: str) -> bool:
        waiting = pod.run(join, machine.network)
        good = wait_until(lambda: what in waiting.log or waiting.has_ended) and not waiting.has_ended
        waiting.kill()
        return good

    first.made = begins
    fixture.check(
        waits(first, machines[0], "waiting for etcd") and not store(first).exists(), "without etcd, the pod that begins waits for it")
    member = Etcd(fixture, machines[0], fixture.path("kubernetes/etcd/log").parent, first_member(etcd, members))
    if not fixture.check(member.is_ready(), "etcd runs with the flags of etcd.yaml", member.process.log_tail()):
        return
    first.made = {}
    fixture.check(
        waits(first, machines[0], "waiting for another node") and not store(first).exists(), "no pod begins a fleet by itself")
    first.made = begins
    begun = first.run(join, machines[0].network)
    if not fixture.check(begun.wait() == 0 and store(first).exists(), "the first pod begins the fleet", begun.log):
        return
    before = file_states(first.folders["store"])
    again = first.run(join, machines[0].network)
    fixture.check(
        again.wait() == 0 and file_states(first.folders["store"]) == before, "started again, it leaves the store alone", again.log)
    member.process.send(signal.SIGSTOP)
    fixture.check(
        waits(first, machines[0], "waiting for etcd") and file_states(first.folders["store"]) == before,
        "also when etcd does not answer")
    member.process.send(signal.SIGCONT)
    first.made = {}
    node = first.start(machines[0].network)
    if not first.is_well(node):
        return
    status = node.inside("countersign", "cluster", "status", "--json", environment=first.environment)
    fixture.check(
        f'"name":"{first.name}"' in status.stdout and f'"region":"{first.environment["COUNTERSIGN_CLUSTER_REGION"]}"' in status.stdout,
        "the node has the pod's name and the region, and kubectl exec shows the fleet", status.stdout + status.stderr)

    joined = second.run(join, machines[1].network)
    if not fixture.check(
            joined.wait() == 0 and store(second).exists(), "the second pod copies the first one's store", joined.log):
        return
    other = second.start(machines[1].network)
    if not second.is_well(other):
        return
    everywhere = ("--ack", "everywhere", "--json")
    made = node.inside("countersign", "key", "create", "--owner", "o", *everywhere, environment=first.environment)
    client = node.inside(
        "countersign", "client", "create", "--name", "gateway", "--may", "introspect", *everywhere, environment=first.environment)

    def value(output: str, name: str) -> str:
        return output.partition(f'"{name}":"')[2].partition('"')[0]

    def accepts(running: SandboxedProgram) -> bool:
        # In its configuration, so that no secret is an argument.
        asked = (f'user = "{value(client.stdout, "client_id")}:{value(client.stdout, "client_secret")}"\n'
                 f'data = "token={value(made.stdout, "key")}"\n')
        answer = running.in_network("curl", "-sk", "-m", "5", "-K", "-", "https://127.0.0.1:8443/oauth2/introspect", stdin=asked)
        return '"active":true' in answer.stdout

    fixture.check(accepts(node) and accepts(other), "both nodes accept a key that was made on one", made.stderr + client.stderr)
    revoked = other.inside("countersign", "key", "revoke", value(made.stdout, "id"), environment=second.environment)
    fixture.check(
        revoked.returncode == 0 and not accepts(node) and not accepts(other), "neither does when the other has revoked it",
        revoked.stderr)
    stop = first.manifests.verifier["lifecycle"]["preStop"]["exec"]["command"]
    fixture.check(
        node.inside(stop[0], "0").returncode == 0 and node.status_of("http://127.0.0.1:9180/readyz") == 200,
        "the command before the end is in the image, and the node serves meanwhile")
    fixture.check((node.end(), other.end()) == (0, 0), "both end with status 0", node.log + other.log)
