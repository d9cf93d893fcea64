"""Apple's Core AI and the evaluator, on the same packages: two implementations that share the reading of the file only."""

import numpy as np
import pytest

pytest.importorskip("coreai", reason="pip install 'edgekit[coreai]' (Linux x86-64)")

from edgekit.errors import ConversionError
from edgekit_runtimes._coreai import TRANSLATED
from edgekit_runtimes._coreai.translate import OPERATORS
from edgekit_runtimes._coreai.worker import CoreAISession
from edgekit_runtimes._coreml.session import CoreMLSession
from edgekit_runtimes._coreml.testing import saved

RNG = np.random.default_rng(0)
IMAGE, SEQUENCE, LINE = (1, 4, 8, 6), (1, 5, 8), (1, 4, 9)


def n(*shape):
    return RNG.normal(size=shape).astype("f4")


CASES = {
    **{name: (SEQUENCE, lambda mb, x, name=name: getattr(mb, name)(x=x)) for name in
       ("relu", "relu6", "sigmoid", "tanh", "exp", "erf", "abs", "sin", "cos", "silu")},
    "sqrt": (SEQUENCE, lambda mb, x: mb.sqrt(x=mb.abs(x=x))), "identity": (SEQUENCE, lambda mb, x: mb.identity(x=x)),
    **{name: (SEQUENCE, lambda mb, x, name=name: getattr(mb, name)(x=x, y=n(5, 1))) for name in
       ("add", "sub", "mul", "real_div", "maximum", "minimum")},
    "pow": (SEQUENCE, lambda mb, x: mb.pow(x=mb.abs(x=x), y=2.0)), "cast": (SEQUENCE, lambda mb, x: mb.cast(x=x, dtype="fp16")),
    **{name: (SEQUENCE, lambda mb, x, name=name: getattr(mb, name)(x=x, axes=[-1], keep_dims=True)) for name in
       ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min")},
    "reshape": (SEQUENCE, lambda mb, x: mb.reshape(x=x, shape=[8, -1])),
    "expand_dims": (SEQUENCE, lambda mb, x: mb.expand_dims(x=x, axes=[1])),
    "squeeze": (SEQUENCE, lambda mb, x: mb.squeeze(x=x, axes=[0])), "flatten2d": (SEQUENCE, lambda mb, x: mb.flatten2d(x=x, axis=2)),
    "conv": (IMAGE, lambda mb, x: mb.conv(x=x, weight=n(6, 2, 3, 3), bias=n(6), groups=2, strides=[2, 1],
        pad_type="custom", pad=[1, 0, 2, 1])),
    "conv, same": (IMAGE, lambda mb, x: mb.conv(x=x, weight=n(6, 4, 3, 3), pad_type="same", strides=[2, 2])),
    "conv, 1-D": (LINE, lambda mb, x: mb.conv(x=x, weight=n(6, 4, 3), bias=n(6), pad_type="same", strides=[2])),
    "pad": (IMAGE, lambda mb, x: mb.pad(x=x, pad=[1, 2, 0, 1], constant_val=0.5)),
    "max_pool": (IMAGE, lambda mb, x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="custom", pad=[1, 1, 0, 0])),
    "avg_pool": (IMAGE, lambda mb, x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1])),
    "linear": (SEQUENCE, lambda mb, x: mb.linear(x=x, weight=n(3, 8), bias=n(3))),
    "matmul": (SEQUENCE, lambda mb, x: mb.matmul(x=x, y=x, transpose_y=True)),
    "transpose": (SEQUENCE, lambda mb, x: mb.transpose(x=x, perm=[2, 0, 1])),
    "softmax": (SEQUENCE, lambda mb, x: mb.softmax(x=x, axis=1)), "gelu": (SEQUENCE, lambda mb, x: mb.gelu(x=x, mode="TANH_APPROXIMATION")),
    "clip": (SEQUENCE, lambda mb, x: mb.clip(x=x, alpha=-0.5, beta=1.0)),
    "sigmoid_hard": (SEQUENCE, lambda mb, x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4)),
    "concat": (SEQUENCE, lambda mb, x: mb.concat(values=[x, mb.relu(x=x)], axis=-1)),
    "layer_norm": (SEQUENCE, lambda mb, x: mb.layer_norm(x=x, axes=[-1], gamma=n(8), beta=n(8), epsilon=1e-3)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_both_say_the_same(case):
    shape, build = CASES[case]
    path = saved(build, {"x": shape})
    x = RNG.normal(size=(2, *shape[1:])).astype("f4")
    (wanted,), (got,) = (session(path).run({"x": x}).values() for session in (CoreMLSession, CoreAISession))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3 if case == "cast" else 1e-5)


def test_every_translation_has_a_case():
    assert {case.partition(",")[0] for case in CASES} == set(OPERATORS) == set(TRANSLATED)


def test_an_operator_that_is_not_translated_is_named():
    path = saved(lambda mb, x: mb.cumsum(x=x, axis=1), {"x": (1, 3)})
    with pytest.raises(ConversionError, match="cumsum") as caught:
        CoreAISession(path)
    assert caught.value.op == "cumsum" and "conv" in caught.value.accepted
