"""Holds what one verification does against committed thresholds: see Benchmarks/micro.

The parts: `package_suite` runs the benchmarks of Benchmarks/HotPath, `path_counts` and `http_counts` have callgrind count
instructions, `instructions` holds the counts against the committed ones, and `table` shows both beside the last release's.
"""
