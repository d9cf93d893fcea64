import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from keras import layers

from edgekit.errors import LoadError
from edgekit.graph import is_call
from edgekit.loading import export
from edgekit.loading.keras_trace import traceable


def run(exported, *inputs):
    with torch.no_grad():
        return exported.program.module()(*inputs)


def calls(exported):
    return [n for n in exported.program.graph.nodes if is_call(n)]


def image_model():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", strides=2, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6.0, name="act")(x)
    return keras.Model(image, layers.Dense(2, name="classes")(layers.GlobalAveragePooling2D(name="pool")(x)), name="net")


IMAGE = torch.randn(1, 8, 8, 3)


def test_names_are_those_of_the_layers():
    exported = export(image_model())
    assert [(i.name, i.shape) for i in exported.inputs] == [("image", (1, 8, 8, 3))]
    assert [(o.name, o.shape) for o in exported.outputs] == [("classes", (1, 2))]
    assert exported.source.framework == "keras" and exported.source.name == "net"
    assert "batch dimension fixed at 1" in exported.notes


def test_every_call_knows_its_layer():
    exported = export(image_model())
    paths = {n.meta["module_path"] for n in calls(exported)}
    assert paths == {"conv", "norm", "act", "pool", "classes"}
    weights = {n.meta["module_path"] for n in exported.program.graph.nodes if n.op == "placeholder" and n.users and n.name.startswith("c_")}
    assert weights == {"conv", "norm", "classes"}


def test_nested_models_join_their_names():
    inner = image_model()
    image = keras.Input((8, 8, 3))
    exported = export(keras.Model(image, layers.Softmax(name="soft")(inner(image))))
    assert {"net.conv", "net.classes", "soft"} <= {n.meta["module_path"] for n in calls(exported)}


def test_operations_of_a_functional_model_have_names_too():
    image = keras.Input((4,), name="image")
    exported = export(keras.Model(image, keras.ops.relu(image * 2.0 + 1.0)))
    assert all(n.meta["module_path"] for n in calls(exported))


def test_the_graph_holds_only_work_on_inputs():
    targets = [str(n.target) for n in calls(export(image_model()))]
    assert not [t for t in targets if "assert" in t or "aten.to." in t or "contiguous" in t or "reshape" in t or "rsqrt" in t]
    assert len(targets) <= 12


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("center", "scale"), [(True, True), (False, True), (True, False), (False, False)])
def test_batch_norm_keeps_its_answer(axis, center, scale):
    model = keras.Sequential([keras.Input((5, 6, 4)), layers.BatchNormalization(axis=axis, center=center, scale=scale)])
    for variable in model.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 2.0, variable.shape))
    x = torch.randn(1, 5, 6, 4)
    torch.testing.assert_close(run(export(model), x)[0], model(x), rtol=1e-5, atol=1e-6)


def patched():
    from keras.src.backend.torch import core, nn

    classes = keras.Layer.__call__, keras.Operation.__call__
    return core.get_device, nn.batch_normalization, *classes, keras.config.is_traceback_filtering_enabled()


def test_the_model_and_keras_are_left_as_they_were():
    model = image_model()
    before = patched()
    values = [v._value for v in model.variables]
    export(model)
    assert before == patched()
    assert all(a is v._value for a, v in zip(values, model.variables, strict=True))
    assert isinstance(values[0], torch.nn.Parameter)


def test_patches_are_undone_after_an_error():
    before = patched()
    with pytest.raises(RuntimeError), traceable(image_model()):
        raise RuntimeError
    assert before == patched()


def test_a_shared_layer_stores_its_weights_once():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    exported = export(keras.Model(image, conv(conv(image))))
    kernels = {n.args[1] for n in calls(exported) if str(n.target) == "aten.conv2d.default"}
    assert len(kernels) == 1


def test_dynamic_dimensions_need_a_size():
    model = keras.Sequential([keras.Input((None, None, 3), name="image"), layers.Conv2D(2, 3, padding="same")])
    with pytest.raises(LoadError, match="--dim image:1=100"):
        export(model)
    exported = export(model, dims={"image": {1: 16, 2: 24}}, batch=2)
    assert exported.outputs[0].shape == (2, 16, 24, 2)
    assert export(model, np.zeros((4, 10, 12, 3))).outputs[0].shape == (1, 10, 12, 2)


@pytest.mark.parametrize("form", ["list", "dict", "nested"])
def test_several_inputs_keep_the_models_own_structure(form):
    a, b = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    structure = {"list": [a, b], "dict": {"first": a, "second": b}, "nested": [a, {"second": b}]}[form]
    model = keras.Model(structure, {"sum": layers.Add()([a, b]), "difference": layers.Subtract()([a, b])})
    exported = export(model)
    assert [i.name for i in exported.inputs] == ["first", "second"]
    assert sorted(o.name for o in exported.outputs) == ["difference", "sum"]
    x, y = torch.randn(1, 3), torch.randn(1, 3)
    answers = dict(zip([o.name for o in exported.outputs], run(exported, x, y), strict=True))
    torch.testing.assert_close(answers["sum"], x + y)
    torch.testing.assert_close(answers["difference"], x - y)


