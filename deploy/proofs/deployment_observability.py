"""deploy/observability: a Prometheus scrapes a running service during requests, and every rule, alert and panel must find the
series that it names."""

import json
import random
import re
import ssl
import string
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import yaml

from deployment_fixture import Fixture
from harness.checks import Unproven
from harness.connection import Connection, connected
from harness.processes import free_port, free_ports, wait_until
from harness.service import DIGITS, FORM, Service, basic, make_certificate, unknown_credential

MANUAL = Path(__file__).resolve().parent.parent.parent / "Sources/Verification/Verification.docc"
# Long enough for the scrapes that a rate needs.
TRAFFIC_SECONDS = 8
UNUSUAL_REQUESTS = 400
# The value of Grafana's variable for the range of a rate.
PANEL_RANGE = "1m"
SELECTOR = re.compile(r"\b(up|(?:countersign|process_)[a-z0-9_:]*)(\{[^}]*\})?")
# A series that does not exist as long as the service works.
RARE = 'outcome="trouble"'


ENCRYPTION = ssl.create_default_context()
ENCRYPTION.check_hostname, ENCRYPTION.verify_mode = False, ssl.CERT_NONE


class Observed(Service):
    """A service with every kind of listener that has metrics."""

    def __init__(self, fixture: Fixture) -> None:
        folder = fixture.path("observability/service/log").parent
        super().__init__(fixture.program, folder=folder, listens=("--listen", "--health-listen"))
        self.tls_port, self.administration_port = free_ports(2)
        certificate = make_certificate(folder / "tls.crt", folder / "tls.key")
        self.flags += [
            "--listen", f"https://127.0.0.1:{self.tls_port}",
            # With the OAuth endpoints, which have metrics of their own.
            "--control-listen", f"http://127.0.0.1:{self.administration_port}",
            "--issuer", f"http://127.0.0.1:{self.administration_port}",
            "--tls-certificate", certificate.certificate, "--tls-key", certificate.key]

    def metrics(self) -> str:
        with Connection(self.health_port, 5) as connection:
            return connection.ask("GET", "/metrics").body.decode()

    def series(self) -> set[str]:
        return {line.rsplit(" ", 1)[0] for line in self.metrics().splitlines() if line and not line.startswith("#")}


class Node(Service):
    """A node of a fleet of one, on an etcd of one member."""

    def __init__(self, fixture: Fixture) -> None:
        folder = fixture.path("observability/node/log").parent
        super().__init__(fixture.program, folder=folder, listens=("--listen", "--health-listen"))
        client, peer = free_ports(2)
        addresses = [f"--{kind}-{whom}-urls=http://127.0.0.1:{port}" for kind, whom, port in (
            ("listen", "client", client), ("advertise", "client", client), ("listen", "peer", peer),
            ("initial-advertise", "peer", peer))]
        self.etcd = fixture.start(
            ["etcd", "--name=m", f"--initial-cluster=m=http://127.0.0.1:{peer}", f"--data-dir={folder / 'etcd'}", *addresses],
            folder / "etcd.log")
        self.cluster = f"etcd://127.0.0.1:{client}/main"

    def begin(self) -> None:
        """Its store becomes the fleet's."""
        self.start()
        self.end()
        begun = [self.command("cluster", "init", "--cluster", self.cluster)]

        def has_begun() -> bool:
            if begun[-1].returncode != 0:
                begun.append(self.command("cluster", "init", "--cluster", self.cluster))
            return begun[-1].returncode == 0

        if not wait_until(has_begun, process=self.etcd):
            raise Unproven(f"the fleet does not begin: {begun[-1].stderr}")
        self.flags += ["--cluster", self.cluster, "--node", "n1"]
        self.start()

    def metrics(self) -> str:
        with Connection(self.health_port, 5) as connection:
            return connection.ask("GET", "/metrics").body.decode()


