"""Asks the service."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import socket
import ssl
import stat
import threading
import time
import weakref
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

from .cache import AnswerCache, CacheOptions, Follower, Position, clock, position
from .verdict import (
    AnswerNotUnderstood, CallerRefused, QuestionRefused, Requirement, Unavailable, Verdict, read_verdict,
)

_CREDENTIALS_MAX = 1_000
_QUESTION_BYTES_MAX = 1 << 20
_ANSWER_BYTES_MAX = 16 << 20
# Shorter than the service's own, so that it seldom closes a connection that is about to be used.
_IDLE_SECONDS = 60.0
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a time, whatever comes byte by byte: a socket's own limit is for each read."""

    def __init__(self, sock: socket.socket, original: Any) -> None:
        """- original: what http.client made of the socket, which stays open as long as that."""
        self._sock, self._original = sock, original
        self.end = 0.0

    def close(self) -> None:
        self._original.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self.end))
        return self._sock.recv_into(buffer)


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        timed = _TimedReader(sock, self.fp)
        timed.end = clock() + (sock.gettimeout() or 0.0)
        self.fp = io.BufferedReader(timed)


def _left(end: float) -> float:
    left = end - clock()
    if left <= 0:
        raise socket.timeout("no answer in time")
    return left


class _UnixConnection(http.client.HTTPConnection):
    response_class = _Response

    def __init__(self, path: str) -> None:
        super().__init__("countersign")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _PlainConnection(http.client.HTTPConnection):
    response_class = _Response


class _EncryptedConnection(http.client.HTTPSConnection):
    response_class = _Response


class _Endpoint:
    """`unix:PATH`, `http://HOST:PORT` on loopback, or `https://HOST:PORT`; with the connections to it that are not in use."""

    def __init__(self, text: str, authority: Optional[str]) -> None:
        self._free: List[Tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()
        self._context: Optional[ssl.SSLContext] = None
        if text.startswith("unix:"):
            self._path = text[5:].split("?", 1)[0]
            self._host, self._port = "", 0
            if not self._path.startswith("/") or len(os.fsencode(self._path)) > 107 or "\0" in self._path:
                raise ValueError("unix: needs an absolute path of at most 107 bytes")
            return
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
        except ValueError:
            host, port, url = None, None, urlsplit("")
        # The text may hold a user name and a password, so no message repeats it.
        if url.scheme not in ("http", "https") or not host or url.path not in ("", "/") or url.query or url.username or url.fragment:
            raise ValueError("an endpoint is unix:PATH, http://HOST:PORT or https://HOST:PORT")
        if url.scheme == "http" and not _is_loopback(host):
            raise ValueError("cleartext is allowed on loopback only: use https:// or unix:")
        self._path, self._host = "", host
        self._port = port or (443 if url.scheme == "https" else 80)
        if url.scheme == "https":
            self._context = ssl.create_default_context(cafile=authority)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def _new(self) -> http.client.HTTPConnection:
        if self._path:
            return _UnixConnection(self._path)
        if self._context is not None:
            return _EncryptedConnection(self._host, self._port, context=self._context)
        return _PlainConnection(self._host, self._port)

    def ask(
        self, method: str, path: str, body: Optional[bytes], fields: Dict[str, str], end: float
    ) -> Tuple[int, http.client.HTTPMessage, bytes]:
        """Raises OSError and http.client.HTTPException."""
        while True:
            with self._lock:
                connection, since = self._free.pop() if self._free else (self._new(), clock())
            is_used = connection.sock is not None
            if is_used and clock() - since > _IDLE_SECONDS:
                connection.close()
                continue
            try:
                return self._exchange(connection, method, path, body, fields, end)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                connection.close()
                # The service has closed an idle connection at this moment. To ask twice has no effect.
                if not is_used:
                    raise
            except BaseException:
                connection.close()
                raise

    def forget(self) -> None:
        """In a child after a fork: the connections are the parent's, and so may be the lock."""
        self._lock = threading.Lock()
        # This process's ends of them; TLS is not ended, which would be the parent's too.
        for connection, _ in self._free:
            connection.close()
        self._free = []

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Optional[bytes], fields: Dict[str, str],
        end: float
    ) -> Tuple[int, http.client.HTTPMessage, bytes]:
        connection.timeout = _left(end)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.request(method, path, body, fields)
        connection.sock.settimeout(_left(end))
        response = connection.getresponse()
        content = b""
        while True:
            piece = response.read1(65_536)
            if not piece:
                break
            content += piece
            if len(content) > _ANSWER_BYTES_MAX:
                raise http.client.HTTPException("the answer is too large")
        if response.length not in (None, 0):
            raise http.client.IncompleteRead(content)
        # Not done by `read1` for a body of known length, and the connection takes no other request before.
        response.close()
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                # Those that were not used for a while are closed, or a burst would leave its connections open for good.
                now = clock()
                while self._free and now - self._free[0][1] > _IDLE_SECONDS:
                    self._free.pop(0)[0].close()
                self._free.append((connection, now))
        return response.status, response.headers, content

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, []
        for connection, _ in free:
            connection.close()


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def credentials_from_file(path: Union[str, "os.PathLike[str]"]) -> Tuple[str, str]:
    """Id and secret of this program, from what `countersign client create --json` has printed into a file.

    Raises ValueError for a file that everybody may read or write, or that has something else in it.
    """
    try:
        # Of the open file: another one may be in its place a moment later.
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(65_536)
    except OSError:
        raise ValueError(f"{os.fspath(path)} cannot be read") from None
    if mode & stat.S_IRWXO:
        raise ValueError(f"{os.fspath(path)} can be read or written by everybody: run chmod o= on it")
    try:
        line = json.loads(content)
        pair = line["client_id"], line["client_secret"]
        is_pair = all(isinstance(one, str) and _PLAIN.fullmatch(one) for one in pair)
    except (ValueError, KeyError, TypeError):
        is_pair = False
    if not is_pair:
        raise ValueError(f"{os.fspath(path)} does not have the output of countersign client create --json") from None
    return pair


