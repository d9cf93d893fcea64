"""What every runtime promises, held against each that has a converter to write it a model."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.errors import DataError, DeviceFailed, EdgekitError, LoadError
from edgekit.plugins import Encoding, RunRequest
from edgekit.tensors import TensorSpec
from edgekit.testing.graphs import graph_of
from edgekit.worker import WorkerCrashed
from edgekit_runtimes import _debian

aten = torch.ops.aten
ELSEWHERE = {"benchmark_model", "elf", "micro", "trtexec", "vela"}
"""Runtimes that need a device: tests of their own hold them."""
PAIRS = [(name, plugins.load("runtimes", name).formats[0]) for name in plugins.names("runtimes") if name not in ELSEWHERE]


def network(a, b, w):
    hidden = aten.relu.default(aten.linear.default(a, w))
    return hidden, aten.sub.Tensor(hidden, b)


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: pair[0])
def made(request, tmp_path_factory):
    """A runtime, the model file of a small network with two inputs and outputs, and the network."""
    name, model_format = request.param
    if name == "native" and _debian.find("gcc") is None:
        pytest.skip("gcc is missing: make setup-emulators")
    folder = tmp_path_factory.mktemp(name)
    torch.manual_seed(0)
    graph = graph_of(network, [torch.randn(1, 4), torch.randn(1, 3)], w=torch.randn(3, 4))
    emitted = plugins.load("converters", model_format).emit(graph, folder, Encoding())
    return plugins.load("runtimes", name), folder / emitted.model_file, graph


def samples(count=5):
    rng = np.random.default_rng(0)
    return {"x0": rng.standard_normal((count, 4)).astype("f4"), "x1": rng.standard_normal((count, 3)).astype("f4")}


def test_it_says_what_it_is(made):
    runtime, _, _ = made
    assert runtime.name in plugins.names("runtimes") and runtime.formats and runtime.extra


def test_outputs_are_the_graphs(made):
    runtime, model, graph = made
    given = samples()
    got = runtime.run(RunRequest(model), given)
    for i in range(5):
        wanted = graph(*(torch.from_numpy(given[s.name][i : i + 1]) for s in graph.inputs))
        for spec, tensor in zip(graph.outputs, wanted, strict=True):
            np.testing.assert_allclose(got[spec.name][i], tensor[0].numpy(), rtol=1e-5, atol=1e-6)
            assert got[spec.name].dtype == spec.dtype


def test_samples_do_not_see_each_other(made):
    runtime, model, _ = made
    given = samples()
    forwards = runtime.run(RunRequest(model), given)
    backwards = runtime.run(RunRequest(model), {k: v[::-1] for k, v in given.items()})
    for name, value in forwards.items():
        np.testing.assert_array_equal(value, backwards[name][::-1])


def test_inputs_go_by_name_not_by_order(made):
    runtime, model, _ = made
    given = samples()
    wanted = runtime.run(RunRequest(model), given)
    for name, value in runtime.run(RunRequest(model), dict(reversed(given.items()))).items():
        np.testing.assert_array_equal(value, wanted[name])


def test_inspect_describes_the_file(made):
    runtime, model, graph = made
    found = runtime.inspect(RunRequest(model))
    for side in ("inputs", "outputs"):
        assert [TensorSpec.from_json(s) for s in found[side]] == list(getattr(graph, side))
    assert len(found["ops"]) >= 2
    assert all({"index", "name", "delegated"} <= set(op) for op in found["ops"])


@pytest.mark.parametrize(
    "change",
    [
        {"x2": np.zeros((5, 4), "f4")},
        {"x0": None},
        {"x0": np.zeros((5, 4), "f8")},
        {"x0": np.zeros((5, 4), "i1")},
        {"x0": np.zeros((5, 9), "f4")},
        {"x0": np.zeros((5, 2, 2), "f4")},
        {"x0": np.zeros((5,), "f4")},
    ],
    ids=["one too many", "one too few", "wider", "integer", "longer", "deeper", "scalars"],
)
def test_other_inputs_are_refused(made, change):
    runtime, model, _ = made
    given = {k: v for k, v in (samples() | change).items() if v is not None}
    with pytest.raises(DataError) as caught:
        runtime.run(RunRequest(model), given)
    assert caught.value.accepted


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000), b"\xff" * 1000])
def test_other_files_are_refused(made, tmp_path, content):
    runtime, model, _ = made
    path = tmp_path / model.name
    path.write_bytes(content)
    with pytest.raises(LoadError, match=path.name):
        runtime.run(RunRequest(path), samples())


def test_a_missing_file_is_refused(made, tmp_path):
    runtime, model, _ = made
    with pytest.raises(LoadError):
        runtime.run(RunRequest(tmp_path / model.name), samples())


def test_truncated_files_give_an_error_whatever_happens(made, tmp_path):
    runtime, model, _ = made
    whole = max((p for p in [model, *model.rglob("*")] if p.is_file()), key=lambda p: p.stat().st_size)  # a model may be a folder
    content = whole.read_bytes()
    for cut in np.linspace(8, len(content) - 8, 6).astype(int):
        path = tmp_path / f"{cut}" / model.name
        shutil.copytree(model.parent, path.parent)
        (path.parent / whole.relative_to(model.parent)).write_bytes(content[:cut])
        with pytest.raises(EdgekitError):
            runtime.run(RunRequest(path), samples())


def test_a_hang_is_ended(made):
    runtime, model, _ = made
    long = samples(300_000)  # on which the quickest runner is busy far longer than the scheduler may keep us from looking
    with pytest.raises((WorkerCrashed, DeviceFailed), match=r"no (answer|end) within"):
        runtime.run(RunRequest(model, options={"timeout": 0.001, "fail": "hang"}), long)


def test_importing_it_imports_no_framework(made):
    runtime, _, _ = made
    code = f"""
        import sys
        from edgekit import plugins
        plugins.load("runtimes", {runtime.name!r})
        assert not {{"torch", "tensorflow", "ai_edge_litert"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
