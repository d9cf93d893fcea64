"""Convert: one model in, one artifact folder out, in steps that each hand a noun to the next."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from edgekit import plugins
from edgekit.arguments import check_known
from edgekit.artifact import RECIPE, Artifact, Manifest, creating, seal, write_golden
from edgekit.conversion.batches import with_any_batch
from edgekit.conversion.check import check
from edgekit.conversion.concessions import KINDS, ConversionWarning, settle
from edgekit.conversion.failures import Untraced
from edgekit.conversion.golden import few, golden_inputs, random_samples
from edgekit.conversion.images import from_pixels, pictures, pixel_samples, random_pixels
from edgekit.conversion.lessons import TRAINS, Lessons, check_taught, minimizing
from edgekit.conversion.readback import check_weights
from edgekit.conversion.removing import counted, prunes, roomy, without_pruning
from edgekit.conversion.resizing import check_sizes, require_resizable, resizing_as
from edgekit.conversion.resolve import FileOptions, Request, resolve
from edgekit.conversion.room import check_room
from edgekit.conversion.running import run_graph, runtime_for
from edgekit.conversion.steps import OnStep, Steps
from edgekit.conversion.vendor import emit_by_vendor, vendor_scheme
from edgekit.data import Samples, read_samples
from edgekit.gains import Gains
from edgekit.plugins import Converter, Emitted, Runtime
from edgekit.preprocess import Preprocess
from edgekit.recipe import Context, Pass, Recipe
from edgekit.schemes import parse_scheme
from edgekit.targets import Target

if TYPE_CHECKING:
    from edgekit.graph import Graph

CALIBRATION_SAMPLES = 200
RANDOM = "random"
ON_LOWERED = ("cluster", "hash_weights", "quantize", "mixed_precision")
"""Passes that want weights as the file will have them; the first of them in a recipe is where lowering goes."""
LOWER = "lower"
"""Name of the step between the passes on the canonical graph and those on the lowered one."""
_TOOLS = ("edgekit", "torch", "numpy")


def convert(
    model: Any,
    target: str | Path | Target = "android",
    *,
    example_inputs: Any = None,
    calibration: Any = None,
    recipe: str | Path | Recipe | None = None,
    out: str | Path | None = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    dims: Any = None,
    batch: int = 1,
    weights: str | Path | None = None,
    trust: bool = False,
    samples: int = CALIBRATION_SAMPLES,
    training: Any = None,
    validation: Any = None,
    teacher: Any = None,
    checkpoints: str | Path | None = None,
    loss: str | Callable[..., Any] | None = None,
    metric: str | Callable[..., Any] | None = None,
    unpruned: str | Path | None = None,
    overwrite: bool = False,
    on_step: OnStep | None = None,
    **how: Unpack[FileOptions],
) -> Artifact:
    """Convert a model for a target.

    Args:
        model: A PyTorch module, a Keras model, an ``ExportedProgram``, a `Graph`, a file, or ``file.py:callable``.
        target: A target's name, or a path to your own ``.toml``.
        example_inputs: What a PyTorch module is called with.
        calibration: Typical inputs, to round activations: arrays, a ``.npz``, a folder of images, an iterable, `Samples`; ``"random"``.
        recipe: A preset's name, a path to a ``.toml``, or a `Recipe`; None for the target's default.
        out: The folder to make; None for ``build/<model>-<target>``.
        preprocess: What makes model inputs of the data, for all inputs or by name; it is kept in the manifest.
        dims: Sizes for dynamic dimensions, by input name and axis, or ranges of sizes that the file leaves open; see `edgekit.load`.
        batch: Size of the batch dimension.
        weights: State dict or safetensors to load into the module.
        trust: Whether code inside the model file (Lambda layers) may run.
        samples: Calibration samples to use, at most.
        training: For a recipe that trains: data to train on, labelled or not, in any form of `calibration`.
        validation: Data that tell the best epoch; None keeps a part of `training` aside.
        teacher: Whose answers to imitate: a model in any form of `model`, or a callable; None or ``self`` for the model itself.
        checkpoints: Folder for the state of trainings: an interrupted one goes on there.
        loss: What trainings minimize: a function of yours, ``loss(outputs, labels)``, or its name as ``file.py:function``; labels are then
            numbers of any shape. The recipe keeps that it was there, not what it is. See `edgekit.compress.training.own`.
        metric: What tells the best epoch, the larger the better: ``metric(outputs, labels)``, likewise, on arrays.
        unpruned: For a recipe that prunes: folder to put the same model in, converted without pruning, for `edgekit.measure_gains`.
        overwrite: Whether an artifact at `out` may be replaced.
        on_step: Told the name and the seconds of each step.
        **how: How to write the file, and what it may concede; see `edgekit.conversion.resolve.FileOptions`.

    Returns:
        The artifact, checked on its runtime.

    Raises:
        UsageError: A name, an option, the model or the data cannot be used, or `out` cannot be written.
        ConversionError: The model cannot be expressed in the target's format, or the written file does not run right.
    """
    check_known(how, OPTIONS)
    steps = Steps(on_step)
    learned = partial(Lessons.read, training=training, validation=validation, teacher=teacher, checkpoints=checkpoints)
    request = _taught(resolve(target, recipe, preprocess, **how), calibration, training, loss)
    destination = Path(out) if out is not None else default_folder(model, request.target.name)
    with creating(destination, overwrite=overwrite) as folder:
        with steps.step("load"):
            graph = loaded(model, example_inputs, dims=dims, batch=batch, weights=weights, trust=trust)
        with steps.step("read data"):
            data, notes = _samples(calibration, graph, request, samples)
            request = replace(request, lessons=learned(graph, request.preprocess, loss=loss, metric=metric, trust=trust))
        if unpruned is not None:
            with steps.step("convert unpruned"):
                _convert_unpruned(graph, data, request, out=Path(unpruned), batch=batch, overwrite=overwrite, how=how)
        if request.images:
            graph, data, request = _with_pictures(graph, data, request)
        emitted, gains = _fill(folder, graph.noting(*notes), request, data, steps)
        with steps.step("write"):
            (folder / RECIPE).write_text(request.recipe.to_toml(), encoding="utf-8")
            seal(folder, _manifest(graph, request, emitted, batch, gains))
    return Artifact.load(destination)


OPTIONS = FileOptions.__optional_keys__ | inspect.signature(convert).parameters.keys()
"""What `convert` takes."""


def _taught(request: Request, calibration: Any, training: Any, loss: Any) -> Request:
    """The request, refused before anything takes time if there are no data for its recipe, or none for what they are given for."""
    check_taught(request.recipe, training)
    if calibration is None:
        _check_static(request)
    return replace(request, recipe=minimizing(request.recipe, loss))


def _check_static(request: Request) -> None:
    """Refuse, before anything takes time, to round all activations where there is nothing to measure them on.

    Raises:
        DataError: The recipe does.
    """
    from edgekit.compress.quantize import Quantize  # noqa: PLC0415 - torch loads where it is needed

    for step in request.recipe.passes:
        if isinstance(step, Quantize) and parse_scheme(step.scheme).static and not step.overrides:
            step.samples(Context(request.target.rules))


def _convert_unpruned(
    graph: Graph, data: Samples | None, request: Request, *, out: Path, batch: int, overwrite: bool, how: FileOptions
) -> None:
    """The model as it would be without pruning. It warns of nothing: the pruned one's warnings are about both."""
    options: FileOptions = {**how, "accept": None, "versions": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        convert(
            graph,
            roomy(request.target),
            calibration=data,
            recipe=without_pruning(request.recipe),
            out=out,
            preprocess=request.preprocess,
            batch=batch,
            overwrite=overwrite,
            **options,
        )


def loaded(model: Any, example_inputs: Any, **options: Any) -> Graph:
    """The model as a canonical graph; a graph as it is. See `edgekit.load`."""
    from edgekit.graph import Graph  # noqa: PLC0415 - torch loads where it is needed

    if isinstance(model, Graph):
        return model
    from edgekit.canonicalize.opening import read  # noqa: PLC0415

    return read(model, example_inputs, **options)


def _samples(calibration: Any, graph: Graph, request: Request, limit: int) -> tuple[Samples | None, tuple[str, ...]]:
    if calibration is None:
        return None, ()
    if isinstance(calibration, str) and calibration == RANDOM:
        return random_samples(graph.inputs, 32), (f"{RANDOM} calibration: ranges were measured on noise, so accuracy means nothing",)
    return read_samples(calibration, graph.inputs, request.preprocess, limit=limit, free=True), ()


def _with_pictures(graph: Graph, data: Samples | None, request: Request) -> tuple[Graph, Samples | None, Request]:
    """The model as it takes pixels, and its calibration data as pixels."""
    found = pictures(graph.inputs, request.images, request.preprocess)
    pixels = None if data is None else pixel_samples(data, found)
    request = replace(request, lessons=request.lessons.with_pictures(found))
    return from_pixels(graph, found), pixels, request.with_pictures(found, [s.name for s in graph.inputs])


def _fill(folder: Path, graph: Graph, request: Request, data: Samples | None, steps: Steps) -> tuple[Emitted, Gains | None]:
    """Everything between the canonical graph and the manifest; leaves the model and ``golden.npz`` in `folder`."""
    inputs: Mapping[str, np.ndarray] = golden_inputs(graph.inputs, data)
    if data is None and request.pictures:
        inputs = random_pixels(inputs, request.pictures)
    with steps.step("run the float model"):
        write_golden(folder, inputs, run_graph(graph, inputs))
    if request.emitter == "vendor":
        require_resizable(graph, None, "the vendor's converter")
        return _fill_by_vendor(folder, graph, request, data, inputs=inputs, steps=steps)
    converter: Converter = plugins.load("converters", request.target.format)
    require_resizable(graph, converter, f"target {request.target.name!r}")
    final, gains = _passed(graph, request, data, steps)
    open_to = request.encoding.batches
    written = final if open_to is None else with_any_batch(final, open_to, inputs)
    with steps.step("emit"):
        emitted = converter.emit(written, folder, request.encoding)
    with steps.step("check"):
        notes = _checked(folder, final, emitted, request, inputs=few(inputs), converter=converter)
        check_sizes(_runtime(request), folder / emitted.model_file, emitted, final, inputs=few(inputs), compute=request.encoding.compute)
    return _settled(emitted, written.noting(*notes), request), gains


def _checked(
    folder: Path, graph: Graph, emitted: Emitted, request: Request, *, inputs: Mapping[str, np.ndarray], converter: Converter
) -> tuple[str, ...]:
    """Run the file; an error that names no operator is traced to one. Returns what the manifest must say."""
    from edgekit.conversion.locate import located  # noqa: PLC0415 - torch loads where it is needed
    from edgekit.conversion.tolerance import expect  # noqa: PLC0415

    runtime = _runtime(request)
    check_weights(runtime, folder / emitted.model_file, emitted)
    expected = expect(graph, inputs, request.encoding.compute, getattr(runtime, "convolution_error", 0.0))
    try:
        check(runtime, folder / emitted.model_file, emitted, request.encoding, inputs=inputs, expected=expected)
    except Untraced as error:
        raise located(error, graph, converter, runtime, inputs, encoding=request.encoding) from None
    check_room(request.target, folder / emitted.model_file, runtime)
    return tuple(
        f"rounding alone moves output {name!r} by {share:.0%} of its size on the samples it was checked on"
        for name, share in expected.unstable.items()
    )


def _runtime(request: Request) -> Runtime:
    return runtime_for(request.target.format, next(iter(request.target.runtimes), None))


def _fill_by_vendor(
    folder: Path, graph: Graph, request: Request, data: Samples | None, *, inputs: Mapping[str, np.ndarray], steps: Steps
) -> tuple[Emitted, Gains | None]:
    """The vendor's converter takes the float graph, compressed but neither lowered nor quantized."""
    from edgekit.conversion.tolerance import expect_roughly  # noqa: PLC0415 - torch loads where it is needed

    scheme = vendor_scheme(request.recipe, request.target.format, request.encoding)
    context = request.lessons.context(request.target, graph, data)
    whole = graph
    for step in request.recipe.passes:
        graph = graph if step.name == "quantize" else _apply(step, graph, context, steps)
    with steps.step("emit"):
        emitted = emit_by_vendor(graph, folder, scheme, data)
    with steps.step("check"):
        runtime = _runtime(request)
        check(runtime, folder / emitted.model_file, emitted, request.encoding, inputs=inputs, expected=expect_roughly(graph, inputs))
        check_room(request.target, folder / emitted.model_file, runtime)
    told = graph.noting(*request.encoding.untold("the vendor's files"))
    return _settled(emitted, told, request), counted(whole, graph) if prunes(request.recipe) else None


def _passed(graph: Graph, request: Request, data: Samples | None, steps: Steps) -> tuple[Graph, Gains | None]:
    """The graph after all passes, and what those that prune took from the canonical one."""
    whole, pruned = graph, graph
    for name, after in stages(graph, request.recipe, request.lessons.context(request.target, graph, data), steps):
        pruned, graph = (graph if name == LOWER else pruned), after
    return graph, counted(whole, pruned) if prunes(request.recipe) else None


def stages(graph: Graph, recipe: Recipe, context: Context, steps: Steps) -> Iterator[tuple[str, Graph]]:
    """Apply a recipe: compression passes on the canonical graph, then lowering, then those from the first of `ON_LOWERED` on.

    Args:
        graph: Canonical.
        recipe: Its passes are applied in their order.
        context: What the passes get; lowering follows its rules.
        steps: Times each.

    Yields:
        Each pass's name, and `LOWER`, with the graph after it.
    """
    from edgekit.conversion.lowering import lower  # noqa: PLC0415

    passes = recipe.passes
    first = next((i for i, step in enumerate(passes) if step.name in ON_LOWERED), len(passes))
    for step in passes[:first]:
        graph = _apply(step, graph, context, steps)
        yield step.name, graph
    rounded = any(scheme.static and scheme.activation_bits == 8 for scheme in recipe.schemes)
    trained = any(step.name == TRAINS for step in passes[first:])  # copies of one weight would come apart
    with steps.step(LOWER):
        graph = resizing_as(graph, lower(graph, context.rules, int8=rounded and not trained))
    yield LOWER, graph
    for step in passes[first:]:
        graph = _apply(step, graph, context, steps)
        yield step.name, graph


def _apply(step: Pass, graph: Graph, context: Context, steps: Steps) -> Graph:
    with steps.step(step.name):
        return step(graph, context)


def _settled(emitted: Emitted, graph: Graph, request: Request) -> Emitted:
    notes = settle(graph.notes, emitted.notes, request.accept)
    for note in notes:
        if KINDS[note.kind].loud:
            warnings.warn(str(note), ConversionWarning, stacklevel=5)
    return replace(emitted, notes=tuple(map(str, notes)))


def _manifest(graph: Graph, request: Request, emitted: Emitted, batch: int, gains: Gains | None) -> Manifest:
    return Manifest(
        target=request.target.name,
        format=request.target.format,
        model_file=emitted.model_file,
        source=graph.source,
        inputs=emitted.inputs,
        outputs=emitted.outputs,
        recipe=request.recipe.name,
        ops=emitted.ops,
        batch=next((o.range.typical for o in graph.open_sizes for _, axis in o.places if axis == 0), batch),
        batches=request.encoding.batches,
        emitter=request.emitter,
        preprocess=_preprocessing(request, emitted),
        labels=request.encoding.labels,
        description=request.encoding.description,
        author=request.encoding.author,
        licence=request.encoding.licence,
        version=request.encoding.version,
        compute=request.encoding.compute,
        requires=emitted.requires,
        build=emitted.build,
        images={p.name: p.step.to_json() for p in request.pictures} or None,
        notes=emitted.notes,
        tools=tool_versions(graph.source.framework),
        gains=None if gains is None else gains.to_json(),
        open_sizes=graph.open_sizes,
    )


def _preprocessing(request: Request, emitted: Emitted) -> dict[str, Any] | None:
    """By input name, whether it was declared for one input or for all."""
    declared = request.preprocess
    if declared is None:
        return None
    steps = {s.name: declared for s in emitted.inputs} if isinstance(declared, Preprocess) else declared
    return {name: step.to_json() for name, step in steps.items()}


def tool_versions(framework: str) -> dict[str, str]:
    """Versions of the packages that decide an artifact's bytes."""
    found = {}
    for package in (*_TOOLS, "ai-edge-litert", "flatbuffers", "coremltools", "MNN", "onnx", *(("keras",) if framework == "keras" else ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def default_folder(model: Any, target: str) -> Path:
    """``build/<model>-<target>``, from the file's, the callable's or the class's name."""
    name = model if isinstance(model, (str, Path)) else getattr(getattr(model, "source", None), "name", None) or type(model).__name__
    stem = Path(str(name).rpartition(":")[2] or str(name)).stem
    return Path("build") / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', stem).strip('-.') or 'model'}-{target}"
