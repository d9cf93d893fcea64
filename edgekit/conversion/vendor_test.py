"""The vendor's own converter: asked for by name, refused in one sentence where it cannot."""

import importlib.util

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.compress.quantize import Quantize
from edgekit.conversion import ConversionWarning, convert
from edgekit.errors import DataError, UsageError
from edgekit.graph import aten
from edgekit.recipe import Recipe
from edgekit.testing.fake_target import fake_target
from edgekit.testing.graphs import graph_of


def graph():
    return graph_of(lambda x, w: aten.relu.default(aten.linear.default(x, w)), [torch.zeros(1, 8)], w=torch.randn(4, 8))


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(plugins, "require", lambda package, extra: None)


@pytest.mark.skipif(importlib.util.find_spec("litert_torch") is not None, reason="the vendor extra is installed")
def test_a_missing_extra_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"litert_torch") as caught:
        convert(graph(), emitter="vendor", recipe="float32", out=tmp_path / "a")
    assert caught.value.next_step == "pip install 'edgekit[vendor]'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": fake_target()}, "no vendor's converter"),
        ({"recipe": "weight_int4"}, "no scheme 'w4b32'"),
        ({"recipe": "int8", "input_dtype": "float32"}, "does not write float32 in and int8 out"),
        ({"recipe": Recipe("x", (Quantize("w8a8", overrides={"a": "float32"}),))}, "one scheme"),
    ],
)
def test_what_it_cannot_do_is_told_before_any_work(options, message):
    with pytest.raises(UsageError, match=message):
        convert(object(), **{"target": "android", "emitter": "vendor", "recipe": "float32"} | options)


@pytest.mark.usefixtures("installed")
def test_a_static_scheme_needs_calibration(tmp_path):
    with pytest.raises(DataError, match="calibration"):
        convert(graph(), emitter="vendor", recipe="int8", out=tmp_path / "a")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["float32", "int8", "dynamic_int8", "weight_int8"])
def test_it_converts_and_is_named_in_the_manifest(tmp_path, recipe):
    pytest.importorskip("litert_torch")
    data = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    with pytest.warns(ConversionWarning, match="vendor"):
        made = convert(graph(), emitter="vendor", recipe=recipe, calibration=data if recipe == "int8" else None, out=tmp_path / "a")
    assert [s.name for s in (*made.manifest.inputs, *made.manifest.outputs)] == ["x0", "y0"]
    assert any(note.startswith("vendor: ") for note in made.manifest.notes)
