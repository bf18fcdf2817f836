"""Against the vectors that all clients have in common. They need no service."""

import json
import os
import stat
import tempfile
import time
import unittest
from pathlib import Path

from countersign import Client, credentials_from_file
from countersign.cache import AnswerCache, CacheOptions, Follower, clock, position
from countersign.request import Challenges, Found, _address, find, without_key
from countersign.verdict import AnswerNotUnderstood, Identity, Requirement, read_verdict

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors.json").read_text())
ACTIVE = {"active": True, "token_type": "ApiKey", "jti": "0", "sub": "acme", "scope": "a b", "iat": 1}


class Requests(unittest.TestCase):
    def test_the_credential_of_a_request(self):
        for vector in VECTORS["credentials"]:
            with self.subTest(vector):
                found = find(vector["fields"], vector["query"])
                if vector["is"] == "none":
                    self.assertIsNone(found)
                elif vector["is"] == "malformed":
                    self.assertIsInstance(found, str)
                else:
                    self.assertEqual(found, Found(vector["text"], vector["is"]))
                if "rest" in vector:
                    self.assertEqual(without_key(vector["query"]), vector["rest"])

    def test_challenges(self):
        challenges = Challenges()
        for name, vector in VECTORS["challenges"].items():
            arguments = {"malformed": ["why"], "insufficient_scope": [vector.get("scopes")], "unavailable": [vector.get("retry_after")]}
            refusal = getattr(challenges, name)(*arguments.get(name, []))
            fields = dict(refusal.headers())
            self.assertEqual(refusal.status, vector["status"])
            self.assertEqual(json.loads(refusal.body)["detail"], vector["detail"])
            self.assertEqual(fields.get("WWW-Authenticate"), vector.get("field"))
            self.assertEqual(fields.get("Retry-After"), str(vector["retry_after"]) if "retry_after" in vector else None)
        injected = Challenges(realm='a"\\\r\nX: y').missing()
        self.assertNotIn("\r", dict(injected.headers())["WWW-Authenticate"])

    def test_positions(self):
        for vector in VECTORS["positions"]:
            expected = None if vector["incarnation"] is None else (vector["incarnation"], vector["number"])
            self.assertEqual(position(vector["field"]), expected, vector)

    def test_a_found_credential_does_not_print_itself(self):
        self.assertNotIn("secret", repr(find(["Bearer secret"], "")))


class Verdicts(unittest.TestCase):
    def test_what_is_not_as_it_should_be_is_not_accepted(self):
        self.assertEqual(read_verdict(ACTIVE).identity.scopes, ("a", "b"))
        self.assertFalse(read_verdict({"active": False, "reason": "revoked"}))
        for change in (
                {"active": 1}, {"active": "true"}, {"token_type": "Cookie"}, {"jti": 5}, {"sub": None}, {"iat": True}, {"exp": "9"},
                {"aud": 5}, {"aud": [5]}, {"scope": None}):
            with self.subTest(change), self.assertRaises(AnswerNotUnderstood):
                read_verdict({**ACTIVE, **change})
        for name in ACTIVE:
            with self.subTest(name), self.assertRaises(AnswerNotUnderstood):
                read_verdict({key: value for key, value in ACTIVE.items() if key != name})
        with self.assertRaises(AnswerNotUnderstood):
            read_verdict("active")


