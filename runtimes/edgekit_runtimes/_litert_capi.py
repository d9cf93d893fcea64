"""The few functions of LiteRT's C API that profile a run, through ctypes.

The Python binding cannot reach LiteRT's own profiler; `libLiteRt.so`, which stands beside it in the wheel, exports it.
Only the shapes of two structs are assumed, and both are checked before they are believed.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError

KERNELS = {"xnnpack": "xnnpack", "none": "builtin"}
CPU = 1
LOCK_WRITE = 1
MAX_RANK = 8
KNOWN_EVENTS = {1 << bit for bit in range(9)}
OPERATOR, DELEGATE_OPERATOR = 1 << 1, {1 << 2, 1 << 3}


class ProfilerMissing(EdgekitError):
    """This LiteRT does not let itself be profiled this way."""


class _Event(c.Structure):
    """``ProfiledEventData``: litert/c/litert_profiler_event.h."""

    _fields_ = (
        ("tag", c.c_char_p),
        ("type", c.c_int),
        ("start_us", c.c_uint64),
        ("elapsed_us", c.c_uint64),
        ("memory_before", c.c_int64 * 3),
        ("memory_after", c.c_int64 * 3),
        ("index", c.c_int64),
        ("index2", c.c_int64),
        ("source", c.c_int),
    )


class _TensorType(c.Structure):
    """``LiteRtRankedTensorType``: element type, then a layout of rank (7 bits), a strides flag and dimensions."""

    _fields_ = (("element", c.c_int), ("rank", c.c_uint32), ("dims", c.c_int32 * MAX_RANK), ("strides", c.c_uint32 * (2 * MAX_RANK)))


@dataclass(frozen=True)
class Event:
    """One entry of the profile.

    Attributes:
        name: The operator or, of a delegate, the kernel.
        delegated: Whether a delegate says so.
        index: The node's index, or the kernel's number within its partition.
        microseconds: Whole ones; LiteRT's kernels rounded at both ends, a delegate's rounded down.
    """

    name: str
    delegated: bool
    index: int
    microseconds: int


class ProfiledModel:
    """A model compiled with profiling on.

    Args:
        model: The ``.tflite`` file.
        delegate: A key of `KERNELS`.
        threads: CPU threads.

    Raises:
        ProfilerMissing: The library, a function or the profiler is not there.
    """

    def __init__(self, model: Path, delegate: str, threads: int) -> None:
        if delegate not in KERNELS:
            raise ProfilerMissing(f"LiteRT's profiled engine has no {delegate!r} kernels")
        self._lib = _library()
        environment, loaded, options = c.c_void_p(), c.c_void_p(), c.c_void_p()
        self._environment, self._compiled, self._profiler = environment, c.c_void_p(), c.c_void_p()
        self._call("LiteRtCreateEnvironment", c.c_int(0), None, c.byref(environment))
        self._call("LiteRtCreateModelFromFile", environment, c.c_char_p(str(model).encode()), c.byref(loaded))
        self._call("LiteRtCreateOptions", c.byref(options))
        self._call("LiteRtSetOptionsHardwareAccelerators", options, c.c_int(CPU))
        self._option(options, "runtime_options_string", "enable_profiling = true\n")
        self._option(options, "xnnpack", f'kernel_mode = "{KERNELS[delegate]}"\nnum_threads = {threads}\n')
        self._call("LiteRtCreateCompiledModel", environment, loaded, options, c.byref(self._compiled))
        self._call("LiteRtCompiledModelGetProfiler", self._compiled, c.byref(self._profiler))
        if not self._profiler:
            raise ProfilerMissing("LiteRT ignored the request for a profiler")
        self._signature = c.c_void_p()
        self._call("LiteRtGetModelSignature", loaded, c.c_size_t(0), c.byref(self._signature))

    def bind(self, inputs: list[np.ndarray], outputs: list[tuple[int, ...]]) -> None:
        """Make buffers: inputs filled with these values, outputs of these shapes, both in signature order."""
        self._inputs = self._buffers("Input", [a.shape for a in inputs])
        self._outputs = self._buffers("Output", outputs)
        for buffer, array in zip(self._inputs, inputs, strict=True):
            self._fill(buffer, np.ascontiguousarray(array))

    def run(self) -> None:
        """One run."""
        count = len(self._inputs), len(self._outputs)
        self._call(
            "LiteRtRunCompiledModel", self._compiled, c.c_size_t(0), c.c_size_t(count[0]), self._inputs, c.c_size_t(count[1]), self._outputs
        )

    def profile(self, runs: int) -> list[Event]:
        """Operator events of so many runs, in order."""
        self._call("LiteRtStartProfiler", self._profiler)
        for _ in range(runs):
            self.run()
        self._call("LiteRtStopProfiler", self._profiler)
        count = c.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, c.byref(count))
        spare = (_Event * (2 * count.value + 1))()  # room for a struct that grew, so that it is noticed and not overrun
        self._call("LiteRtGetProfilerEvents", self._profiler, count, spare)
        events = list(spare[: count.value])
        if any(e.type not in KNOWN_EVENTS for e in events) or any(spare[count.value].memory_before):
            raise ProfilerMissing("LiteRT's profile has a layout this version of edgekit does not know")
        return [_event(e) for e in events if e.type == OPERATOR or e.type in DELEGATE_OPERATOR]

    def _buffers(self, side: str, shapes: list[tuple[int, ...]]) -> c.Array[c.c_void_p]:
        count = c.c_size_t()
        self._call(f"LiteRtGetNumSignature{side}s", self._signature, c.byref(count))
        if count.value != len(shapes):
            raise ProfilerMissing(f"LiteRT's two APIs disagree on the number of {side.lower()}s: {count.value} and {len(shapes)}")
        made = (c.c_void_p * count.value)()
        for i, shape in enumerate(shapes):
            made[i] = self._buffer(side, i, shape)
        return made

    def _buffer(self, side: str, index: int, shape: tuple[int, ...]) -> int | None:
        tensor, needs, buffer, kind = c.c_void_p(), c.c_void_p(), c.c_void_p(), _TensorType()
        self._call(f"LiteRtGetSignature{side}TensorByIndex", self._signature, c.c_size_t(index), c.byref(tensor))
        self._call("LiteRtGetRankedTensorType", tensor, c.byref(kind))
        if kind.rank & 0x7F != len(shape):
            raise ProfilerMissing(f"LiteRT's two APIs disagree on the rank of {side.lower()} {index}")
        kind.dims[: len(shape)] = shape  # the file may leave dimensions open (-1)
        where = (self._compiled, c.c_size_t(0), c.c_size_t(index))
        self._call(f"LiteRtGetCompiledModel{side}BufferRequirements", *where, c.byref(needs))
        self._call("LiteRtCreateManagedTensorBufferFromRequirements", self._environment, c.byref(kind), needs, c.byref(buffer))
        return buffer.value

    def _fill(self, buffer: int | None, array: np.ndarray) -> None:
        handle, address, size = c.c_void_p(buffer), c.c_void_p(), c.c_size_t()
        self._call("LiteRtGetTensorBufferPackedSize", handle, c.byref(size))
        if size.value != array.nbytes:
            raise ProfilerMissing(f"LiteRT's two APIs disagree on an input's size: {size.value} and {array.nbytes} bytes")
        self._call("LiteRtLockTensorBuffer", handle, c.byref(address), c.c_int(LOCK_WRITE))
        c.memmove(address, array.ctypes.data, array.nbytes)
        self._call("LiteRtUnlockTensorBuffer", handle)

    def _option(self, options: c.c_void_p, identifier: str, text: str) -> None:
        libc = c.CDLL(None)
        libc.strdup.restype = c.c_void_p
        payload, made = c.c_void_p(libc.strdup(text.encode())), c.c_void_p()
        self._call("LiteRtCreateOpaqueOptions", c.c_char_p(identifier.encode()), payload, c.cast(libc.free, c.c_void_p), c.byref(made))
        self._call("LiteRtAddOpaqueOptions", options, made)

    def _call(self, name: str, *arguments: object) -> None:
        try:
            function = getattr(self._lib, name)
        except AttributeError:
            raise ProfilerMissing(f"this LiteRT does not export {name}") from None
        if status := function(*arguments):
            raise ProfilerMissing(f"LiteRT's {name} failed with status {status}")


def _library() -> c.CDLL:
    spec = importlib.util.find_spec("ai_edge_litert")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    found = next((p for p in (folder / f"libLiteRt{suffix}" for suffix in (".so", ".dylib", ".dll")) if p.is_file()), None)
    if found is None:
        raise ProfilerMissing("the ai-edge-litert package holds no libLiteRt here")
    return c.CDLL(str(found))


def _event(event: _Event) -> Event:
    return Event(event.tag.decode(errors="replace"), event.type != OPERATOR, int(event.index), int(event.elapsed_us))
