"""Tokens from the token endpoint, each of them durable before it is given."""

from harness.service import FORM

from ..bench import Bench
from ..comparisons import Limit
from ..failure import Failed
from ..http_exchange import Request, Target, ask
from ..median import Spread
from ..peers.countersign import countersign
from ..subject import Figure, Outcome, Subject, outcome
from .fixture import wrk_side

LEAST_PER_SECOND = 5_000


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("tokens")
    with countersign(bench, folder) as ours:
        client_id, secret = ours.control().machine()
        form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
        request = Request("POST", "/oauth2/token", {"Content-Type": FORM}, form)
        check(ours.oauth, request)
        result = outcome(bench, [wrk_side(bench, folder, "tokens", ours.pid, ours.oauth, request)], [])
    rate = Spread.of([taken.sample.requests_per_second for taken in result.rounds]).median
    result.figures.append(Figure("tokens per second", round(rate), "per second", Limit.at_least(LEAST_PER_SECOND)))
    return result


def check(target: Target, request: Request) -> None:
    answer = ask(target, request)
    if answer.status != 200 or not str(answer.members().get("access_token")).startswith("iib1_"):
        raise Failed(f"the token endpoint answered with {answer.status} and no token")


SUBJECT = Subject(
    "token-endpoint", "the token endpoint",
    "POST /oauth2/token by client credentials over 64 connections from wrk: each answer is a token that is on the disk.",
    measure, per="token")
