"""Forward authentication over HTTP beside nginx with headers of the same number and length."""

from pathlib import Path

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..failure import Failed
from ..http_exchange import Answer, Request, ask
from ..peers.countersign import Countersign, countersign
from ..peers.nginx import Constant, nginx
from ..peers.same_size import same_size
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, sizes, wrk_side


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("verify")
    with countersign(bench, folder) as ours:
        fixture = Fixture.of(ours, folder)
        answer = identity(ours, fixture.verify())
        added = same_size(answer.headers, unavoidable(folder, fixture.verify()))
        with nginx(folder, Constant("", "", added)) as theirs:
            constant = ask(theirs.target, fixture.verify())
            if (constant.status, constant.byte_count, len(constant.headers)) != (
                    200, answer.byte_count, len(answer.headers)):
                raise Failed("nginx's answer is not as long as ours: " + sizes(answer, constant))
            sides = [
                wrk_side(bench, folder, "countersign", ours.pid, ours.http, fixture.verify()),
                wrk_side(bench, folder, "nginx", theirs.worker_pid, theirs.target, fixture.verify())]
            questions = [
                Question("countersign", "nginx", CPU, Limit.at_most(1.05)), Question("countersign", "nginx", RATE)]
            result = outcome(bench, sides, questions, [sizes(answer, constant)])
            identity(ours, fixture.verify())
    return result


def identity(ours: Countersign, request: Request) -> Answer:
    """Our answer to a good key. Raises Failed when it does not name its owner."""
    answer = ask(ours.http, request)
    if answer.status != 200 or answer.body or answer.header("X-Auth-Subject") != "acme":
        raise Failed(f"/verify was answered with {answer.status}")
    return answer


def unavoidable(folder: Path, request: Request) -> list[tuple[str, str]]:
    """The headers that nginx sends with an empty body by itself."""
    with nginx(folder, Constant("", "")) as bare:
        return ask(bare.target, request).headers


SUBJECT = Subject(
    "verify-http", "/verify over HTTP",
    "GET /verify with an active key in Authorization, answered with its identity in headers; nginx answers `return 200` "
    "with an empty body and as many headers and bytes (Server and Connection, which it always sends, in place of two of "
    "ours). 64 connections from wrk.", measure)
