"""Measures the figures that docs/performance.md and RESULTS.md quote: `python -m benchmarks --help`."""
