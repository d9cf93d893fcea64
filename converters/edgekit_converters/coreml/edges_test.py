"""What an app sees of a package: names, dtypes, pictures, labels, texts."""

import json

import numpy as np
import pytest
import torch

from edgekit.conversion.images import from_pixels, pictures
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.preprocess import Preprocess
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, encoding, normal, write

X = normal(1, 3)
LABELS = ("cat", "dog", "car")


def scores(x):
    return aten.softmax.int(x, -1)


def specification(written):
    return written.package.specification


def test_names_are_the_users_and_mapped_back_where_core_ml_has_no_such_name():
    graph = graph_of(scores, [X])
    from dataclasses import replace

    graph = replace(graph, inputs=(replace(graph.inputs[0], name="pixel values"),), outputs=(replace(graph.outputs[0], name="p3.box"),))
    written = write(graph, [X])
    assert [s.name for s in written.emitted.inputs] == ["pixel values"] and list(written.outputs) == ["p3.box"]
    description = specification(written).description
    assert [f.name for f in [*description.input, *description.output]] == ["pixel_values", "p3_box"]
    assert json.loads(description.metadata.userDefined["edgekit.names"]) == {"pixel_values": "pixel values", "p3_box": "p3.box"}
    assert any("'p3.box' is called 'p3_box'" in note for note in written.emitted.notes)


def test_an_input_that_is_an_output_twice():
    def function(x):
        doubled = aten.add.Tensor(x, x)
        return x, doubled, doubled

    written = check(graph_of(function, [X]), X)
    assert written.kinds.count("identity") == 2


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dtypes_of_edges(dtype, compute):
    written = write(graph_of(scores, [X]), [X], encoding(compute=compute, input_dtype=dtype, output_dtype=dtype))
    assert written.outputs["y0"].dtype == dtype
    np.testing.assert_allclose(written.outputs["y0"], scores(X), atol=2e-3)
    assert ("cast" in written.kinds) == (dtype != compute)


@pytest.mark.parametrize("side", ["input", "output"])
def test_integer_edges_are_refused(side):
    with pytest.raises(ConversionError, match=f"{side}s were asked for as int8"):
        write(graph_of(scores, [X]), how=encoding(**{f"{side}_dtype": "int8"}))


def test_labels():
    written = check(graph_of(scores, [X]), X, compute="float16", labels=LABELS)
    description = specification(written).description
    assert description.predictedFeatureName == "classLabel" and description.predictedProbabilitiesName == "y0"
    assert written.outputs["y0"].shape == (1, 3) and written.emitted.notes == ()
    assert written.kinds[-1] == "classify"


def test_labels_of_one_of_two_outputs():
    graph = graph_of(lambda x, w: (aten.linear.default(x, w), scores(x)), [X], w=normal(5, 3))
    written = check(graph, X, labels=LABELS)
    assert {f.name for f in specification(written).description.output} == {"y0", "y1", "classLabel"}


def test_labels_of_scores_without_softmax_are_noted():
    (note,) = write(graph_of(aten.relu.default, [X]), how=encoding(labels=LABELS)).emitted.notes
    assert "no softmax" in note


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ConversionError, match="2 labels were given, but no output has 2 classes"):
        write(graph_of(scores, [X]), how=encoding(labels=LABELS[:2]))


def test_labels_of_several_samples_are_refused():
    with pytest.raises(ConversionError, match="more than one sample"):
        write(graph_of(scores, [normal(2, 3)]), how=encoding(labels=LABELS))


def test_texts():
    how = encoding(author="A. Lovelace", licence="MIT", version="1.2", description="Cats and dogs")
    metadata = specification(write(graph_of(scores, [X], "head.softmax"), how=how)).description.metadata
    assert (metadata.author, metadata.license, metadata.versionString) == ("A. Lovelace", "MIT", "1.2")
    assert metadata.shortDescription == "Cats and dogs"
    assert list(json.loads(metadata.userDefined["edgekit.modules"]).values()) == ["head.softmax"]


@pytest.mark.parametrize("colour, shape", [("RGB", (1, 3, 6, 8)), ("BGR", (1, 6, 8, 3)), ("GRAY", (1, 1, 6, 8))])
def test_pictures(colour, shape):
    channels = 1 if colour == "GRAY" else 3
    step = Preprocess(colour=colour, scale=1 / 255, mean=(0.4,), std=(0.2,) * channels, layout="NCHW" if shape[1] == channels else "NHWC")
    graph = graph_of(lambda x: aten.mean.dim(x, [2, 3] if shape[1] == channels else [1, 2]), [torch.zeros(shape)])
    found = pictures(graph.inputs, True, step)
    pixels = torch.randint(0, 256, (1, channels, 6, 8), generator=torch.Generator().manual_seed(0)).float()
    written = check(from_pixels(graph, found), pixels, images={"x0": found[0].colour})
    image = specification(written).description.input[0].type.imageType
    names = {"RGB": "RGB", "BGR": "BGR", "GRAY": "GRAYSCALE"}
    assert image.ColorSpace.Name(image.colorSpace) == names[colour] and (image.height, image.width) == (6, 8)
