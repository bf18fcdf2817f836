"""Against a real service: COUNTERSIGN_PROGRAM names the program."""

import asyncio
import io
import json
import os
import socket
import statistics
import sys
import threading
import time
import unittest
from pathlib import Path

import countersign
from countersign import asgi, wsgi

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "proofs"))
from harness.processes import free_port  # noqa: E402
from harness.service import Service  # noqa: E402

LAG = 0.4


@unittest.skipUnless(os.environ.get("COUNTERSIGN_PROGRAM"), "COUNTERSIGN_PROGRAM names no program")
class WithService(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service(os.environ["COUNTERSIGN_PROGRAM"], listens=("--listen",))
        cls.service.start()
        made = cls.service.json_result("client", "create", "--name", "python", "--may", "introspect", "--may", "changes")
        cls.credentials = made["client_id"], made["client_secret"]
        cls.url = f"http://127.0.0.1:{cls.service.port}"

    @classmethod
    def tearDownClass(cls):
        cls.service.remove()

    def client(self, *endpoints, **options):
        client = countersign.Client(*(endpoints or [self.url]), **{"credentials": self.credentials, **options})
        self.addCleanup(client.close)
        return client

    def key(self, *words):
        return self.service.json_result("key", "create", "--owner", "acme", *words)

    def revoke(self, key):
        self.assertEqual(self.service.command("key", "revoke", key["id"]).returncode, 0)


class Verifying(WithService):
    def test_verdicts(self):
        client, key = self.client(), self.key("--scope", "orders:read orders:write")
        verdict = client.verify(key["key"], scopes=["orders:read"])
        self.assertTrue(verdict)
        self.assertEqual((verdict.identity.subject, verdict.identity.id, verdict.identity.kind), ("acme", key["id"], "ApiKey"))
        self.assertTrue(verdict.identity.grants(["orders:write"]))
        self.assertEqual(client.verify(key["key"], scopes=["orders:delete"]).reason, "insufficient_scope")
        self.assertEqual(client.verify("nonsense é \udcff").reason, "malformed")
        limited = self.key("--network", "10.0.0.0/8")
        self.assertEqual(client.verify(limited["key"]).reason, "wrong_network")
        self.assertTrue(client.verify(limited["key"], client_ip="10.1.2.3"))
        self.revoke(key)
        self.assertEqual(client.verify(key["key"]).reason, "revoked")

    def test_many_at_once(self):
        client, keys = self.client(), [self.key(), self.key()]
        verdicts = client.verify_all([keys[0]["key"], "nonsense", keys[1]["key"]])
        self.assertEqual([bool(verdict) for verdict in verdicts], [True, False, True])
        self.assertEqual(client.verify_all([]), [])
        self.assertEqual(len(client.verify_all(["nonsense"] * 1_000)), 1_000)
        for credentials in (["a"] * 1_001, ["a" * (1 << 20)], [b"bytes"]):
            with self.assertRaises(countersign.QuestionRefused):
                client.verify_all(credentials)

    def test_failures_say_nothing_about_the_credential(self):
        key = self.key()["key"]
        with self.assertRaises(countersign.CallerRefused):
            self.client(credentials=(self.credentials[0], "wrong")).verify(key)
        with self.assertRaises(countersign.QuestionRefused):
            self.client().verify(key, client_ip="here")
        with self.assertRaises(countersign.Unavailable) as caught:
            self.client(f"http://127.0.0.1:{free_port()}").verify(key)
        self.assertNotIn(key, str(caught.exception) + repr(caught.exception))

    def test_a_silent_service_and_one_that_trickles_are_given_up(self):
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
            with socket.create_server(("127.0.0.1", 0)) as server:
                ended = threading.Event()

                def serve(answer=answer, server=server, ended=ended):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)
                        while answer and not ended.wait(0.05):
                            try:
                                connection.sendall(b"0")
                            except OSError:
                                return
                        ended.wait(10)

                thread = threading.Thread(target=serve)
                thread.start()
                begun = time.monotonic()
                with self.assertRaises(countersign.Unavailable):
                    self.client(f"http://127.0.0.1:{server.getsockname()[1]}", deadline=0.5).verify("a")
                self.assertLess(time.monotonic() - begun, 2)
                ended.set()
                thread.join()

    def test_an_answer_behind_which_the_connection_closes(self):
        answer = b'{"active":false,"reason":"revoked"}'
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve():
                for _ in range(2):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer))
                        time.sleep(0.05)
                        connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            client = self.client(f"http://127.0.0.1:{server.getsockname()[1]}")
            self.assertEqual([client.verify("a").reason for _ in range(2)], ["revoked", "revoked"])
            thread.join()

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
    def test_after_a_fork_every_process_has_its_own_answers(self):
        client, keys = self.client(cache=countersign.CacheOptions(lag_seconds=LAG)), [self.key() for _ in range(4)]
        revoked = self.key()
        self.revoke(revoked)
        self.assertTrue(client.verify(keys[0]["key"]))
        children = []
        for key in keys:
            child = os.fork()
            if child == 0:
                right = 1
                try:
                    for _ in range(100):
                        verdict = client.verify(key["key"])
                        if not verdict or verdict.identity.id != key["id"] or client.verify(revoked["key"]):
                            os._exit(2)
                    end = time.monotonic() + 10
                    while not client.uses_cache and time.monotonic() < end:
                        time.sleep(0.01)
                    right = 0 if client.uses_cache else 3
                finally:
                    os._exit(right)
            children.append(child)
        for _ in range(100):
            self.assertTrue(client.verify(keys[0]["key"]))
        self.assertEqual([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], [0] * 4)

    def test_another_node_is_asked(self):
        client, key = self.client(f"http://127.0.0.1:{free_port()}", self.url), self.key()["key"]
        self.assertTrue(client.verify(key))
        self.assertEqual(client._preferred, 1)
        self.assertTrue(client.verify(key))

    def test_a_connection_that_the_service_has_closed(self):
        service = Service(os.environ["COUNTERSIGN_PROGRAM"], listens=("--listen",), folder=None)
        self.addCleanup(service.remove)
        service.start()
        made = service.json_result("client", "create", "--name", "python", "--may", "introspect")
        key = service.json_result("key", "create", "--owner", "acme")["key"]
        client = self.client(f"http://127.0.0.1:{service.port}", credentials=(made["client_id"], made["client_secret"]))
        self.assertTrue(client.verify(key))
        service.end()
        service.start()
        self.assertTrue(client.verify(key))

    def test_many_threads(self):
        client, key = self.client(), self.key()["key"]
        accepted = []
        threads = [threading.Thread(target=lambda: accepted.extend(client.verify(key) for _ in range(50))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(accepted), 400)
        self.assertTrue(all(accepted))


class Caching(WithService):
    def cached(self, **options):
        client = self.client(cache=countersign.CacheOptions(lag_seconds=LAG, **options))
        end = time.monotonic() + 10
        while not client.uses_cache and time.monotonic() < end:
            time.sleep(0.01)
        self.assertTrue(client.uses_cache)
        return client

    def test_nothing_is_accepted_later_than_the_lag(self):
        client = self.cached()
        for _ in range(5):
            key = self.key()
            while len(client._cache) == 0:
                self.assertTrue(client.verify(key["key"]))
            hits = [client.verify(key["key"]).identity for _ in range(50)]
            self.assertTrue(all(hit is hits[0] for hit in hits), "they came from the cache")
            self.revoke(key)
            returned = time.monotonic()
            while time.monotonic() < returned + LAG:
                client.verify(key["key"])
            self.assertEqual(client.verify(key["key"]).reason, "revoked")

    def test_nothing_is_proven_when_the_feed_breaks(self):
        service = Service(os.environ["COUNTERSIGN_PROGRAM"], listens=("--listen",))
        self.addCleanup(service.remove)
        service.start()
        made = service.json_result("client", "create", "--name", "python", "--may", "introspect", "--may", "changes")
        key = service.json_result("key", "create", "--owner", "acme")
        client = self.client(
            f"http://127.0.0.1:{service.port}", credentials=(made["client_id"], made["client_secret"]),
            cache=countersign.CacheOptions(lag_seconds=LAG))
        while not client.uses_cache or len(client._cache) == 0:
            client.verify(key["key"])
        service.end()
        time.sleep(LAG)
        self.assertFalse(client.uses_cache)
        with self.assertRaises(countersign.Unavailable):
            client.verify(key["key"])
        # Revoked while nobody listened.
        self.assertEqual(service.command("key", "revoke", key["id"]).returncode, 0)
        service.start()
        while not client.uses_cache:
            time.sleep(0.01)
        self.assertEqual(client.verify(key["key"]).reason, "revoked")

    def test_a_hit_takes_microseconds(self):
        client, key = self.cached(), self.key()["key"]
        while len(client._cache) == 0:
            client.verify(key)
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(500):
                client.verify(key)
            times.append((time.perf_counter() - begun) / 500 * 1e6)
        print(f"a cached verification: {statistics.median(times):.1f} µs")


class Middleware(WithService):
    def ask_wsgi(self, application, query="", method="GET", **environ):
        answered = {}

        def start_response(status, headers):
            answered.update(status=int(status[:3]), fields=dict(headers))

        body = b"".join(application(
            {"REQUEST_METHOD": method, "PATH_INFO": "/", "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.1", "wsgi.input": io.BytesIO(),
             **environ}, start_response))
        return answered["status"], answered["fields"], body

    def ask_asgi(self, application, query="", fields=(), kind="http"):
        sent = []

        async def receive():
            return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        scope = {
            "type": kind, "method": "GET", "path": "/", "query_string": query.encode(), "client": ("192.0.2.1", 1),
            "headers": [(b"authorization", field.encode()) for field in fields]}
        asyncio.run(application(scope, receive, send))
        return sent

    def test_wsgi(self):
        def application(environ, start_response):
            start_response("200 OK", [])
            return [f"{environ['countersign.identity'].subject} {environ['QUERY_STRING']}".encode()]

        guarded = wsgi.CredentialMiddleware(application, self.client(), scopes=["orders:read"])
        right, wrong = self.key("--scope", "orders:read"), self.key()
        near = self.key("--scope", "orders:read", "--network", "192.0.2.0/24")
        status, _, body = self.ask_wsgi(guarded, HTTP_AUTHORIZATION=f"ApiKey {right['key']}")
        self.assertEqual((status, body), (200, b"acme "))
        self.assertEqual(self.ask_wsgi(guarded, f"a=1&api_key={near['key']}")[2], b"acme a=1")
        for environ, expected in (
                ({}, 401), ({"HTTP_AUTHORIZATION": f"ApiKey {wrong['key']}"}, 403), ({"HTTP_AUTHORIZATION": "ApiKey nonsense"}, 401),
                ({"HTTP_AUTHORIZATION": f"Bearer {right['key']}"}, 401), ({"HTTP_AUTHORIZATION": "ApiKey a,b"}, 400)):
            status, fields, body = self.ask_wsgi(guarded, **environ)
            self.assertEqual(status, expected)
            self.assertIn("Bearer realm=", fields["WWW-Authenticate"])
            self.assertEqual(json.loads(body)["status"], expected)
        self.assertEqual(self.ask_wsgi(guarded, method="HEAD")[2], b"")
        away = wsgi.CredentialMiddleware(application, self.client(f"http://127.0.0.1:{free_port()}"))
        status, fields, _ = self.ask_wsgi(away, HTTP_AUTHORIZATION=f"ApiKey {right['key']}")
        self.assertEqual((status, fields["Retry-After"]), (503, "1"))

    def test_asgi(self):
        async def application(scope, receive, send):
            await send({"type": "reached", "who": scope["countersign.identity"].subject, "query": scope["query_string"]})

        guarded = asgi.CredentialMiddleware(application, self.client())
        key = self.key()["key"]
        self.assertEqual(self.ask_asgi(guarded, "b=2", [f"ApiKey {key}"]), [{"type": "reached", "who": "acme", "query": b"b=2"}])
        self.assertEqual(self.ask_asgi(guarded, f"api_key={key}")[0]["query"], b"")
        for fields, expected in (([], 401), (["ApiKey nonsense"], 401), ([f"ApiKey {key}"] * 2, 400)):
            start, body = self.ask_asgi(guarded, fields=fields)
            self.assertEqual((start["status"], json.loads(body["body"])["status"]), (expected, expected))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            away = asgi.CredentialMiddleware(application, self.client(f"http://127.0.0.1:{silent.getsockname()[1]}", deadline=0.3))
            begun = time.monotonic()
            self.assertEqual(self.ask_asgi(away, fields=[f"ApiKey {key}"])[0]["status"], 503)
            self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(self.ask_asgi(guarded, kind="websocket"), [{"type": "websocket.close", "code": 1008}])
        self.assertEqual(self.ask_asgi(guarded, fields=[f"ApiKey {key}"], kind="websocket")[0]["type"], "reached")


if __name__ == "__main__":
    unittest.main()
