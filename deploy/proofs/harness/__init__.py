"""What the proofs and the benchmarks share. The proofs find it beside them, the benchmarks by a PYTHONPATH.

The parts: `processes` starts programs and ends them by their id, `connection` is a small client of HTTP/1.1, `service` is a
running Countersign with its command line and callers of it, `browser` is headless Chromium, and `checks` says what holds and
ends with the exit status that tells it.
"""
