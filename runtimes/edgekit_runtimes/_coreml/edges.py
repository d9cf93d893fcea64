"""What an app sees of a program: its inputs (arrays, or images) and its outputs (arrays, or the probabilities of classes)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import LoadError
from edgekit.tensors import TensorSpec
from edgekit_runtimes._coreml.dtypes import LONG
from edgekit_runtimes._coreml.program import Port, Program

_ARRAYS = {65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8", 65552: "float16"}
_COLOURS = {10: "GRAY", 20: "RGB", 30: "BGR", 40: "GRAY"}
NAMES = "edgekit.names"
"""User-defined metadata: JSON of the file's names of inputs and outputs to the user's."""


@dataclass(frozen=True)
class Edge:
    """An input or output of the model.

    Attributes:
        name: The user's name of it, which may hold what Core ML's names may not.
        port: The program's value behind it; of a classifier's probabilities, the tensor they are made of.
        dtype: Of its arrays. An image's are float32, pixels 0…255 of shape (1, channels, height, width) in the order of `colour`, as the
            program gets them from Core ML, which makes them of an app's picture.
        colour: Of an image: ``RGB``, ``BGR`` or ``GRAY``; None for an array.
        optional: Whether the app may leave it out.
    """

    name: str
    port: Port
    dtype: str
    colour: str | None = None
    optional: bool = False

    def spec(self) -> TensorSpec:
        """As `Runtime.inspect` tells it."""
        return TensorSpec(self.name, self.port.shape, self.dtype)


@dataclass(frozen=True)
class Classifier:
    """What a classifier gives beside the probabilities.

    Attributes:
        name: Of the label's feature.
        probabilities: Of the probabilities' feature.
        labels: In the order of the probabilities.
    """

    name: str
    probabilities: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Edges:
    """The model's interface."""

    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]
    classifier: Classifier | None


def edges(specification: Any, program: Program) -> Edges:
    """Put the specification's features to the program's values.

    Raises:
        LoadError: They do not belong together, or a feature is of a kind that ML Programs do not have.
    """
    ports = {port.name: port for operation in program.operations for port in operation.outputs}
    takes = {port.name: port for port in program.inputs}
    description = specification.description
    if description.state:
        raise LoadError(f"the model keeps the state {description.state[0].name!r}", accepted="models without state")
    names = _names(description)
    classifier = _classifier(description, program, names)
    inputs = tuple(_edge(f, names.get(f.name, f.name), _found(f.name, takes, "input"), image=True) for f in description.input)
    outputs = []
    for feature in description.output:
        name = names.get(feature.name, feature.name)
        if classifier and name == classifier.probabilities:
            source = _probabilities(program)
            outputs.append(Edge(name, source, LONG.get(source.dtype, source.dtype)))
        elif classifier is None or name != classifier.name:
            outputs.append(_edge(feature, name, _found(feature.name, ports | takes, "output"), image=False))
    return Edges(inputs, tuple(outputs), classifier)


def _found(name: str, ports: dict[str, Port], side: str) -> Port:
    if name not in ports:
        raise LoadError(f"the model's {side} {name!r} is no value of its program", accepted=sorted(ports))
    return ports[name]


def _edge(feature: Any, name: str, port: Port, *, image: bool) -> Edge:
    kind = feature.type.WhichOneof("Type")
    optional = bool(feature.type.isOptional)
    if kind == "multiArrayType":
        return Edge(name, port, _ARRAYS.get(feature.type.multiArrayType.dataType, "float32"), optional=optional)
    if kind == "imageType" and image:
        space = feature.type.imageType.colorSpace
        _check_image(feature, port)
        return Edge(name, port, "float32", _COLOURS[space], optional)
    raise LoadError(f"the feature {feature.name!r} is of kind {kind or 'none'}", accepted="arrays, and images as inputs")


def _check_image(feature: Any, port: Port) -> None:
    image = feature.type.imageType
    if image.colorSpace not in _COLOURS:
        raise LoadError(f"the image {feature.name!r} has colour space {image.colorSpace}", accepted=sorted(set(_COLOURS.values())))
    channels = 3 if _COLOURS[image.colorSpace] in ("RGB", "BGR") else 1
    wanted = (channels, image.height, image.width)
    if len(port.shape) != 4 or port.shape[1:] != wanted:
        raise LoadError(f"the image {feature.name!r} is a value of shape {list(port.shape)}", accepted=f"{[1, *wanted]}")


def _classifier(description: Any, program: Program, names: Mapping[str, str]) -> Classifier | None:
    if not description.predictedFeatureName:
        return None
    found = next((operation for operation in program.operations if operation.kind == "classify"), None)
    if found is None:
        raise LoadError("the model says it is a classifier and has no classify operation")
    classes = found.inputs["classes"][0] if found.inputs.get("classes") else None
    if isinstance(classes, str):
        classes = next((o.attributes["val"] for o in program.operations if o.kind == "const" and o.outputs[0].name == classes), None)
    if classes is None:
        raise LoadError("the classifier has no classes")
    labels = tuple(str(label) for label in classes.array.reshape(-1).tolist())
    label, probabilities = description.predictedFeatureName, description.predictedProbabilitiesName
    return Classifier(names.get(label, label), names.get(probabilities, probabilities), labels)


def _names(description: Any) -> dict[str, str]:
    try:
        found = json.loads(description.metadata.userDefined[NAMES]) if NAMES in description.metadata.userDefined else {}
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _probabilities(program: Program) -> Port:
    """The tensor that the classifier's classes are put to."""
    found = next(operation for operation in program.operations if operation.kind == "classify")
    source = found.inputs["probabilities"][0] if found.inputs.get("probabilities") else None
    for port in (*program.inputs, *(port for operation in program.operations for port in operation.outputs)):
        if port.name == source:
            return port
    raise LoadError("the classifier's probabilities are no value of the program")
