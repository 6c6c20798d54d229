"""Measures the figures that README.md and RESULTS.md quote: `python -m benchmarks --help`."""
