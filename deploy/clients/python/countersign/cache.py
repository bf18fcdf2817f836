"""Answers that are used again while it is proven that nothing was revoked.

What the cache knows has a time: a page of changes that was *requested* at some moment has everything that was published before it. So
an answer is used for `lag_seconds` after the newest complete page was requested, and no longer. If the feed breaks, nothing is
proven, and the cache is empty. Whatever happens, a credential is accepted for at most `lag_seconds` after its revocation has returned.

An answer may be older than a page that was applied before it arrived, or come from another node of a fleet. The service says through
which change it has decided (`Changes-Through`), and an answer is kept only if that includes every change that the cache has applied.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from .verdict import Identity, Requirement, VerificationFailure

LAG_SECONDS_MAX = 2.0
_LAG_SECONDS_MIN = 0.08
_CHANGES_MAX = 1_000
_logger = logging.getLogger("countersign")
# A clock that goes on while the machine is suspended: what was revoked meanwhile is not proven.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    return time.clock_gettime(_CLOCK)



@dataclass(frozen=True)
class CacheOptions:
    """- entries: answers that are kept at most.
    - lag_seconds: for how long a credential may be accepted after its revocation has returned, 0.08 to 2.
    - answer_seconds: for how long an answer is kept if nothing changes. It bounds the error of the service's last uses.
    """

    entries: int = 10_000
    lag_seconds: float = LAG_SECONDS_MAX
    answer_seconds: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "lag_seconds", min(max(self.lag_seconds, _LAG_SECONDS_MIN), LAG_SECONDS_MAX))


Position = Tuple[str, int]
Key = bytes


def position(field: Optional[str]) -> Optional[Position]:
    """Reads `Changes-Through`: INCARNATION/NUMBER."""
    incarnation, _, number = (field or "").partition("/")
    if not (incarnation.isascii() and incarnation.isdigit() and number.isascii() and number.isdigit()):
        return None
    return incarnation, int(number)


class AnswerCache:
    """The answers, and until when they are proven. It has no clock and no connection; any thread may use it."""

    def __init__(self, options: CacheOptions) -> None:
        self._options = options
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._entries: Dict[Key, Tuple[Identity, float]] = {}
        self._applied: Optional[Position] = None
        self._proven_until = 0.0

    def key(self, credential: str, requirement: Requirement) -> Key:
        """A keyed hash of the whole question, so that no credential stays in memory for longer than its question."""
        parts = (credential, requirement.audience, requirement.client_ip, *requirement.scopes)
        # With lengths, so that no two questions have the same bytes.
        text = "".join(["-:" if part is None else f"{len(part)}:{part}" for part in parts])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=32).digest()

    def find(self, key: Key, now: float, seconds: float) -> Optional[Identity]:
        """- now: of the monotonic clock. seconds: since 1970-01-01."""
        # Without the lock: each read is of one value, and what a follower drops meanwhile is dropped within the lag.
        if now >= self._proven_until:
            return None
        entry = self._entries.get(key)
        if entry is None:
            return None
        identity, until = entry
        if now >= until or (identity.expires_at is not None and seconds >= identity.expires_at) or (
                identity.not_before is not None and seconds < identity.not_before):
            # A follower may be going through them.
            with self._lock:
                self._entries.pop(key, None)
            return None
        return identity

    def keep(self, identity: Identity, key: Key, decided: Optional[Position], now: float) -> None:
        """Unless it was decided without a change that was applied here."""
        with self._lock:
            applied = self._applied
            if applied is None or decided is None or decided[0] != applied[0] or decided[1] < applied[1]:
                return
            if len(self._entries) >= self._options.entries and key not in self._entries:
                if self._options.entries <= 0:
                    return
                self._entries.pop(next(iter(self._entries)), None)
            self._entries[key] = (identity, now + self._options.answer_seconds)

    def begin(self, at: Position, requested_at: float) -> None:
        """The feed is followed from a position on."""
        with self._lock:
            self._entries = {}
            self._applied = at
            self._proven_until = requested_at + self._options.lag_seconds

    def apply(self, changes: Sequence[Mapping[str, Any]], through: int, requested_at: Optional[float]) -> None:
        """- requested_at: when the page was requested; None: there are more changes, so not everything is known yet."""
        with self._lock:
            if self._applied is None:
                return
            if any(change.get("flush") is True for change in changes):
                self._entries = {}
            elif changes:
                ids = {change["id"] for change in changes if change.get("id")}
                clients = {change["client_id"] for change in changes if change.get("client_id")}
                families = {change["family"] for change in changes if change.get("family")}
                self._entries = {
                    key: entry for key, entry in self._entries.items()
                    if entry[0].id not in ids and entry[0].client_id not in clients and entry[0].family not in families}
            self._applied = self._applied[0], through
            if requested_at is not None:
                self._proven_until = requested_at + self._options.lag_seconds

    def stop(self) -> None:
        """Nothing is proven any more."""
        with self._lock:
            self._entries = {}
            self._applied = None
            self._proven_until = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def is_proven(self, now: float) -> bool:
        return now < self._proven_until


class _Broken(Exception):
    """The feed cannot be followed."""


class Follower:
    """Follows `GET /v1/changes` on a thread of its own.

    It polls, and does not let the service wait for a change: a page that waited for a second is a second old when it arrives.
    """

    def __init__(self, get: Callable[[str, float], Tuple[int, bytes]], cache: AnswerCache, options: CacheOptions) -> None:
        """- get: asks the service for a path within seconds, and returns status and body. Raises VerificationFailure."""
        self._get, self._cache = get, cache
        self._lag = options.lag_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="countersign-changes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=self._lag + 5)
        self._cache.stop()

    def _run(self) -> None:
        logged = ""
        while not self._ended.is_set():
            try:
                self._follow()
            except (_Broken, VerificationFailure) as error:
                self._cache.stop()
                # Once for each cause.
                if str(error) != logged:
                    logged = str(error)
                    _logger.warning("changes are not followed, the cache is empty: %s", error)
            except Exception:  # A thread that ended would leave what is cached as it is until it is no longer proven.
                self._cache.stop()
                _logger.exception("changes are not followed, the cache is empty")
            self._ended.wait(self._lag / 8)

    def _follow(self) -> None:
        requested_at = clock()
        incarnation, _, through, _ = self._page("/v1/changes")
        self._cache.begin((incarnation, through), requested_at)
        is_all = True
        while not self._ended.is_set():
            if is_all:
                self._ended.wait(max(0.0, requested_at + self._lag / 8 - clock()))
            requested_at = clock()
            found, changes, through, more = self._page(
                f"/v1/changes?after={through}&incarnation={incarnation}&limit={_CHANGES_MAX}")
            if found != incarnation:
                raise _Broken("the store is another one")
            is_all = not more and len(changes) < _CHANGES_MAX
            self._cache.apply(changes, through, requested_at if is_all else None)

    def _page(self, path: str) -> Tuple[str, Sequence[Mapping[str, Any]], int, bool]:
        # Half of the lag, so that a silent feed is noticed before the answers are no longer proven.
        status, body = self._get(path, self._lag / 2)
        if status == 410:
            raise _Broken("the service has forgotten these changes")
        if status != 200:
            raise _Broken(f"status {status}")
        try:
            page = json.loads(body)
            incarnation, changes, through = page["incarnation"], page["changes"], page["next"]
            is_page = isinstance(incarnation, str) and isinstance(through, int) and all(isinstance(one, dict) for one in changes)
        except (ValueError, KeyError, TypeError):
            is_page = False
        if not is_page or not incarnation.isdigit():
            raise _Broken("the answer is not understood")
        # However few there are on this page: the service leaves out those of new credentials.
        return incarnation, changes, through, page.get("more", False) is not False
