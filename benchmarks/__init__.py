"""Measure edgekit against the tools a user would pick instead, on the same models and data, in the same run.

`make bench` (or ``python -m benchmarks``) writes ``build/bench/results.json`` and the README's table.
"""
