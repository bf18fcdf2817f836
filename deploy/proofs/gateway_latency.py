"""The latency that Countersign adds to a request, against the same gateway without it, with one request at a time."""

import time
from collections.abc import Sequence
from pathlib import Path

from gateway_fixture import Fixture
from gateway_mutants import ALLOW, DENY, GRPC_CHECKED, Edits
from gateway_setup import Gateway, Setup
from gateway_wire import Connection
from harness.checks import Unproven

WARM_UP = 500

# Both filters disabled for the route, as the comment in the file describes.
ENVOY_ROUTE = "route: { cluster: application, timeout: 30s }"
ENVOY_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
ENVOY_OFF = f"""{ENVOY_ROUTE}
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              "@type": {ENVOY_TYPE}.ext_authz.v3.ExtAuthzPerRoute
                              disabled: true
                            envoy.filters.http.lua:
                              "@type": {ENVOY_TYPE}.lua.v3.LuaPerRoute
                              disabled: true"""

WITHOUT: dict[str, Edits] = {
    "nginx": (("nginx.conf", "auth_request /_countersign;", ""),),
    "haproxy": (
        ("haproxy.cfg", '    http-request lua.countersign "scope=orders:read"\n', ""),
        ("haproxy.cfg", DENY, ALLOW),
        ("haproxy.cfg", "    http-request set-pathq %[var(txn.countersign_uri)]\n", "")),
    "caddy": (("Caddyfile", "forward_auth unix", "@never path /never\n\t\tforward_auth @never unix"),),
    "traefik": (("dynamic.yaml", "[countersign, original-uri, without-credential]", "[without-credential]"),),
    "envoy": (("envoy.yaml", ENVOY_ROUTE, ENVOY_OFF),),
    "envoy-grpc": (("envoy-grpc.yaml", GRPC_CHECKED, "disabled: true"),),
}


def table(program: Path, gateways: Sequence[Gateway], requests: int) -> None:
    print(f"microseconds, of {requests} requests each, in turn")
    print(f"{'':20}{'without':>16}{'with':>16}{'added':>16}")
    print(f"{'':20}" + f"{'p50':>8}{'p99':>8}" * 3)
    for gateway in gateways:
        setup = Setup(program, gateway)
        try:
            setup.start_service()
            fixture = Fixture(setup, setup.start_gateway(), requests)
            without = setup.start_gateway(*(WITHOUT.get(gateway.name) or WITHOUT[gateway.folder]), name="without")
            times = measure(fixture, [without, fixture.port], requests)
            row(f"{gateway.name} {setup.version()}", *times)
        finally:
            setup.close()


def measure(fixture: Fixture, ports: Sequence[int], requests: int) -> list[list[int]]:
    connections = [Connection(port) for port in ports]
    times = [[] for _ in ports]
    for number in range(WARM_UP + requests):
        for connection, mine in zip(connections, times):
            began = time.perf_counter_ns()
            answer = connection.ask("/latency", fixture.token.field)
            taken = time.perf_counter_ns() - began
            if answer.status != 200:
                raise Unproven(f"a timed request was answered with {answer.status}")
            if number >= WARM_UP:
                mine.append(taken)
    return times


def row(name: str, without: list[int], with_it: list[int]) -> None:
    figures = []
    for times in (without, with_it):
        times.sort()
        figures.append([times[len(times) * part // 100] / 1_000 for part in (50, 99)])
    figures.append([after - before for before, after in zip(*figures)])
    print(f"{name:20}" + "".join(f"{figure:8.0f}" for pair in figures for figure in pair), flush=True)
