"""The native engine: LiteRT on boards without Python, emulated ones, and here. A C program of edgekit's own runs the model there."""

from __future__ import annotations

from edgekit_runtimes.native.engine import TimedNative

RUNTIME = TimedNative()
