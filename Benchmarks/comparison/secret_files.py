"""Files that only this user may read, in the temporary folder of the run."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_secret(path: Path, text: str) -> Path:
    """Writes the text to a file that has the mode 0600 from its creation on."""
    return write_secret_lines(path, [text], ending="")


def write_secret_bytes(path: Path, content: bytes) -> Path:
    """The same with bytes."""
    with open(_open(path), "wb") as file:
        file.write(content)
    return path


def write_secret_lines(path: Path, lines: Iterable[str], ending: str = "\n") -> Path:
    """Writes the lines one by one: there may be ten million."""
    with open(_open(path), "w") as file:
        for line in lines:
            file.write(line + ending)
    return path


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
