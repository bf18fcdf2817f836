"""deploy/kubernetes: what the manifests say, judged by the schemas of Kubernetes and by what they promise, and their pods'
containers run from the rendered manifests.

There is no cluster here. Volumes are laid the way the kubelet lays them: a Secret or ConfigMap as a link `..data` to a folder
that is exchanged as a whole; with fsGroup, its files belong to root and that group and get mode `defaultMode | 0440`, and the
folder of a claim gets `| 02770` (kubernetes, pkg/volume/volume_linux.go).
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from deployment_container import FinalStage
from deployment_stage import BASE, PEPPER_LINE, Occupant, Room, Stage, certificate, pepper
from harness.processes import wait_until

# The oldest one in which sidecars and ReadWriteOncePod are on by themselves; and the newest that the checker knows.
VERSIONS = ("1.29.0", "")
# Seconds in which an answer under way may still be written when the drain is over.
WRITE_SECONDS = 10
# Changed certificates are looked for every ten seconds.
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


def prove(stage: Stage) -> None:
    stage.check(PEPPER_LINE in (stage.deploy / "kubernetes/README.md").read_text(), "the README makes the pepper this way")
    final = FinalStage((stage.deploy / "container/Containerfile").read_text())
    room = Room(stage, "kubernetes/room", [*BASE, *final.packages])
    (room.root / final.one("WORKDIR").lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in ("service", "sidecar"):
        print(f"  {name}", flush=True)
        rendered = stage.run("kubectl", "kustomize", stage.deploy / "kubernetes" / name)
        if not stage.check(rendered.returncode == 0, "kustomize renders it", rendered.stderr):
            continue
        file = stage.path(f"kubernetes/{name}.yaml")
        file.write_text(rendered.stdout)
        for version in VERSIONS:
            said = stage.run(
                "kubernetes-validate", "--strict", "--quiet", *(["-k", version] if version else []), file)
            stage.check(
                said.returncode == 0, f"the schemas of Kubernetes {version or 'newest'} take it",
                said.stdout + said.stderr)
        manifests = Manifests(rendered.stdout)
        judge(stage, manifests)
        try:
            (service if name == "service" else sidecar)(stage, Pod(stage, name, manifests, final, room))
        except (KeyError, IndexError) as absent:
            stage.check(False, f"{name} has all that a pod needs", f"{type(absent).__name__}: {absent}")


def judge(stage: Stage, manifests: Manifests) -> None:
    pod, workload = manifests.pod, manifests.workload
    stage.check(not manifests.all("Secret"), "no Secret stands in the manifests")
    stage.check(
        pod["securityContext"]["runAsNonRoot"] is True
        and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        and pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        and not any(name.startswith("host") for name in pod), "the pod has no rights on the node or the cluster")
    bare = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    stage.check(
        all(bare.items() <= container.get("securityContext", {}).items() and "memory" in container["resources"]["limits"]
            for container in manifests.containers), "no container may write its root or gain a right")
    claims = workload["volumeClaimTemplates"]
    holders = [container["name"] for container in manifests.containers for mount in container["volumeMounts"]
               if mount["name"] == "store"]
    stage.check(
        workload["replicas"] == 1 and [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteOncePod"]] and holders == ["countersign"],
        "one pod, and in it one container, has the store")
    labels = workload["template"]["metadata"]["labels"]
    selectors = [workload["selector"]["matchLabels"]] + [
        document["spec"]["selector"] for document in manifests.all("Service")] + [
        document["spec"]["podSelector"].get("matchLabels") for document in manifests.all("NetworkPolicy")] + [
        document["spec"]["selector"].get("matchLabels") for document in manifests.all("PodDisruptionBudget")]
    stage.check(all(selector == labels for selector in selectors), "everything selects this pod and no other", selectors)
    ports = {port["name"]: port["containerPort"] for container in manifests.containers for port in container["ports"]}
    named = [port["targetPort"] for document in manifests.all("Service") for port in document["spec"]["ports"]] + [
        port["port"] for document in manifests.all("NetworkPolicy") for rule in document["spec"]["ingress"]
        for port in rule["ports"]]
    stage.check(set(named) <= set(ports), "services and policies name ports that there are", named)
    settings = yaml.safe_load(manifests.settings())
    listened = {int(address.rsplit(":", 1)[1]) for address in [*settings["listen"], settings["health-listen"]]
                if not address.startswith("unix:")}
    verifier = {port["containerPort"] for port in manifests.verifier["ports"]}
    stage.check(listened == verifier, "the settings listen where the manifest says", (listened, verifier))
    annotations = workload["template"]["metadata"]["annotations"]
    stage.check(
        annotations["prometheus.io/scrape"] == "true" and int(annotations["prometheus.io/port"]) == ports["health"],
        "Prometheus is told where the metrics are")
    stage.check(
        pod["terminationGracePeriodSeconds"] >= settings["drain-seconds"] + WRITE_SECONDS,
        "a pod has more time to end than the program drains")
    stage.check(
        2 * settings["store.map-bytes"] <= bytes_of(claims[0]["spec"]["resources"]["requests"]["storage"]),
        "the volume holds the store twice")


class Pod:
    """One container of a rendered manifest with its volumes."""

    def __init__(self, stage: Stage, name: str, manifests: Manifests, final: FinalStage, room: Room) -> None:
        self.stage, self.name, self.manifests, self.final, self.room = stage, name, manifests, final, room
        container, pod = manifests.verifier, manifests.pod
        security = pod["securityContext"] | container["securityContext"]
        self.user, self.group, self.volume_group = security["runAsUser"], security["runAsGroup"], security["fsGroup"]
        self.environment = final.environment | {entry["name"]: entry["value"] for entry in container["env"]}
        self.command = [final.command[0], *container["args"]]
        self.volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.folders = {mount["name"]: stage.path(f"kubernetes/{name}/{mount['name']}") for mount in container["volumeMounts"]}
        room.mounts.clear()
        self.secrets = {"pepper": pepper(stage, f"kubernetes/{name}/made").parent}
        if "tls" in self.folders:
            self.secrets["tls"] = stage.path(f"kubernetes/{name}/first/tls.crt").parent
            certificate(self.secrets["tls"], "first")
        for mount in container["volumeMounts"]:
            self._lay(mount["name"])
            room.mount(self.folders[mount["name"]], mount["mountPath"], writable=not mount.get("readOnly"))

    def _lay(self, name: str) -> None:
        volume, folder = self.volumes.get(name, {}), self.folders[name]
        folder.mkdir()
        if "secret" in volume:
            self.project(name, self.secrets[name], volume["secret"].get("defaultMode", 0o644))
        elif "configMap" in volume:
            made = self.stage.path(f"kubernetes/{self.name}/settings-text/countersign.yaml")
            made.write_text(self.manifests.settings())
            self.project(name, made.parent, 0o644)
        else:
            os.chown(folder, 0, self.volume_group)
            folder.chmod(0o2777 if "emptyDir" in volume else 0o2775)

    def project(self, name: str, content: Path, mode: int) -> None:
        """Exchanges the content of a Secret or ConfigMap as a whole."""
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

    def start(self) -> Occupant:
        return self.room.start(
            self.command, self.user, self.group, self.final.one("WORKDIR"), groups=[self.volume_group],
            environment=self.environment)

    def probes(self) -> Iterator[tuple[str, str]]:
        container = self.manifests.verifier
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[kind]["httpGet"]
            yield kind, f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"

    def is_well(self, occupant: Occupant) -> bool:
        stage = self.stage
        if not stage.check(occupant.is_ready(), "the container starts with the volumes as the kubelet lays them", occupant.log):
            occupant.end()
            return False
        for kind, url in self.probes():
            stage.check(occupant.status_of(url) == 200, f"its {kind} is answered")
        return True

    def key(self, occupant: Occupant) -> str:
        """As `kubectl exec` makes one."""
        made = occupant.inside("countersign", "key", "create", "--owner", "o", "--json", environment=self.environment)
        return made.stdout.partition('"key":"')[2].partition('"')[0]


def service(stage: Stage, pod: Pod) -> None:
    pod.project("pepper", pod.secrets["pepper"], 0o644)
    refused = pod.start()
    stage.check(
        refused.wait() not in (0, -1) and "pepper" in refused.log, "the default mode of a Secret is refused", refused.log)
    pod.project("pepper", pod.secrets["pepper"], pod.volumes["pepper"]["secret"].get("defaultMode", 0o644))
    checked = pod.room.start(
        [pod.command[0], "config", "check", *pod.command[2:]], pod.user, pod.group, pod.final.one("WORKDIR"),
        groups=[pod.volume_group], environment=pod.environment)
    stage.check(checked.wait() == 0, "countersign config check takes the settings", checked.log)
    occupant = pod.start()
    if not pod.is_well(occupant):
        return

    def presented() -> str:
        said = occupant.beside("openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", "countersign")
        return said.stdout

    stage.check(len(pod.key(occupant)) == 66, "kubectl exec makes a key without naming the store")
    stage.check("CN = first" in presented(), "the mounted certificate is presented")
    renewed = stage.path("kubernetes/service/renewed/tls.crt").parent
    certificate(renewed, "renewed")
    pod.project("tls", renewed, pod.volumes["tls"]["secret"]["defaultMode"])
    stage.check(
        wait_until(lambda: "CN = renewed" in presented(), RENEWAL_SECONDS), "and a renewed one, without a restart")
    stage.check(occupant.end() == 0, "it ends when the pod does")


def sidecar(stage: Stage, pod: Pod) -> None:
    application = pod.manifests.pod["containers"][0]
    stage.check(
        [(mount["name"], mount.get("readOnly")) for mount in application["volumeMounts"]] == [("socket", True)],
        "the application has the socket and neither store nor pepper")
    stage.check(
        pod.manifests.verifier.get("restartPolicy") == "Always", "Countersign is there before the application and after it")
    occupant = pod.start()
    if not pod.is_well(occupant):
        return
    key = pod.key(occupant)
    socket = pod.folders["socket"] / "verify.sock"

    def ask(groups: str) -> str:
        """As the application: its user, and the socket's folder mounted read-only."""
        security = application["securityContext"]
        said = stage.run(
            "unshare", "--mount", "sh", "-c",
            'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec setpriv "$@"', socket.parent,
            f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", groups, "--no-new-privs", "curl", "-s",
            "-m", "5", "--unix-socket", socket, "--data-binary", "@-", "http://c/oauth2/introspect", given=f"token={key}")
        return said.stdout

    stage.check('"active":true' in ask(f"--groups={pod.volume_group}"), "the application introspects over the socket")
    stage.check(ask("--clear-groups") == "", "whoever is not in the pod's group cannot")
    stage.check(occupant.end() == 0 and not socket.exists(), "it ends and leaves no socket")
