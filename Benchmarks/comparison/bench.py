"""What every subject needs: the programs, the duration of rounds, and a temporary folder."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Programs:
    """Paths of the measured program and of the measuring ones."""

    countersign: Path
    load: Path | None
    path_ratios: Path | None


@dataclass(frozen=True)
class Bench:
    programs: Programs
    folder: Path
    """Temporary, for this user only; holds stores, sockets and all secrets."""
    round_count: int
    round_seconds: int
    large_count: int
    """Credentials of the large store; 0 leaves it out."""

    connection_count: int = 64

    def fresh_folder(self, name: str) -> Path:
        """A new empty folder of this name, if necessary with a number appended. Names are short: the path of a socket has at most 107
        bytes."""
        for number in range(1000):
            path = self.folder / (f"{name}{number}" if number else name)
            if not path.exists():
                path.mkdir(mode=0o700)
                return path
        raise RuntimeError("too many folders")


def progress(text: str) -> None:
    """Prints a line of progress to standard error."""
    print(text, file=sys.stderr, flush=True)
