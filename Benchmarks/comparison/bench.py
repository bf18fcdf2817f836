"""What every subject needs: the programs, how long to measure, and a folder that goes with the run."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Programs:
    """Paths of what is measured and what measures."""

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
        """A new empty folder of this name or with a number behind it. Short names: a socket's path has 107 bytes at most."""
        for number in range(1000):
            path = self.folder / (f"{name}{number}" if number else name)
            if not path.exists():
                path.mkdir(mode=0o700)
                return path
        raise RuntimeError("too many folders")


def progress(text: str) -> None:
    """A line for who watches; results go elsewhere."""
    print(text, file=sys.stderr, flush=True)
