from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.canonicalize import canonicalize
from edgekit.compress.channels import find_channels
from edgekit.compress.channels.importance import IMPORTANCES, scores
from edgekit.compress.channels.removal import removed
from edgekit.compress.channels.selection import SCOPES
from edgekit.compress.costs import MEASURES, cost_of, work_of
from edgekit.compress.prune_channels import PruneChannels
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import aten, is_call, op_name, shape_of
from edgekit.loading import export
from edgekit.recipe import Context, Recipe
from edgekit.targets import load_target
from edgekit.targets.kernels import Kernels
from edgekit.testing.channels import masked
from edgekit.testing.data import cifar_train, normalized_nchw
from edgekit.testing.graphs import graph_of
from edgekit.testing.reference import REFERENCE

RULES = load_target("android").rules
DATA = Samples({"x0": np.random.default_rng(0).normal(size=(12, 4, 8, 8)).astype(np.float32)})
CONTEXT, BARE = Context(RULES, DATA), Context(RULES)


def conv(x, w, b=None):
    return aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)


def network(seed=0):
    """Two groups side by side, 24 and 16 channels wide, and a classifier."""
    random = torch.Generator().manual_seed(seed)
    shapes = {"w1": (24, 4, 3, 3), "b1": (24,), "w2": (16, 24, 3, 3), "b2": (16,), "w3": (5, 16)}

    def net(x0, **k):
        a = aten.relu.default(conv(x0, k["w1"], k["b1"]))
        b = aten.relu.default(conv(a, k["w2"], k["b2"]))
        return aten.linear.default(aten.reshape.default(aten.mean.dim(b, [2, 3], True), [1, 16]), k["w3"])

    return graph_of(net, [torch.zeros(1, 4, 8, 8)], "net", **{k: torch.randn(*s, generator=random) for k, s in shapes.items()})


@pytest.fixture(scope="module")
def resnet():
    model = REFERENCE["cifar_resnet20"]()
    return canonicalize(export(model.model, model.example_inputs))


def widths(graph):
    return [shape_of(node)[1] for node in graph.nodes if node.op == "call_function" and op_name(node) == "convolution"]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scope", SCOPES)
