"""Keras models of the reference set, on the torch backend."""

from __future__ import annotations

from typing import Any

from edgekit.loading.keras_import import import_keras
from edgekit.testing.data import data_file

APPLICATIONS = {
    "MobileNet": "keras_mobilenet",
    "MobileNetV2": "keras_mobilenet_v2",
    "MobileNetV3Small": "keras_mobilenet_v3_small",
    "MobileNetV3Large": "keras_mobilenet_v3_large",
    "EfficientNetB0": "keras_efficientnet_b0",
    "EfficientNetV2B0": "keras_efficientnet_v2_b0",
    "ResNet50": "keras_resnet50",
    "ResNet50V2": "keras_resnet50_v2",
    "DenseNet121": "keras_densenet121",
    "InceptionV3": "keras_inception_v3",
    "Xception": "keras_xception",
    "ConvNeXtTiny": "keras_convnext_tiny",
}
PREPROCESSING_INSIDE = {"MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"}
"""These take pixels 0…255; the others take -1…1."""


def keras_on_torch() -> Any:
    """The keras module, on its torch backend."""
    return import_keras()


def stored(name: str) -> Any:
    """A ``.keras`` file of the data folder."""
    path = data_file(f"{name}.keras")
    return keras_on_torch().saving.load_model(path, compile=False)


def application(name: str, size: int = 96) -> Any:
    """A ``keras.applications`` model with random weights and 10 classes."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)


def recurrent(kind: str) -> Any:
    """Two recurrent layers and a dense head on (16, 8) sequences; ``kind``: ``lstm``, ``gru`` or ``bilstm``."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    sequence = keras.Input((16, 8), name="sequence")
    if kind == "bilstm":
        states = layers.Bidirectional(layers.LSTM(12, name="lstm"), name="both_ways")(sequence)
    else:
        layer = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
        states = layer(12, name="second")(layer(12, return_sequences=True, name="first")(sequence))
    return keras.Model(sequence, layers.Dense(4, name="classes")(states), name=kind)


def two_headed() -> Any:
    """Two named inputs, two named outputs: an image branch and a vector branch that meet."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image, vector = keras.Input((16, 16, 3), name="image"), keras.Input((5,), name="vector")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Concatenate(name="join")([x, layers.Dense(4, activation="tanh", name="embed")(vector)])
    outputs = [layers.Dense(3, activation="softmax", name="label")(x), layers.Dense(1, name="angle")(x)]
    return keras.Model([image, vector], outputs, name="two_headed")
