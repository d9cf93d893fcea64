import pytest
import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.compress.cluster import Cluster
from edgekit.compress.quantize import Quantize
from edgekit.conversion.lowering import lower
from edgekit.data import Samples
from edgekit.loading import export
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit_converters.coreml.testing import check, normal

OPTIONS = [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "num_layers": 2}]


class Recurrent(nn.Module):
    def __init__(self, kind, *, batch_first=True, given=False, features=5, hidden=4, **options):
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.given = getattr(nn, kind)(features, hidden, batch_first=batch_first, **options), given

    def forward(self, x, *states):
        sequence, last = self.cell(x, (states if len(states) == 2 else states[0]) if self.given else None)
        return (sequence, *(last if isinstance(last, tuple) else (last,)))


def lowered(kind, *inputs, ios="18", **options):
    graph = canonicalize(export(Recurrent(kind, **options).eval(), inputs, batch=inputs[0].shape[0]))
    return lower(graph, load_target("ios").at(ios).rules)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("options", OPTIONS)
def test_layers_stay_whole(kind, options):
    x = normal(2, 7, 5)
    written = check(lowered(kind, x, **options), x)
    directions = 2 if kind == "GRU" and options.get("bidirectional") else 1
    assert written.kinds.count(kind.lower()) == options.get("num_layers", 1) * directions


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("options", OPTIONS[1:3])
def test_initial_states_may_be_inputs(kind, options):
    count = 2 * options.get("num_layers", 1)
    inputs = [normal(7, 3, 5), *(normal(count, 3, 4, seed=i) for i in range(2 if kind == "LSTM" else 1))]
    check(lowered(kind, *inputs, batch_first=False, given=True, **options), *inputs, compute="float16")


@pytest.mark.parametrize("kind, ios", [("LSTM", "16"), ("GRU", "17")])
def test_versions_without_the_operator_have_it_unrolled(kind, ios):
    x = normal(1, 3, 5)
    written = check(lowered(kind, x, ios=ios), x, ios=ios, compute="float16")
    assert kind.lower() not in written.kinds and "linear" in written.kinds


def test_projected_states_are_unrolled():
    x = normal(1, 3, 5)
    assert "lstm" not in check(lowered("LSTM", x, proj_size=2), x).kinds


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "step, form",
    [
        (Cluster(4), "constexpr_lut_to_dense"),
        (Cluster(2, channels=4), "constexpr_lut_to_dense"),
        (Cluster(2, channels=5), "constexpr_lut_to_dense"),
        (Quantize("w8"), "constexpr_blockwise_shift_scale"),
        (Quantize("w4"), "constexpr_blockwise_shift_scale"),
    ],
    ids=["palette", "palettes of 4 rows", "palettes torn apart", "int8", "int4"],
)
def test_compressed_weights_keep_their_values_in_another_order_of_gates(kind, step, form):
    x = normal(1, 4, 40)
    graph = lowered(kind, x, features=40, hidden=10)
    written = check(step(graph, Context(load_target("ios").at("18").rules)), x, compute="float16")
    assert written.forms == [form] * 2


def test_integer_models_store_their_recurrent_weights_as_integers_too():
    x = normal(1, 4, 40)
    graph = lowered("LSTM", x, features=40, hidden=10)
    samples = Samples({"x": normal(8, 4, 40, seed=1).numpy()})
    final = Quantize("w8a8", calibration="minmax")(graph, Context(load_target("ios").at("18").rules, samples))
    assert "float: lstm" in " ".join(final.notes)
    assert check(final, x).forms == ["constexpr_blockwise_shift_scale"] * 2
