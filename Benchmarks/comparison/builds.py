"""Builds all programs before the first round."""

import subprocess
from pathlib import Path

from .arguments import Arguments
from .bench import Programs, progress
from .failure import Failed

ROOT = Path(__file__).resolve().parents[2]


def programs(arguments: Arguments, names: set[str]) -> Programs:
    """Builds the programs that these subjects need, except those that the command line names."""
    countersign = service(arguments.program)
    with_other_loads = {
        "introspect-http", "verify-http", "check-grpc", "introspect-tls", "introspect-pipelined", "sidecar", "token-endpoint"}
    needs_load = names - with_other_loads - {"in-process"}
    load = arguments.load or (build("load", ".build-load") if needs_load else None)
    path_ratios = arguments.path_ratios
    if path_ratios is None and "in-process" in names:
        path_ratios = build("PathRatios", ".build")
    return Programs(countersign, load, path_ratios)


def service(given: Path | None) -> Path:
    """The given Countersign, or the release that deploy/lib.sh builds."""
    if given:
        return given
    progress("== Building countersign")
    done = subprocess.run(
        ["bash", "-c", '. "$0" && release_program', ROOT / "deploy" / "lib.sh"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed("countersign could not be built")
    return Path(done.stdout.strip())


def build(product: str, scratch: str) -> Path:
    """Builds a product of this package, without the flags of the release, and returns its path."""
    progress(f"== Building {product}")
    command = ["swift", "build", "-c", "release", "--product", product, "--scratch-path", scratch]
    package = ROOT / "Benchmarks"
    try:
        subprocess.run(command, cwd=package, stdin=subprocess.DEVNULL, stdout=2, check=True)
        shown = subprocess.run(
            [*command[:4], "--scratch-path", scratch, "--show-bin-path"], cwd=package, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=True)
    except FileNotFoundError as missing:
        raise Failed("Swift 6.2 or later is needed: https://www.swift.org/install/linux") from missing
    except subprocess.CalledProcessError as failed:
        raise Failed(f"{product} could not be built") from failed
    return Path(shown.stdout.strip()) / product
