"""A full disk, a full map, a removed folder, and damage to the file of the store. The service must never accept a revoked or
unknown credential. See faults.

    faults_store.py PROGRAM IMAGES disk[=SECONDS]|map|removed|damage...
"""

import collections
import concurrent.futures
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness.checks import Unproven, as_expected, conclude
from harness.connection import Connection
from harness.processes import wait_until
from harness.service import DIGITS, FORM, INACTIVE, Service

PROGRAM, IMAGES, WANTED = sys.argv[1], int(sys.argv[2]), [name.partition("=") for name in sys.argv[3:]]
# The crash reporter would take seconds for a process that LMDB has aborted.
SMALL = {"COUNTERSIGN_CACHE_BYTES": str(8 << 20), "SWIFT_BACKTRACE": "enable=no"}
PAGE = 4096
DISK_SECONDS = 4
MAP_BYTES = 3 << 20
REMOVED_SECONDS_MAX = 2
"""The owner compares path and file once a second."""


class Store:
    """A service and its keys."""

    def __init__(self, folder=None, environment=None):
        self.service = Service(PROGRAM, "--threads", "1", folder=folder, environment={**SMALL, **(environment or {})})
        # Clients of this socket need no credential of their own, which could be damaged too.
        self.socket = self.service.folder / "data.sock"
        self.service.flags += ["--listen", f"unix:{self.socket}?may=introspect"]
        self.problems = []

    def open(self):
        self.service.start()

    def create(self, count, owner="o"):
        """Returns the status and the keys."""
        with Connection(self.service.control) as control:
            answer = control.ask_json("POST", "/v1/keys", {"owner": owner, "scope": "a:b", "count": count})
        return answer.status, [key["key"] for key in answer.json["items"]] if answer.status == 201 else []

    def revoke(self, texts):
        """Revokes one by one, over several connections at once. Returns the statuses."""
        def some(part):
            with Connection(self.service.control) as control:
                return [control.ask("DELETE", f"/v1/keys/{text[5:16]}").status for text in part]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return sum(pool.map(some, [texts[start::8] for start in range(8)]), [])

    def verify(self, texts):
        """For each credential whether it is active; None if the service could not answer."""
        verdicts = []
        connection = None
        for text in texts:
            try:
                connection = connection or Connection(self.socket)
                answer = connection.ask(
                    "POST", "/oauth2/introspect", f"token={text}", f"Content-Type: {FORM}\r\n")
            except OSError:
                connection = None
                verdicts.append(None)
                continue
            if answer.status not in (200, 503):
                self.problems.append(f"introspection was answered with {answer.status}")
            verdicts.append(None if answer.status != 200 else answer.body != INACTIVE)
        if connection:
            connection.close()
        return verdicts

    def expect(self, claim, holds):
        if not holds:
            self.problems.append(f"failed: {claim}")

    def restart(self):
        status = self.service.end()
        self.expect(f"the service ends with status 0 ({status})", status == 0)
        self.service.start()


def disk(problems, seconds):
    """Creations and revocations on a full disk: no verification is lost, a revoked key is inactive at once, every key can still be
    revoked, and creations are refused."""
    mount = pathlib.Path(tempfile.mkdtemp())
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(mount)], check=False).returncode != 0:
        mount.rmdir()
        print("disk: SKIPPED: mounting a file system needs root")
        return
    store = Store(folder=mount)
    try:
        store.open()
        keys = store.create(500)[1]
        with open(mount / "filler", "wb", buffering=0) as filler:
            statuses, lost, asked, outcomes = collections.Counter(), 0, 0, []
            living, revoked = list(keys), []
            began = time.monotonic()
            while (elapsed := time.monotonic() - began) < seconds:
                # Takes space that has become free in the meantime.
                fill(filler)
                statuses[store.create(200)[0]] += 1
                # One half of the keys during this time, the other half at its end.
                due = int(len(keys) / 2 * elapsed / seconds) - len(revoked)
                outcomes += store.revoke(living[:due])
                revoked += living[:due]
                del living[:due]
                verdicts = store.verify(living)
                lost += len(verdicts) - verdicts.count(True)
                asked += len(verdicts)
                verdicts = store.verify(revoked)
                lost += len(verdicts) - verdicts.count(False)
                asked += len(verdicts)
            store.expect(f"creations are refused on a full disk ({dict(statuses)})", set(statuses) <= {503, 507})
            store.expect(f"no verification is lost or wrong ({lost} of {asked})", lost == 0)
            outcomes += store.revoke(living)
            store.expect(f"every key can be revoked ({len(outcomes) - outcomes.count(200)} not)", set(outcomes) == {200})
            store.expect("what is revoked is inactive", store.verify(keys) == [False] * len(keys))
            store.expect("the service is running", store.service.process.poll() is None)
        (mount / "filler").unlink()
        store.expect("with free space, creations are accepted again", wait_until(lambda: store.create(1)[0] == 201, every=0.2))
        store.restart()
        store.expect("what was revoked on a full disk is inactive after a restart", store.verify(keys) == [False] * len(keys))
        check = store.service.command("store", "check")
        store.expect(f"the store is sound ({check.stdout[-200:]}{check.stderr[-200:]})", check.returncode == 0)
        print(f"disk: {asked} verifications in {seconds} s of a full disk, {lost} lost; {sum(statuses.values())} creations "
              f"refused, {len(outcomes)} keys revoked there")
    except (OSError, Unproven) as error:
        store.problems.append(f"{error}: {store.service.log_tail(3)}")
    finally:
        store.service.remove()
        subprocess.run(["umount", "-l", str(mount)], check=False)
        mount.rmdir()
    problems += [f"full disk: {problem}" for problem in store.problems]


