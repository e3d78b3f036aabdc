"""Benchmarks: ``make bench``, or ``make bench ONLY=transport``. Ratios against a named baseline measured in the same run."""
