"""Several artifacts on the same samples: against the float model, against each other, and layer by layer."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from edgekit.conversion import convert
from edgekit.errors import DataError, GateFailed, UsageError
from edgekit.graph import aten
from edgekit.recipe import Recipe
from edgekit.testing.graphs import graph_of
from edgekit.verification import verify, verify_all
from edgekit.verification.layers import ABSENT, _nearest, _scaled_back

INT8 = Recipe.from_toml(
    'schema = "edgekit.recipe/1"\nname = "int8"\n[[passes]]\npass = "quantize"\nscheme = "w8a8"\ncalibration = "minmax"\n'
)


def network(x, k, b, w):
    stem = aten.relu.default(aten.convolution.default(x, k, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
    return aten.linear.default(aten.reshape.default(stem, [1, 4 * 36]), w)


@pytest.fixture(scope="module")
def graph():
    draw = torch.Generator().manual_seed(0)
    parts = {"k": (4, 3, 3, 3), "b": (4,), "w": (5, 4 * 36)}
    made = graph_of(network, [torch.zeros(1, 3, 6, 6)], "", **{n: torch.randn(s, generator=draw) * 0.3 for n, s in parts.items()})
    for node in made.nodes:
        node.meta["module_path"] = {"convolution.default": "stem", "linear.default": "head"}.get(
            node.name.replace("_default", ".default"), ""
        )
    return made


@pytest.fixture(scope="module")
def data(graph):
    x = np.random.default_rng(0).standard_normal((60, 3, 6, 6)).astype(np.float32)
    wanted = np.concatenate([graph(torch.from_numpy(row[None]))[0].numpy() for row in x])
    return x, wanted.argmax(1)


@pytest.fixture(scope="module")
def artifacts(graph, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("MNN")
    return [convert(graph, target, recipe=INT8, calibration=data[0][:20], out=folder / target) for target in ("android", "mnn")]


def test_each_verdict_is_that_of_verify_alone(graph, data, artifacts):
    found = verify_all(artifacts, graph, data=data, record=False)
    assert list(found.verdicts) == ["android", "mnn"]
    for artifact, verdict in zip(artifacts, found.verdicts.values(), strict=True):
        assert verdict == verify(artifact, graph, data=data, record=False)
    (pair,) = found.pairs
    assert (pair.first, pair.second) == ("android", "mnn")
    assert pair.parity[0].sqnr_db > 20
    assert pair.metric.difference.low <= 0 <= pair.metric.difference.high


def test_layers_come_from_the_files_by_the_users_modules(graph, data, artifacts):
    rows = verify_all(artifacts, graph, data=data, layers=True, record=False).layers
    by = {(r.module, r.artifact, r.against): r for r in rows}
    for key in (("stem", "android", "float"), ("stem", "mnn", "float"), ("head", "android", "float"), ("stem", "android", "mnn")):
        assert by[key].parity.sqnr_db > 25, key
    assert all((r.parity is None) <= (r.reason is not None) for r in rows)


def test_a_wrong_layer_is_seen_where_it_is(graph, data, artifacts):
    odd = graph.copy()
    (stem,) = [n for n in odd.nodes if n.name == "convolution_default"]
    odd.module.register_buffer("k2", odd.module.k.flip(0))
    with odd.module.graph.inserting_before(stem):
        other = odd.module.graph.get_attr("k2")
    stem.replace_input_with(stem.args[1], other)
    odd.module.recompile()
    rows = verify_all(artifacts, odd, data=data, layers=True, record=False).layers
    by = {(r.module, r.artifact, r.against): r for r in rows}
    assert by["stem", "android", "float"].parity.sqnr_db < 10
    assert by["stem", "android", "mnn"].parity.sqnr_db > 25


def test_a_module_that_one_file_has_no_operator_of_is_told(graph, data, artifacts):
    android, mnn = artifacts
    ops = tuple(replace(op, module="" if op.module == "head" else op.module) for op in mnn.manifest.ops)
    rows = verify_all([android, replace(mnn, manifest=replace(mnn.manifest, ops=ops))], graph, data=data, layers=True, record=False).layers
    (row,) = [r for r in rows if (r.module, r.artifact) == ("head", "mnn")]
    assert row.parity is None and row.reason == ABSENT
    assert not [r for r in rows if r.reason == ABSENT and r is not row]


@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (2, 4, 10)])
def test_neighbours_counted_among_channels_are_taken_apart(shape):
    wanted = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    last = np.moveaxis(wanted, 1, -1)
    folded = last.reshape(*last.shape[:-2], last.shape[-2] // 2, 2 * last.shape[-1])
    assert _nearest(folded, [wanted], rescaled=False).parity.max_abs == 0
    assert _nearest(last[:, None], [wanted], rescaled=False).parity.max_abs == 0, "a row of a file that has no one-dimensional layers"


def test_files_that_take_pixels_and_files_that_do_not_are_told_apart(artifacts):
    android, mnn = artifacts
    other = replace(mnn, manifest=replace(mnn.manifest, images={"x0": {}}))
    with pytest.raises(UsageError, match="takes pixels at x0, and 'android' takes no pixels"):
        verify_all([android, other], record=False)


def test_a_runtime_without_intermediate_results_says_so(graph, data, artifacts, tmp_path):
    text = 'schema = "edgekit.target/1"\nname = "plain"\ndescription = "x"\nformat = "fake"\nrules = "litert"\nrecipe = "float32"\n'
    (tmp_path / "plain.toml").write_text(text + 'runtimes = ["fake"]\n')
    plain = convert(graph, tmp_path / "plain.toml", recipe="float32", out=tmp_path / "made")
    rows = verify_all([plain, artifacts[0]], graph, data=data, layers=True, record=False).layers
    (row,) = [r for r in rows if r.artifact == "plain" and r.against == "float"]
    assert row.parity is None
    assert "not available" in row.reason


def test_gates_hold_for_each(graph, data, artifacts):
    found = verify_all(artifacts, graph, data=data, min_sqnr=99, record=False)
    assert not found.passed
    with pytest.raises(GateFailed, match="android: min_sqnr"):
        found.require()
    suites = ElementTree.fromstring(found.to_junit())
    assert [s.get("name") for s in suites] == ["edgekit verify android", "edgekit verify mnn"]
    assert [s.get("failures") for s in suites] == ["1", "1"]
    document = json.loads(json.dumps(found.to_json()))
    assert document["passed"] is False
    assert set(document["verdicts"]) == {"android", "mnn"}


def test_without_data_or_model_the_kept_samples_serve(artifacts):
    found = verify_all(artifacts, record=False)
    assert {v.reference for v in found.verdicts.values()} == {"golden"}
    with pytest.raises(DataError):
        verify_all(artifacts, min_accuracy=0.5, record=False)


def test_what_cannot_be_compared_is_refused(artifacts, tmp_path):
    with pytest.raises(UsageError, match="two or more"):
        verify_all(artifacts[:1])
    with pytest.raises(UsageError, match="twice"):
        verify_all([artifacts[0], artifacts[0]])
    other = graph_of(aten.relu.default, [torch.zeros(1, 7)])
    small = convert(other, "android", recipe="float32", out=tmp_path / "small")
    with pytest.raises(UsageError, match="has inputs"):
        verify_all([artifacts[0], small])


def test_channels_are_scaled_back_by_one_factor_each():
    wanted = np.random.default_rng(0).standard_normal((4, 3, 5, 5))
    factors = np.array([0.5, 1.0, 3.0]).reshape(1, 3, 1, 1)
    back, matters = _scaled_back(wanted * factors, wanted)
    np.testing.assert_allclose(back, wanted)
    assert matters
    assert not _scaled_back(wanted * 1.001, wanted)[1]


def test_layouts_are_told_by_the_values():
    wanted = np.random.default_rng(0).standard_normal((2, 4, 4, 4))
    assert _nearest(wanted.transpose(0, 2, 3, 1), [wanted], rescaled=False).parity.max_abs == 0
    assert _nearest(wanted[:, :2], [wanted], rescaled=False) is None