class Cache(unittest.TestCase):
    """A clock of the test's own."""

    def setUp(self):
        self.cache = AnswerCache(CacheOptions(entries=3, lag_seconds=2, answer_seconds=30))
        self.identity = Identity("ApiKey", "id", "acme", (), (), 1, client_id="app", family="f")
        self.key = self.cache.key("text", Requirement())

    def begin(self, number=10, at=100.0):
        self.cache.begin(("1", number), at)

    def kept(self, now, seconds=1_000):
        return self.cache.find(self.key, now, seconds)

    def test_is_empty_until_the_feed_is_followed(self):
        self.cache.keep(self.identity, self.key, ("1", 10), 100)
        self.assertIsNone(self.kept(100))

    def test_keeps_only_what_has_every_applied_change(self):
        self.begin()
        for decided in (("1", 9), ("2", 10), None):
            self.cache.keep(self.identity, self.key, decided, 100)
            self.assertIsNone(self.kept(100), decided)
        self.cache.keep(self.identity, self.key, ("1", 10), 100)
        self.assertIs(self.kept(101.9), self.identity)
        self.cache.apply([], 11, 101)
        # Late: the change that ends it was applied before the answer arrived.
        other = self.cache.key("other", Requirement())
        self.cache.keep(self.identity, other, ("1", 10), 101)
        self.assertIsNone(self.cache.find(other, 101, 1_000))

    def test_proves_nothing_after_the_lag(self):
        self.begin()
        self.cache.keep(self.identity, self.key, ("1", 10), 100)
        self.assertIsNone(self.kept(102))
        # A page that says there is more proves nothing.
        self.cache.apply([], 11, None)
        self.assertIsNone(self.kept(102))
        self.cache.apply([], 12, 101.5)
        self.assertIs(self.kept(103.4), self.identity)

    def test_drops_what_a_change_names(self):
        for change in ({"id": "id"}, {"client_id": "app"}, {"family": "f"}, {"flush": True}):
            self.begin()
            self.cache.keep(self.identity, self.key, ("1", 10), 100)
            self.cache.apply([{"id": "another"}], 11, 100.5)
            self.assertIs(self.kept(101), self.identity)
            self.cache.apply([change], 12, 101)
            self.assertIsNone(self.kept(101), change)

    def test_ends_with_the_credential_and_with_its_own_time(self):
        self.begin(at=1_000.0)
        ending = Identity("ApiKey", "id", "acme", (), (), 1, expires_at=500, not_before=400)
        for seconds, expected in ((399, None), (499, ending), (500, None)):
            self.cache.keep(ending, self.key, ("1", 10), 1_000)
            self.assertIs(self.kept(1_001, seconds), expected)
        self.cache.keep(self.identity, self.key, ("1", 10), 970)
        self.assertIsNone(self.kept(1_000))

    def test_is_bounded(self):
        self.begin()
        for number in range(9):
            self.cache.keep(self.identity, self.cache.key(str(number), Requirement()), ("1", 10), 100)
        self.assertEqual(len(self.cache), 3)

    def test_no_two_questions_have_one_key(self):
        questions = [
            ("ab", Requirement()), ("a", Requirement(audience="b")), ("a", Requirement(client_ip="b")), ("a", Requirement(("b",))),
            ("a", Requirement(("b", ""))), ("a", Requirement(("", "b"))), ("a", Requirement(audience="")), ("a", Requirement(client_ip="")),
            ("a1:b", Requirement()), ("", Requirement(("a", "b"))), ("", Requirement(("ab",)))]
        self.assertEqual(len({self.cache.key(*question) for question in questions}), len(questions))


class Feed(unittest.TestCase):
    """A page that is short because the service has left out new keys is not the end."""

    def test_nothing_is_proven_by_a_page_with_more_behind_it(self):
        cache = AnswerCache(CacheOptions(lag_seconds=0.2))
        asked = []

        def get(path, seconds):
            asked.append(path)
            through = 0 if len(asked) == 1 else len(asked)
            more = "false" if len(asked) == 1 else "true"
            return 200, b'{"incarnation":"1","changes":[],"next":%d,"more":%s}' % (through, more.encode())

        follower = Follower(get, cache, CacheOptions(lag_seconds=0.2))
        follower.start()
        end = clock() + 5
        while len(asked) < 2 and clock() < end:
            time.sleep(0.001)
        begun = clock()
        while cache.is_proven(clock()) and clock() < begun + 5:
            time.sleep(0.005)
        self.assertLess(clock() - begun, 1)
        follower.close()


class Addresses(unittest.TestCase):
    def test_what_is_no_address_is_not_sent(self):
        for text, expected in (
                ("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("testclient", None), ("localhost", None), ("fe80::1%eth0", None), ("", None), (None, None)):
            self.assertEqual(_address(text), expected, text)


class Settings(unittest.TestCase):
    def test_endpoints(self):
        for text in ("unix:/run/a.sock", "unix:/run/a.sock?may=introspect", "http://127.0.0.1:8080", "http://[::1]:1", "https://host"):
            Client(text).close()
        for text in ("", "unix:a", "unix:/" + "a" * 107, "http://host:80", "ftp://127.0.0.1", "https://u:p@host", "http://127.0.0.1:x",
                     "https://host/path", "http://0127.0.0.1.example"):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                Client(text)
            self.assertNotIn("u:p", str(caught.exception))
        with self.assertRaises(ValueError):
            Client()

    def test_credentials(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.json"
            path.write_text('{"client_id": "app", "client_secret": "s_1"}')
            path.chmod(0o640)
            self.assertEqual(credentials_from_file(path), ("app", "s_1"))
            path.chmod(0o644)
            with self.assertRaises(ValueError):
                credentials_from_file(path)
            path.chmod(0o600)
            for content in ("", "[]", '{"client_id": "a"}', '{"client_id": "a:b", "client_secret": "c"}'):
                path.write_text(content)
                with self.assertRaises(ValueError):
                    credentials_from_file(path)
            with self.assertRaises(ValueError):
                credentials_from_file(Path(folder) / "missing")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)


if __name__ == "__main__":
    unittest.main()
