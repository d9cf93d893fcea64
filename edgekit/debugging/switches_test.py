"""Everything off is the exact graph, everything on the final one, and a thrown switch is as good as a walk from the start."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.bias_correction import BiasCorrection
from edgekit.compress.cluster import Cluster
from edgekit.compress.quantize import Quantize
from edgekit.debugging.switches import RESULT, WEIGHT, Board
from edgekit.graph import aten
from edgekit.recipe import Context
from edgekit.testing.failing import answered, failing_net
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import RULES, data, quantized, small_net

CONTEXT = Context(RULES, answered(failing_net(), 8))
RECIPES = {
    "int8": (Quantize("w8a8"), BiasCorrection()),
    "int16": (Quantize("w8a16"),),
    "dynamic": (Quantize("w8ad8"),),
    "weights": (Quantize("w4b32"),),
    "half": (Quantize("fp16"),),
    "tables": (Cluster(bits=4),),
    "tables on grids": (Cluster(bits=4), Quantize("w8a8")),
}


def after(graph, *passes):
    for step in passes:
        graph = step(graph, CONTEXT)
    return graph


def inputs():
    return [torch.from_numpy(CONTEXT.calibration.inputs["x0"][:1])]


def everything(board):
    return {name for layer in board.layers for name in (*layer.switches, *layer.corrections)}


def outputs(board, values):
    return tuple(values[n.name] for n in board.graph.nodes[-1].all_input_nodes)


@pytest.mark.parametrize("recipe", RECIPES)
def test_off_is_the_exact_graph_and_on_the_final_one(recipe):
    exact = failing_net(2.0)
    final = after(exact, *RECIPES[recipe])
    board = Board(exact, final)
    assert board.layers
    for wanted, on in ((exact, ()), (final, everything(board))):
        for a, b in zip(wanted(*inputs()), outputs(board, board.values(inputs(), on)), strict=True):
            assert torch.equal(a, b)


@pytest.fixture(scope="module")
def board():
    exact = failing_net(2.0)
    return Board(exact, after(exact, *RECIPES["int8"]))


@settings(max_examples=30)
@given(drawn=st.data())
def test_throwing_switches_gives_what_a_walk_from_the_start_gives(board, drawn):
    names = sorted(everything(board))
    before, then = (drawn.draw(st.sets(st.sampled_from(names))) for _ in range(2))
    given_values = board.values(inputs(), before)
    thrown = board.thrown(given_values, before ^ then, then)
    afresh = board.values(inputs(), then)
    assert all(torch.equal(thrown[name], value) for name, value in afresh.items())
    assert all(torch.equal(given_values[name], value) for name, value in board.values(inputs(), before).items()), "the old ones stay"


def test_layers_are_the_users_in_execution_order():
    exact = failing_net()
    board = Board(exact, after(exact, *RECIPES["int8"]))
    assert [(layer.name, layer.op) for layer in board.layers] == [
        ("x0", "input"), ("stem", "convolution"), ("body", "convolution"), ("(model)", "mean"), ("head", "linear"),
    ]  # fmt: skip
    stem = board.layers[1]
    assert sorted(stem.switches.values()) == [RESULT, WEIGHT], "its relu is its own"
    assert len(stem.corrections) == 1 and stem.readers == ("body",)


def test_a_bias_that_a_correction_adds_is_off_until_asked_for():
    exact = small_net()
    for node in exact.nodes:  # a convolution without bias
        if "convolution" in node.name:
            node.args = (*node.args[:2], None, *node.args[3:])
    exact.module.recompile()
    samples = data((3, 8, 8))
    final = BiasCorrection()(quantized(exact, samples), Context(RULES, samples))
    board = Board(exact, final)
    image = [torch.from_numpy(samples.inputs["x0"][:1])]
    assert torch.equal(outputs(board, board.values(image, ()))[0], exact(*image)[0])


def test_of_probabilities_the_scores_count():
    exact = graph_of(lambda x0, w: aten.softmax.int(aten.linear.default(x0, w), -1), [torch.zeros(1, 4)], w=torch.eye(4))
    board = Board(exact, quantized(exact), ("softmax",))
    (name,) = board.scores
    assert "linear" in board.graph.nodes[[n.name for n in board.graph.nodes].index(name)].all_input_nodes[0].name