def test_budgets_are_met_and_not_by_far(resnet, measure, scope):
    before = getattr(cost_of(resnet), measure)
    after = getattr(cost_of(PruneChannels(**{measure: 0.5}, scope=scope)(resnet, BARE)), measure)
    assert 0.47 * before < after <= 0.5 * before
    number = PruneChannels(**{measure: float(before // 3)}, scope=scope)(resnet, BARE)
    assert getattr(cost_of(number), measure) <= before // 3


def test_a_budget_that_is_met_already_removes_nothing(resnet):
    cost = cost_of(resnet)
    assert cost_of(PruneChannels(bytes=cost.bytes + 1)(resnet, BARE)) == cost


def test_a_ratio_goes_from_each_group_or_from_all():
    assert widths(PruneChannels(ratio=0.25, scope="group")(network(), CONTEXT)) == [18, 12]
    assert sum(widths(PruneChannels(ratio=0.25, scope="global")(network(), CONTEXT))) == 30


@pytest.mark.parametrize("scope", SCOPES)
def test_what_is_left_is_aligned(resnet, scope):
    pruned = PruneChannels(macs=0.4, scope=scope)(resnet, Context(RULES, alignment=8))
    assert len(set(widths(pruned))) > 1
    assert all(width % 8 == 0 for width in widths(pruned))
    assert any(width % 8 for width in widths(PruneChannels(macs=0.4, scope=scope, alignment=1)(resnet, Context(RULES, alignment=8))))


def test_odd_widths_come_into_line():
    graph = graph_of(lambda x0, a, b: conv(conv(x0, a), b), [torch.zeros(1, 4, 8, 8)],
                     a=torch.randn(21, 4, 3, 3), b=torch.randn(3, 21, 3, 3))  # fmt: skip
    assert widths(PruneChannels(ratio=0.3, alignment=8)(graph, CONTEXT)) == [16, 3]


def test_kept_and_overridden_modules(resnet):
    overrides = {"layer3.2.conv1": 0.25, "layer3.1.conv1": 0.0}
    pruned = PruneChannels(ratio=0.5, keep=("layer1", "conv1"), scope="group", overrides=overrides)(resnet, BARE)
    by_module = {n.meta["module_path"]: shape_of(n)[1] for n in pruned.nodes if n.op == "call_function" and op_name(n) == "convolution"}
    assert by_module["layer1.0.conv1"] == by_module["conv1"] == 16
    assert by_module["layer2.0.conv1"] == 16
    assert (by_module["layer3.1.conv1"], by_module["layer3.2.conv1"]) == (64, 48)


def test_normalized_channels_go_only_when_asked():
    model = REFERENCE["vit"]()
    graph = canonicalize(export(model.model, model.example_inputs))
    context = Context(RULES)
    assert shape_of(next(n for n in PruneChannels(ratio=0.5)(graph, context).nodes if op_name(n) == "layer_norm"))[-1] == 32
    thin = PruneChannels(ratio=0.5, normalized=True)(graph, context)
    assert shape_of(next(n for n in thin.nodes if op_name(n) == "layer_norm"))[-1] == 16
    assert all(bool(torch.isfinite(y).all()) for y in thin(*model.inputs(0, 1)))


@pytest.mark.parametrize("importance", [name for name in IMPORTANCES if name not in ("random", "geometric_median", "gradient")])
def test_channels_of_no_weight_go_first(importance):
    graph = network()
    with torch.no_grad():
        graph.module.w1[5:9], graph.module.b1[5:9], graph.module.w2[:, 5:9] = 0, 0, 0
        graph.module.w2[[1, 3]], graph.module.b2[[1, 3]], graph.module.w3[:, [1, 3]] = 0, 0, 0
    channels = find_channels(graph)
    measured = scores(graph, channels, importance, DATA)
    for group, empty in zip(channels.removable, ({5, 6, 7, 8}, {1, 3}), strict=True):
        order = np.argsort(measured[list(group.channels)], kind="stable")
        assert set(order[: len(empty)].tolist()) == empty
    pruned = PruneChannels(ratio=1 / 8, importance=importance, refit=False)(graph, CONTEXT)
    x = torch.from_numpy(DATA.inputs["x0"][:1])
    torch.testing.assert_close(graph(x)[0], pruned(x)[0], rtol=1e-4, atol=1e-4)


def test_filters_like_others_go_before_those_apart():
    graph = network()
    with torch.no_grad():
        graph.module.w1[:8] = graph.module.w1[:1] + 1e-3 * graph.module.w1[:8]
    channels = find_channels(graph)
    measured = scores(graph, channels, "geometric_median", None)[list(channels.removable[0].channels)]
    assert set(np.argsort(measured)[:8].tolist()) == set(range(8))


def test_taylor_predicts_what_removing_a_channel_does():
    """Ranks channels as the squared change of the outputs does when each alone is gone."""
    graph = network(1)
    channels = find_channels(graph)
    many = Samples({"x0": np.random.default_rng(1).normal(size=(256, 4, 8, 8)).astype(np.float32)})
    measured = scores(graph, channels, "taylor", many)
    group, changes = channels.removable[0], []
    for channel in group.channels:
        thin = masked(graph, channels, [channel])
        apart = [(graph(x)[0], thin(x)[0]) for x in torch.from_numpy(many.inputs["x0"][:64]).split(1)]
        changes.append(float(torch.stack([(a - b).square().sum() for a, b in apart]).mean()))
    assert np.corrcoef(np.log(changes), np.log(measured[list(group.channels)]))[0, 1] > 0.9


def test_gradients_rank_what_outputs_do_not_read_last():
    graph = network()
    with torch.no_grad():
        graph.module.w2[:, 4] = 0
    channels = find_channels(graph)
    # Nothing comes back through weights that are zero to those that write channel 4; those that read it still have gradients.
    written = scores(graph, channels, "gradient", DATA)
    assert written[list(channels.removable[0].channels)].argmin() == 4


def test_random_orders_repeat_by_seed():
    assert widths(PruneChannels(macs=0.5, importance="random", scope="global", seed=1)(network(), CONTEXT)) == widths(
        PruneChannels(macs=0.5, importance="random", scope="global", seed=1)(network(), CONTEXT)
    )
    channels = find_channels(network())
    assert not np.array_equal(*(scores(network(), channels, "random", None, seed=s) for s in (1, 2)))


def test_results_are_what_masked_weights_give(resnet):
    channels = find_channels(resnet)
    gone = [group.channels[0] for group in channels.removable]
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(masked(resnet, channels, gone)(x)[0], removed(resnet, channels, gone)(x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no budget"),
        ({"ratio": 0.5, "macs": 0.5}, "ratio and macs"),
        ({"ratio": 1.0}, "ratio is 1"),
        ({"ratio": -0.1}, "ratio is -0.1"),
        ({"macs": 0.0}, "macs is 0"),
        ({"bytes": 1.0}, "bytes is 1"),
        ({"ratio": 0.5, "importance": "l3"}, "importance is 'l3'"),
        ({"ratio": 0.5, "scope": "model"}, "scope is 'model'"),
        ({"ratio": 0.5, "overrides": {"a": 1.0}}, "override is 1"),
        ({"ratio": 0.5, "most": 1.0}, "most is 1"),
        ({"ratio": 0.5, "alignment": 0}, "alignment is 0"),
        ({"ratio": 0.5, "refit_samples": 0}, "refit_samples is 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        PruneChannels(**options)


def test_budgets_that_cannot_be_met_and_modules_that_do_not_exist(resnet):
    with pytest.raises(UsageError, match=r"macs cannot be brought from 40,551,040 to 405,510") as caught:
        PruneChannels(macs=0.01)(resnet, BARE)
    assert "a larger most" in str(caught.value)
    with pytest.raises(UsageError, match=r"no module 'layer1\.0\.conv3'") as caught:
        PruneChannels(macs=0.5, keep=("layer1.0.conv3",))(resnet, BARE)
    assert "layer1.0.conv" in str(caught.value)
    with pytest.raises(DataError, match="measured on data"):
        PruneChannels(macs=0.5, importance="taylor")(resnet, Context(RULES))


def test_a_model_of_which_nothing_can_go_says_why():
    model = REFERENCE["gru_classifier"]()
    with pytest.raises(UsageError, match=r"no channels can be removed; .*rnn: the hidden size of a recurrent layer"):
        PruneChannels(macs=0.5)(canonicalize(export(model.model, model.example_inputs)), BARE)


def test_gradients_of_models_with_other_constants():
    """Masks and indices have none."""
    model = REFERENCE["bert"]()
    graph = canonicalize(export(model.model, model.example_inputs))
    data = Samples({spec.name: x.numpy() for spec, x in zip(graph.inputs, model.inputs(0, 4), strict=True)})
    pruned = PruneChannels(parameters=0.8, importance="gradient")(graph, Context(RULES, data))
    assert cost_of(pruned).parameters <= 0.8 * cost_of(graph).parameters


def test_what_is_left_open_is_chosen_by_the_data_and_noted():
    assert "(taylor, global, refitted)" in PruneChannels(ratio=0.5)(network(), CONTEXT).notes[-1]
    assert "(taylor, global, refitted)" in PruneChannels(ratio=0.5)(network(), Context(RULES, training=DATA)).notes[-1]
    assert "(l2, group)" in PruneChannels(ratio=0.5)(network(), BARE).notes[-1]
    assert "(taylor, layer, refitted)" in PruneChannels(ratio=0.5, scope="layer")(network(), CONTEXT).notes[-1]


def test_it_is_a_step_of_a_recipe():
    recipe = Recipe("thin", (PruneChannels(macs=0.5, keep=("conv1",), overrides={"layer3": 0.3}),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_what_a_tile_computes_goes_together():
    graph = network()
    tiles = replace(CONTEXT, kernels=Kernels(tile=16, output=1000), alignment=8)
    assert widths(PruneChannels(macs=0.9, refit=False)(graph, tiles)) == [16, 16], "24 channels take what 32 do"


def test_branches_go_as_a_whole_and_spare_the_kernels_more(resnet):
    data = normalized_nchw(cifar_train()[0][:32])
    context = Context(RULES, Samples({resnet.inputs[0].name: data}), alignment=8, kernels=load_target("android").kernels)
    thin = PruneChannels(macs=0.4)(resnet, context)
    assert 3 < len(widths(thin)) < len(widths(resnet))
    assert f"{len(widths(resnet)) // 2 - len(widths(thin)) // 2} branches as a whole" in thin.notes[-1]
    assert cost_of(thin).macs <= 0.4 * cost_of(resnet).macs
    whole = PruneChannels(macs=0.4, branches=False)(resnet, context)
    assert len(widths(whole)) == len(widths(resnet))
    work, without = (sum(work_of(node, context.kernels) for node in g.nodes if is_call(node)) for g in (thin, whole))
    assert work < without
