"""Measures what docs/performance.md and RESULTS.md quote: `python -m benchmarks --help`."""
