"""scikit-learn's bundled handwritten digits, and one small network for them in PyTorch and in Keras.

Real data without a download: 1,797 images of 8x8, ten classes. Training takes seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # before keras is imported: no TensorFlow is needed

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

torch.set_num_threads(1)  # networks this small only wait for each other on more


@dataclass(frozen=True)
class Digits:
    """Training and held-out images, float32 of shape (samples, 8, 8), 0 to 1, and their labels."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def digits() -> Digits:
    """The data, split once and for all: 1,257 to train on, 540 held out."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 8, 8)
    train, test, train_labels, test_labels = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
    return Digits(train, train_labels, test, test_labels)


class DigitsNet(nn.Module):
    """Three convolutions with batch norm, and a linear classifier. Input (N, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.mix = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.classifier = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores of shape (N, 10)."""
        x = self.down(self.stem(image))
        x = torch.relu(x + self.mix(x))
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def train_pytorch(data: Digits, epochs: int = 12) -> DigitsNet:
    """Train `DigitsNet`; images become (N, 1, 8, 8)."""
    torch.manual_seed(0)
    model = DigitsNet()
    images, labels = torch.from_numpy(data.train[:, None]), torch.from_numpy(data.train_labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=epochs * -(-len(images) // 64))
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def train_keras(data: Digits, epochs: int = 8) -> Any:
    """The same network in Keras; images become (N, 8, 8, 1)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for filters, stride in ((16, 1), (32, 2)):
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    y = layers.Conv2D(32, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(y))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, y])))
    model = keras.Model(image, layers.Dense(10, name="digit")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(5e-3), loss)
    model.fit(data.train[..., None], data.train_labels, batch_size=64, epochs=epochs, verbose=0)
    return model
