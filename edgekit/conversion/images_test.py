import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.conversion.images import from_pixels, pictures, pixel_samples, random_pixels, value_samples
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import aten, op_name
from edgekit.preprocess import Preprocess
from edgekit.tensors import TensorSpec
from edgekit.testing.graphs import graph_of

FIRST, LAST = (1, 3, 4, 6), (1, 4, 6, 3)
numbers = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(tuple)
positive = st.lists(st.floats(0.1, 3), min_size=3, max_size=3).map(tuple)


def reading(shape, channels_first):
    """A graph that reads an image of `shape` both as it is and, for NHWC, behind the permute that convolutions ask for."""
    if channels_first:
        return graph_of(lambda x: (aten.relu.default(x), aten.neg.default(x)), [torch.zeros(shape)])
    return graph_of(lambda x: (aten.relu.default(aten.permute.default(x, [0, 3, 1, 2])), aten.neg.default(x)), [torch.zeros(shape)])


@given(mean=numbers, std=positive, scale=st.sampled_from([1.0, 1 / 255, 2 / 255]), first=st.booleans())
@settings(max_examples=25)
def test_the_graph_of_pixels_does_what_the_preprocessing_did(mean, std, scale, first):
    step = Preprocess(scale=scale, mean=mean, std=std, layout="NCHW" if first else None)
    graph = reading(FIRST if first else LAST, first)
    found = pictures(graph.inputs, True, step)
    raw = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3)).astype(np.float32)
    wanted = graph(torch.from_numpy(step(raw)))
    got = from_pixels(graph, found)(torch.from_numpy(found[0].outside(raw)))
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
    pixels = pixel_samples(Samples({"x0": step(raw)}), found).inputs["x0"]
    np.testing.assert_allclose(pixels, np.moveaxis(raw, -1, 1), atol=0.1)
    np.testing.assert_allclose(value_samples(Samples({"x0": pixels}), found).inputs["x0"], step(raw), rtol=1e-3, atol=1e-3)


def test_nothing_is_written_where_the_model_takes_pixels_as_they_are():
    graph = reading(FIRST, True)
    assert [op_name(n) for n in from_pixels(graph, pictures(graph.inputs, True, None)).nodes if n.op == "call_function"] == ["relu", "neg"]


def test_channels_last_meets_the_permute_that_follows():
    graph = graph_of(lambda x: aten.relu.default(aten.permute.default(x, [0, 3, 1, 2])), [torch.zeros(LAST)])
    result = from_pixels(graph, pictures(graph.inputs, True, Preprocess(scale=1 / 255)))
    assert result.inputs[0].shape == FIRST
    assert [op_name(n) for n in result.nodes if n.op == "call_function"] == ["mul", "relu"]


def test_only_images_are_taken():
    specs = (TensorSpec("image", FIRST, "float32"), TensorSpec("vector", (1, 5), "float32"))
    assert [p.name for p in pictures(specs, True, None)] == ["image"]
    with pytest.raises(UsageError, match=r"input 'vector' of float32\[1, 5\] is no image"):
        pictures(specs, ["vector"], None)
    with pytest.raises(UsageError, match="no input is called 'picture'"):
        pictures(specs, ["picture"], None)
    with pytest.raises(UsageError, match="no input of this model is an image"):
        pictures(specs[1:], True, None)


@pytest.mark.parametrize(
    "shape, step, message",
    [
        (FIRST, Preprocess(colour="GRAY"), "3 channels, but its preprocessing makes GRAY"),
        ((1, 1, 4, 6), Preprocess(colour="BGR"), "1 channels, but its preprocessing makes BGR"),
        (FIRST, Preprocess(mean=(0.1, 0.2)), "mean has 2 values"),
    ],
)
def test_preprocessing_that_does_not_fit(shape, step, message):
    with pytest.raises(UsageError, match=message):
        pictures([TensorSpec("image", shape, "float32")], True, step)


def test_random_pixels_are_bytes():
    found = pictures([TensorSpec("image", FIRST, "float32")], True, None)
    pixels = random_pixels({"image": np.zeros((2, 3, 4, 6), np.float32), "other": np.zeros((2, 1))}, found)
    assert pixels["image"].min() >= 0 and pixels["image"].max() <= 255 and (pixels["image"] % 1 == 0).all()
    assert pixels["image"].std() > 50
