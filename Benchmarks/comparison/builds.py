"""Builds what is measured and what measures, all before the first round."""

import subprocess
from pathlib import Path

from .arguments import Arguments
from .bench import Programs, progress
from .failure import Failed

ROOT = Path(__file__).resolve().parents[2]


def programs(arguments: Arguments, names: set[str]) -> Programs:
    """Builds what the subjects with these names need and the command line does not give."""
    countersign = arguments.program or build("countersign", ROOT, ".build-release")
    by_others = {
        "introspect-http", "verify-http", "check-grpc", "introspect-tls", "introspect-pipelined", "sidecar", "token-endpoint"}
    needs_load = names - by_others - {"in-process"}
    load = arguments.load or (build("load", ROOT / "Benchmarks", ".build-load") if needs_load else None)
    path_ratios = arguments.path_ratios
    if path_ratios is None and "in-process" in names:
        path_ratios = build("PathRatios", ROOT / "Benchmarks", ".build")
    return Programs(countersign, load, path_ratios)


def build(product: str, package: Path, scratch: str) -> Path:
    """Builds a release of a product and returns where it lies."""
    progress(f"== Building {product}")
    command = ["swift", "build", "-c", "release", "--product", product, "--scratch-path", scratch]
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