def fill(file):
    """Writes until there is no space left."""
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass


def full_map(problems):
    """Creates keys until creations are refused. Every key can still be revoked, one by one."""
    store = Store(environment={"COUNTERSIGN_STORE_MAP_BYTES": str(MAP_BYTES)})
    try:
        store.open()
        keys, count = [], 200
        while count:
            status, made = store.create(count)
            keys += made
            # Fewer at a time, up to the last key that fits.
            count = count if status == 201 else count // 4
        store.expect(f"creations are refused with 507 ({status})", status == 507)
        outcomes = store.revoke(keys)
        store.expect(f"every key can be revoked ({len(outcomes) - outcomes.count(200)} of {len(keys)} not)",
                     set(outcomes) == {200})
        verdicts = store.verify(keys)
        store.expect(f"what is revoked is inactive ({verdicts.count(True)} are not)", True not in verdicts)
        store.restart()
        verdicts = store.verify(keys)
        store.expect("and after a restart", verdicts == [False] * len(keys))
        print(f"map: {len(keys)} keys filled it, {outcomes.count(200)} were revoked one by one")
    except (OSError, Unproven) as error:
        store.problems.append(f"{error}: {store.service.log_tail(3)}")
    finally:
        store.service.remove()
    problems += [f"full map: {problem}" for problem in store.problems]


def removed(problems):
    """The folder is removed or renamed while the service runs: no write that would be lost is acknowledged."""
    for way in ("removed", "renamed"):
        store = Store()
        try:
            store.open()
            keys = store.create(20)[1]
            store.revoke(keys[:10])
            # Opened before, since the socket's name is removed with the folder.
            with Connection(store.service.control) as control:
                if way == "removed":
                    shutil.rmtree(store.service.store)
                else:
                    store.service.store.rename(store.service.folder / "aside")
                time.sleep(REMOVED_SECONDS_MAX)
                status = None
                try:
                    status = control.ask_json("POST", "/v1/keys", {"owner": "o", "scope": "a:b"}).status
                except OSError:
                    pass
                store.expect(f"creations are refused ({status})", status in (None, 503))
                store.expect("what is revoked is not accepted", True not in store.verify(keys[:10]))
            try:
                ended = store.service.process.wait()
                store.expect(f"it ends with a status ({ended})", ended in (1, 3))
            except Unproven:
                pass
            words = store.service.log_tail(5)
            store.expect(f"and reports why ({words[-300:]})", "store" in words)
        except (OSError, Unproven) as error:
            store.problems.append(f"{error}: {store.service.log_tail(3)}")
        finally:
            store.service.remove()
        problems += [f"store {way}: {problem}" for problem in store.problems]
    print("removed: the folder was removed, and renamed")


