"""Introspections sent sixteen at a time beside nginx asked likewise."""

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..subject import Outcome, Subject
from .introspect_http import beside_nginx

DEPTH = 16


def measure(bench: Bench) -> Outcome:
    return beside_nginx(bench, "pipe", [
        Question("countersign", "nginx", RATE, Limit.at_least(4)), Question("countersign", "nginx", CPU)], DEPTH)


SUBJECT = Subject(
    "introspect-pipelined", "introspection, pipelined by 16",
    "The same over HTTP with sixteen requests in each write of wrk.", measure)
