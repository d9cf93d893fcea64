import numpy as np
import pytest
import torch

from edgekit.errors import ConversionError, DataError
from edgekit_runtimes._coreml.evaluate import Evaluator, settled
from edgekit_runtimes._coreml.package import open_package
from edgekit_runtimes._coreml.program import read_program
from edgekit_runtimes._coreml.session import CoreMLSession
from edgekit_runtimes._coreml.testing import coremltools, saved

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")


def network(mb, x):
    hidden = mb.linear(x=x, weight=WEIGHT.astype("f2" if "16" in str(x.dtype.__name__) else "f4"), name="hidden")
    return mb.softmax(x=mb.tanh(x=hidden, name="act"), axis=1, name="y")


def test_half_precision_is_rounded_after_each_operation_and_only_there():
    path = saved(network, {"x": (2, 3)}, dtype="fp16")
    evaluator = Evaluator(read_program(open_package(path)))
    x = torch.randn(2, 3)
    got = evaluator({"x": x})["y"]
    half = lambda t: t.half().float()  # noqa: E731
    wanted = half(torch.softmax(half(torch.tanh(half(half(x) @ half(torch.from_numpy(WEIGHT)).T))), 1))
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


def test_single_precision_is_torch():
    evaluator = Evaluator(read_program(open_package(saved(network, {"x": (2, 3)}))))
    x = torch.randn(2, 3)
    torch.testing.assert_close(evaluator({"x": x})["y"], torch.softmax(torch.tanh(x @ torch.from_numpy(WEIGHT).T), 1), rtol=0, atol=0)


def test_integers_wrap_and_half_precision_overflows_as_declared():
    assert settled(torch.tensor([70000.0, 1.0]), "fp16").tolist() == [float("inf"), 1.0]
    assert settled(torch.tensor([300, -1]), "uint8").tolist() == [44, 255]
    assert settled(torch.tensor([65536 + 5, -1]), "uint16").tolist() == [5, 65535]


def test_an_operator_that_is_missing_is_named():
    path = saved(lambda mb, x: mb.random_uniform(shape=[2, 3], low=0.0, high=1.0, seed=1, name="noise"), {"x": (1,)})
    with pytest.raises(ConversionError, match="no operator 'random_uniform'") as caught:
        Evaluator(read_program(open_package(path)))
    assert caught.value.op == "random_uniform"


def test_control_flow_is_refused():
    def build(mb, x):
        return mb.cond(pred=mb.greater(x=mb.reduce_sum(x=x), y=0.0), _true_fn=lambda: mb.relu(x=x), _false_fn=lambda: mb.abs(x=x))

    with pytest.raises(ConversionError, match="'cond'"):
        Evaluator(read_program(open_package(saved(build, {"x": (2,)}))))


def test_an_operation_that_fails_is_named_with_its_shapes():
    path = saved(lambda mb, x: mb.gather(x=x, indices=mb.cast(x=x, dtype="int32"), axis=0, name="taken"), {"x": (3,)})
    with pytest.raises(ConversionError, match="gather 'taken' cannot be computed") as caught:
        Evaluator(read_program(open_package(path)))({"x": torch.tensor([0.0, 9.0, 1.0])})
    assert (3,) in caught.value.shapes


def side_by_side_and_apart(path, arrays):
    session, slow = CoreMLSession(path), CoreMLSession(path)
    slow._one_by_one = True
    fast = session.run(arrays)
    for name, value in slow.run(arrays).items():
        np.testing.assert_allclose(fast[name], value, rtol=1e-5, atol=1e-6)
    return session, fast


def test_many_samples_at_once_are_each_by_itself():
    def build(mb, x):
        weight = np.random.default_rng(1).normal(size=(5, 3, 3, 3)).astype("f4")
        image = mb.conv(x=x, weight=weight, pad_type="same", strides=[2, 2])
        flat = mb.reshape(x=mb.max_pool(x=image, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"), shape=[1, -1])
        values, places = mb.topk(x=flat, k=3, axis=1)
        return values, mb.gather_along_axis(x=flat, indices=places, axis=1, name="again")

    images = np.random.default_rng(2).normal(size=(70, 3, 8, 8)).astype("f4")
    session, found = side_by_side_and_apart(saved(build, {"x": (1, 3, 8, 8)}), {"x": images})
    assert not session._one_by_one
    assert found["again"].shape == (70, 3)


def test_samples_that_need_it_go_one_by_one():
    def build(mb, x):
        count = mb.cast(x=mb.reduce_sum(x=x), dtype="int32")
        return mb.fill(shape=mb.concat(values=[mb.expand_dims(x=count, axes=[0]), [2]], axis=0), value=1.0, name="ones")

    session = CoreMLSession(saved(build, {"x": (1, 3)}))
    x = np.array([[1, 1, 1], [2, 1, 0]], "f4")
    assert session.run({"x": x})["ones"].shape == (2, 3, 2)
    assert session._one_by_one
    with pytest.raises(ConversionError, match="different shapes"):
        session.run({"x": np.array([[1, 1, 1], [2, 2, 0]], "f4")})


def test_a_batch_of_the_file_is_filled_and_cut():
    session = CoreMLSession(saved(network, {"x": (4, 3)}))
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("f4")
    got = session.run({"x": x})["y"]
    np.testing.assert_allclose(got, torch.softmax(torch.tanh(torch.from_numpy(x @ WEIGHT.T)), 1), rtol=1e-5)
    assert session.run({"x": x[:0]})["y"].shape == (0, 4)


def image_model(layout, labels=None):
    ct = coremltools()
    kind = ct.ImageType("x", shape=(1, 3, 4, 5), color_layout=layout, scale=1 / 127.5, bias=[-1, -0.5, 0])
    options = {"inputs": [kind], "pass_pipeline": ct.PassPipeline.DEFAULT, "compute_precision": ct.precision.FLOAT32}
    if labels:
        options["classifier_config"] = ct.ClassifierConfig(labels)
    return saved(lambda mb, x: mb.softmax(x=mb.reduce_mean(x=x, axes=[2, 3]), axis=1, name="y"), {"x": (1, 3, 4, 5)}, **options)


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_images_come_as_pixels_in_the_order_the_file_states(layout):
    session = CoreMLSession(image_model(layout))
    (edge,) = session.interface.inputs
    assert (edge.colour, edge.spec().dtype, edge.spec().shape) == (layout, "float32", (1, 3, 4, 5))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 5)).astype("u1")
    scaled = pixels.astype("f4") / np.float32(127.5) + np.array([-1, -0.5, 0], "f4").reshape(3, 1, 1)
    wanted = torch.softmax(torch.from_numpy(scaled.mean((2, 3))), 1).numpy()
    for given in (pixels, pixels.astype("f4")):
        np.testing.assert_allclose(session.run({"x": given})["y"], wanted, rtol=1e-5)
    with pytest.raises(DataError):
        session.run({"x": pixels.astype("f8")})


def test_a_classifier_gives_labels_beside_probabilities():
    session = CoreMLSession(image_model("RGB", ["cat", "dog", "eel"]))
    found = session.run({"x": np.stack([np.eye(3)[i].reshape(3, 1, 1) * np.full((3, 4, 5), 255) for i in (2, 0)]).astype("u1")})
    (output,) = session.interface.outputs
    assert found["classLabel"].tolist() == ["eel", "cat"]
    assert output.name == "classLabel_probs"
    np.testing.assert_allclose(found[output.name].sum(1), 1, rtol=1e-5)
