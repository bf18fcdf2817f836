"""Code that the proofs and the benchmarks share. The proofs find it beside them, the benchmarks through PYTHONPATH.

The parts: `processes` starts programs and ends them by their id, `connection` is a small HTTP/1.1 client, `service` is a
running Countersign with its command line and its clients, `browser` is headless Chromium, and `checks` reports results and
sets the exit status.
"""
