"""Known faults in the files for deploying, each with the check that must detect it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    meaning: str
    part: str
    # A part of the message of the check.
    detected_by: str
    file: str
    text: str
    replacement: str


MUTANTS = {
    "root": Mutant(
        "the image runs as root", "container", "is a number and not root", "container/Containerfile", "USER 65532:65532",
        "USER root"),
    "library": Mutant(
        "the image lacks a library", "container", "each library of Debian", "container/Containerfile",
        "ca-certificates liblmdb0 libssl3", "ca-certificates libssl3"),
    "layer": Mutant(
        "a layer contains everything in the folder", "container", "layers contain sources", "container/Containerfile",
        "COPY Sources Sources", "COPY . ."),
    "volume": Mutant(
        "the store has no volume", "container", "starts on a read-only root", "container/Containerfile",
        "VOLUME /var/lib/countersign\n", ""),
    "pepper": Mutant(
        "a missing pepper is created beside the store", "container", "without the mounted pepper", "container/Containerfile",
        "COUNTERSIGN_PEPPER_FILE=/run/secrets/", "COUNTERSIGN_PEPPER_FILE=/var/lib/countersign/"),
    "privileges": Mutant(
        "the unit may gain privileges", "systemd", "NoNewPrivileges", "systemd/countersign.service", "NoNewPrivileges=yes\n", ""),
    "calls": Mutant(
        "the unit forbids a call that is needed", "systemd", "system calls that the unit allows", "systemd/countersign.service",
        "SystemCallFilter=@chown\n", ""),
    "families": Mutant(
        "the unit forbids the network that it serves", "systemd", "system calls that the unit allows",
        "systemd/countersign.service", "AF_UNIX AF_INET AF_INET6", "AF_UNIX AF_INET6"),
    "unit": Mutant(
        "the unit has an unknown setting", "systemd", "systemd-analyze verify", "systemd/countersign.service",
        "ProtectClock=yes", "ProtectClocks=yes"),
    "settings": Mutant(
        "the settings file has an unknown setting", "systemd", "config check", "systemd/countersign.yaml", "drain-seconds",
        "drain-second"),
    "credential": Mutant(
        "a node of a fleet does not get its key", "systemd", "passes the certificates", "systemd/fleet.conf",
        "LoadCredential=etcd-node.key:/etc/countersign/etcd-node.key\n", ""),
    "field": Mutant(
        "a manifest has an unknown field", "kubernetes", "the schemas of Kubernetes",
        "kubernetes/service/statefulset.yaml", "readOnlyRootFilesystem", "readonlyRootFilesystem"),
    "mode": Mutant(
        "others may read the pepper", "kubernetes", "starts with volumes as the kubelet creates them",
        "kubernetes/sidecar/statefulset.yaml", "defaultMode: 0400", "defaultMode: 0444"),
    "group": Mutant(
        "the application is not in the socket's group", "kubernetes", "introspects over the socket",
        "kubernetes/sidecar/countersign.yaml", "mode=0660", "mode=0600"),
    "replicas": Mutant(
        "two pods", "kubernetes", "has the store", "kubernetes/service/statefulset.yaml", "replicas: 1", "replicas: 2"),
    "selector": Mutant(
        "the budget is for every pod of the namespace", "kubernetes", "selects this pod",
        "kubernetes/service/poddisruptionbudget.yaml",
        "    matchLabels:\n      app.kubernetes.io/name: countersign\n", "    matchLabels: {}\n"),
    "zones": Mutant(
        "two nodes of a fleet may stay in one zone", "kubernetes", "in all zones", "kubernetes/fleet/statefulset.yaml",
        "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: ScheduleAnyway"),
    "grace": Mutant(
        "a node is killed before it has drained", "kubernetes", "more time to end", "kubernetes/fleet/statefulset.yaml",
        "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 25"),
    "member": Mutant(
        "the nodes ask a member that does not exist", "kubernetes", "three members", "kubernetes/fleet/fleet.env",
        "etcd-2.etcd:2379", "etcd-3.etcd:2379"),
    "begins": Mutant(
        "a pod begins a fleet although nobody has said so", "kubernetes", "begins a fleet by itself",
        "kubernetes/fleet/join.sh", '[ "${BEGINNING_POD:-}" = "$COUNTERSIGN_CLUSTER_NODE" ]', "true"),
    "silent-etcd": Mutant(
        "an etcd that does not answer is taken for an empty one", "kubernetes", "waits for it", "kubernetes/fleet/join.sh",
        '*"There is no fleet"*)', "*)"),
    "alert": Mutant(
        "an alert uses an unknown metric", "observability", "tests of the alerts", "observability/rules.yaml",
        "expr: countersign_ready == 0", "expr: countersign_is_ready == 0"),
    "fleet-alert": Mutant(
        "an alert of a fleet is for a service alone too", "observability", "tests of the alerts", "observability/rules.yaml",
        "expr: countersign_cluster_nodes < 3", "expr: (countersign_cluster_nodes or countersign_ready) < 3"),
    "untested": Mutant(
        "an alert without a test uses an unknown metric", "observability", "series that rules use",
        "observability/rules.yaml", "  - name: countersign-alerts\n    rules:\n",
        "  - name: countersign-alerts\n    rules:\n      - alert: CountersignOdd\n        expr: countersign_oddities > 0\n"),
    "panel": Mutant(
        "a panel uses an unknown metric", "observability", "queries of the dashboard",
        "observability/dashboard.json", "countersign_store_readers{", "countersign_store_readers_used{"),
    "pods": Mutant(
        "the application's port is scraped", "observability", "of the pods", "observability/prometheus-kubernetes.yaml",
        "regex: true;countersign;health", "regex: true;.*"),
}
