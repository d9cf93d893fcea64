"""Converters and runtimes are plug-ins: found by name, imported only when asked for.

Built-in ones live in ``edgekit_converters`` and ``edgekit_runtimes``; third parties register theirs under
the entry-point groups ``edgekit.converters`` and ``edgekit.runtimes``.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    import numpy as np

    from edgekit.graph import Graph
    from edgekit.targets.platform import Platform
    from edgekit.tensors import TensorSpec


@dataclass(frozen=True)
class Encoding:
    """How a converter writes what the graph leaves open.

    Attributes:
        input_dtype: Dtype of the file's float inputs.
        output_dtype: Dtype of the file's float outputs.
        labels: Class labels to embed, or None.
        description: Text to embed, or None.
        author: Who made the model, or None.
        licence: Under which terms it may be used, or None.
        version: The model's own version, or None.
        compute: What float operators compute in: ``float32`` or ``float16``.
        images: Names of inputs that take pixels 0…255 of shape (1, channels, height, width), to the order of their colours: ``RGB``,
            ``BGR`` or ``GRAY``.
        batches: The smallest, the usual and the largest batch of a file that takes any between; None for one fixed batch.
        platform: Which version of the device's system the file is for, and what it reads; None where that makes no difference.
    """

    input_dtype: str = "float32"
    output_dtype: str = "float32"
    labels: tuple[str, ...] | None = None
    description: str | None = None
    author: str | None = None
    licence: str | None = None
    version: str | None = None
    compute: str = "float32"
    images: Mapping[str, str] = field(default_factory=dict)
    batches: tuple[int, int, int] | None = None
    platform: Platform | None = None

    @property
    def texts(self) -> dict[str, str]:
        """What was said of the model, by field name: description, author, licence and version, those that were given."""
        said = {name: getattr(self, name) for name in ("description", "author", "licence", "version")}
        return {name: text for name, text in said.items() if text is not None}

    def untold(self, files: str) -> tuple[str, ...]:
        """The note for `files` that have no place for texts and labels; none where there are none."""
        told = [*self.texts, *(["labels"] if self.labels else [])]
        return (f"metadata: {files} have no place for {', '.join(told)}: the manifest has them",) if told else ()


@dataclass(frozen=True)
class EmittedOp:
    """One operator of a written file.

    Attributes:
        name: Its name there.
        module: Path of the user's module it came from.
        dtype: What it computes in.
        shapes: Of its inputs, for error messages.
    """

    name: str
    module: str
    dtype: str
    shapes: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class EmittedWeight:
    """A constant of a written file, and what must come back when the file is read.

    Attributes:
        name: Of the constant in the file (the value after decompression, where it is stored compressed).
        module: Path of the user's module it belongs to.
        values: The graph's values in the file's own layout and dtype, rounded as the encoding declares: to half precision in an fp16
            file, to ``integer × scale`` of the file's scale dtype on an integer grid. Held against the file bit for bit.
    """

    name: str
    module: str
    values: np.ndarray


@dataclass(frozen=True)
class Emitted:
    """What a converter wrote.

    Attributes:
        model_file: The model's file name inside the folder; it may be a folder itself (``model.mlpackage``).
        inputs: In the file's own dtypes, with their grids.
        outputs: The same.
        ops: In execution order.
        notes: Concessions the manifest must list (an op left in float, a transpose at an edge).
        requires: What the device must have at least: ``{"iOS": "17"}``.
        build: The command to be run on the device, in the artifact's folder, to make what the device loads; empty where it loads
            the file itself.
        weights: What reading the file back must give; the check after a conversion compares. Empty where a converter does not say.
    """

    model_file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: tuple[EmittedOp, ...]
    notes: tuple[str, ...] = ()
    requires: Mapping[str, str] = field(default_factory=dict)
    build: tuple[str, ...] = ()
    weights: tuple[EmittedWeight, ...] = field(default=(), compare=False, repr=False)


class Converter(Protocol):
    """Writes one format. A module of ``edgekit_converters`` exports one as ``CONVERTER``.

    One whose attribute ``resizable`` is true writes graphs with `Graph.open_sizes` as files that take any of those sizes.
    """

    name: str
    suffix: str
    extra: str
    reader: str | None
    """``module:function`` that describes a file of the format, called in a worker by `edgekit.conversion.explain`; or None."""

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly quantized graph into `folder`.

        Raises:
            ConversionError: An operator has no emitter.
        """


