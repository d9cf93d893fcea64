import importlib.util
import os
import subprocess
import sys
import textwrap

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import pytest
import torch

from edgekit.errors import LoadError
from edgekit.loading import export
from edgekit.loading.keras_backends import _custom_classes, _in_worker

# Keras' numpy backend stands for any backend other than torch. It borrows convolutions and transforms from jax,
# which these models do without.
PRELUDE = """
import sys
from unittest.mock import MagicMock
for name in ("jax", "jax.lax", "keras.src.backend.jax", "keras.src.backend.jax.math"):
    sys.modules[name] = MagicMock()
import numpy as np
import keras, torch
from edgekit.loading import export
keras.utils.set_random_seed(0)
x = keras.Input((6,), name="features")
y = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(3, name="dense")(x))
model = keras.Model(x, keras.layers.ReLU(name="act")(y), name="net")
data = np.random.default_rng(0).normal(size=(1, 6)).astype("float32")
assert keras.config.backend() == "numpy"
"""


def python(code, tmp_path, **environment):
    script = tmp_path / "users_script.py"
    script.write_text(textwrap.dedent(code))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), **environment}
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=False)


def test_a_model_on_another_backend_is_traced_in_a_worker(tmp_path):
    done = python(
        PRELUDE
        + """
exported = export(model)
assert [i.name for i in exported.inputs] == ["features"] and [o.name for o in exported.outputs] == ["act"], exported
paths = {n.meta["module_path"] for n in exported.program.graph.nodes if n.op == "call_function"}
assert paths == {"dense", "norm", "act"}, paths
assert exported.source.name == "net" and exported.source.framework == "keras"
(answer,) = exported.program.module()(torch.from_numpy(data))
np.testing.assert_allclose(answer.detach().numpy(), model(data), rtol=1e-5, atol=1e-6)
model.save("PATH")
assert export("PATH").source.digest == exported.source.digest
""".replace("PATH", str(tmp_path / "net.keras")),
        tmp_path,
        KERAS_BACKEND="numpy",
    )
    assert done.returncode == 0, done.stderr


def test_a_class_of_the_script_itself_cannot_follow_and_says_so(tmp_path):
    done = python(
        PRELUDE
        + """
class Odd(keras.layers.Layer):
    def call(self, x):
        return x * 2
export(keras.Model(x, Odd(name="odd")(y)))
""",
        tmp_path,
        KERAS_BACKEND="numpy",
    )
    assert "defined in the script itself" in done.stderr and "in your module: odd" in done.stderr


@pytest.mark.slow
def test_a_class_of_a_module_follows(tmp_path):
    (tmp_path / "users_layers.py").write_text(
        "import keras\n\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return x * 2\n"
    )
    done = python(
        PRELUDE
        + """
from users_layers import Twice
twice = keras.Model(x, Twice(name="twice")(y))
exported = export(twice)
(answer,) = exported.program.module()(torch.from_numpy(data))
np.testing.assert_allclose(answer.detach().numpy(), twice(data), rtol=1e-5, atol=1e-6)
""",
        tmp_path,
        KERAS_BACKEND="numpy",
    )
    assert done.returncode == 0, done.stderr


def test_importing_keras_for_a_file_chooses_torch_and_leaves_the_environment(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "net.keras")
    code = f"""
    import os
    os.environ.pop("KERAS_BACKEND", None)
    from edgekit.loading import export
    export({str(tmp_path / "net.keras")!r})
    import keras
    assert keras.config.backend() == "torch" and "KERAS_BACKEND" not in os.environ
    """
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_scikit_learn_waits_until_its_wrappers_are_asked_for(tmp_path):
    code = """
    import sys
    from edgekit.loading.keras_import import import_keras
    keras = import_keras()
    assert "sklearn" not in sys.modules and "scipy" not in sys.modules
    import sklearn.base
    classifier = keras.wrappers.SKLearnClassifier(keras.Sequential([keras.layers.Dense(1)]))
    assert isinstance(classifier, sklearn.base.BaseEstimator)
    from keras.wrappers import SKLearnRegressor
    assert issubclass(SKLearnRegressor, sklearn.base.RegressorMixin)
    assert not hasattr(keras, "no_such_thing")
    """
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_worker_passes_dims_examples_and_errors_on(tmp_path):
    x = keras.Input((None, 3), name="sequence")
    model = keras.Model(x, keras.layers.Dense(2, name="dense")(x))
    path = tmp_path / "net.keras"
    model.save(path)
    exported = _in_worker(path, None, dims={"sequence": {1: 9}}, batch=2, trust=False)
    assert exported.inputs[0].shape == (2, 9, 3)
    assert exported.source.digest == export(path, dims={"sequence": {1: 9}}, batch=2).source.digest
    assert _in_worker(path, {"sequence": torch.ones(1, 5, 3)}, dims=None, batch=1, trust=False).inputs[0].shape == (1, 5, 3)
    with pytest.raises(LoadError, match="--dim sequence:1=100"):
        _in_worker(path, None, dims=None, batch=1, trust=False)


def test_only_the_users_own_classes_are_listed():
    class Mine(keras.layers.Layer):
        pass

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), Mine()])
    assert _custom_classes(model) == [f"{__name__}:{Mine.__qualname__}"]
