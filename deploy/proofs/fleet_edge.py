"""A node that hands changes on, and one behind a proxy of etcd. See `fleet-edge` for its usage."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

from fleet_faults_fleet import CLUSTER, END_WITH_PROOF, Fleet, Node
from harness.checks import Checks, Unproven, conclude
from harness.connection import Connection
from harness.processes import Process, free_ports, run, wait_until
from harness.service import FORM, basic

BULK = 5000


class Certificates:
    """An authority and what it has signed. The name of a certificate's holder is its user in etcd."""

    def __init__(self, folder):
        self.folder = folder
        self.make("ca", "-addext", "basicConstraints=critical,CA:TRUE")
        for name in ("etcd", "root", "node", "edge"):
            self.make(name, "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
                      "-addext", "subjectAltName=IP:127.0.0.1")

    def path(self, name):
        return str(self.folder / name)

    def make(self, name, *more):
        done = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem"), *more])
        if done.returncode != 0:
            raise Unproven(f"openssl: {done.stderr}")

    def query(self, name):
        return f"?ca={self.path('ca.pem')}&cert={self.path(name + '.pem')}&key={self.path(name + '.key')}"


class GuardedEtcd:
    """A member of etcd that knows who asks, and what that one may do."""

    def __init__(self, folder, certificates):
        self.certificates, (self.port, peer) = certificates, free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}"
        self.process = Process(
            END_WITH_PROOF + [
                "etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--cert-file", certificates.path("etcd.pem"),
                "--key-file", certificates.path("etcd.key"), "--client-cert-auth", "--trusted-ca-file",
                certificates.path("ca.pem"), "--logger", "zap"],
            folder / "etcd.log", {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")})
        if not wait_until(lambda: self.control("root", "endpoint", "health").returncode == 0, process=self.process):
            raise Unproven("etcd does not start:\n" + self.process.log_tail())

    def control(self, user, *words):
        """As a user of etcd."""
        return subprocess.run(
            ["etcdctl", "--endpoints", self.url, "--cacert", self.certificates.path("ca.pem"),
             "--cert", self.certificates.path(user + ".pem"), "--key", self.certificates.path(user + ".key"), *words],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False,
            env=os.environ | {"ETCDCTL_API": "3"})

    def guard(self):
        """The commands of the manual's page on fleets."""
        fleet = f"/countersign/{CLUSTER}/"
        for words in (
            "user add root --no-password", "user grant-role root root",
            "user add node --no-password", "role add node",
            f"role grant-permission node --prefix=true readwrite {fleet}", "user grant-role node node",
            "user add edge --no-password", "role add edge", f"role grant-permission edge --prefix=true read {fleet}",
            f"role grant-permission edge --prefix=true readwrite {fleet}nodes/",
            f"role grant-permission edge --prefix=true readwrite {fleet}digests/",
            f"role grant-permission edge readwrite {fleet}none", "user grant-role edge edge", "auth enable",
        ):
            done = self.control("root", *words.split())
            if done.returncode != 0:
                raise Unproven(f"etcdctl {words}: {done.stderr}")

    def address(self, user):
        return f"etcd://127.0.0.1:{self.port}/{CLUSTER}{self.certificates.query(user)}"


class FarNode(Node):
    """A node with a listener for administration and OAuth."""

    def __init__(self, program, name, folder, cluster, peppers, more):
        port, self.far_port, self.oauth_port, copies = free_ports(4)
        super().__init__(program, name, folder, port, cluster, peppers, {
            "COUNTERSIGN_CONTROL_LISTEN":
                f"http://127.0.0.1:{self.far_port},http://127.0.0.1:{self.oauth_port}?only=oauth", "COUNTERSIGN_ISSUER": "http://127.0.0.1:9"})
        self.of_fleet = {"COUNTERSIGN_CLUSTER_LISTEN": f"http://127.0.0.1:{copies}", **more}

    def start(self, environment=None, is_alone=False):
        super().start(environment or {} if is_alone else self.of_fleet | (environment or {}), is_alone)

    def ask(self, method, target, key, value=None, more=""):
        """Of administration over the network, with a key. Returns the answer."""
        fields = f"Authorization: ApiKey {key}\r\n" + more
        with Connection(self.far_port) as connection:
            if value is None:
                return connection.ask(method, target, fields=fields)
            return connection.ask(method, target, json.dumps(value), fields + "Content-Type: application/json\r\n")

    def form(self, target, client, **parameters):
        with Connection(self.far_port) as connection:
            return connection.ask(
                "POST", target, urllib.parse.urlencode(parameters),
                f"Authorization: {basic(client)}\r\nContent-Type: {FORM}\r\n")

    def verdict(self, text, scheme="ApiKey"):
        with Connection(self.port) as connection:
            return connection.ask("GET", "/verify", fields=f"Authorization: {scheme} {text}\r\n").status


def begin(checks, node):
    """Makes the fleet with its first node. Returns a key that may do everything."""
    node.start(is_alone=True)
    await_ready(node)
    made = node.administer("POST", "/v1/keys", {"owner": "operator", "scope": "countersign:admin"})
    node.end()
    node.on_store("cluster", "init", "--cluster", node.cluster)
    node.start()
    await_ready(node)
    return made.json["items"][0]["key"]


def await_ready(node):
    if not wait_until(node.is_ready, 40, 0.05, node.process):
        raise Unproven(f"{node.name} is not ready:\n{node.process.log_tail()}")


def prove_edge(checks, program, folder):
    certificates = Certificates(folder)
    etcd = GuardedEtcd(folder, certificates)
    etcd.guard()
    home = FarNode(program, "home", folder, etcd.address("node"), folder / "pepper", {})
    edge = FarNode(program, "edge", folder, etcd.address("edge"), folder / "pepper", {
        "COUNTERSIGN_CLUSTER_ROLE": "edge", "COUNTERSIGN_CLUSTER_WRITE_VIA": f"http://127.0.0.1:{home.far_port}"})
    try:
        admin = begin(checks, home)
        edge.start()
        await_ready(edge)
        prove_permissions(checks, etcd)
        prove_changes(checks, home, edge, admin)
        prove_refusals(checks, home, edge, admin)
        checks.check(edge.end() == 0, "the edge ends with status 0")
    finally:
        for node in (edge, home):
            node.kill()
        etcd.process.kill()


def prove_permissions(checks, etcd):
    for key in ("head", "first", "epoch", f"log/{'0' * 16}/{'0' * 16}"):
        name = f"/countersign/{CLUSTER}/{key}"
        done = etcd.control("edge", "put", name, "x")
        checks.check("permission denied" in done.stderr, f"etcd lets the edge not write {key.split('/')[0]}", done.stderr)
        done = etcd.control("edge", "del", name)
        checks.check("permission denied" in done.stderr, f"nor remove it", done.stderr)


def prove_changes(checks, home, edge, admin):
    made = edge.ask("POST", "/v1/keys", admin, {"owner": "acme", "scope": "a:b"}, "Idempotency-Key: one\r\n")
    checks.check(made.status == 201, "a key is made by way of the edge", made.body)
    key = made.json["items"][0]
    checks.check([node.verdict(key["key"]) for node in (edge, home)] == [200, 200], "both accept it at once")
    again = edge.ask("POST", "/v1/keys", admin, {"owner": "acme", "scope": "a:b"}, "Idempotency-Key: one\r\n")
    other = home.ask("POST", "/v1/keys", admin, {"owner": "acme", "scope": "a:b"}, "Idempotency-Key: one\r\n")
    checks.check(
        all(one.status == 201 and (one.json["items"][0]["id"], one.json["items"][0]["key"]) == (key["id"], None)
            for one in (again, other)), "the same request again makes no other, wherever it is sent", (again.body, other.body))
    checks.check(key["id"].encode() in edge.ask("GET", "/v1/audit", admin).body, "the edge has it in its audit log")

    for number in range(10):
        done = edge.ask("DELETE", f"/v1/keys/{key['id']}", admin)
        checks.check((done.status, done.fields.get("acknowledged")) == (200, "everywhere"),
                     "it is revoked by way of the edge, everywhere", (done.status, done.fields))
        checks.check([node.verdict(key["key"]) for node in (edge, home)] == [401, 401], "neither accepts it then")
        if number == 9:
            break
        key = home.ask("POST", "/v1/keys", admin, {"owner": "acme"}).json["items"][0]
        checks.check(edge.verdict(key["key"]) == 200, "the edge accepts a key that was made at home a moment ago")

    bulk = edge.ask("POST", "/v1/keys/bulk", admin, {"owner": "many", "count": BULK})
    keys = [json.loads(line)["key"] for line in bulk.body.splitlines()]
    checks.check(len(keys) == BULK, f"{BULK} keys are made by way of the edge", (bulk.status, len(keys)))
    checks.check(edge.verdict(keys[-1]) == 200, "it accepts the last of them")

    client = edge.ask("POST", "/v1/clients", admin, {
        "name": "service", "grant_types": ["client_credentials"], "scope": "a:b"})
    checks.check(client.status == 201, "a client is made by way of the edge", client.body)
    token = edge.form("/oauth2/token", client.json, grant_type="client_credentials")
    checks.check(token.status == 200 and token.fields.get("cache-control") == "no-store",
                 "it gets a token by way of the edge", (token.status, token.fields))
    token = token.json["access_token"]
    checks.check([node.verdict(token, "Bearer") for node in (edge, home)] == [200, 200], "both accept it")
    revoked = edge.form("/oauth2/revoke", client.json, token=token)
    checks.check(revoked.status == 200, "it revokes it by way of the edge", revoked.body)
    checks.check([node.verdict(token, "Bearer") for node in (edge, home)] == [401, 401], "neither accepts it then")
    wrong = edge.form("/oauth2/token", client.json | {"client_secret": "x"}, grant_type="client_credentials")
    checks.check(wrong.status == 401, "a wrong secret is refused", wrong.body)
    equal = json.loads(home.command("cluster", "compare", "--json", "--store", home.store))
    checks.check(equal["equal"] and len(equal["nodes"]) == 2, "the stores of both are equal", equal)


def prove_refusals(checks, home, edge, admin):
    without = edge.administer("POST", "/v1/keys", {"owner": "acme"})
    checks.check(without.status == 403 and "credential" in without.json["detail"],
                 "whoever has no credential is told why nothing was done", without.body)
    reader = home.ask("POST", "/v1/keys", admin, {"owner": "acme", "scope": "countersign:keys:read"}).json["items"][0]["key"]
    checks.check(edge.ask("GET", "/v1/keys", reader).status == 200, "the edge itself answers who reads")
    checks.check(edge.ask("POST", "/v1/keys", reader, {"owner": "acme"}).status == 403, "who may only read changes nothing")
    with Connection(edge.oauth_port) as connection:
        for method, target in (("GET", "/v1/keys"), ("POST", "/v1/store/backup"), ("GET", "/metrics"), ("PUT", "/oauth2/token")):
            status = connection.ask(method, target, fields=f"Authorization: ApiKey {admin}\r\n").status
            checks.check(status in (404, 405), f"a listener for OAuth alone hands {method} {target} on to nobody", status)
    with Connection(edge.far_port) as connection:
        named = connection.ask(
            "POST", "/v1/keys", '{"owner":"acme"}',
            f"Authorization: ApiKey {admin}\r\nContent-Type: application/json\r\nIdempotency-Key: x\r\n"
            "Connection: idempotency-key\r\n").json["items"][0]
        other = connection.ask(
            "POST", "/v1/keys", '{"owner":"acme"}',
            f"Authorization: ApiKey {admin}\r\nContent-Type: application/json\r\nIdempotency-Key: x\r\n").json["items"][0]
    checks.check(named["id"] != other["id"], "a field that is about the connection goes no farther")
    # What another node has made a moment ago is not unknown to a revocation, of one or of many.
    for number in range(5):
        made = home.ask("POST", "/v1/keys", admin, {"owner": "acme"}).json["items"][0]
        done = edge.ask("POST", "/v1/keys/revocations", admin, {"ids": [made["id"]]})
        checks.check(done.status == 200 and home.verdict(made["key"]) == 401, "a list at the edge revokes what home has just made", done.body)
    around = edge.ask("POST", "/v1/keys", admin, {"owner": "acme"}, "Via: 1.1 countersign\r\n")
    checks.check(around.status == 503 and "cluster.write-via" in around.json["detail"], "a circle is noticed", around.body)
    home.kill()
    # By the connection that is open, and then by a new one.
    away = edge.ask("POST", "/v1/keys", admin, {"owner": "acme"})
    checks.check(away.status == 503, "without the other node, changes are refused", away.body)
    away = edge.ask("POST", "/v1/keys", admin, {"owner": "acme"})
    checks.check(away.status == 503 and "nothing was changed" in away.json["detail"], "and it is said that nothing was done",
                 away.body)
    checks.check(edge.verdict(reader) == 200, "and the edge verifies")


def prove_proxy(checks, program, folder):
    with Fleet(program, folder, ["m0"], ["near", "far"]) as fleet:
        near, far = fleet.nodes
        (port,) = free_ports(1)
        for member in fleet.members:
            fleet.start_member(member)
        proxy = Process(
            END_WITH_PROOF + ["etcd", "grpc-proxy", "start", "--endpoints", f"127.0.0.1:{fleet.members[0].client_port}",
                              "--listen-addr", f"127.0.0.1:{port}"], folder / "proxy.log")
        try:
            far.cluster = f"etcd://127.0.0.1:{port}/{CLUSTER}"
            fleet.members[0].kill()
            fleet.begin(lambda node: None)
            for maker, other in ((near, far), (far, near)) * 10:
                made = maker.administer("POST", "/v1/keys", {"owner": "acme"}).json["items"][0]
                seen = [FarNode.verdict(node, made["key"]) for node in (maker, other)]
                checks.check(seen == [200, 200], f"{other.name} accepts at once what was made at {maker.name}", seen)
                done = other.administer("DELETE", f"/v1/keys/{made['id']}")
                seen = [FarNode.verdict(node, made["key"]) for node in (maker, other)]
                checks.check(done.status == 200 and seen == [401, 401], f"and neither what was revoked at {other.name}", seen)
        finally:
            proxy.kill()


def main():
    checks = Checks()
    program = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        for part, prove in (("edge", prove_edge), ("proxy", prove_proxy)):
            print(part)
            folder = Path(name) / part
            folder.mkdir()
            prove(checks, program, folder)
    print(f"fleet-edge: {checks.count} checks, {len(checks.failures)} failed")
    return not checks.failures


conclude("fleet-edge", main)