def damage(problems):
    """One damaged image of the file per round: bits, pages, or the end of the file."""
    original = Store()
    try:
        original.open()
        living, revoked = original.create(300)[1], original.create(60)[1]
        original.revoke(revoked)
        original.service.end()
        content = (original.service.store / "data.mdb").read_bytes()
        counts = {"refused": 0, "ended by LMDB": 0, "served": 0, "unanswered": 0, "unknown": 0, "reported": 0}
        for _ in range(IMAGES):
            name, damaged = damaged_copy(content, living + revoked)
            problems += one_damage(original, name, damaged, living, revoked, counts)
        print(f"damage: {IMAGES} images: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    finally:
        original.service.remove()


def damaged_copy(content, texts):
    copy = bytearray(content)
    kind = random.choice(("a bit", "a bit of a row", "a page of zeros", "a page of noise", "a page's copy", "half a page", "cut"))
    place = random.randrange(2, len(copy) // PAGE) * PAGE
    if kind == "a bit":
        place = random.randrange(len(copy))
        copy[place] ^= 1 << random.randrange(8)
    elif kind == "a bit of a row":
        key, number = random.choice(texts)[5:16], 0
        for digit in key:
            number = number * 62 + DIGITS.index(digit)
        places, found = [], -1
        while (found := content.find(number.to_bytes(8, "little"), found + 1)) >= 0:
            places.append(found)
        place = random.choice(places or [place]) + random.randrange(120)
        copy[place] ^= 1 << random.randrange(8)
    elif kind == "a page of zeros":
        copy[place:place + PAGE] = bytes(PAGE)
    elif kind == "a page of noise":
        copy[place:place + PAGE] = random.randbytes(PAGE)
    elif kind == "half a page":
        copy[place + PAGE // 2:place + PAGE] = bytes(PAGE // 2)
    elif kind == "a page's copy":
        other = random.randrange(2, len(copy) // PAGE) * PAGE
        copy[place:place + PAGE] = copy[other:other + PAGE]
    else:
        place = random.randrange(len(copy))
        del copy[place:]
    return f"{kind} at {place}", copy


def one_damage(original, name, damaged, living, revoked, counts):
    store = Store()
    found = []
    try:
        shutil.copytree(original.service.store, store.service.store, ignore=shutil.ignore_patterns("data.mdb", "lock.mdb", "*.sock"))
        shutil.copy(original.service.folder / "store.pepper", store.service.folder)
        (store.service.store / "data.mdb").write_bytes(damaged)
        (store.service.store / "data.mdb").chmod(0o600)
        check = store.service.command("store", "check")
        counts["reported"] += check.returncode != 0
        if check.returncode not in (0, 1, 3) or not (check.stdout + check.stderr).strip():
            found.append(f"store check ended with {check.returncode}: {(check.stdout + check.stderr)[-300:]}")
        try:
            store.service.start(10)
        except Unproven as reason:
            status = store.service.process.poll()
            counts["refused"] += 1
            if status is None:
                found.append("neither starts nor ends")
            elif not is_orderly_end(status, check, counts) or (status > 0 and not store.service.log_tail().strip()):
                found.append(f"the start ended with {status}: {reason}"[-400:])
            return [f"{name}: {problem}" for problem in found]
        counts["served"] += 1
        verdicts = store.verify(revoked) + store.verify(living)
        if True in verdicts[:len(revoked)]:
            found.append("a revoked key is accepted")
        counts["unanswered"] += verdicts.count(None)
        unknown = verdicts[len(revoked):].count(False)
        counts["unknown"] += unknown
        if (unknown or None in verdicts) and check.returncode == 0:
            found.append(f"'store check' finds nothing, but {unknown} keys are unknown and {verdicts.count(None)} unanswered")
        status = store.service.process.poll()
        if status is not None and not is_orderly_end(status, check, counts):
            found.append(f"the service ended with {status}: {store.service.log_tail(3)[-300:]}")
    finally:
        store.problems and found.extend(store.problems)
        store.service.remove()
    return [f"{name}: {problem}" for problem in found]


def is_orderly_end(status, check, counts):
    """LMDB aborts or faults on a damaged page, which ends the process. Then nothing is accepted, and `store check`, which reads in
    a separate process, reports the damage."""
    if -status in (signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV):
        counts["ended by LMDB"] += 1
        return check.returncode == 3
    return status in (1, 2, 3)


SECTIONS = {"map": full_map, "removed": removed, "damage": damage}


def main():
    problems = []
    for name, _, seconds in WANTED:
        if name == "disk":
            disk(problems, int(seconds or DISK_SECONDS))
        elif seconds:
            raise Unproven(f"{name}={seconds}: only a full disk takes seconds")
        else:
            SECTIONS[name](problems)
    is_proven = as_expected("faults", problems)
    print(f"faults: {', '.join(name for name, _, _ in WANTED)}: {len(problems)} problems")
    return is_proven


conclude("faults", main)
