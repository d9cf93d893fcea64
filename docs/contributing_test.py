"""CONTRIBUTING.md is true: each of its examples is built, and works."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit import plugins, recipe
from edgekit.plugins import Encoding, RunRequest
from edgekit.recipe import Context, Recipe
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAX_LINES = 60


def block(info: str) -> str:
    (found,) = re.findall(rf"```{re.escape(info)}\n(.*?)```", TEXT, re.DOTALL)
    return found


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a block a module of a plug-in package, as a contributor's file would be."""

    def make(info: str, package: str, name: str):
        (tmp_path / f"{name}.py").write_text(block(info), encoding="utf-8")
        if not package:
            monkeypatch.syspath_prepend(str(tmp_path))
            return importlib.import_module(name)
        monkeypatch.setattr(importlib.import_module(package), "__path__", [*importlib.import_module(package).__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, f"{package}.{name}", raising=False)
        return None

    return make


def scaled():
    weight = torch.tensor([[1.0, 0.001], [0.5, -1.0]])
    return graph_of(torch.ops.aten.linear.default, [torch.randn(1, 2)], "head", weight=weight)


@pytest.mark.parametrize("title", re.findall(r"^## (Add .*)$", TEXT, re.MULTILINE))
def test_each_section_fits_one_screen(title):
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert section.count("\n") <= MAX_LINES


def test_add_a_target(tmp_path):
    (tmp_path / "my-board.toml").write_text(block("toml"), encoding="utf-8")
    target = load_target(tmp_path / "my-board.toml")
    assert (target.name, target.input_dtype, target.format) == ("my-board", "uint8", "litert")


def test_add_a_pass(module, monkeypatch):
    module("python pass", "", "zero_small")
    monkeypatch.setitem(recipe.PASSES, "zero_small", "zero_small:ZeroSmall")
    found = Recipe.from_toml(block("toml recipe"))
    assert Recipe.from_toml(found.to_toml()) == found
    graph = scaled()
    (result,) = found.passes[0](graph, Context(load_target("android").rules))(torch.ones(1, 2))
    torch.testing.assert_close(result, torch.tensor([[1.0, -0.5]]))
    torch.testing.assert_close(graph(torch.ones(1, 2))[0], torch.tensor([[1.001, -0.5]]))


def test_add_a_converter(module, tmp_path):
    module("python converter", "edgekit_converters", "listing")
    emitted = plugins.load("converters", "listing").emit(scaled(), tmp_path, Encoding())
    assert [(op.name, op.module) for op in emitted.ops] == [("linear", "head")]
    assert (tmp_path / emitted.model_file).read_text() == "linear head\n"


def test_add_a_runtime(module, tmp_path, monkeypatch):
    module("python runtime", "edgekit_runtimes", "doubling")
    runtime = plugins.load("runtimes", "doubling")
    monkeypatch.setattr("edgekit_runtimes.doubling.__name__", "doubling")  # the worker finds it on the path instead
    monkeypatch.syspath_prepend(str(tmp_path))
    outputs = runtime.run(RunRequest(tmp_path / "model.txt"), {"x": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(outputs["x"], 2)
