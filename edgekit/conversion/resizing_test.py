"""Files that take any size between two, from the model to the file on its runtime."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.artifact import Artifact
from edgekit.conversion import convert
from edgekit.errors import ConversionError, LoadError, UsageError
from edgekit.plugins import RunRequest, load

pytest.importorskip("ai_edge_litert")


class Segmenter(nn.Module):
    """Everything whose size follows from another: strides, transposed convolution, resizing, a skip, a flattened plane."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.head = nn.Conv2d(16, 2, 1)
        self.tokens = nn.Linear(8, 4)

    def forward(self, image):
        low = self.stem(image).relu()
        deep = F.max_pool2d(self.deep(low).relu(), 2)
        joined = torch.cat([low, self.up(deep)], 1)
        mask = F.interpolate(self.head(joined), size=image.shape[2:], mode="bilinear", align_corners=False)
        return mask, self.tokens(deep.flatten(2).transpose(1, 2))


class Text(nn.Module):
    """Positions are the head of a table; attention mixes all tokens."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.positions = nn.Embedding(50, 16), nn.Embedding(64, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, ids, mask):
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1]))
        return self.head((self.layer(x) * mask[:, :, None]).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(4, 8, batch_first=True)

    def forward(self, sequence):
        return self.memory(sequence)[0]


def run(made, **inputs):
    return load("runtimes", "litert").run(RunRequest(made.model_file), inputs)


def go(model, example, dims, tmp_path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert(model.eval(), example_inputs=example, dims=dims, out=tmp_path / "a", **{"recipe": "float32"} | options)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    dims = {"image": {2: (16, 32, 48, 4), 3: (8, 32, 64, 4)}}
    return go(Segmenter(), (torch.zeros(1, 3, 16, 16),), dims, tmp_path_factory.mktemp("segmenter"))


@pytest.mark.parametrize("height", [16, 20, 36, 48])
@pytest.mark.parametrize("width", [8, 28, 64])
def test_an_image_of_any_size_between(segmenter, height, width):
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    with torch.no_grad():
        wanted = Segmenter().eval()(image)
    got = run(segmenter, image=image.numpy())
    for name, value in zip(["output_0", "output_1"], wanted, strict=True):
        np.testing.assert_allclose(got[name], value.numpy(), atol=1e-4)


def test_the_manifest_and_the_file_say_what_is_open(segmenter):
    manifest = Artifact.load(segmenter.path).manifest
    assert [(o.range.smallest, o.range.typical, o.range.largest, o.range.step, o.places) for o in manifest.open_sizes] == [
        (16, 32, 48, 4, (("image", 2),)),
        (8, 32, 64, 4, (("image", 3),)),
    ]
    assert manifest.inputs[0].shape == (1, 3, 32, 32)
    assert "sizes: dimension 2 of input 'image' open: 16..48 in steps of 4, written at 32" in manifest.notes
    from edgekit.conversion.explaining import explain

    (image,) = [t for t in explain(segmenter.model_file).tensors if t.name == "image"]
    assert image.dynamic == (2, 3)


def test_every_size_answers_alike_in_int8(tmp_path):
    dims = {"image": {2: (16, 32, 48, 4)}}
    made = go(Segmenter(), (torch.zeros(1, 3, 32, 32),), dims, tmp_path, recipe="int8", calibration="random")
    assert made.manifest.inputs[0].dtype == "int8"
    assert run(made, image=np.zeros((2, 3, 24, 32), np.int8))["output_0"].shape == (2, 2, 24, 32)


def test_text_of_any_length_with_a_table_of_positions(tmp_path):
    dims = {"ids": {1: (1, 16, 64)}, "mask": {1: (1, 16, 64)}}
    made = go(Text(), (torch.zeros(1, 16, dtype=torch.int32), torch.ones(1, 16)), dims, tmp_path)
    assert len(made.manifest.open_sizes) == 1  # both inputs have it
    for length in (1, 5, 64):
        ids, mask = torch.randint(0, 50, (1, length)), torch.ones(1, length)
        with torch.no_grad():
            wanted = Text().eval()(ids, mask)
        np.testing.assert_allclose(run(made, ids=ids.int().numpy(), mask=mask.numpy())["output"], wanted, atol=1e-5)


def test_an_open_batch(tmp_path):
    made = go(Segmenter(), (torch.zeros(1, 3, 16, 16),), {"image": {0: (1, 4)}}, tmp_path)
    assert made.manifest.batch == 4
    assert not any(note.startswith("batch:") for note in made.manifest.notes)
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        wanted = Segmenter().eval()(images)[0]
    together = load("runtimes", "litert").run(RunRequest(made.model_file, options={"batch": 3}), {"image": images.numpy()})
    np.testing.assert_allclose(together["output_0"], wanted.numpy(), atol=1e-4)


def test_a_recurrence_is_refused_by_name(tmp_path):
    with pytest.raises(ConversionError, match="step by step") as caught:
        go(Recurrent(), (torch.zeros(1, 8, 4),), {"sequence": {1: (4, 8, 16)}}, tmp_path)
    assert (caught.value.op, caught.value.module) == ("aten.lstm", "memory")
    assert list(tmp_path.iterdir()) == []


class Halving(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv1d(4, 4, 2, stride=2)

    def forward(self, sequence):
        half = self.inner(sequence)
        return half.reshape(1, half.shape[2] * 4)


def test_a_size_that_a_stride_rounds_is_refused_with_the_way_out(tmp_path):
    with pytest.raises((LoadError, ConversionError), match="choose a larger step"):
        go(Halving(), (torch.zeros(1, 4, 8),), {"sequence": {2: (4, 8, 15)}}, tmp_path)
    go(Halving(), (torch.zeros(1, 4, 8),), {"sequence": {2: (4, 8, 16, 2)}}, tmp_path)


class Averaging(nn.Module):
    def __init__(self):
        super().__init__()
        self.weighted = nn.Module()

    def forward(self, sequence):
        return sequence.sum(1) * torch.linspace(0.5, 1.0, sequence.shape[1])[0] + 1.0 / sequence.shape[1]


def test_a_constant_that_follows_the_size_is_refused(tmp_path):
    with pytest.raises(LoadError, match="depends on the size"):
        go(Averaging(), (torch.zeros(1, 8, 4),), {"sequence": {1: (4, 8, 16)}}, tmp_path)


def test_a_model_that_fails_at_a_size_says_at_which(tmp_path):
    example, lengths = (torch.zeros(1, 16, dtype=torch.int32), torch.ones(1, 16)), {1: (2, 16, 100)}
    with pytest.raises(LoadError, match=r"dimension 1 of input 'mask' = 100: .* index out of range") as caught:
        go(Text(), example, {"ids": lengths, "mask": lengths}, tmp_path)
    assert caught.value.module == "positions"


def test_other_formats_have_fixed_sizes(tmp_path):
    with pytest.raises(UsageError, match="target 'jetson' makes files of fixed sizes only"):
        go(Segmenter(), (torch.zeros(1, 3, 16, 16),), {"image": {2: (16, 24, 32, 8)}}, tmp_path, target="jetson")


def test_keras_models_say_themselves_what_is_dynamic(tmp_path):
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("needs Keras on torch in this process")
    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    made = go(model, None, {"image": {1: (8, 16, 32, 2), 2: (8, 16, 32, 2)}}, tmp_path)
    image = np.random.default_rng(0).standard_normal((1, 10, 26, 3)).astype(np.float32)
    (got,) = run(made, image=image).values()
    np.testing.assert_allclose(got, np.asarray(model(image).detach()), atol=1e-5)


def test_verify_finds_the_typical_sizes_in_the_manifest(segmenter):
    from edgekit.verification.reference import reference_graph

    graph, notes = reference_graph(segmenter, Segmenter().eval(), example_inputs=(torch.zeros(1, 3, 16, 16),))
    assert graph is not None
    assert (graph.inputs[0].shape, notes) == ((1, 3, 32, 32), ())
