"""Models and data that edgekit's own tests and benchmarks use. Left out of the wheel's public surface."""
