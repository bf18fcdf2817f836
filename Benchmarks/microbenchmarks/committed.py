"""The thresholds of the last release, from git."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.builds import ROOT

FOLDER = Path("Benchmarks/Thresholds")


@dataclass(frozen=True)
class Release:
    tag: str

    def read(self, name: str) -> str | None:
        """A file of the thresholds in that release; None if it did not exist."""
        return git("show", f"{self.tag}:{FOLDER / name}")


def last_release() -> Release | None:
    """The newest release before this commit. The commit of a new release may have its tag already."""
    for commit in ("HEAD^", "HEAD"):
        if git("rev-parse", "--verify", "--quiet", commit) is not None:
            tag = git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*", commit)
            return Release(tag.strip()) if tag else None
    return None


def git(*words: str) -> str | None:
    """The output of git; None after an error."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True)
    return done.stdout if done.returncode == 0 else None
