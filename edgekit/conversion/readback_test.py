import logging
import shutil

import numpy as np
import pytest

from edgekit import plugins
from edgekit.conversion.readback import check_weights, compare_weights
from edgekit.errors import ConversionError
from edgekit.plugins import Emitted, EmittedWeight

WEIGHT = np.arange(32, dtype="f4").reshape(4, 8)
WANTED = (EmittedWeight("w", "layer1.conv", WEIGHT), EmittedWeight("b", "layer1.conv", np.full(4, np.nan, "f4")))
FOUND = {"w": WEIGHT, "b": np.full(4, np.nan, "f4")}


def changed(**arrays):
    return {name: array for name, array in {**FOUND, **arrays}.items() if array is not None}


def test_what_was_written_passes():
    compare_weights(WANTED, FOUND)
    compare_weights(WANTED, changed(bias_of_none=np.zeros(64, "f4")))
    compare_weights(WANTED, changed(epsilon=np.float32(1e-5).reshape(()), shape=np.arange(99)))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (changed(w=WEIGHT + np.eye(4, 8, dtype="f4")), "differs in 4 of 32 elements, by up to 1"),
        (changed(w=WEIGHT.astype("f2")), r"is float16\[4, 8\], not float32\[4, 8\]"),
        (changed(w=WEIGHT.T), "not float32"),
        (changed(w=None), "is missing"),
        (changed(w=np.nextafter(WEIGHT, np.float32(99))), "differs in 32"),
        (changed(w=None, b=None), "and 1 more constants are wrong"),
        (changed(other=np.ones(16, "f4")), "'other', which is none of the model's"),
    ],
    ids=["values", "dtype", "layout", "missing", "last bit", "several", "one too many"],
)
def test_what_was_not_is_told_with_its_module(found, message):
    with pytest.raises(ConversionError, match=message) as caught:
        compare_weights(WANTED, found)
    assert caught.value.next_step
    assert caught.value.module == (None if "other" in found else "layer1.conv")


def test_a_converter_that_lists_nothing_is_not_checked():
    check_weights(object(), None, Emitted("m", (), (), ()))
    check_weights(object(), None, Emitted("m", (), (), (), weights=WANTED))


def test_the_known_defect_of_coremltools_is_found(tmp_path):
    """coremltools 9.0 says it skips a layer whose channels do not divide by the group size, and writes its weights rescaled."""
    pytest.importorskip("sklearn")
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil import Builder as mb
    from coremltools.optimize import coreml as optimize

    weight, bias = 5 * np.random.default_rng(0).normal(size=(120, 128)).astype("f4"), np.ones(120, "f4")

    @mb.program([mb.TensorSpec((1, 128))], opset_version=ct.target.iOS18)
    def program(x):
        return mb.linear(x=x, weight=mb.const(val=weight, name="weight"), bias=mb.const(val=bias, name="bias"), name="y")

    options = {"minimum_deployment_target": ct.target.iOS18, "skip_model_load": True, "pass_pipeline": ct.PassPipeline.EMPTY}
    logging.disable(logging.WARNING)
    model = ct.convert(program, convert_to="mlprogram", **options)
    settings = optimize.OpPalettizerConfig(nbits=4, granularity="per_grouped_channel", group_size=16, enable_per_channel_scale=True,
                                           weight_threshold=10)  # fmt: skip
    wrong = optimize.palettize_weights(model, optimize.OptimizationConfig(global_config=settings))
    logging.disable(logging.NOTSET)
    listed = (EmittedWeight("weight", "layer3.fc", weight), EmittedWeight("bias", "layer3.fc", bias))
    runtime = plugins.load("runtimes", "coreml")
    for given, message in ((model, None), (wrong, "constant 'weight' differs in 15,[0-9]* of 15,360 elements")):
        path = tmp_path / "model.mlpackage"
        shutil.rmtree(path, ignore_errors=True)
        given.save(str(path))
        emitted = Emitted(path.name, (), (), (), weights=listed)
        if message is None:
            check_weights(runtime, path, emitted)
        else:
            with pytest.raises(ConversionError, match=message) as caught:
                check_weights(runtime, path, emitted)
            assert caught.value.module == "layer3.fc"
