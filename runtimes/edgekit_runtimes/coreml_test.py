"""The evaluator as a user meets it: explained, refused where it says nothing, and only its errors of ours."""

import json

import jsonschema
import numpy as np
import pytest

import edgekit
from edgekit import plugins, schemas
from edgekit.errors import ConversionError, LoadError, UsageError
from edgekit.plugins import RunRequest
from edgekit_runtimes._coreml.testing import saved


@pytest.fixture(scope="module")
def package():
    rng = np.random.default_rng(0)

    def build(mb, x):
        weight = mb.constexpr_lut_to_dense(indices=rng.integers(0, 256, 80).astype("u1"), lut=rng.normal(size=16).astype("f4"),
                                           shape=np.array([10, 16], np.uint32), name="weight")  # fmt: skip
        return mb.softmax(x=mb.linear(x=x, weight=weight, bias=np.ones(10, "f4")), axis=1, name="y")

    return saved(build, {"x": (1, 16)}, "16")


def test_explain_lists_operators_and_how_weights_are_stored(package):
    found = edgekit.explain(package)
    assert found.counts == {"linear": 1, "softmax": 1}
    assert found.facts["needs"].startswith("iOS 16")
    assert found.facts["stored as"].startswith("4-bit palette: 94.1%")
    weight = next(t for t in found.tensors if t.name == "weight")
    assert weight.quantization == "4-bit palette; 7.60 bits each"
    assert {op.delegated for op in found.ops} == {None}
    jsonschema.validate(json.loads(json.dumps(found.to_json(), allow_nan=False)), schemas.schema("explain-1"))


def test_explain_says_what_the_evaluator_lacks():
    path = saved(lambda mb, x: mb.local_response_norm(x=x, size=3, name="y"), {"x": (1, 4, 3, 3)})
    (finding,) = [f for f in edgekit.explain(path).findings if f.kind == "load"]
    assert "local_response_norm" in finding.text


@pytest.mark.parametrize("name", ["nothing.mlpackage", "empty.mlpackage"])
def test_explain_refuses_what_is_no_package(tmp_path, name):
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises((UsageError, LoadError), match=name):
        edgekit.explain(tmp_path / name)


def test_profile_refuses_it_and_says_what_to_do(package):
    with pytest.raises(UsageError, match="numerics, not latency") as caught:
        edgekit.profile(package)
    assert "Xcode" in caught.value.next_step


def test_weights_are_those_that_operators_use(package):
    found = plugins.load("runtimes", "coreml").weights(RunRequest(package))
    assert found["weight"].shape == (10, 16)
    assert not any(name.endswith(("indices", "lut")) for name in found)


def test_an_operator_it_lacks_is_an_error_that_names_it():
    path = saved(lambda mb, x: mb.local_response_norm(x=x, size=3, name="y"), {"x": (1, 4, 3, 3)})
    with pytest.raises(ConversionError, match="local_response_norm") as caught:
        plugins.load("runtimes", "coreml").run(RunRequest(path), {"x": np.zeros((1, 4, 3, 3), "f4")})
    assert caught.value.op == "local_response_norm" and caught.value.next_step
