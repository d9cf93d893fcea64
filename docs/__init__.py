"""The documentation: pages written by hand, and pages `docs.generate` makes from the code."""
