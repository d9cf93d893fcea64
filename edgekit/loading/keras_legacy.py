"""What Keras 2 wrote and Keras 3 does not read: arguments that have gone and classes that never were portable."""

from __future__ import annotations

from typing import Any

TENSORFLOW_CLASSES = frozenset(
    {"TFOpLambda", "SlicingOpLambda", "InstanceMethod", "InstanceProperty", "ClassMethod", "TensorFlowOpLayer", "TFSMLayer", "KerasLayer"}
)
"""Layers that are calls of TensorFlow functions, recorded by name."""

_GONE = {
    "DepthwiseConv1D": ("groups",),
    "DepthwiseConv2D": ("groups",),
    "SeparableConv1D": ("groups",),
    "SeparableConv2D": ("groups",),
    "Conv1DTranspose": ("groups",),
    "Conv2DTranspose": ("groups",),
    "Conv3DTranspose": ("groups",),
    "RNN": ("time_major",),
    "SimpleRNN": ("time_major",),
    "LSTM": ("time_major",),
    "GRU": ("time_major",),
    "Bidirectional": ("time_major",),
}
"""Arguments that Keras 2 saved with a layer whatever their value, and Keras 3 refuses."""

_ONLY_DEFAULT = {"time_major": False}
"""Arguments that may be dropped only where they have this value; the others have no effect on the layer."""


def without_gone_arguments(config: Any) -> Any:
    """A layer configuration, at any depth, without the arguments Keras 3 does not know."""
    if isinstance(config, list):
        return [without_gone_arguments(item) for item in config]
    if not isinstance(config, dict):
        return config
    clean = {key: without_gone_arguments(value) for key, value in config.items()}
    gone = _GONE.get(str(clean.get("class_name")), ())
    inner = clean.get("config")
    if gone and isinstance(inner, dict):
        clean["config"] = {k: v for k, v in inner.items() if k not in gone or v != _ONLY_DEFAULT.get(k, v)}
    return clean
