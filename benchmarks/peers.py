"""The peers, each called as its own documentation says, each in a process of its own.

    python -m benchmarks.peers PEER SOURCE CALIBRATION.npz OUT.tflite

``tfliteconverter``: ``tf.lite.TFLiteConverter`` with full-integer int8 (Keras models only).
``litert+aeq``: ``litert_torch.convert``, then AI Edge Quantizer's ``static_wi8_ai8`` recipe.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def tfliteconverter(source: str, calibration: np.ndarray, out: Path) -> None:
    """Keras model to int8 TFLite by TensorFlow."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.modules["jax"] = None  # type: ignore[assignment]  # it is here for the other peer: keras would import it, for nothing
    import keras
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(source))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    out.write_bytes(converter.convert())


def litert_aeq(source: str, calibration: np.ndarray, out: Path) -> None:
    """PyTorch or Keras-on-torch model to TFLite by litert-torch, quantized by ai-edge-quantizer."""
    os.environ["KERAS_BACKEND"] = "torch"
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    litert_torch.convert(_torch_module(source), (torch.from_numpy(calibration[:1]),)).export(str(out))
    q = quantizer.Quantizer(str(out))
    q.load_quantization_recipe(recipe.static_wi8_ai8())
    name = Interpreter(str(out)).get_signature_list()["serving_default"]["inputs"][0]
    q.quantize(q.calibrate({"serving_default": [{name: x[None]} for x in calibration]})).export_model(str(out), overwrite=True)


def _torch_module(source: str) -> Any:
    if source.endswith(".keras"):
        import keras

        return keras.models.load_model(source).eval()
    path, _, attribute = source.partition(":")
    model, _ = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), attribute)()
    return model


PEERS = {"tfliteconverter": tfliteconverter, "litert+aeq": litert_aeq}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    with np.load(sys.argv[3], allow_pickle=False) as arrays:
        PEERS[sys.argv[1]](sys.argv[2], arrays["x"], Path(sys.argv[4]))
