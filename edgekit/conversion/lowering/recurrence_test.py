import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def _graph(layer, x, states, read=lambda *results: results):
    """A graph of a `torch.nn.LSTM` or `GRU`, with its states as inputs or as constants (zeros)."""
    names = [n for n, _ in layer.named_parameters()]
    lstm = isinstance(layer, torch.nn.LSTM)

    def call(x, *given, **constants):
        hx = list(given) or [constants[n] for n in ("h0", "c0") if n in constants]
        function = aten.lstm.input if lstm else aten.gru.input
        result = function(
            x,
            hx if lstm else hx[0],
            [constants[n] for n in names],
            layer.bias,
            layer.num_layers,
            0.0,
            False,
            layer.bidirectional,
            layer.batch_first,
        )
        return read(*(result[i] for i in range(3 if lstm else 2)))

    constants = {n: p.detach() for n, p in layer.named_parameters()}
    if not states:
        count = layer.num_layers * (2 if layer.bidirectional else 1)
        batch = x.shape[0 if layer.batch_first else 1]
        constants["h0"] = torch.zeros(count, batch, getattr(layer, "proj_size", 0) or layer.hidden_size)
        if lstm:
            constants["c0"] = torch.zeros(count, batch, layer.hidden_size)
    return graph_of(call, [x, *states], "block", **constants)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("options", [{"bidirectional": a, "bias": b} for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize(("batch_first", "batch"), [(True, 1), (True, 2), (False, 3)])
@pytest.mark.parametrize("given", [True, False])
def test_every_result_of_every_kind_of_layer(kind, layers, options, batch_first, batch, given):  # noqa: PLR0917
    torch.manual_seed(0)
    bidirectional = options["bidirectional"]
    layer = kind(3, 4, layers, batch_first=batch_first, **options)
    x = torch.randn((batch, 5, 3) if batch_first else (5, batch, 3))
    count = layers * (2 if bidirectional else 1)
    states = [torch.randn(count, batch, 4) for _ in range(2 if kind is torch.nn.LSTM else 1)] if given else []
    name = kind.__name__.lower()
    result = lowered(_graph(layer, x, states), name, inputs=(x, *states))
    assert name not in operators(result)


def test_projected_lstm():
    layer, x = torch.nn.LSTM(3, 5, 2, proj_size=2, batch_first=True), torch.randn(2, 4, 3)
    lowered(_graph(layer, x, []), "lstm", inputs=(x,))


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_one_input_projection_and_one_recurrent_weight(kind):
    layer, x = kind(3, 4, batch_first=True), torch.randn(1, 6, 3)
    result = lowered(_graph(layer, x, []), kind.__name__.lower(), inputs=(x,))
    assert operators(result)["linear"] == 1 + 5
    assert len({n.args[1] for n in result.nodes if n.op == "call_function" and n.target is aten.linear.default}) == 2


def test_a_reader_of_the_last_step_has_nothing_put_together():
    layer, x = torch.nn.GRU(3, 4, batch_first=True, bidirectional=True), torch.randn(1, 6, 3)

    def last(outputs, _):
        return aten.relu.default(aten.reshape.default(aten.slice.Tensor(outputs, 1, 5, 6, 1), [1, 8]))

    result = lowered(_graph(layer, x, [], last), "gru", inputs=(x,))
    counts = operators(result)
    assert counts["cat"] == 1, "the two directions of the last step"
    assert counts["linear"] == 2 + 5, "the backward direction has done one step by then"
