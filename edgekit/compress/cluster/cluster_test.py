import re

import pytest
import torch

from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.constraints import Codebook, Mask
from edgekit.conversion.lowering import lower
from edgekit.data import Samples
from edgekit.errors import ConversionError, DataError, UsageError
from edgekit.graph import aten, constant_value, constraints_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

RULES = load_rules("coreml")


def _network(seed=0):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=random) / max(1, torch.tensor(shape[1:]).prod()) ** 0.5

    def function(x, *, a, b, head, table, bias):
        y = aten.relu.default(aten.convolution.default(x, a, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
        y = aten.relu.default(aten.convolution.default(y, b, bias, [2, 2], [1, 1], [1, 1], False, [0, 0], 1))
        return aten.linear.default(aten.mean.dim(y, [2, 3]), head, None), aten.linear.default(aten.mean.dim(y, [2, 3]), table, None)

    weights = {"a": normal(16, 3, 3, 3), "b": normal(32, 16, 3, 3), "head": normal(10, 32), "table": normal(3, 32), "bias": normal(32)}
    return graph_of(function, [torch.randn(1, 3, 8, 8)], "net", **weights)


SAMPLES = Samples({"x0": torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(5)).numpy()})
DATA, NO_DATA = Context(RULES, SAMPLES), Context(RULES)


def _weights(graph):
    return {n.args[1]: n for n in graph.nodes if is_call(n) and op_name(n) in ("convolution", "linear")}


def _codebooks(graph):
    return {str(w.target): c for w in _weights(graph) for c in constraints_of(w) if isinstance(c, Codebook)}


def _error(graph, other):
    x = torch.from_numpy(SAMPLES.inputs["x0"])
    return sum(float((a - b).square().sum()) for i in range(len(x)) for a, b in zip(graph(x[i : i + 1]), other(x[i : i + 1]), strict=True))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("method", ["kmeans", "uniform"])
def test_weights_have_few_values_and_say_so(bits, method):
    graph = _network()
    result = Cluster(bits, method=method)(graph, NO_DATA)
    clustered = _codebooks(result)
    assert clustered
    for weight in _weights(result):
        value = constant_value(weight)
        if str(weight.target) in clustered:
            assert len(value.unique()) <= 2**bits and clustered[str(weight.target)].holds(value)
            assert torch.equal(value, value.half().float())
    assert not graph.constraints and "palettes: " in result.notes[0]


def test_groups_of_channels_have_tables_of_their_own():
    codebooks = _codebooks(Cluster(2, channels=4)(_network(), NO_DATA))
    groups = {name.rstrip("_1"): c.groups for name, c in codebooks.items()}
    assert groups["a"] == 4 and groups["b"] == 8 and groups["head"] == 5, "4 does not divide 10: groups of 2"


@pytest.mark.parametrize(("bits", "channels"), [(3, None), (4, 4)])
def test_errors_that_cancel_in_sums_move_answers_less_without_data(bits, channels):
    def function(x, *, w, head):
        y = aten.relu.default(aten.convolution.default(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
        return aten.linear.default(aten.mean.dim(y, [2, 3]), head, None)

    random = torch.Generator().manual_seed(3)
    weights = {"w": torch.randn(32, 16, 3, 3, generator=random), "head": torch.randn(40, 32, generator=random)}
    graph = graph_of(function, [torch.rand(1, 16, 8, 8)], "net", **weights)
    coarse = torch.rand(32, 16, 2, 2, generator=random)  # of one sign; neighbours are alike
    images = torch.nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear").split(1)
    exact, plain, summed = (
        torch.cat([g(image)[0] for image in images])
        for g in (graph, *(Cluster(bits, channels=channels, correction=c)(graph, NO_DATA) for c in ("none", "sums")))
    )
    assert (exact - summed).square().sum() < 0.6 * (exact - plain).square().sum()


def test_sums_keep_zeros_and_the_channels_of_grouped_convolutions():
    def function(x, *, w):
        return aten.convolution.default(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 4)

    graph = graph_of(function, [torch.randn(1, 8, 6, 6)], "net", w=torch.randn(16, 2, 3, 3, generator=torch.Generator().manual_seed(2)))
    pruned = Prune(0.5)(graph, NO_DATA)
    result = Cluster(2, correction="sums")(pruned, NO_DATA)
    before, after = (constant_value(next(iter(_weights(g)))) for g in (pruned, result))
    assert torch.equal(before == 0, after == 0) and len(after.unique()) <= 5
    sums = [
        (weight - before).flatten(2).sum(2).abs().mean()
        for weight in (constant_value(next(iter(_weights(Cluster(2)(pruned, NO_DATA))))), after)
    ]
    assert sums[1] < 0.6 * sums[0]


def test_sums_and_sensitivity_contradict_each_other():
    with pytest.raises(UsageError, match="change nothing"):
        Cluster(4, method="sensitivity", correction="sums")


def test_a_weight_of_few_values_takes_few_bits():
    graph = graph_of(lambda x, w: aten.linear.default(x, w, None), [torch.randn(1, 64)], "net", w=torch.eye(64))
    (codebook,) = Cluster(4)(graph, NO_DATA).constraints
    assert codebook.bits == 1 and codebook.holds(torch.eye(64))


def test_a_weight_that_a_table_would_not_make_smaller_stays():
    result = Cluster(8)(_network(), NO_DATA)
    assert "head_1" not in _codebooks(result) and "b_1" in _codebooks(result)
    assert any("stays as it is" in note for note in result.notes)


def test_corrections_bring_outputs_nearer():
    graph = _network()
    plain, bias, layers = (_error(graph, Cluster(2, correction=c)(graph, DATA)) for c in ("none", "bias", "layers"))
    assert layers < 0.5 * plain and bias < plain


def test_correction_keeps_even_spacing():
    for codebook in _codebooks(Cluster(2, method="uniform", correction="layers")(_network(), DATA)).values():
        steps = codebook.tables.diff(dim=1)
        torch.testing.assert_close(steps, steps.mean(1, keepdim=True).expand_as(steps), atol=1e-3, rtol=2e-3)


def test_sensitivity_weighs_where_outputs_react():
    graph = graph_of(
        lambda x, w, v: aten.linear.default(aten.linear.default(x, w, None), v, None),
        [torch.randn(1, 64)],
        "net",
        w=torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0]).repeat_interleave(32)[:, None],
        v=torch.cat([torch.eye(32), torch.zeros(32, 32)], 1),
    )
    data = Context(RULES, Samples({"x0": torch.randn(64, 64, generator=torch.Generator().manual_seed(1)).numpy()}))
    errors = {}
    for method in ("kmeans", "sensitivity"):
        result = Cluster(2, method=method)(graph, data)
        errors[method] = float(
            (next(v for n, v in result.module.named_buffers() if n.startswith("w")) - graph.module.w)[:32].square().sum()
        )
    assert errors["sensitivity"] < 0.5 * errors["kmeans"], "the second half of the rows reaches no output"


def test_pruned_weights_stay_zero_and_take_no_entry():
    pruned = Prune(0.5)(_network(), NO_DATA)
    for correction in ("none", "layers"):
        result = Cluster(2, correction=correction)(pruned, DATA)
        for weight in _weights(result):
            mask, codebook = (next(c for c in constraints_of(weight) if isinstance(c, kind)) for kind in (Mask, Codebook))
            assert mask.holds(constant_value(weight)) and codebook.holds(constant_value(weight)) and codebook.sparse
            assert len(constant_value(weight)[mask.kept].unique()) <= 4


def test_quantized_tables_are_still_tables():
    clustered = Cluster(3)(_network(), NO_DATA)
    result = Quantize("w8")(clustered, NO_DATA)
    (b,) = [n for n in result.nodes if is_call(n) and "fake_quantize" in op_name(n) and str(n.args[0].target).startswith("b")]
    rest = [constant_value(a) if hasattr(a, "graph") else a for a in b.args]
    assert len(b.target(*rest).unique()) <= 8
    assert _weights(clustered) and [c.kind for c in result.constraints] == [c.kind for c in clustered.constraints]


def test_a_second_clustering_leaves_tables_alone():
    once = Cluster(2)(_network(), NO_DATA)
    again = Cluster(4)(once, NO_DATA)
    assert {c.bits for c in again.constraints} == {2}


def test_lowering_leaves_clustered_weights_alone():
    def function(x, w, s):
        return aten.mul.Tensor(aten.convolution.default(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), s)

    x = torch.randn(1, 16, 4, 4)
    graph = graph_of(function, [x], "net", w=torch.randn(16, 16, 3, 3), s=torch.rand(16, 1, 1) + 0.5)
    result = lower(Cluster(4)(graph, NO_DATA), load_rules("litert"))
    assert [c.kind for c in result.constraints] == ["codebook"]
    pruned = Prune(0.5)(graph, NO_DATA)
    lowered = lower(pruned, load_rules("litert"))
    assert [c.kind for c in lowered.constraints] == ["mask"]
    assert not [n for n in lowered.nodes if is_call(n) and op_name(n) == "mul"], "a mask does not keep a scale from being absorbed"
    torch.testing.assert_close(lowered(x)[0], pruned(x)[0])


def test_pruning_after_clustering_is_refused():
    with pytest.raises(ConversionError, match="codebook"):
        Prune(0.5)(Cluster(2)(_network(), NO_DATA), NO_DATA)


def test_overrides_by_module():
    bits = {c.bits for c in Cluster(4, overrides={"net": 6})(_network(), NO_DATA).constraints}
    assert bits == {6} and not Cluster(4, overrides={"*": 16})(_network(), NO_DATA).constraints


def test_a_size_budget_is_kept_and_used():
    result = Cluster("auto", average_bits=3.0, widths=(1, 2, 3, 4, 6, 8))(_network(), DATA)
    average = float(re.match(r"palettes: ([\d.]+) bits", result.notes[0])[1])
    assert 2.5 < average <= 3.0 and len({c.bits for c in result.constraints}) > 1
    with pytest.raises(UsageError, match="smallest tables take"):
        Cluster("auto", average_bits=0.5)(_network(), DATA)


def test_an_accuracy_budget_takes_more_bits_for_more_agreement():
    random = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(64, 64, generator=random) for name in "vw"}
    graph = graph_of(lambda x, v, w: aten.linear.default(aten.linear.default(x, v, None), w, None), [torch.randn(1, 64)], "net", **weights)
    data, sizes = Context(RULES, Samples({"x0": torch.randn(90, 64, generator=random).numpy()})), []
    for agreement in (0.5, 0.95):
        result = Cluster("auto", min_agreement=agreement)(graph, data)
        sizes.append(float(re.match(r"palettes: ([\d.]+) bits", result.notes[0])[1]))
    assert sizes[0] < sizes[1]
    with pytest.raises(UsageError, match="classifier"):
        Cluster("auto", min_agreement=0.5)(_network(), DATA)


