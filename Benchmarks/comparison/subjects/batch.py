"""Many credentials in one request beside one in each."""

import json
from dataclasses import replace

from ..bench import Bench
from ..comparisons import CPU, RATE, Question
from ..failure import Failed
from ..http_exchange import Request, ask
from ..loads.generator import Load
from ..peers.countersign import Countersign, countersign
from ..secret_files import write_secret, write_secret_lines
from ..subject import Outcome, Subject, outcome
from .fixture import load_side
from .populations import FEW

SIZES = (16, 100)


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("batch")
    with countersign(bench, folder) as ours:
        control = ours.control()
        caller = control.caller()
        keys = [key.text for key in control.keys(FEW)]
        if not has_batches(ours, caller, keys[:3]):
            return Outcome(skipped="POST /v1/verify is answered with 404: this program has no batches")
        single = Load(
            ours.http, write_secret_lines(folder / "keys", keys), write_secret(folder / "authorization", caller), "active")
        sides = [load_side(bench, "introspection", ours.pid, single)]
        for size in SIZES:
            sides.append(load_side(bench, f"batch of {size}", ours.pid, replace(
                single, request="batch", batch_size=size)))
        questions = [
            Question(f"batch of {size}", "introspection", figure) for size in SIZES for figure in (RATE, CPU)]
        return outcome(bench, sides, questions)


def has_batches(server: Countersign, caller: str, keys: list[str]) -> bool:
    """False for 404. Raises Failed for any other answer than a valid verdict for each key."""
    body = json.dumps({"credentials": keys}, separators=(",", ":"))
    headers = {"Authorization": caller, "Content-Type": "application/json"}
    answer = ask(server.http, Request("POST", "/v1/verify", headers, body))
    if answer.status == 404:
        return False
    if answer.status != 200 or answer.body.count(b'"reason":"valid"') != len(keys):
        raise Failed(f"a batch of good keys was answered with {answer.status} and not with a valid verdict for each")
    return True


SUBJECT = Subject(
    "batch", "batches",
    f"POST /v1/verify with 16 and 100 credentials in each request beside introspection, over {FEW:,} keys. Figures are "
    "for each credential.", measure, per="credential")
