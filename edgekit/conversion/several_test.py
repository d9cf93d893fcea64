"""One model for several targets: the same artifacts as one by one, and one failure loses only itself."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch

from edgekit import progress
from edgekit.conversion import ConversionWarning, convert, convert_all
from edgekit.data import Samples
from edgekit.errors import ConversionError, DataError, LoadError, UsageError
from edgekit.graph import aten
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.testing.graphs import graph_of

TARGET = """
schema = "edgekit.target/1"
name = "{name}"
description = "no vendor code"
format = "{format}"
rules = "litert"
recipe = "int8"
runtimes = ["{format}"]
input_dtype = "int8"
output_dtype = "int8"
"""


def network(x, w, b, v):
    return aten.linear.default(aten.relu.default(aten.linear.default(x, w, b)), v, None)


@pytest.fixture
def graph():
    torch.manual_seed(0)
    return graph_of(network, [torch.zeros(1, 8)], "net", w=torch.randn(16, 8), b=torch.randn(16), v=torch.randn(4, 16))


@pytest.fixture
def data():
    return Samples({"x0": np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)})


@pytest.fixture
def targets(tmp_path):
    """Paths of three targets; the last has no converter."""
    made = []
    for name, model_format in (("one", "fake"), ("two", "fake"), ("broken", "nothing")):
        made.append(tmp_path / f"{name}.toml")
        made[-1].write_text(TARGET.format(name=name, format=model_format))
    return made


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_each_target_gets_what_it_would_get_alone(graph, data, targets, tmp_path):
    step = Preprocess(scale=0.5)
    options = {"calibration": data, "preprocess": step, "labels": ["a", "b", "c", "d"], "description": "four"}
    found = convert_all(graph, targets[:2], out=tmp_path / "all", **options).require()
    assert list(found) == ["one", "two"]
    for name, target in zip(found, targets, strict=False):
        alone = convert(graph, target, out=tmp_path / "alone" / name, **options)
        assert contents(found[name].path) == contents(alone.path)
        assert found[name].path == tmp_path / "all" / name


def test_a_failing_target_loses_nothing_but_itself(graph, data, targets, tmp_path):
    found = convert_all(graph, [targets[2], *targets[:2]], calibration=data, out=tmp_path / "all")
    assert [o.target for o in found.outcomes] == ["broken", "one", "two"]
    assert list(found.artifacts) == ["one", "two"]
    assert isinstance(found.errors["broken"], UsageError)
    assert not (tmp_path / "all" / "broken").exists()
    with pytest.raises(UsageError, match="nothing"):
        found.require()


def test_what_is_wrong_with_the_data_is_told_for_each_target_that_needs_them(graph, targets, tmp_path):
    found = convert_all(graph, targets[:2], recipe={"one": "float32"}, out=tmp_path / "all")
    assert list(found.artifacts) == ["one"]
    assert isinstance(found.errors["two"], DataError)


def test_recipes_by_target(graph, data, targets, tmp_path):
    found = convert_all(graph, targets[:2], calibration=data, recipe={"two": Recipe("mine")}, out=tmp_path / "all").require()
    assert {name: made.manifest.recipe for name, made in found.items()} == {"one": "int8", "two": "mine"}
    assert {name: made.manifest.inputs[0].dtype for name, made in found.items()} == {"one": "int8", "two": "float32"}


def test_steps_and_warnings_cross(graph, targets, tmp_path):
    told, seen = [], []
    with warnings.catch_warnings(record=True) as caught, progress.listening(lambda *event: told.append(event)):
        warnings.simplefilter("always")
        convert_all(graph, targets[:1], calibration="random", out=tmp_path / "all", on_step=lambda *step: seen.append(step[:2])).require()
    assert {("", "load"), ("one", "quantize"), ("one", "check")} <= set(seen)
    assert any(issubclass(w.category, ConversionWarning) and str(w.message).startswith("one: random") for w in caught)
    assert ("one · done", 1, 1) in told
    assert any(title == "one · quantize" for title, _, _ in told)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"targets": ["android", "androyd"]}, "androyd"),
        ({"targets": ["android", "android"]}, "twice"),
        ({"targets": []}, "no target"),
        ({"recipe": {"ios": "int8"}}, "ios"),
        ({"recipe": "int9"}, "int9"),
    ],
)
def test_wrong_words_are_refused_before_any_work(change, says):
    with pytest.raises(UsageError, match=says):
        convert_all(object(), **{"targets": ["android"]} | change)


def test_a_model_that_cannot_be_read_is_one_error(targets, tmp_path):
    with pytest.raises(LoadError):
        convert_all(tmp_path / "missing.keras", targets[:2])


def test_options_that_cannot_travel_are_refused(graph, targets):
    with pytest.raises(UsageError, match="handed to another process"):
        convert_all(graph, targets[:1], description=object())


def test_an_unknown_option_is_the_callers_mistake(graph, targets):
    with pytest.raises(TypeError, match="colour"):
        convert_all(graph, targets[:1], colour="green")


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_half_made(targets, tmp_path):
    code = f"""
        import signal, sys, torch
        from edgekit.conversion import convert_all
        from edgekit.progress import listening
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def say(title, done, total):
            if title.startswith("one ·"):
                print(title, flush=True)
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range(40)])
            def forward(self, x):
                return self.layers(x)
        with listening(say):
            convert_all(Net(), {[str(t) for t in targets[:2]]!r}, example_inputs=torch.zeros(1, 64), calibration="random",
                        out={str(tmp_path / "all")!r})
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True) as process:
        assert "one ·" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode not in (0, None)
    left = list((tmp_path / "all").iterdir()) if (tmp_path / "all").exists() else []
    assert [p for p in left if p.name.startswith(".")] == []
    for made in left:  # what had ended by then is whole
        json.loads((made / "manifest.json").read_text())


def test_converting_for_a_real_error_names_operator_and_module(data, tmp_path, targets):
    odd = graph_of(lambda x: aten.linalg_inv_ex.default(x)[0], [torch.eye(3)[None]], "head.inverse")
    found = convert_all(odd, ["android", targets[0]], recipe="float32", out=tmp_path / "all")
    error = found.errors["android"]
    assert isinstance(error, ConversionError)
    assert "linalg_inv" in str(error) and "head.inverse" in str(error)
    assert list(found.artifacts) == ["one"]
