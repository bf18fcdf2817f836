"""Measures Countersign beside its peers in one run on one machine: see Benchmarks/compare.

The parts: `peers` starts servers, `loads` runs load generators, `rounds` alternates between the sides, `comparisons` checks
ratios against limits, `subjects` defines what is compared, and `report` writes the results. Processes, the service and a
small client are shared with the proofs: see deploy/proofs/harness.
"""
