"""Writes the commit into a program, in the place that is kept for it (Sources/CEmbeddedFiles).

    stamp.py PROGRAM COMMIT COPY
"""

import sys
from pathlib import Path

# 40 letters, as many as a commit has.
PLACE = b"commit:0000000000000000000000000000000000000000"


def main():
    program, commit, copy = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    content = program.read_bytes()
    found = content.count(PLACE)
    if found != 1 or len(commit) != 40:
        sys.exit(f"stamp: the program has {found} places for the commit {commit}")
    copy.write_bytes(content.replace(PLACE, b"commit:" + commit.encode()))
    copy.chmod(0o755)


main()
