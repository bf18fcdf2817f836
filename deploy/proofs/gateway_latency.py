"""What asking Countersign adds to a request, beside the same gateway that does not ask: one request at a time."""

import time
from collections.abc import Sequence
from pathlib import Path

from gateway_mutants import ALLOW, DENY, GRPC_CHECKED, Edits
from gateway_scene import Scene
from gateway_stage import Gateway, Stage
from gateway_wire import Connection
from harness.checks import Unproven

WARM_UP = 500

# Both filters off for the one route, as the comment in the file has it.
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
        stage = Stage(program, gateway)
        try:
            stage.start_service()
            scene = Scene(stage, stage.start_gateway(), requests)
            without = stage.start_gateway(*(WITHOUT.get(gateway.name) or WITHOUT[gateway.folder]), beside="without")
            times = measure(scene, [without, scene.port], requests)
            row(f"{gateway.name} {stage.version()}", *times)
        finally:
            stage.close()


def measure(scene: Scene, ports: Sequence[int], requests: int) -> list[list[int]]:
    connections = [Connection(port) for port in ports]
    times = [[] for _ in ports]
    for number in range(WARM_UP + requests):
        for connection, mine in zip(connections, times):
            began = time.perf_counter_ns()
            answer = connection.ask("/latency", scene.token.field)
            taken = time.perf_counter_ns() - began
            if answer.status != 200:
                raise Unproven(f"{answer.status} where 200 was to be timed")
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
