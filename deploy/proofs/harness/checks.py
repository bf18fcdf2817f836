"""The result of a proof: its checks, their messages, and the exit status."""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

PROVEN, REFUTED, UNPROVEN = 0, 1, 2
PROBLEMS_SHOWN_MAX = 40


class Unproven(Exception):
    """The proof could not run, so nothing was proven. Its text contains no secret."""


class Refuted(Exception):
    """A check failed. Its text contains no secret."""


def require(holds: object, what: str) -> None:
    """For a proof that ends with its first failed check. Raises Refuted."""
    if not holds:
        raise Refuted(f"failed: {what}")


def check(holds: object, what: str) -> None:
    """The same, and prints a check that passed."""
    require(holds, what)
    print(f"  {what}", flush=True)


class Checks:
    """For a proof that goes on after a failed check and reports all of them at its end."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[str] = []

    def check(self, holds: object, what: str, seen: object = "") -> bool:
        self.count += 1
        if holds:
            print(f"  {what}", flush=True)
        else:
            self.failures.append(what)
            print(f"  FAILED: {what}" + (f"\n    {str(seen)[:2000]}" if seen != "" else ""), flush=True)
        return bool(holds)


def as_expected(name: str, problems: Sequence[str], mutant: str = "") -> bool:
    """Prints the problems. Returns whether there are none, or, if `mutant` names a broken program, whether there are some."""
    for line in problems[:PROBLEMS_SHOWN_MAX]:
        print(line, file=sys.stderr)
    if mutant:
        print(f"{name}: {mutant} " + ("was caught" if problems else "was not detected"))
    return bool(problems) == bool(mutant)


def conclude(name: str, prove: Callable[[], bool], unproven: int = UNPROVEN) -> NoReturn:
    """Runs a proof, which returns whether its result is the expected one, and ends the program.

    - unproven: the exit status when nothing was proven. Some proofs distinguish it from 1, others do not.
    """
    # As an exception, so that the blocks that end the child processes are left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(UNPROVEN))
    try:
        status = PROVEN if prove() else REFUTED
    except Refuted as reason:
        print(f"{name}: {reason}", file=sys.stderr)
        status = REFUTED
    except Unproven as reason:
        print(f"{name}: {reason}", file=sys.stderr)
        status = unproven
    except Exception:
        traceback.print_exc()
        status = unproven
    sys.exit(status)
