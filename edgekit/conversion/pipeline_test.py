"""Conversion end to end through the fake format: no vendor code runs here."""

import errno
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.artifact import Artifact
from edgekit.compress.quantize import Quantize
from edgekit.conversion import ConversionWarning, convert
from edgekit.conversion.pipeline import default_folder
from edgekit.data import Samples
from edgekit.errors import ConversionError, DataError, UsageError
from edgekit.graph import aten
from edgekit.plugins import RunRequest
from edgekit.recipe import Recipe
from edgekit.testing.fake_target import fake_target
from edgekit.testing.graphs import graph_of
from edgekit_runtimes.fake import FakeRuntime

INT8 = Recipe("int8", (Quantize("w8a8", calibration="minmax"),))
FLOAT = Recipe("float32")


def network(x, w, b, v):
    hidden = aten.relu.default(aten.linear.default(x, w, b))
    return aten.linear.default(hidden, v, None)


@pytest.fixture
def graph():
    torch.manual_seed(0)
    return graph_of(network, [torch.zeros(1, 8)], "net", w=torch.randn(16, 8), b=torch.randn(16), v=torch.randn(4, 16))


@pytest.fixture
def data():
    return Samples({"x0": np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)})


@pytest.fixture
def go(graph, tmp_path):
    def convert_it(model=None, **options):
        defaults = {"target": fake_target(), "recipe": FLOAT, "out": tmp_path / "a"}
        return convert(model if model is not None else graph, **defaults | options)

    return convert_it


def test_float(go, graph):
    made = go(labels=["a", "b", "c", "d"], description="four kinds")
    assert made == Artifact.load(made.path)
    assert made.model_file.suffix == ".fake"
    manifest = made.manifest
    assert (manifest.inputs[0].name, manifest.inputs[0].dtype, manifest.batch) == ("x0", "float32", 1)
    assert manifest.labels == ("a", "b", "c", "d")
    assert [op.module for op in manifest.ops] == ["net"] * 3
    assert Recipe.from_toml(made.recipe_text) == FLOAT
    inputs, outputs = made.golden()
    expected = graph(torch.from_numpy(inputs["x0"][:1]))[0].numpy()
    assert np.array_equal(outputs["y0"][:1], expected)


def test_static_int8(go, data):
    made = go(recipe=INT8, calibration=data)
    for spec in (*made.manifest.inputs, *made.manifest.outputs):
        assert spec.dtype == "int8"
        assert spec.grid is not None
    inputs, _ = made.golden()
    assert np.array_equal(inputs["x0"], data.inputs["x0"][: len(inputs["x0"])])


@pytest.mark.parametrize(
    ("asked", "written"), [({"input_dtype": "uint8"}, ("uint8", "int8")), ({"output_dtype": "float32"}, ("int8", "float32"))]
)
def test_edge_dtypes_by_choice(go, data, asked, written):
    made = go(recipe=INT8, calibration=data, **asked)
    assert (made.manifest.inputs[0].dtype, made.manifest.outputs[0].dtype) == written