def test_formats_without_tables_are_told():
    result = Cluster(4)(_network(), Context(load_rules("litert")))
    assert any("has no tables" in note for note in result.notes)


@pytest.mark.parametrize("options", [{"correction": "bias"}, {"method": "sensitivity"}, {"bits": "auto", "average_bits": 4.0}])
def test_data_are_asked_for(options):
    with pytest.raises(DataError, match="data"):
        Cluster(**options)(_network(), NO_DATA)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bits": 5}, "bits is 5"),
        ({"bits": "many"}, "many"),
        ({"method": "random"}, "random"),
        ({"correction": "all"}, "all"),
        ({"channels": 0}, "channels"),
        ({"ridge": 0.0}, "ridge"),
        ({"bits": "auto"}, "0 budgets"),
        ({"bits": 4, "average_bits": 4.0}, "1 budgets"),
        ({"bits": "auto", "average_bits": 4.0, "min_agreement": 0.9}, "2 budgets"),
        ({"bits": "auto", "min_agreement": 1.5}, "min_agreement"),
        ({"bits": "auto", "average_bits": 4.0, "widths": (5,)}, "width is 5"),
        ({"overrides": {"head": 7}}, "override is 7"),
    ],
)
def test_bad_options_are_refused(options, told):
    with pytest.raises(UsageError, match=told):
        Cluster(**options)
