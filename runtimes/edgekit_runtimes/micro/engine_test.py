"""The engine over a board that a test plays: a real one, as far as it can tell."""

import numpy as np
import pytest

from edgekit import plugins
from edgekit.devices import Address, DeviceState, Machine
from edgekit.errors import ConversionError, DeviceFailed
from edgekit.plugins import RunRequest
from edgekit.profiling import profile


class RealBoard:
    """Answers as the firmware does: 64 MHz, and so many cycles a run."""

    address = Address("serial", "/dev/ttyACM0")

    def __init__(self, cycles=64_000, refuse=b"", clock=64):
        self.cycles, self.refuse, self.clock, self.runs = cycles, refuse, clock, 0

    def machine(self):
        clocks = (self.clock,) if self.clock else ()
        return Machine("cortex-m4", "cortex-m4", 1, 1, 262_144, "edgekit's firmware 1", False, clocks_mhz=clocks)

    def state(self):
        return DeviceState(at=1.0)

    def close(self):
        pass

    def exchange(self, message, *, timeout):
        if message[:1] == b"l":
            self.plan = message[1:]
            return self.refuse or b"k"
        runs = message[1]
        self.runs += runs
        cycles = self.cycles + np.arange(runs) % 3
        return b"o" + cycles.astype("<u4").tobytes() + bytes(5)


def test_a_real_boards_cycles_are_its_latency(small):
    board = RealBoard()
    found = profile(small, on=board, launches=2, quick=True)
    assert found.basis == "measured" and found.latency.median_ms == pytest.approx(1.0, rel=1e-3)
    assert found.memory.arena_bytes > 0 and board.runs > 128
    assert "times whole runs" in found.ops.reason


def test_a_board_without_a_counter_or_a_clock_is_told(small):
    with pytest.raises(DeviceFailed, match="no cycle counter"):
        profile(small, on=Still(), launches=1, quick=True)
    with pytest.raises(DeviceFailed, match="does not state its clock"):
        profile(small, on=RealBoard(clock=0), launches=1, quick=True)


class Still(RealBoard):
    """Has no cycle counter."""

    def exchange(self, message, *, timeout):
        return b"k" if message[:1] == b"l" else b"o" + bytes(4 * message[1]) + bytes(5)


def test_a_board_that_refuses_says_why(small, samples):
    board = plugins.load("runtimes", "micro").on(RealBoard(refuse=b"ethe arena is larger than this board's"))
    with pytest.raises(DeviceFailed, match="the arena is larger"):
        board.run(RunRequest(small.model_file), samples)


class Garbled(RealBoard):
    """Answers a run with something else."""

    def exchange(self, message, *, timeout):
        return b"k" if message[:1] == b"l" else b"\xff\x00"


def test_garbage_is_told(small, samples):
    with pytest.raises(DeviceFailed, match="it answered"):
        plugins.load("runtimes", "micro").on(Garbled()).run(RunRequest(small.model_file), samples)


def test_what_the_firmware_has_no_kernel_for(tmp_path):
    import torch

    from edgekit.plugins import Encoding
    from edgekit.testing.graphs import graph_of

    model = plugins.load("converters", "litert").emit(graph_of(torch.ops.aten.relu.default, [torch.randn(1, 4)]), tmp_path, Encoding())
    with pytest.raises(ConversionError, match=r"RELU.*node number 0.*int8 only"):
        plugins.load("runtimes", "micro").on(RealBoard()).run(RunRequest(tmp_path / model.model_file), {"x0": np.zeros((1, 4), "f4")})