def ask(port: int, method: str, path: str, fields: dict[str, str], body: str = "", encrypted: bool = False) -> int:
    """The status of the answer; 0 without an answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if name != "Host")
    try:
        plain = connected(port, 5)
        with Connection(ENCRYPTION.wrap_socket(plain) if encrypted else plain) as connection:
            return connection.ask(method, path, body, lines, fields.get("Host", "localhost")).status
    except (OSError, ValueError):
        return 0


class Traffic:
    """Requests that increase every metric of the service."""

    def __init__(self, service: Observed) -> None:
        self.service = service
        self.key = service.json_result("key", "create", "--owner", "o", "--scope", "a")["key"]
        old = service.json_result("key", "create", "--owner", "rotating")
        service.json_result("key", "rotate", old["id"], "--overlap", "1h")
        self.old = old["key"]
        self.basic = {"Authorization": basic(service.json_result("client", "create", "--name", "gateway", "--may", "introspect"))}

    def round(self) -> list[int]:
        data, tls = self.service.port, self.service.tls_port
        form = self.basic | {"Content-Type": FORM}
        statuses = [
            ask(data, "GET", "/verify", {"Authorization": "ApiKey " + key})
            for key in (self.key, self.old, unknown_credential())]
        statuses += [ask(data, "GET", "/verify?scope=b", {"Authorization": "ApiKey " + self.key})]
        statuses += [
            ask(port, "POST", "/oauth2/introspect", form, "token=" + token, encrypted=port == tls)
            for port in (data, tls) for token in (self.key, unknown_credential(), "nonsense")]
        statuses += [ask(
            data, "POST", "/v1/verify", self.basic | {"Content-Type": "application/json"},
            json.dumps({"credentials": [self.key, unknown_credential()]}))]
        made = self.service.json_result("key", "create", "--owner", "short")
        self.service.json_result("key", "revoke", made["id"])
        return statuses


def word(length: int) -> str:
    return "".join(random.choices(DIGITS, k=length))


def method() -> str:
    return random.choice(string.ascii_uppercase) + word(6).upper()


def unusual_requests(service: Observed, traffic: Traffic) -> list[Callable[[], int]]:
    """Requests whose variable parts are different each time."""
    form = traffic.basic | {"Content-Type": FORM}
    kinds = []
    for port in (service.port, service.health_port, service.administration_port):
        kinds += [
            lambda port=port: ask(port, "GET", "/" + word(12), {}),
            lambda port=port: ask(port, method(), "/verify", {}),
            lambda port=port: ask(port, method(), "/" + word(5) + "/%2e%2e/" + word(5), {}),
            lambda port=port: ask(port, "GET", f"/v1/keys/{word(11)}", {"Authorization": "ApiKey " + unknown_credential()}),
            lambda port=port: ask(port, "GET", f"/{word(4)}?{word(4)}={word(4)}", {"Host": word(8), "User-Agent": word(9)})]
    kinds += [
        lambda: ask(service.port, "GET", f"/verify?scope={word(6)}", {"Authorization": "ApiKey " + unknown_credential()}),
        lambda: ask(service.port, "GET", "/verify", {"Authorization": "ApiKey " + word(66)}),
        lambda: ask(service.port, "GET", "/verify", {"Authorization": f"{word(6)} {word(20)}"}),
        lambda: ask(service.port, "GET", "/verify", {"X-Forwarded-Uri": f"/{word(5)}?api_key={unknown_credential()}"}),
        lambda: ask(service.port, "POST", "/oauth2/introspect", form, f"token={word(random.randint(1, 90))}"),
        lambda: ask(
            service.port, "POST", "/oauth2/introspect", form, f"token={unknown_credential()}&token_type_hint={word(7)}"),
        lambda: ask(service.port, "POST", "/oauth2/introspect", {"Authorization": "Basic " + word(40)}, "token=x"),
        lambda: ask(
            service.administration_port, method(), f"/v1/clients/{word(11)}", {"Authorization": "Bearer " + word(66)}),
        lambda: ask(
            service.administration_port, "POST", f"/v1/owners/{word(9)}/revocations", {"Idempotency-Key": word(20)}, "{}")]
    return kinds


class Prometheus:
    def __init__(self, fixture: Fixture, service: Observed, node: Node) -> None:
        self.port = free_port()
        folder = fixture.path("observability/prometheus/config.yaml").parent
        config = yaml.safe_load((fixture.deploy / "observability/prometheus.yaml").read_text())
        pods = yaml.safe_load((fixture.deploy / "observability/prometheus-kubernetes.yaml").read_text())
        # The files as shipped, but with an interval of one second and the ports of this run. A file describes the pods, in place of
        # Kubernetes.
        config["global"] = {name: "1s" for name in config["global"]}
        config["rule_files"] = [str(fixture.deploy / "observability" / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [f"127.0.0.1:{each.health_port}" for each in (service, node)]}]
        job = pods["scrape_configs"][0]
        del job["kubernetes_sd_configs"]
        job["job_name"], job["file_sd_configs"] = "pods", [{"files": [str(folder / "pods.json")]}]
        config["scrape_configs"].append(job)
        (folder / "pods.json").write_text(json.dumps([
            {"targets": [f"127.0.0.1:{service.health_port}"], "labels": {
                "__meta_kubernetes_pod_annotation_prometheus_io_scrape": scrape, "__meta_kubernetes_namespace": "shop",
                "__meta_kubernetes_pod_name": name, "__meta_kubernetes_pod_container_name": container,
                "__meta_kubernetes_pod_container_port_name": port}}
            for scrape, name, container, port in (
                ("true", "orders-0", "countersign", "health"), ("true", "orders-0", "orders", "http"),
                ("true", "countersign-0", "countersign", "https"), ("false", "other-0", "countersign", "health"))]))
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.checked = fixture.run("promtool", "check", "config", folder / "config.yaml")
        self.process = fixture.start(
            ["prometheus", f"--config.file={folder / 'config.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], fixture.path("observability/prometheus/log"))

    def get(self, path: str, **parameters: str) -> dict:
        with Connection(self.port, 5) as connection:
            answer = connection.ask("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        return answer.json["data"] if answer.status == 200 else {"result": [], "error": answer.body.decode()}

    def values(self, query: str) -> list[float]:
        """Without NaN, which is the quantile of an empty histogram."""
        found = [float(sample["value"][1]) for sample in self.get("query", query=query)["result"]]
        return [value for value in found if value == value]

    def is_up(self) -> bool:
        try:
            return bool(self.values("up"))
        except OSError:
            return False


def prove(fixture: Fixture) -> None:
    folder = fixture.deploy / "observability"
    files(fixture, folder)
    service = fixture.cleanup.enter_context(Observed(fixture))
    service.launch()
    if not fixture.check(service.becomes_ready(), "the service runs", service.log_tail()):
        return
    fixture.check("countersign_cluster_" not in service.metrics(), "it has no metrics of a fleet")
    node = fixture.cleanup.enter_context(Node(fixture))
    node.begin()
    for each in (service, node):
        linted = fixture.run("promtool", "check", "metrics", stdin=each.metrics())
        fixture.check(linted.returncode == 0 and not linted.stdout + linted.stderr, "promtool accepts the metrics",
                    linted.stdout + linted.stderr)
    traffic = Traffic(service)
    prometheus = Prometheus(fixture, service, node)
    fixture.check(prometheus.checked.returncode == 0, "promtool accepts the configuration", prometheus.checked.stderr)
    if not fixture.check(wait_until(prometheus.is_up), "Prometheus runs and scrapes", prometheus.process.log_tail()[-500:]):
        return
    until = time.monotonic() + TRAFFIC_SECONDS
    statuses = []
    while time.monotonic() < until:
        statuses += traffic.round()
        node.json_result("key", "revoke", node.json_result("key", "create", "--owner", "o")["id"])
    fixture.check(set(statuses) == {200, 401, 403}, f"{len(statuses)} requests had the expected statuses", set(statuses))
    targets(fixture, prometheus)
    rules(fixture, prometheus, folder)
    dashboard(fixture, prometheus, folder, service, node)
    cardinality(fixture, service, traffic)
    fixture.check(service.end() == 0, "the service ends")
    fixture.check(
        wait_until(lambda: "pending" in states(prometheus).get("CountersignDown", ())),
        "Prometheus reports that the service is down", states(prometheus))


def files(fixture: Fixture, folder: Path) -> None:
    checked = fixture.run("promtool", "check", "rules", folder / "rules.yaml")
    fixture.check(checked.returncode == 0, "promtool accepts the rules", checked.stderr)
    tested = fixture.run("promtool", "test", "rules", folder / "rules.test.yaml")
    fixture.check(tested.returncode == 0, "promtool's tests of the alerts hold", tested.stderr + tested.stdout)
    text = (folder / "rules.yaml").read_text()
    groups = yaml.safe_load(text)["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    tests = yaml.safe_load((folder / "rules.test.yaml").read_text())["tests"]
    seen: dict[str, set[bool]] = {}
    for test in tests:
        for expected in test["alert_rule_test"]:
            seen.setdefault(expected["alertname"], set()).add(bool(expected["exp_alerts"]))
    fixture.check(
        seen == {rule["alert"]: {True, False} for rule in alerts}, "each alert is tested to fire and not to fire", seen)
    undetected = []
    for rule in alerts:
        # The same rules, one of which uses an unknown metric, and its own tests.
        broken = json.loads(json.dumps(groups))
        for group in broken:
            for each in group["rules"]:
                if each.get("alert") == rule["alert"]:
                    each["expr"] = SELECTOR.sub(lambda found: "no_" + found[0].replace(":", "_"), each["expr"])
        place = fixture.path("observability/broken/rules.yaml")
        place.write_text(yaml.safe_dump({"groups": broken}))
        own = [test | {"alert_rule_test": found} for test in tests
               if (found := [each for each in test["alert_rule_test"] if each["alertname"] == rule["alert"]])]
        (place.parent / "rules.test.yaml").write_text(yaml.safe_dump(
            {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": own}))
        if fixture.run("promtool", "test", "rules", place.parent / "rules.test.yaml").returncode == 0:
            undetected.append(rule["alert"])
    fixture.check(not undetected, "the tests detect an unknown metric in each alert", undetected)
    readme = (folder / "README.md").read_text()
    fixture.check(all(f"`{rule['alert']}`" in readme for rule in alerts), "the README describes each alert")
    pages = "".join((MANUAL / name).read_text() for name in ("Operating.md", "FleetOperations.md"))
    lacking = [rule["alert"] for rule in alerts if f"\n### {rule['alert']}\n" not in pages]
    fixture.check(not lacking, "the manual says what to do about each alert", lacking)
    linked = set(re.findall(r"docc/(\w+\.md)#(countersign\w+)", readme))
    fixture.check(
        linked == {(name, found.lower()) for name in ("Operating.md", "FleetOperations.md")
                   for found in re.findall(r"\n### (Countersign\w+)\n", (MANUAL / name).read_text())},
        "the README leads to these places", linked)


def targets(fixture: Fixture, prometheus: Prometheus) -> None:
    active = [target["labels"] for target in prometheus.get("targets")["activeTargets"]]
    pods = [labels for labels in active if labels["job"] == "pods"]
    fixture.check(
        len(active) == 3 and [labels["instance"] for labels in pods] == ["shop/orders-0"],
        "of the pods, only the port health of the container countersign is scraped, under the name of the pod", active)


def states(prometheus: Prometheus) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for alert in prometheus.get("alerts")["alerts"]:
        found.setdefault(alert["labels"]["alertname"], set()).add(alert["state"])
    return found


def rules(fixture: Fixture, prometheus: Prometheus, folder: Path) -> None:
    running = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    fixture.check(all(rule["health"] == "ok" for rule in running), "Prometheus evaluates each rule", running)
    records = [rule for rule in running if rule["type"] == "recording"]
    empty = [rule["name"] for rule in records if not prometheus.values(rule["name"])]
    fixture.check(not empty, f"each of {len(records)} recorded series has numbers", empty)
    texts = yaml.safe_load((folder / "rules.yaml").read_text())["groups"]
    asked = {found[0] for group in texts for rule in group["rules"] for found in SELECTOR.finditer(rule["expr"])}
    empty = [selector for selector in asked if RARE not in selector and not prometheus.values(selector)]
    fixture.check(not empty, f"each of {len(asked)} series that rules use exists", empty)
    fixture.check(
        wait_until(lambda: states(prometheus).get("CountersignSupersededUsed") == {"firing"}),
        "the use of a rotated key raises its alert", states(prometheus))
    firing_alerts = {name for name, state in states(prometheus).items() if "firing" in state}
    fixture.check(firing_alerts == {"CountersignSupersededUsed"}, "no other alert fires", firing_alerts)


def dashboard(fixture: Fixture, prometheus: Prometheus, folder: Path, service: Observed, node: Node) -> None:
    board = json.loads((folder / "dashboard.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    fixture.check(
        len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        and len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels),
        "each panel has its own id and position")
    empty = []
    expressions = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    for title, expression in expressions:
        query = expression.replace("$__rate_interval", PANEL_RANGE).replace("$instance", ".*")
        if "$" in query or not prometheus.values(query):
            empty.append((title, query))
    fixture.check(not empty, f"each of {len(expressions)} queries of the dashboard finds numbers", empty)
    families = set(re.findall(r"^# TYPE (\S+)", service.metrics() + node.metrics(), re.MULTILINE))
    shown = {found[1] for _, expression in expressions for found in SELECTOR.finditer(expression)}
    shown |= {name.removesuffix("_bucket") for name in shown}
    fixture.check(families <= shown, f"each of {len(families)} metrics of the service is on the dashboard", families - shown)


def cardinality(fixture: Fixture, service: Observed, traffic: Traffic) -> None:
    kinds = unusual_requests(service, traffic)
    for kind in kinds:
        kind()
    traffic.round()
    before = service.series()
    statuses = [kinds[number % len(kinds)]() for number in range(UNUSUAL_REQUESTS)]
    text, after = service.metrics(), service.series()
    fixture.check(
        after == before, f"{UNUSUAL_REQUESTS} requests with different paths, methods and credentials create no new series: "
        f"there are still {len(after)}", after - before)
    fixture.check(all(statuses), "all of them were answered", statuses.count(0))
    fixture.check(traffic.key not in text and traffic.key[5:16] not in text, "no credential and no id is in a label")
