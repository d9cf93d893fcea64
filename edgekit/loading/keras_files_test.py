import json
import os
import zipfile

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import pytest
import torch
from keras import layers

from edgekit.errors import LoadError
from edgekit.graph import is_call
from edgekit.loading import export
from edgekit.loading.keras_legacy import without_gone_arguments


def small(layer=None):
    x = keras.Input((6, 6, 2), name="image")
    y = layers.Conv2D(3, 3, name="conv")(x)
    return keras.Model(x, layer(y) if layer else y, name="small")


def configured(path, edit):
    """Rewrite the configuration stored in a Keras file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            edit(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    config = json.loads(content["config.json"])
    edit(config)
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            new.writestr(name, data)
    return path


def answer(exported, *inputs):
    with torch.no_grad():
        return exported.program.module()(*inputs)[0]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_load_under_their_names(tmp_path, suffix):
    path, model, x = tmp_path / f"net{suffix}", small(), torch.randn(1, 6, 6, 2)
    model.save(path)
    exported = export(path)
    assert exported.source.name == f"net{suffix}" and exported.inputs[0].name == "image"
    torch.testing.assert_close(answer(exported, x), model(x))


def test_the_digest_of_a_file_is_that_of_the_model(tmp_path):
    model = small()
    model.save(tmp_path / "net.keras")
    assert export(tmp_path / "net.keras").source.digest == export(model).source.digest


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_arguments_of_keras_2_are_dropped(tmp_path, suffix):
    path = tmp_path / f"old{suffix}"
    x = keras.Input((6, 4), name="sequence")
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="lstm"))(layers.GRU(4, return_sequences=True)(x))
    y = layers.DepthwiseConv2D(3, name="depthwise")(layers.Reshape((6, 6, 1))(y))
    model = keras.Model(x, y)
    model.save(path)

    def age(node):
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            age(item)
        if isinstance(node, dict) and node.get("class_name") in ("LSTM", "GRU"):
            node["config"]["time_major"] = False
        if isinstance(node, dict) and node.get("class_name") == "DepthwiseConv2D":
            node["config"]["groups"] = 1

    configured(path, age)
    with pytest.raises(Exception, match=r"groups|time_major"):
        keras.saving.load_model(path, compile=False)
    data = torch.randn(1, 6, 4)
    torch.testing.assert_close(answer(export(path), data), model(data), rtol=1e-5, atol=1e-6)


def test_a_time_major_layer_keeps_its_argument_for_keras_to_refuse():
    node = {"class_name": "LSTM", "config": {"units": 3, "time_major": True}}
    assert without_gone_arguments(node) == node
    node["config"]["time_major"] = False
    assert without_gone_arguments([node]) == [{"class_name": "LSTM", "config": {"units": 3}}]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_layers_are_refused_unless_trusted(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    model = small(layers.Lambda(lambda x: x * 2, output_shape=(4, 4, 3), name="double"))
    model.save(path)
    with pytest.raises(LoadError, match="Python code") as caught:
        export(path)
    assert caught.value.module == "double" and "--trust" in str(caught.value)
    x = torch.randn(1, 6, 6, 2)
    torch.testing.assert_close(answer(export(path, trust=True), x), model(x))


CUSTOM = """
import keras

class Scale(keras.layers.Layer):
    def call(self, x):
        return x * 3.0
"""


def test_custom_layers_are_refused_unless_registered_or_trusted(tmp_path, monkeypatch):
    (tmp_path / "users_scale.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(tmp_path)
    from users_scale import Scale

    path = tmp_path / "net.keras"
    model = small(Scale(name="scale"))
    model.save(path)
    with pytest.raises(LoadError, match=r"class users_scale\.Scale") as caught:
        export(path)
    assert caught.value.module == "scale" and "--trust" in str(caught.value)
    x = torch.randn(1, 6, 6, 2)
    torch.testing.assert_close(answer(export(path, trust=True), x), model(x))
    with keras.saving.custom_object_scope({"Scale": Scale}):
        torch.testing.assert_close(answer(export(path), x), model(x))


def test_a_registered_class_that_was_not_imported_is_named_with_its_layer(tmp_path):
    path = tmp_path / "net.keras"
    small().save(path)

    def edit(config):
        config["config"]["layers"][1].update(module=None, class_name="Odd", registered_name="Mine>Odd")

    configured(path, edit)
    with pytest.raises(LoadError, match="registered as 'Mine>Odd'") as caught:
        export(path)
    assert caught.value.module == "conv" and "file.py:function" in str(caught.value)


def test_a_folder_is_no_model_file(tmp_path):
    path = tmp_path / "net.keras"
    path.mkdir()
    with pytest.raises(LoadError, match="is a folder"):
        export(path)


def test_a_trusted_class_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "net.keras"
    small().save(path)

    def edit(config):
        config["config"]["layers"][1].update(module="no_such_package", class_name="Odd", registered_name="Odd")

    configured(path, edit)
    with pytest.raises(LoadError, match=r"no_such_package\.Odd.*cannot be imported") as caught:
        export(path, trust=True)
    assert caught.value.module == "conv"


def test_recorded_tensorflow_operations_are_named_with_the_extra(tmp_path):
    path = tmp_path / "net.h5"
    small().save(path)

    def edit(config):
        config["config"]["layers"][1].update(class_name="TFOpLambda", config={"name": "tf.math.multiply", "function": "math.multiply"})

    configured(path, edit)
    for trust in (False, True):
        with pytest.raises(LoadError, match=r"TFOpLambda math\.multiply") as caught:
            export(path, trust=trust)
        assert caught.value.module == "tf.math.multiply" and "edgekit[tensorflow]" in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.98])
def test_truncated_files_are_one_clear_error(tmp_path, suffix, keep):
    path = tmp_path / f"net{suffix}"
    small().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(LoadError, match=r"not a whole Keras model file|cannot read"):
        export(path)


def test_a_zip_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(LoadError, match="not a whole Keras model file"):
        export(path)


def test_weights_without_a_model_are_refused(tmp_path):
    small().save_weights(tmp_path / "net.weights.h5")
    (tmp_path / "net.weights.h5").rename(tmp_path / "renamed.h5")
    with pytest.raises(LoadError, match="weights without the model"):
        export(tmp_path / "renamed.h5")


def test_unknown_classes_of_old_files_are_named(tmp_path):
    path = tmp_path / "net.h5"
    small().save(path)

    def edit(config):
        config["config"]["layers"][1].update(class_name="MyConv")
        for key in ("module", "registered_name"):
            config["config"]["layers"][1].pop(key, None)

    configured(path, edit)
    with pytest.raises(LoadError, match="MyConv") as caught:
        export(path)
    assert "register_keras_serializable" in str(caught.value)


def test_what_is_loaded_names_its_layers(tmp_path):
    small(layers.ReLU(name="act")).save(tmp_path / "net.keras")
    exported = export(tmp_path / "net.keras")
    assert {n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)} == {"conv", "act"}
