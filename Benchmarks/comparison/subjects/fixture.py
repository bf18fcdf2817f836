"""The fixture of most subjects: a key, and a client that may introspect it."""

from dataclasses import dataclass
from pathlib import Path

from harness.service import FORM

from ..bench import Bench
from ..failure import Failed
from ..http_exchange import Answer, Request, Target, ask
from ..loads.generator import Load
from ..loads.wrk import Wrk
from ..peers.countersign import Countersign
from ..peers.nginx import Constant
from ..rounds import Side
from ..sample import sampled
from ..secret_files import write_secret, write_secret_lines


@dataclass(frozen=True)
class Fixture:
    """One key and one client. The files contain both for the load generator."""

    key: str
    caller: str
    credentials: Path
    authorization: Path

    @staticmethod
    def of(server: Countersign, folder: Path) -> "Fixture":
        control = server.control()
        [key] = control.keys(1)
        caller = control.caller()
        return Fixture(
            key.text, caller, write_secret_lines(folder / "credentials", [key.text]),
            write_secret(folder / "authorization", caller))

    def introspect(self) -> Request:
        return introspection(self.caller, self.key)

    def verify(self) -> Request:
        return Request("GET", "/verify", {"Authorization": f"ApiKey {self.key}"})


def introspection(caller: str, credential: str) -> Request:
    headers = {"Authorization": caller, "Content-Type": FORM}
    return Request("POST", "/oauth2/introspect", headers, f"token={credential}")


def active_answer(target: Target, request: Request) -> Answer:
    """The answer of Countersign to an introspection. Raises Failed unless the key is active."""
    answer = ask(target, request)
    if answer.status != 200 or answer.members().get("active") is not True:
        raise Failed(f"introspection at {shown(target)} was answered with {answer.status} and not active")
    return answer


def same_answer(target: Target, request: Request, wanted: bytes) -> Answer:
    """The answer of a peer. Raises Failed unless it is 200 with exactly that body."""
    answer = ask(target, request)
    if answer.status != 200 or answer.body != wanted:
        raise Failed(f"{shown(target)} was answered with {answer.status} and another body than wanted")
    return answer


def constant_like(answer: Answer) -> Constant:
    """The constant for nginx with the same body and type."""
    return Constant(answer.body.decode(), answer.header("Content-Type") or "")


def sizes(ours: Answer, theirs: Answer, peer: str = "nginx") -> str:
    return (
        f"One answer of countersign has {ours.byte_count} bytes in {len(ours.headers)} headers and a body of "
        f"{len(ours.body)}; one of {peer} has {theirs.byte_count} bytes in {len(theirs.headers)} headers and a body of "
        f"{len(theirs.body)}.")


def shown(target: Target) -> str:
    """A target for a message."""
    return target.url.split(":")[0]


def load_side(bench: Bench, name: str, pid: int, load: Load) -> Side:
    """A side whose load is the generator of this package."""
    return Side(name, lambda seconds: sampled(pid, lambda: load.put(bench, seconds)))


def wrk_side(bench: Bench, folder: Path, name: str, pid: int, target: Target, request: Request, depth: int = 1) -> Side:
    """A side whose load is wrk, with the same request each time."""
    load = Wrk.prepare(folder, target, request, bench.connection_count, depth)
    return Side(name, lambda seconds: sampled(pid, lambda: load(seconds)))
