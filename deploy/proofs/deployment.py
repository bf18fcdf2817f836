"""Proves the files for deploying. See deploy/proofs/deployment."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import deployment_container
import deployment_kubernetes
import deployment_observability
import deployment_systemd
from deployment_fixture import Fixture
from deployment_mutants import MUTANTS
from harness.checks import Unproven, conclude

DEPLOY = Path(__file__).resolve().parent.parent
PARTS = {
    "container": deployment_container.prove,
    "systemd": deployment_systemd.prove,
    "kubernetes": deployment_kubernetes.prove,
    "observability": deployment_observability.prove,
}


def prove(program: Path, deploy: Path, name: str) -> list[str]:
    """Returns the failed checks."""
    print(name, flush=True)
    began = time.monotonic()
    fixture = Fixture(program, deploy)
    try:
        PARTS[name](fixture)
    except Exception as reason:
        fixture.check(False, f"{name} runs to its end", f"{type(reason).__name__}: {reason}")
    finally:
        fixture.close()
    print(f"  ({fixture.count} checks, {time.monotonic() - began:.1f} s)", flush=True)
    return fixture.failures


def detects(program: Path, name: str) -> bool:
    """Whether the proof detects the fault in a copy of the files."""
    mutant = MUTANTS[name]
    with tempfile.TemporaryDirectory(prefix="deployment-mutant-") as folder:
        copy = Path(folder) / "deploy"
        shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns("proofs", "gateways"))
        file = copy / mutant.file
        text = file.read_text()
        if mutant.text not in text:
            raise Unproven(f"{mutant.file} has no {mutant.text!r} to change")
        file.write_text(text.replace(mutant.text, mutant.replacement))
        detected = any(mutant.detected_by in failure for failure in prove(program, copy, mutant.part))
    print(f"deployment: the mutant {name} was {'detected' if detected else 'NOT detected'}: {mutant.meaning}", flush=True)
    return detected


def main() -> bool:
    parser = argparse.ArgumentParser(prog="deploy/proofs/deployment", description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--only", choices=list(PARTS))
    meanings = "; ".join(f"{name}: {mutant.meaning}" for name, mutant in MUTANTS.items())
    parser.add_argument("--mutant", choices=[*MUTANTS, "all"], help=meanings)
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    if arguments.mutant:
        names = [
            name for name, mutant in MUTANTS.items()
            if arguments.mutant in ("all", name) and arguments.only in (None, mutant.part)]
        return all([detects(program, name) for name in names])
    failures = [failure for name in PARTS if arguments.only in (None, name)
                for failure in prove(program, DEPLOY, name)]
    if failures:
        print(f"deployment: {len(failures)} checks failed", file=sys.stderr)
    else:
        print("deployment: all checks passed")
    return not failures


if __name__ == "__main__":
    conclude("deployment", main, unproven=1)
