"""Runs gateways between clients and an application and checks what arrives. See deploy/proofs/gateways."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gateway_checks import CHECKS, Check
from gateway_fixture import Fixture, redacted
from gateway_latency import table
from gateway_mutants import MUTANTS, Edits
from gateway_setup import GATEWAYS, Gateway, Setup
from harness.checks import Checks, Refuted, Unproven, conclude


def prove(
    program: Path, gateway: Gateway, requests: int, checks: Sequence[Check] = CHECKS, edits: Edits = (),
) -> list[str]:
    """Returns the names of the failed checks."""
    setup = Setup(program, gateway)
    failures, report = [], Checks()
    try:
        print(f"{gateway.name} {setup.version()}")
        setup.start_service()
        fixture = Fixture(setup, setup.start_gateway(*edits), requests)
        for check in checks:
            began = time.monotonic()
            try:
                check(fixture)
                report.check(True, f"{check.__doc__} ({time.monotonic() - began:.1f} s)")
            except Unproven:
                raise
            except Exception as reason:
                failures.append(check.__name__)
                seen = str(reason) if isinstance(reason, Refuted) else f"{type(reason).__name__}: {reason}"
                report.check(False, check.__doc__, redacted(seen))
    finally:
        setup.close()
    return failures


def main() -> bool:
    parser = argparse.ArgumentParser(prog="deploy/proofs/gateways", description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--only", choices=[gateway.name for gateway in GATEWAYS])
    parser.add_argument("--requests", type=int, default=5_000, help="under load, or timed with --latency")
    parser.add_argument("--latency", action="store_true", help="print the latency that Countersign adds to a request")
    meanings = "; ".join(f"{name}: {mutant.meaning}" for name, mutant in MUTANTS.items())
    parser.add_argument("--mutant", choices=[*MUTANTS, "all"], help=meanings)
    arguments = parser.parse_args()
    gateways = [gateway for gateway in GATEWAYS if arguments.only in (None, gateway.name)]
    program, requests = arguments.program.resolve(), arguments.requests
    if arguments.latency:
        table(program, gateways, requests)
        return True
    if arguments.mutant:
        names = list(MUTANTS) if arguments.mutant == "all" else [arguments.mutant]
        return all([detects(program, gateways, requests, name) for name in names])
    wrong = [gateway.name for gateway in gateways if prove(program, gateway, requests)]
    if wrong:
        print(f"gateways: checks failed for {', '.join(wrong)}", file=sys.stderr)
        return False
    print(f"gateways: all checks passed for {len(gateways)}")
    return True


def detects(program: Path, gateways: list[Gateway], requests: int, name: str) -> bool:
    """Whether the proof detects the hole in each configuration that has it."""
    mutant = MUTANTS[name]
    checks = [check for check in CHECKS if check.__name__ in ("identity", mutant.detected_by)]
    made = [gateway for gateway in gateways if gateway.name in mutant.edits]
    missed = [
        gateway.name for gateway in made
        if mutant.detected_by not in prove(
            program, gateway, requests * mutant.times, checks, mutant.edits[gateway.name])]
    if missed or not made:
        print(f"gateways: the mutant {name} was not detected in {', '.join(missed) or 'any'}", file=sys.stderr)
        return False
    print(f"gateways: the mutant {name} was detected in {', '.join(gateway.name for gateway in made)}")
    return True


conclude("gateways", main, unproven=1)
