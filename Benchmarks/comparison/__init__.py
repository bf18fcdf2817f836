"""Measures Countersign beside its peers in one run on one machine: see Benchmarks/compare.

The parts: `peers` start servers, `loads` put load on them, `rounds` takes turns between sides and notes what each came to,
`comparisons` holds ratios against limits, `subjects` say what is compared, and `report` writes it down. Processes, the
service and a small client are shared with the proofs: see deploy/proofs/harness.
"""
