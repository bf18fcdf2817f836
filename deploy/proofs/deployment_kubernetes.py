"""deploy/kubernetes: validates the manifests and runs the containers of their pods from the rendered manifests, without a
cluster.

Volumes are created as the kubelet does: a Secret or ConfigMap as a link `..data` to a folder that is replaced as a whole.
With fsGroup, its files belong to root and that group and have the mode `defaultMode | 0440`, and the folder of a claim gets
`| 02770` (kubernetes, pkg/volume/volume_linux.go).
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

import deployment_fleet
from deployment_container import FinalStage
from deployment_fixture import BASE, PEPPER_LINE, SHELL, SandboxedProgram, Sandbox, Fixture, certificate, pepper
from harness.processes import wait_until

# The oldest version in which sidecars and ReadWriteOncePod are enabled by default, and the newest that the validator knows.
VERSIONS = ("1.29.0", "")
# Seconds in which an unfinished answer may still be written after the drain.
WRITE_SECONDS = 10
# The service checks for changed certificates every ten seconds.
RENEWAL_SECONDS = 20


def bytes_of(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([KMGT]i)", quantity).groups()
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}[unit]


class Manifests:
    def __init__(self, text: str) -> None:
        self.everything = [document for document in yaml.safe_load_all(text) if document]

    def all(self, kind: str) -> list[dict]:
        return [document for document in self.everything if document["kind"] == kind]

    @property
    def workload(self) -> dict:
        return self.all("StatefulSet")[0]["spec"]

    @property
    def pod(self) -> dict:
        return self.workload["template"]["spec"]

    @property
    def containers(self) -> list[dict]:
        return self.pod.get("initContainers", []) + self.pod["containers"]

    @property
    def lasting(self) -> list[dict]:
        """Without those that end before the others begin."""
        begun = [container for container in self.pod.get("initContainers", []) if container.get("restartPolicy") == "Always"]
        return begun + self.pod["containers"]

    @property
    def verifier(self) -> dict:
        return next(container for container in self.containers if container["name"] == "countersign")

    def config(self, name: str) -> dict[str, str]:
        """The content of a ConfigMap. Those that the manifests do not have are made by people, or absent."""
        return next((found["data"] for found in self.all("ConfigMap") if found["metadata"]["name"] == name), {})

    def settings(self) -> str:
        return next(found["data"]["countersign.yaml"] for found in self.all("ConfigMap") if "countersign.yaml" in found["data"])


def prove(fixture: Fixture) -> None:
    fixture.check(PEPPER_LINE in (fixture.deploy / "kubernetes/README.md").read_text(), "the README creates the pepper in this way")
    final = FinalStage((fixture.deploy / "container/Containerfile").read_text())
    sandbox = Sandbox(fixture, "kubernetes/sandbox", [*BASE, *SHELL, *final.packages])
    (sandbox.root / final.one("WORKDIR").lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name, run in {"service": service, "sidecar": sidecar, "fleet": deployment_fleet.prove}.items():
        print(f"  {name}", flush=True)
        rendered = fixture.run("kubectl", "kustomize", fixture.deploy / "kubernetes" / name)
        if not fixture.check(rendered.returncode == 0, "kustomize renders it", rendered.stderr):
            continue
        file = fixture.path(f"kubernetes/{name}.yaml")
        file.write_text(rendered.stdout)
        validate(fixture, file)
        manifests = Manifests(rendered.stdout)
        judge(fixture, manifests, nodes=3 if name == "fleet" else 1)

        def pod(number: int = 0, secrets: dict[str, Path] | None = None) -> Pod:
            return Pod(fixture, name, manifests, final, sandbox, number, secrets)

        try:
            run(fixture, pod)
        except (KeyError, IndexError) as absent:
            fixture.check(False, f"{name} has all parts of a pod", f"{type(absent).__name__}: {absent}")
        if name == "fleet":
            # It is no part of the fleet, so its fields are read as they are.
            validate(fixture, fixture.deploy / "kubernetes/fleet/etcd.yaml")


def validate(fixture: Fixture, file: Path) -> None:
    for version in VERSIONS:
        output = fixture.run(
            "kubernetes-validate", "--strict", "--quiet", *(["-k", version] if version else []), file)
        fixture.check(
            output.returncode == 0, f"the schemas of Kubernetes {version or 'newest'} accept {file.name}",
            output.stdout + output.stderr)


def judge(fixture: Fixture, manifests: Manifests, nodes: int) -> None:
    pod, workload = manifests.pod, manifests.workload
    fixture.check(not manifests.all("Secret"), "the manifests contain no Secret")
    fixture.check(
        pod["securityContext"]["runAsNonRoot"] is True
        and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        and pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        and not any(name.startswith("host") for name in pod), "the pod has no rights on the node or the cluster")
    bare = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    fixture.check(
        all(bare.items() <= container.get("securityContext", {}).items() and "memory" in container["resources"]["limits"]
            for container in manifests.containers), "no container may write its root or gain a right")
    claims = workload["volumeClaimTemplates"]
    holders = [container["name"] for container in manifests.lasting for mount in container["volumeMounts"]
               if mount["name"] == "store"]
    fixture.check(
        workload["replicas"] == nodes and [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteOncePod"]]
        and holders == ["countersign"], "one pod, and in it one container at a time, has the store; pods: " + str(nodes))
    labels = workload["template"]["metadata"]["labels"]
    selectors = [workload["selector"]["matchLabels"]] + [
        document["spec"]["selector"] for document in manifests.all("Service")] + [
        document["spec"]["podSelector"].get("matchLabels") for document in manifests.all("NetworkPolicy")] + [
        document["spec"]["selector"].get("matchLabels") for document in manifests.all("PodDisruptionBudget")]
    fixture.check(all(selector == labels for selector in selectors), "everything selects this pod and no other", selectors)
    ports = {port["name"]: port["containerPort"] for container in manifests.lasting for port in container["ports"]}
    named = [port["targetPort"] for document in manifests.all("Service") for port in document["spec"]["ports"]] + [
        port["port"] for document in manifests.all("NetworkPolicy") for rule in document["spec"]["ingress"]
        for port in rule["ports"]]
    fixture.check(set(named) <= set(ports), "services and policies name existing ports", named)
    settings = yaml.safe_load(manifests.settings())
    others = [text for found in manifests.all("ConfigMap") for name, text in found["data"].items()
              if name == "COUNTERSIGN_CLUSTER_LISTEN"]
    listened = {int(address.rsplit(":", 1)[1]) for address in [*settings["listen"], settings["health-listen"], *others]
                if not address.startswith("unix:")}
    verifier = {port["containerPort"] for port in manifests.verifier["ports"]}
    fixture.check(listened == verifier, "the listeners of the settings are the ports of the manifest", (listened, verifier))
    annotations = workload["template"]["metadata"]["annotations"]
    fixture.check(
        annotations["prometheus.io/scrape"] == "true" and int(annotations["prometheus.io/port"]) == ports["health"],
        "the annotations name the port of the metrics")
    stopping = manifests.verifier.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    fixture.check(
        pod["terminationGracePeriodSeconds"] >= int(stopping[1]) + settings["drain-seconds"] + WRITE_SECONDS,
        "a pod has more time to end than the program waits and drains")
    fixture.check(
        2 * settings["store.map-bytes"] <= bytes_of(claims[0]["spec"]["resources"]["requests"]["storage"]),
        "the volume has room for the store twice")


class Pod:
    """A pod of a rendered manifest with its volumes. The sandbox is one machine, on which one of its containers runs at a time."""

    def __init__(
        self, fixture: Fixture, name: str, manifests: Manifests, final: FinalStage, sandbox: Sandbox, number: int = 0,
        secrets: dict[str, Path] | None = None,
    ) -> None:
        """
        - number: of the pod in its StatefulSet.
        - secrets: the folder of each Secret, by the name of its volume. Those that are not named are made.
        """
        self.fixture, self.manifests, self.final, self.sandbox = fixture, manifests, final, sandbox
        self.folder = f"kubernetes/{name}/{number}"
        container, pod = manifests.verifier, manifests.pod
        security = pod["securityContext"] | container["securityContext"]
        self.user, self.group, self.volume_group = security["runAsUser"], security["runAsGroup"], security["fsGroup"]
        self.name = f"{manifests.all('StatefulSet')[0]['metadata']['name']}-{number}"
        # ConfigMaps that people make.
        self.made: dict[str, dict[str, str]] = {}
        self.command = [final.command[0], *container["args"]]
        self.volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.folders = {mount["name"]: fixture.path(f"{self.folder}/{mount['name']}") for mount in container["volumeMounts"]}
        self.secrets = dict(secrets or {})
        if "pepper" not in self.secrets:
            self.secrets["pepper"] = pepper(fixture, f"{self.folder}/made").parent
        if "tls" in self.folders and "tls" not in self.secrets:
            self.secrets["tls"] = fixture.path(f"{self.folder}/first/tls.crt").parent
            certificate(self.secrets["tls"], "first")
        for volume in self.folders:
            self._make_volume(volume)

    def _make_volume(self, name: str) -> None:
        volume, folder = self.volumes.get(name, {}), self.folders[name]
        folder.mkdir()
        if "secret" in volume:
            self.project(name, self.secrets[name], volume["secret"].get("defaultMode", 0o644))
        elif "configMap" in volume:
            for file, text in self.manifests.config(volume["configMap"]["name"]).items():
                self.fixture.path(f"{self.folder}/{name}-text/{file}").write_text(text)
            self.project(name, self.fixture.folder / f"{self.folder}/{name}-text", 0o644)
        else:
            os.chown(folder, 0, self.volume_group)
            folder.chmod(0o2777 if "emptyDir" in volume else 0o2775)

    def project(self, name: str, content: Path, mode: int) -> None:
        """Replaces the content of a Secret or ConfigMap as a whole."""
        folder = self.folders[name]
        version = folder / f"..{time.monotonic_ns()}"
        version.mkdir(mode=0o755)
        for file in content.iterdir():
            shutil.copy(file, version / file.name)
            os.chown(version / file.name, 0, self.volume_group)
            (version / file.name).chmod(mode | 0o440)
            if not (folder / file.name).is_symlink():
                (folder / file.name).symlink_to(f"..data/{file.name}")
        (folder / "..data_tmp").symlink_to(version.name)
        os.replace(folder / "..data_tmp", folder / "..data")

    def environment_of(self, container: dict) -> dict[str, str]:
        found = dict(self.final.environment)
        for source in container.get("envFrom", []):
            found |= self.manifests.config(source["configMapRef"]["name"])
        for entry in container["env"]:
            if "value" in entry:
                # $(NAME) is the value of a variable before it.
                found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], entry["value"])
            elif "fieldRef" in entry["valueFrom"]:
                field = entry["valueFrom"]["fieldRef"]["fieldPath"]
                found[entry["name"]] = {"metadata.name": self.name, "metadata.namespace": "default"}[field]
            else:
                key = entry["valueFrom"]["configMapKeyRef"]
                content = self.made.get(key["name"], {})
                if key["key"] in content or not key.get("optional"):
                    found[entry["name"]] = content[key["key"]]
        return found

    @property
    def environment(self) -> dict[str, str]:
        return self.environment_of(self.manifests.verifier)

    def run(self, container: dict, network: str = "") -> SandboxedProgram:
        self.sandbox.mounts.clear()
        for mount in container["volumeMounts"]:
            self.sandbox.mount(self.folders[mount["name"]], mount["mountPath"], writable=not mount.get("readOnly"))
        # "command" takes the place of the image's entry point, and "args" that of its arguments.
        command = [*container.get("command", self.final.command[:1]), *container.get("args", [])]
        return self.sandbox.start(
            command, self.user, self.group, self.final.one("WORKDIR"), groups=[self.volume_group],
            environment=self.environment_of(container), network=network)

    def start(self, network: str = "") -> SandboxedProgram:
        return self.run(self.manifests.verifier, network)

    def probes(self) -> Iterator[tuple[str, str]]:
        container = self.manifests.verifier
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[kind]["httpGet"]
            yield kind, f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"

    def is_well(self, running: SandboxedProgram) -> bool:
        fixture = self.fixture
        if not fixture.check(running.is_ready(), "the container starts with volumes as the kubelet creates them", running.log):
            running.end()
            return False
        for kind, url in self.probes():
            # A node of a fleet is ready when it has a lease.
            fixture.check(wait_until(lambda: running.status_of(url) == 200), f"its {kind} is answered", running.log)
        return True

    def key(self, running: SandboxedProgram) -> str:
        """Created as with `kubectl exec`."""
        made = running.inside("countersign", "key", "create", "--owner", "o", "--json", environment=self.environment)
        return made.stdout.partition('"key":"')[2].partition('"')[0]


def service(fixture: Fixture, make: Callable[..., Pod]) -> None:
    pod = make()
    pod.project("pepper", pod.secrets["pepper"], 0o644)
    refused = pod.start()
    fixture.check(
        refused.wait() not in (0, -1) and "pepper" in refused.log, "the default mode of a Secret is refused", refused.log)
    pod.project("pepper", pod.secrets["pepper"], pod.volumes["pepper"]["secret"].get("defaultMode", 0o644))
    checked = pod.run(pod.manifests.verifier | {"args": ["config", "check", *pod.command[2:]]})
    fixture.check(checked.wait() == 0, "countersign config check accepts the settings", checked.log)
    running = pod.start()
    if not pod.is_well(running):
        return

    def presented() -> str:
        output = running.in_network("openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", "countersign")
        return output.stdout

    fixture.check(len(pod.key(running)) == 66, "kubectl exec creates a key without naming the store")
    fixture.check("CN = first" in presented(), "the mounted certificate is presented")
    renewed = fixture.path(f"{pod.folder}/renewed/tls.crt").parent
    certificate(renewed, "renewed")
    pod.project("tls", renewed, pod.volumes["tls"]["secret"]["defaultMode"])
    fixture.check(
        wait_until(lambda: "CN = renewed" in presented(), RENEWAL_SECONDS), "a renewed certificate is presented without a restart")
    fixture.check(running.end() == 0, "it ends with status 0")


def sidecar(fixture: Fixture, make: Callable[..., Pod]) -> None:
    pod = make()
    application = pod.manifests.pod["containers"][0]
    fixture.check(
        [(mount["name"], mount.get("readOnly")) for mount in application["volumeMounts"]] == [("socket", True)],
        "the application has the socket and neither store nor pepper")
    fixture.check(
        pod.manifests.verifier.get("restartPolicy") == "Always", "Countersign starts before the application and ends after it")
    running = pod.start()
    if not pod.is_well(running):
        return
    key = pod.key(running)
    socket = pod.folders["socket"] / "verify.sock"

    def ask(groups: str) -> str:
        """As the application, with its user and the folder of the socket mounted read-only."""
        security = application["securityContext"]
        output = fixture.run(
            "unshare", "--mount", "sh", "-c",
            'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec setpriv "$@"', socket.parent,
            f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", groups, "--no-new-privs", "curl", "-s",
            "-m", "5", "--unix-socket", socket, "--data-binary", "@-", "http://c/oauth2/introspect", stdin=f"token={key}")
        return output.stdout

    fixture.check('"active":true' in ask(f"--groups={pod.volume_group}"), "the application introspects over the socket")
    fixture.check(ask("--clear-groups") == "", "a user outside the group of the pod cannot")
    fixture.check(running.end() == 0 and not socket.exists(), "it ends and leaves no socket")
