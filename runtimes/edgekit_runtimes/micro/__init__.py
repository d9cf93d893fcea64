"""Microcontrollers: edgekit's firmware and its kernels, the plans it runs, the emulated boards that count them, and the engine."""

from __future__ import annotations

from edgekit_runtimes.micro.engine import Micro

RUNTIME = Micro()