@dataclass(frozen=True)
class RunRequest:
    """What a runtime is asked to execute.

    Attributes:
        model: The model file.
        threads: CPU threads.
        delegate: ``xnnpack``, ``none`` or ``reference``.
        options: Runtime-specific.
    """

    model: Path
    threads: int = 1
    delegate: str = "xnnpack"
    options: Mapping[str, Any] = field(default_factory=dict)


class Runtime(Protocol):
    """Executes one format. A module of ``edgekit_runtimes`` exports one as ``RUNTIME``.

    Every call runs vendor code in a worker process.
    """

    @property
    def name(self) -> str:
        """The module's own."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the converters whose files it runs."""

    @property
    def extra(self) -> str:
        """Which of edgekit's extras installs what it needs."""

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample: arrays of shape (samples, *input shape without batch) in the file's dtypes, to outputs alike."""

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load the file: its ``inputs`` and ``outputs`` (`TensorSpec.to_json`), and its ``ops`` (``name``, ``delegated``)."""


def kernels_of(runtime: Any, delegate: str) -> str:
    """What a record calls the kernels that ran.

    Args:
        runtime: One whose attribute ``kernels`` says what the names of `RunRequest.delegate` stand for there, if it is not these; an empty
            mapping where they mean nothing.
        delegate: As requested.
    """
    names: Mapping[str, str] | None = getattr(runtime, "kernels", None)
    return delegate if names is None else names.get(delegate, "none")


class ReadsBack(Protocol):
    """A runtime that can read a file's constants back: what `Emitted.weights` is held against after each conversion."""

    def weights(self, request: RunRequest) -> dict[str, np.ndarray]:
        """Every constant that an operator uses, by its name in the file, decompressed by code that shares nothing with the writer."""


class Inexact(Protocol):
    """A runtime whose convolutions are further from the products and sums they stand for than rounding explains (Winograd's algorithm)."""

    convolution_error: float
    """Relative error of a convolution with several taps, root mean square, as measured on single ones."""


class LayeredRuntime(Runtime, Protocol):
    """A runtime that gives what a file computes inside, for `edgekit.verification.layers`."""

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """Run each sample; the real values of these results, by name, arrays of shape (samples, ...) in the file's own layout.

        A result's name is that of its operator (the option ``name`` in the reader's words), else of its tensor, else ``#`` and the
        tensor's number. What the file lacks, or has not in numbers, is left out.
        """


_PACKAGES = {"converters": "edgekit_converters", "runtimes": "edgekit_runtimes", "transports": "edgekit_runtimes.transports"}


def names(kind: str) -> tuple[str, ...]:
    """Names of the built-in and registered plug-ins of a kind (``converters``, ``runtimes`` or ``transports``)."""
    package = importlib.import_module(_PACKAGES[kind])
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.endswith("_test") and not m.name.startswith("_")]
    built_in = [name for name in modules if name not in _PACKAGES and name != "conftest"]
    return tuple(sorted({*built_in, *(e.name for e in _registered(kind))}))


def _registered(kind: str) -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - brings a parser of mail; launches of runtimes import this module

    return entry_points(group=f"edgekit.{kind}")


def load(kind: str, name: str) -> Any:
    """Import a plug-in by name.

    Raises:
        UsageError: No plug-in of that name, or its extra is not installed.
    """
    if name not in names(kind):
        raise UsageError(f"no {kind[:-1]} is called {name!r}", accepted=names(kind))
    for entry in _registered(kind):
        if entry.name == name:
            return entry.load()
    try:
        module = importlib.import_module(f"{_PACKAGES[kind]}.{name}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("edgekit"):
            raise
        raise UsageError(
            f"{kind[:-1]} {name!r} needs the package {error.name!r}, which is not installed", next_step=f"pip install 'edgekit[{name}]'"
        ) from None
    return getattr(module, kind[:-1].upper())


def require(package: str, extra: str) -> None:
    """Raise a `UsageError` that names the extra if `package` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"this needs the package {package!r}, which is not installed", next_step=f"pip install 'edgekit[{extra}]'")


def described(specs: Sequence[TensorSpec]) -> str:
    """Inputs or outputs in one line, for errors."""
    return ", ".join(f"{s.name}: {s.dtype}{list(s.shape)}" for s in specs)