def test_two_outputs_of_one_layer_have_two_names():
    x = keras.Input((4,), name="x")
    dense = layers.Dense(2, name="head")
    exported = export(keras.Model(x, [dense(x), dense(2 * x)]))
    assert [o.name for o in exported.outputs] == ["head", "head_1"]


def test_an_unbuilt_sequential_is_built_by_its_example():
    model = keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    with pytest.raises(LoadError, match="does not declare its inputs"):
        export(model)
    exported = export(model, torch.randn(5, 4))
    x = torch.randn(1, 4)
    assert exported.inputs[0].shape == (1, 4) and {n.meta["module_path"] for n in calls(exported)} == {"a", "b"}
    torch.testing.assert_close(run(exported, x)[0], model(x))


class Pair(keras.Model):
    def __init__(self):
        super().__init__()
        self.left, self.right = layers.Dense(2, name="left"), layers.Dense(2, name="right")

    def call(self, inputs, training=False):
        return {"left": self.left(inputs["a"]), "right": self.right(inputs["b"])}


def test_a_subclassed_model_takes_its_example():
    exported = export(Pair(), {"a": torch.ones(1, 3), "b": torch.ones(1, 4)})
    assert [i.name for i in exported.inputs] == ["inputs.a", "inputs.b"]
    assert [o.name for o in exported.outputs] == ["left", "right"]
    assert {n.meta["module_path"] for n in calls(exported)} == {"left", "right"}


def test_integer_ids_stay_integers():
    ids = keras.Input((6,), dtype="int32", name="ids")
    model = keras.Model(ids, layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(ids)))
    exported = export(model)
    assert exported.inputs[0].dtype == "int32"
    x = torch.randint(0, 10, (1, 6), dtype=torch.int32)
    torch.testing.assert_close(run(exported, x)[0], model(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_other_precisions_are_traced_in_float32_and_noted(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = image_model()
    finally:
        keras.config.set_dtype_policy("float32")
    exported = export(model)
    assert exported.inputs[0].dtype == exported.outputs[0].dtype == "float32"
    assert all(n.meta["val"].dtype == torch.float32 for n in calls(exported))
    assert any("computed in float32" in note for note in exported.notes)
    assert model.layers[1].dtype_policy.name == policy
    reference = image_model()
    reference.set_weights([np.asarray(w, np.float32) for w in model.get_weights()])
    torch.testing.assert_close(run(exported, IMAGE)[0], reference(IMAGE), rtol=1e-5, atol=1e-6)


def test_a_quantized_model_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="head")])
    model.quantize("int8")
    with pytest.raises(LoadError, match="quantized already") as caught:
        export(model)
    assert caught.value.module == "head"


class CallsTensorFlow(layers.Layer):
    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        import tensorflow as tf

        return tf.nn.relu(x)


def test_a_layer_that_calls_tensorflow_is_named_with_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as where it is not installed
    x = keras.Input((4,))
    model = keras.Model(x, CallsTensorFlow(name="odd")(x))
    with pytest.raises(LoadError, match="calls TensorFlow") as caught:
        export(model)
    assert caught.value.module == "odd" and "edgekit[tensorflow]" in str(caught.value)


class Counting(layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign(self.count + 1)
        return x * self.count


def test_a_layer_that_changes_its_weights_is_refused_and_unchanged():
    x = keras.Input((4,))
    model = keras.Model(x, Counting(name="counter")(x))
    with pytest.raises(LoadError, match="keeps no state") as caught:
        export(model)
    assert caught.value.module == "counter"
    assert float(model.layers[-1].count.value) == 0


def test_a_failing_layer_is_named():
    class Failing(layers.Layer):
        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

        def call(self, x):
            raise ValueError("not today")

    x = keras.Input((4,))
    with pytest.raises(LoadError, match="not today") as caught:
        export(keras.Model(x, Failing(name="grumpy")(x)))
    assert caught.value.module == "grumpy"


def test_strings_are_refused():
    text = keras.Input((1,), dtype="string", name="text")
    model = keras.Model(text, text)
    with pytest.raises(LoadError, match="'text' has dtype string"):
        export(model)


@pytest.mark.parametrize("augment", [layers.RandomFlip, lambda: layers.RandomRotation(0.2), lambda: layers.GaussianNoise(0.5)])
def test_layers_that_augment_training_images_pass_others_through(augment):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Conv2D(2, 3)(augment()(image)))
    exported = export(model)
    assert np.allclose(run(exported, IMAGE)[0], model.predict(IMAGE.numpy(), verbose=0), atol=1e-5)
    assert len(calls(exported)) == len(calls(export(keras.Sequential([keras.Input((8, 8, 3)), model.layers[-1]]))))
