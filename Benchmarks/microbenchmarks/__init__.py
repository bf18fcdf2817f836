"""Checks one verification against committed thresholds: see Benchmarks/micro.

The parts: `package_suite` runs the benchmarks of Benchmarks/HotPath, `path_counts` and `http_counts` count
instructions with callgrind, `instructions` checks the counts against the committed ones, and `table` formats all of them.
"""
