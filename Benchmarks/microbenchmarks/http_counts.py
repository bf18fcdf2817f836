"""Instructions of an introspection over HTTP, on a connection that stays open: the whole server from socket to socket,
without the kernel."""

from pathlib import Path

from comparison.bench import Bench, Programs
from comparison.failure import Failed
from comparison.http_exchange import Request, Target, ask_on
from comparison.peers.countersign import countersign
from comparison.subjects.fixture import Fixture, active_answer
from harness.checks import Unproven
from harness.connection import Connection
from harness.processes import output_of, run

from . import callgrind
from .counts import Count

NAME = "introspection-over-http"
WARM_REQUESTS, REQUESTS = 100, 500
# Less than the default, since callgrind shares the address space.
MAP_BYTES = 256 << 20
CONTROL_SECONDS_MAX = 60


def http_count(program: Path, folder: Path) -> Count:
    out = folder / "http"
    bench = Bench(Programs(under_callgrind(program, folder, out), None, None), folder, 1, 1, 0)
    with countersign(bench, bench.fresh_folder("h"), map_bytes=MAP_BYTES) as server:
        fixture = Fixture.of(server, bench.fresh_folder("fixture"))
        request = fixture.introspect()
        active_answer(server.http, request)
        ask_in_turn(server.http, request, WARM_REQUESTS)
        control(server.pid, "--zero")
        ask_in_turn(server.http, request, REQUESTS)
        control(server.pid, "--dump")
    # One file per thread. That of the event loop is the largest; the work of the others depends on timers.
    threads = []
    for path in folder.glob(f"{out.name}.1-*"):
        with open(path) as lines:
            threads.append(callgrind.executed(lines))
    if not threads:
        raise Failed("callgrind wrote nothing")
    return Count.of(max(threads, key=lambda counts: counts.total()), REQUESTS)


def under_callgrind(program: Path, folder: Path, out: Path) -> Path:
    """A script that starts the program under callgrind."""
    library = folder / "sigsuspend.so"
    source = Path(__file__).with_name("sigsuspend.c")
    output_of(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source])
    copy = callgrind.without_debugging(program, folder)
    script = folder / "under-callgrind"
    words = callgrind.command(copy, out, "--separate-threads=yes")
    script.write_text(f"#!/bin/sh\nLD_PRELOAD='{library}' exec {' '.join(words)} \"$@\"\n")
    script.chmod(0o700)
    return script


def ask_in_turn(target: Target, request: Request, count: int) -> None:
    """Sends each request after the answer to the one before, so that all take the same path."""
    text = request.text()
    with Connection(target.connect()) as connection:
        for _ in range(count):
            answer = ask_on(connection, text, target)
            if answer.status != 200 or b'"active":true' not in answer.body:
                raise Failed(f"an introspection was answered with {answer.status} or not active")


def control(pid: int, option: str) -> None:
    try:
        done = run(["callgrind_control", option, pid], seconds_max=CONTROL_SECONDS_MAX)
    except Unproven as slow:
        raise Failed("callgrind does not answer: in a container it needs the capability SYS_PTRACE") from slow
    if done.returncode != 0 or "OK." not in done.stdout:
        raise Failed(f"callgrind_control {option}: {(done.stdout + done.stderr).strip()}")