def test_integer_edges_of_a_float_model_are_refused(go, tmp_path):
    with pytest.raises(ConversionError, match="keeps it in float"):
        go(input_dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_calibration_is_needed_and_never_invented(go, tmp_path):
    with pytest.raises(DataError, match="calibration"):
        go(recipe=INT8)
    assert list(tmp_path.iterdir()) == []


def test_missing_calibration_data_are_told_before_the_model_is_read(tmp_path):
    with pytest.raises(DataError, match="needs calibration data") as caught:
        convert(tmp_path / "not_there.keras", "android", out=tmp_path / "a")
    assert "--calibration" in caught.value.next_step


def test_random_calibration_is_named_in_the_manifest(go):
    with pytest.warns(ConversionWarning, match="random calibration"):
        made = go(recipe=INT8, calibration="random")
    assert any(note.startswith("random:") for note in made.manifest.notes)


def test_concessions_can_be_refused(go, tmp_path):
    with pytest.raises(ConversionError, match="not accepted") as caught:
        go(recipe=INT8, calibration="random", accept=())
    assert "--accept random" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no concession"):
        go(accept=("everything",))


def test_an_operator_left_in_float_is_listed_by_name_and_module(go, data, tmp_path):
    graph = graph_of(
        lambda x, w: aten.linear.default(aten.sin.default(aten.linear.default(x, w)), w), [torch.zeros(1, 8)], "rope", w=torch.randn(8, 8)
    )
    with pytest.warns(ConversionWarning, match="sin.*rope"):
        made = go(graph, recipe=INT8, calibration=data)
    assert any("sin" in note and "rope" in note for note in made.manifest.notes)
    with pytest.raises(ConversionError, match="sin"):
        go(graph, recipe=INT8, calibration=data, accept=("requantized",), out=tmp_path / "b")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("abort", "no_integer_overflow"),
        ("segfault", "SIGSEGV"),
        ("oom", "out of memory"),
        ("noise", "differs from what the graph predicts"),
    ],
)
def test_native_code_that_fails_gives_one_error_and_no_artifact(go, tmp_path, monkeypatch, how, said):
    run = FakeRuntime.run
    monkeypatch.setattr(FakeRuntime, "run", lambda self, r, x: run(self, RunRequest(r.model, options={"fail": how}), x))
    with pytest.raises(ConversionError, match=said) as caught:
        go()
    assert caught.value.next_step
    assert list(tmp_path.iterdir()) == []
    if how == "abort":
        assert (caught.value.op, caught.value.module, caught.value.shapes) == ("aten.linear.default", "net", ((1, 8), (16, 8), (16,)))
    if how == "noise":
        assert (caught.value.op, caught.value.module) == ("aten.relu", "net")
        assert "it begins at this operator" in str(caught.value)


def test_a_hang_is_ended(go, tmp_path, monkeypatch):
    run = FakeRuntime.run
    monkeypatch.setattr(FakeRuntime, "run", lambda self, r, x: run(self, RunRequest(r.model, options={"fail": "hang", "timeout": 1}), x))
    with pytest.raises(ConversionError, match="no answer within 1 s"):
        go()
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Failing:
    name: ClassVar[str] = "failing"
    error: BaseException

    def __call__(self, graph, context):
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (MemoryError(), MemoryError), (OSError(errno.ENOSPC, "No space left"), UsageError)],
)
def test_an_end_in_the_middle_leaves_nothing(go, tmp_path, error, expected):
    with pytest.raises(expected):
        go(recipe=Recipe("x", (Failing(error),)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_emitting(go, tmp_path, monkeypatch):
    converter = type(plugins.load("converters", "fake"))
    monkeypatch.setattr(converter, "emit", lambda self, graph, folder, encoding: Path("/dev/full").write_bytes(b"x" * 99_999))
    with pytest.raises(UsageError, match="disk is full"):
        go()
    assert list(tmp_path.iterdir()) == []


def test_overwriting_is_asked_for(go):
    go()
    with pytest.raises(UsageError, match="--force"):
        go()
    assert go(overwrite=True, description="second").manifest.description == "second"


def test_nan_in_calibration_is_told(go, tmp_path):
    bad = np.zeros((4, 8), np.float32)
    bad[2, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="holds nan"):
            go(recipe=INT8, calibration={"x0": bad})
    assert list(tmp_path.iterdir()) == []


def test_steps_are_timed(go, data):
    seen = {}
    go(recipe=INT8, calibration=data, on_step=seen.setdefault)
    assert list(seen) == ["load", "read data", "run the float model", "lower", "quantize", "emit", "check", "write"]
    assert all(seconds >= 0 for seconds in seen.values())


def test_the_same_conversion_gives_the_same_bytes(go, data, tmp_path):
    first, second = (go(recipe=INT8, calibration=data, out=tmp_path / name) for name in ("a", "b"))
    assert {p.name: p.read_bytes() for p in first.path.iterdir()} == {p.name: p.read_bytes() for p in second.path.iterdir()}
    assert str(tmp_path) not in json.dumps(first.manifest.to_json())


def test_unknown_words_are_refused_before_any_work(go):
    for wrong in ({"target": "androyd"}, {"emitter": "theirs"}):
        with pytest.raises(UsageError, match="accepted"):
            go(model=object(), **wrong)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/ic.keras", "ic-android"),
        (Path("/x/my net.pt2"), "my-net-android"),
        ("zoo.py:resnet20", "resnet20-android"),
        (torch.nn.ReLU(), "ReLU-android"),
    ],
)
def test_the_default_folder_is_named_after_the_model(model, name):
    assert default_folder(model, "android") == Path("build") / name
