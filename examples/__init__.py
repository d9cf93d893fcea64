"""Numbered scripts, each complete, each run by the tests; `demo` is what `make demo` runs."""