def _sendable(credential: str) -> str:
    """Half of a character, which JSON cannot have, is no credential; nor is an empty text."""
    try:
        credential.encode()
    except UnicodeEncodeError:
        return ""
    except AttributeError:
        raise QuestionRefused("a credential is a text") from None
    return credential


class Client:
    """Verifies credentials. Any thread may use it; `close` it, or use it in a `with` statement.

    - endpoints: where the service listens, and the other nodes of its fleet: `unix:PATH`, `http://HOST:PORT` on loopback,
      `https://HOST:PORT`. One is used until it does not answer.
    - credentials: id and secret of this program (`credentials_from_file`), with the right to `introspect`, and to `changes` for a
      cache. None where the service lets everybody ask who can open its socket.
    - deadline: seconds for an answer, to its last byte.
    - cache: None: every verification is asked of the service, and nothing is accepted once its revocation has returned. With a
      cache, for up to `lag_seconds` longer.
    - certificate_authority: a PEM file; None: those of the system.
    """

    def __init__(
        self, *endpoints: str, credentials: Optional[Tuple[str, str]] = None, deadline: float = 2.0,
        cache: Optional[CacheOptions] = None, certificate_authority: Optional[str] = None
    ) -> None:
        if not endpoints:
            raise ValueError("name at least one endpoint")
        self._endpoints = [_Endpoint(text, certificate_authority) for text in endpoints]
        self._preferred = 0
        self._is_closed = False
        self._deadline = deadline
        self._fields: Dict[str, str] = {}
        if credentials is not None:
            pair = base64.b64encode(":".join(credentials).encode()).decode()
            self._fields["Authorization"] = "Basic " + pair
        self._cache: Optional[AnswerCache] = None
        self._follower: Optional[Follower] = None
        self._options = cache
        self._begin()
        # A server that loads the application and then forks (gunicorn --preload, uWSGI) takes a copy of this client along.
        known = weakref.ref(self)

        def forked() -> None:
            client = known()
            if client is not None:
                client._forked()

        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=forked)

    def _begin(self) -> None:
        if self._options is not None:
            self._cache = AnswerCache(self._options)
            self._follower = Follower(self._get, self._cache, self._options)
            self._follower.start()

    def _forked(self) -> None:
        for endpoint in self._endpoints:
            endpoint.forget()
        if not self._is_closed:
            self._begin()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._is_closed = True
        if self._follower is not None:
            self._follower.close()
        for endpoint in self._endpoints:
            endpoint.close()

    def __repr__(self) -> str:
        return f"<countersign.Client of {len(self._endpoints)} endpoints>"

    @property
    def uses_cache(self) -> bool:
        """Whether what is cached is proven now."""
        return self._cache is not None and self._cache.is_proven(clock())

    def verify(
        self, credential: str, scopes: Sequence[str] = (), audience: Optional[str] = None, client_ip: Optional[str] = None
    ) -> Verdict:
        """Verifies one credential, of any text. Raises VerificationFailure if the service cannot answer."""
        requirement = Requirement(tuple(scopes), audience, client_ip)
        if self._cache is None:
            return self._fetch(credential, requirement)[0]
        key = self._cache.key(credential, requirement)
        identity = self._cache.find(key, clock(), time.time())
        if identity is not None:
            return Verdict(identity)
        verdict, decided = self._fetch(credential, requirement)
        # Only what is accepted: an inactive one may become active, and unknown ones must not fill the cache.
        if verdict.identity is not None:
            self._cache.keep(verdict.identity, key, decided, clock())
        return verdict

    @property
    def deadline(self) -> float:
        """Seconds for an answer."""
        return self._deadline

    def cached(self, credential: str, requirement: Requirement) -> Optional[Verdict]:
        """The verdict of the cache, without asking the service; None: it has none."""
        if self._cache is None:
            return None
        identity = self._cache.find(self._cache.key(credential, requirement), clock(), time.time())
        return None if identity is None else Verdict(identity)

    def verify_all(
        self, credentials: Sequence[str], scopes: Sequence[str] = (), audience: Optional[str] = None,
        client_ip: Optional[str] = None
    ) -> List[Verdict]:
        """Verifies up to a thousand credentials in one request, in their order. It never uses the cache."""
        if not credentials:
            return []
        if len(credentials) > _CREDENTIALS_MAX:
            raise QuestionRefused("more than a thousand credentials")
        requirement = Requirement(tuple(scopes), audience, client_ip)
        answer, _ = self._post({"credentials": [_sendable(one) for one in credentials], **requirement.members()})
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(credentials):
            raise AnswerNotUnderstood
        return [read_verdict(result) for result in results]

    def _fetch(self, credential: str, requirement: Requirement) -> Tuple[Verdict, Optional[Position]]:
        answer, decided = self._post({"credential": _sendable(credential), **requirement.members()})
        return read_verdict(answer), decided

    def _post(self, question: Dict[str, Any]) -> Tuple[Dict[str, Any], Optional[Position]]:
        try:
            body = json.dumps(question).encode()
        except (TypeError, ValueError):
            raise QuestionRefused("credentials, scopes, audience and address are texts") from None
        if len(body) > _QUESTION_BYTES_MAX:
            raise QuestionRefused("more than a mebibyte")
        status, fields, content = self._ask("POST", "/v1/verify", body, self._deadline)
        if status in (401, 403):
            raise CallerRefused(status)
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200:
            if not isinstance(answer, dict):
                raise AnswerNotUnderstood
            return answer, position(fields.get("Changes-Through"))
        if status in (400, 413, 415):
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise QuestionRefused(detail if isinstance(detail, str) else f"status {status}")
        retry = fields.get("Retry-After", "")
        raise Unavailable(f"status {status}", max(int(retry), 1) if retry.isascii() and retry.isdigit() else 1)

    def _get(self, path: str, seconds: float) -> Tuple[int, bytes]:
        status, _, content = self._ask("GET", path, None, seconds)
        return status, content

    def _ask(self, method: str, path: str, body: Optional[bytes], seconds: float) -> Tuple[int, http.client.HTTPMessage, bytes]:
        """Asks the node that answered last and, if it cannot answer, each other one once."""
        end = clock() + seconds
        first = self._preferred
        fields = dict(self._fields)
        if body is not None:
            fields["Content-Type"] = "application/json"
        for tried in range(len(self._endpoints)):
            index = (first + tried) % len(self._endpoints)
            left = len(self._endpoints) - tried
            now = clock()
            try:
                # Those that are left get as much time as this one.
                answer = self._endpoints[index].ask(method, path, body, fields, now + (end - now) / left)
            except (OSError, http.client.HTTPException) as error:
                if left == 1 or clock() >= end:
                    # The name of the error and nothing of the question.
                    raise Unavailable(type(error).__name__) from None
                continue
            if answer[0] == 503 and left > 1:
                continue
            if answer[0] != 503:
                self._preferred = index
            return answer
        raise Unavailable("no node answers")
