"""The command line."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .subjects import SUBJECTS


@dataclass(frozen=True)
class Arguments:
    rounds: int
    seconds: int
    only: list[str]
    out: Path | None
    program: Path | None
    load: Path | None
    path_ratios: Path | None
    large: int
    check: bool
    list: bool
    redraw: Path | None
    self_test: bool

    def public(self) -> dict[str, object]:
        """The arguments for the results, without paths."""
        return {
            "rounds": self.rounds, "seconds": self.seconds, "only": self.only, "large": self.large,
            "program_given": self.program is not None}


def at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text.replace("_", "").replace(",", ""))
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value
    return parse


def program(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError("is not a file")
    return path


def read(words: list[str]) -> Arguments:
    """Ends the program with 2 if the arguments are invalid."""
    parser = argparse.ArgumentParser(
        prog="Benchmarks/compare", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures Countersign beside its peers in one run on one machine.",
        epilog="Exit status: 0 done, 1 a limit is broken (with --check), 2 usage, 3 a side failed and nothing was written.")
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="N", help="rounds of each side (5)")
    parser.add_argument("--seconds", type=at_least(1), default=4, metavar="S", help="seconds of each round (4)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="SUBJECT", choices=[subject.name for subject in SUBJECTS],
        help="measure these alone; --list names them")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (Benchmarks/Results/DATE)")
    parser.add_argument("--program", type=program, metavar="PATH", help="a release of countersign, which is then not built")
    parser.add_argument("--load", type=program, metavar="PATH", help="the load generator, likewise")
    parser.add_argument("--path-ratios", type=program, metavar="PATH", help="PathRatios, likewise")
    parser.add_argument(
        "--large", type=at_least(0), default=0, metavar="N", help="also a store with N credentials, such as 10_000_000")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is broken")
    parser.add_argument("--list", action="store_true", help="name the subjects and end")
    parser.add_argument(
        "--redraw", type=Path, metavar="DIR", help="write README.md and plots of that folder's results.json again and end")
    parser.add_argument("--self-test", action="store_true", help="check the parsing and the arithmetic and end")
    values = vars(parser.parse_args(words))
    if values["large"] and values["only"] and "large-store" not in values["only"]:
        parser.error("--large belongs to the subject large-store")
    if "large-store" in values["only"] and not values["large"]:
        parser.error("large-store needs --large N")
    return Arguments(**values)
