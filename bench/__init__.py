"""Benchmarks: ratios in one run, medians of interleaved pairs. Never part of the tests: machines differ."""
