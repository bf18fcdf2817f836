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
from collections.abc import Iterator
from pathlib import Path

import yaml

from deployment_container import FinalStage
from deployment_fixture import BASE, PEPPER_LINE, SandboxedProgram, Sandbox, Fixture, certificate, pepper
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
    def verifier(self) -> dict:
        return next(container for container in self.containers if container["name"] == "countersign")

    def settings(self) -> str:
        return self.all("ConfigMap")[0]["data"]["countersign.yaml"]


def prove(fixture: Fixture) -> None:
    fixture.check(PEPPER_LINE in (fixture.deploy / "kubernetes/README.md").read_text(), "the README creates the pepper in this way")
    final = FinalStage((fixture.deploy / "container/Containerfile").read_text())
    sandbox = Sandbox(fixture, "kubernetes/sandbox", [*BASE, *final.packages])
    (sandbox.root / final.one("WORKDIR").lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in ("service", "sidecar"):
        print(f"  {name}", flush=True)
        rendered = fixture.run("kubectl", "kustomize", fixture.deploy / "kubernetes" / name)
        if not fixture.check(rendered.returncode == 0, "kustomize renders it", rendered.stderr):
            continue
        file = fixture.path(f"kubernetes/{name}.yaml")
        file.write_text(rendered.stdout)
        for version in VERSIONS:
            output = fixture.run(
                "kubernetes-validate", "--strict", "--quiet", *(["-k", version] if version else []), file)
            fixture.check(
                output.returncode == 0, f"the schemas of Kubernetes {version or 'newest'} accept it",
                output.stdout + output.stderr)
        manifests = Manifests(rendered.stdout)
        judge(fixture, manifests)
        try:
            (service if name == "service" else sidecar)(fixture, Pod(fixture, name, manifests, final, sandbox))
        except (KeyError, IndexError) as absent:
            fixture.check(False, f"{name} has all parts of a pod", f"{type(absent).__name__}: {absent}")


def judge(fixture: Fixture, manifests: Manifests) -> None:
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
    holders = [container["name"] for container in manifests.containers for mount in container["volumeMounts"]
               if mount["name"] == "store"]
    fixture.check(
        workload["replicas"] == 1 and [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteOncePod"]] and holders == ["countersign"],
        "one pod, and in it one container, has the store")
    labels = workload["template"]["metadata"]["labels"]
    selectors = [workload["selector"]["matchLabels"]] + [
        document["spec"]["selector"] for document in manifests.all("Service")] + [
        document["spec"]["podSelector"].get("matchLabels") for document in manifests.all("NetworkPolicy")] + [
        document["spec"]["selector"].get("matchLabels") for document in manifests.all("PodDisruptionBudget")]
    fixture.check(all(selector == labels for selector in selectors), "everything selects this pod and no other", selectors)
    ports = {port["name"]: port["containerPort"] for container in manifests.containers for port in container["ports"]}
    named = [port["targetPort"] for document in manifests.all("Service") for port in document["spec"]["ports"]] + [
        port["port"] for document in manifests.all("NetworkPolicy") for rule in document["spec"]["ingress"]
        for port in rule["ports"]]
    fixture.check(set(named) <= set(ports), "services and policies name existing ports", named)
    settings = yaml.safe_load(manifests.settings())
    listened = {int(address.rsplit(":", 1)[1]) for address in [*settings["listen"], settings["health-listen"]]
                if not address.startswith("unix:")}
    verifier = {port["containerPort"] for port in manifests.verifier["ports"]}
    fixture.check(listened == verifier, "the listeners of the settings are the ports of the manifest", (listened, verifier))
    annotations = workload["template"]["metadata"]["annotations"]
    fixture.check(
        annotations["prometheus.io/scrape"] == "true" and int(annotations["prometheus.io/port"]) == ports["health"],
        "the annotations name the port of the metrics")
    fixture.check(
        pod["terminationGracePeriodSeconds"] >= settings["drain-seconds"] + WRITE_SECONDS,
        "a pod has more time to end than the program drains")
    fixture.check(
        2 * settings["store.map-bytes"] <= bytes_of(claims[0]["spec"]["resources"]["requests"]["storage"]),
        "the volume has room for the store twice")


class Pod:
    """One container of a rendered manifest with its volumes."""

    def __init__(self, fixture: Fixture, name: str, manifests: Manifests, final: FinalStage, sandbox: Sandbox) -> None:
        self.fixture, self.name, self.manifests, self.final, self.sandbox = fixture, name, manifests, final, sandbox
        container, pod = manifests.verifier, manifests.pod
        security = pod["securityContext"] | container["securityContext"]
        self.user, self.group, self.volume_group = security["runAsUser"], security["runAsGroup"], security["fsGroup"]
        self.environment = final.environment | {entry["name"]: entry["value"] for entry in container["env"]}
        self.command = [final.command[0], *container["args"]]
        self.volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.folders = {mount["name"]: fixture.path(f"kubernetes/{name}/{mount['name']}") for mount in container["volumeMounts"]}
        sandbox.mounts.clear()
        self.secrets = {"pepper": pepper(fixture, f"kubernetes/{name}/made").parent}
        if "tls" in self.folders:
            self.secrets["tls"] = fixture.path(f"kubernetes/{name}/first/tls.crt").parent
            certificate(self.secrets["tls"], "first")
        for mount in container["volumeMounts"]:
            self._mount_volume(mount["name"])
            sandbox.mount(self.folders[mount["name"]], mount["mountPath"], writable=not mount.get("readOnly"))

    def _mount_volume(self, name: str) -> None:
        volume, folder = self.volumes.get(name, {}), self.folders[name]
        folder.mkdir()
        if "secret" in volume:
            self.project(name, self.secrets[name], volume["secret"].get("defaultMode", 0o644))
        elif "configMap" in volume:
            made = self.fixture.path(f"kubernetes/{self.name}/settings-text/countersign.yaml")
            made.write_text(self.manifests.settings())
            self.project(name, made.parent, 0o644)
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

    def start(self) -> SandboxedProgram:
        return self.sandbox.start(
            self.command, self.user, self.group, self.final.one("WORKDIR"), groups=[self.volume_group],
            environment=self.environment)

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
            fixture.check(running.status_of(url) == 200, f"its {kind} is answered")
        return True

    def key(self, running: SandboxedProgram) -> str:
        """Created as with `kubectl exec`."""
        made = running.inside("countersign", "key", "create", "--owner", "o", "--json", environment=self.environment)
        return made.stdout.partition('"key":"')[2].partition('"')[0]


def service(fixture: Fixture, pod: Pod) -> None:
    pod.project("pepper", pod.secrets["pepper"], 0o644)
    refused = pod.start()
    fixture.check(
        refused.wait() not in (0, -1) and "pepper" in refused.log, "the default mode of a Secret is refused", refused.log)
    pod.project("pepper", pod.secrets["pepper"], pod.volumes["pepper"]["secret"].get("defaultMode", 0o644))
    checked = pod.sandbox.start(
        [pod.command[0], "config", "check", *pod.command[2:]], pod.user, pod.group, pod.final.one("WORKDIR"),
        groups=[pod.volume_group], environment=pod.environment)
    fixture.check(checked.wait() == 0, "countersign config check accepts the settings", checked.log)
    running = pod.start()
    if not pod.is_well(running):
        return

    def presented() -> str:
        output = running.in_network("openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", "countersign")
        return output.stdout

    fixture.check(len(pod.key(running)) == 66, "kubectl exec creates a key without naming the store")
    fixture.check("CN = first" in presented(), "the mounted certificate is presented")
    renewed = fixture.path("kubernetes/service/renewed/tls.crt").parent
    certificate(renewed, "renewed")
    pod.project("tls", renewed, pod.volumes["tls"]["secret"]["defaultMode"])
    fixture.check(
        wait_until(lambda: "CN = renewed" in presented(), RENEWAL_SECONDS), "a renewed certificate is presented without a restart")
    fixture.check(running.end() == 0, "it ends with status 0")


def sidecar(fixture: Fixture, pod: Pod) -> None:
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
