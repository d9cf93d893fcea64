import pytest

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write

X = normal(2, 3, 4)
CASES = {
    "mean": lambda x: aten.mean.dim(x, [1, -1]),
    "mean keeping": lambda x: aten.mean.dim(x, [-1], True),
    "sum": lambda x: aten.sum.dim_IntList(x, [0, 2]),
    "amax": lambda x: aten.amax.default(x, [1]),
    "amin of all": lambda x: aten.reshape.default(aten.amin.default(x, []), [1]),
    "prod": lambda x: aten.prod.dim_int(x, 1),
    "cumsum": lambda x: aten.cumsum.default(x, -2),
    "argmax": lambda x: aten.argmax.default(x, -1),
    "argmax keeping": lambda x: aten.argmax.default(x, 1, True),
    "layer_norm": lambda x: aten.layer_norm.default(x, [3, 4]),
}


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_reductions(name, compute):
    check(graph_of(CASES[name], [X]), X, ios="16", compute=compute)


def test_layer_norm_with_scale_and_shift():
    check(graph_of(lambda x, w, b: aten.layer_norm.default(x, [4], w, b, 1e-12), [X], w=normal(4), b=normal(4)), X, compute="float16")


def test_argmax_of_everything_is_refused():
    with pytest.raises(ConversionError, match="all dimensions"):
        write(graph_of(aten.argmax.default, [X]))
