"""Benchmarks: each prints medians and ratios against a peer in the same run, and never passes or fails.

Run one as a module, from the root of the source: `python -m tests.bench.point_read`. Modules whose names begin with an
underscore are what the benchmarks share.
"""
