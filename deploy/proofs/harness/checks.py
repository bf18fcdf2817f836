"""What a proof says: what holds, what does not, and the exit status at its end."""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

PROVEN, REFUTED, UNPROVEN = 0, 1, 2
PROBLEMS_SHOWN_MAX = 40


class Unproven(Exception):
    """Something went wrong that is not what the proof is about, so that nothing was proven. Its text names no secret."""


class Refuted(Exception):
    """Something does not hold. Its text names no secret."""


def require(holds: object, what: str) -> None:
    """For a proof that ends with the first thing that does not hold. Raises Refuted."""
    if not holds:
        raise Refuted(f"not so: {what}")


def check(holds: object, what: str) -> None:
    """The same, and says what holds."""
    require(holds, what)
    print(f"  {what}", flush=True)


class Checks:
    """For a proof that goes on and says at its end what does not hold."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[str] = []

    def check(self, holds: object, what: str, seen: object = "") -> bool:
        self.count += 1
        if holds:
            print(f"  {what}", flush=True)
        else:
            self.failures.append(what)
            print(f"  NOT SO: {what}" + (f"\n    {str(seen)[:2000]}" if seen != "" else ""), flush=True)
        return bool(holds)


def as_expected(name: str, problems: Sequence[str], mutant: str = "") -> bool:
    """Prints the problems. Whether there are none; where `mutant` names a broken program, whether there are some."""
    for line in problems[:PROBLEMS_SHOWN_MAX]:
        print(line, file=sys.stderr)
    if mutant:
        print(f"{name}: {mutant} " + ("was caught" if problems else "was not noticed"))
    return bool(problems) == bool(mutant)


def conclude(name: str, prove: Callable[[], bool], unproven: int = UNPROVEN) -> NoReturn:
    """Runs a proof, which says whether the outcome is the expected one, and ends the program.

    - unproven: the exit status when nothing was proven. Some proofs tell it from 1 and some do not.
    """
    # A polite end runs what ends the processes too.
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
