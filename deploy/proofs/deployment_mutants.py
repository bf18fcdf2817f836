"""Files with a known fault, each with what has to be noticed: (file, text, what takes its place)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    meaning: str
    part: str
    # A piece of the check's own words.
    noticed_by: str
    file: str
    text: str
    instead: str


MUTANTS = {
    "root": Mutant(
        "the image runs as root", "container", "is a number and not root", "container/Containerfile", "USER 65532:65532",
        "USER root"),
    "library": Mutant(
        "the image lacks a library", "container", "each library of Debian", "container/Containerfile",
        "ca-certificates liblmdb0 libssl3", "ca-certificates libssl3"),
    "layer": Mutant(
        "a layer holds whatever lies about", "container", "layers get sources", "container/Containerfile", "COPY Sources Sources",
        "COPY . ."),
    "volume": Mutant(
        "the store has no volume", "container", "starts on a read-only root", "container/Containerfile",
        "VOLUME /var/lib/countersign\n", ""),
    "pepper": Mutant(
        "a forgotten pepper is made beside the store", "container", "without the mounted pepper", "container/Containerfile",
        "COUNTERSIGN_PEPPER_FILE=/run/secrets/", "COUNTERSIGN_PEPPER_FILE=/var/lib/countersign/"),
    "privileges": Mutant(
        "the unit may gain rights", "systemd", "NoNewPrivileges", "systemd/countersign.service", "NoNewPrivileges=yes\n", ""),
    "calls": Mutant(
        "the unit forbids a call that is needed", "systemd", "system calls that the unit allows", "systemd/countersign.service",
        "SystemCallFilter=@chown\n", ""),
    "families": Mutant(
        "the unit forbids the network that it serves", "systemd", "system calls that the unit allows",
        "systemd/countersign.service", "AF_UNIX AF_INET AF_INET6", "AF_UNIX AF_INET6"),
    "unit": Mutant(
        "the unit names what there is not", "systemd", "systemd-analyze verify", "systemd/countersign.service",
        "ProtectClock=yes", "ProtectClocks=yes"),
    "settings": Mutant(
        "the settings name what there is not", "systemd", "config check", "systemd/countersign.yaml", "drain-seconds",
        "drain-second"),
    "field": Mutant(
        "a manifest has a field that there is not", "kubernetes", "the schemas of Kubernetes",
        "kubernetes/service/statefulset.yaml", "readOnlyRootFilesystem", "readonlyRootFilesystem"),
    "mode": Mutant(
        "others may read the pepper", "kubernetes", "starts with the volumes as the kubelet lays them",
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
    "alert": Mutant(
        "an alert asks for a metric that there is not", "observability", "tests of the alerts", "observability/rules.yaml",
        "expr: countersign_ready == 0", "expr: countersign_is_ready == 0"),
    "untested": Mutant(
        "an alert that no test knows asks for a metric that there is not", "observability", "series that rules ask for",
        "observability/rules.yaml", "  - name: countersign-alerts\n    rules:\n",
        "  - name: countersign-alerts\n    rules:\n      - alert: CountersignOdd\n        expr: countersign_oddities > 0\n"),
    "panel": Mutant(
        "a panel asks for a metric that there is not", "observability", "queries of the dashboard",
        "observability/dashboard.json", "countersign_store_readers{", "countersign_store_readers_used{"),
    "pods": Mutant(
        "the application's port is scraped", "observability", "of the pods", "observability/prometheus-kubernetes.yaml",
        "regex: true;countersign;health", "regex: true;.*"),
}
