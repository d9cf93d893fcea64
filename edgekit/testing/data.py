"""The optional folder of real models and labelled data; tests that need it are skipped where it is missing."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

CIFAR_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
CIFAR_STD = np.array((0.229, 0.224, 0.225), np.float32)


def find_data_folder() -> Path | None:
    """``$EDGEKIT_DATA``, else ``../shared/data`` beside the project, else None."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("EDGEKIT_DATA") or default)
    return folder if folder.is_dir() else None


def data_folder() -> Path:
    """The data folder; skips the running test if there is none."""
    folder = find_data_folder()
    if folder is None:
        import pytest  # noqa: PLC0415 (only tests come here)

        pytest.skip("the data folder is missing: set EDGEKIT_DATA")
    return folder


def data_file(name: str) -> Path:
    """A file of the data folder; skips the running test if it is missing."""
    path = data_folder() / name
    if not path.is_file():
        import pytest  # noqa: PLC0415

        pytest.skip(f"the data folder has no {name}")
    return path


@cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(data_file(name), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def cifar_test() -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10 test images 0…999: uint8 (1000, 32, 32, 3) RGB, and labels (1000,)."""
    arrays = _arrays("cifar10_test1000.npz")
    return arrays["x"], arrays["y"]


def cifar_train() -> tuple[np.ndarray, np.ndarray]:
    """4000 CIFAR-10 training images: uint8 (4000, 32, 32, 3) RGB, and labels (4000,)."""
    arrays = _arrays("cifar10_train4000.npz")
    return arrays["x"], arrays["y"]


def mnist() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """MNIST (train images, labels), (test images, labels): uint8 (3000, 28, 28) and (3000,) each."""
    arrays = _arrays("mnist.npz")
    return (arrays["train_x"], arrays["train_y"]), (arrays["test_x"], arrays["test_y"])


def sww() -> tuple[np.ndarray, np.ndarray]:
    """Streaming wake word: float32 (45, 30, 1, 40) features, 15 a class, and labels (45,)."""
    arrays = _arrays("sww_samples.npz")
    return arrays["x"], arrays["y"]


def normalized_nchw(images: np.ndarray) -> np.ndarray:
    """What the CIFAR ResNets take: uint8 (N, 32, 32, 3) to float32 (N, 3, 32, 32), scaled and normalized."""
    scaled = (images.astype(np.float32) / 255 - CIFAR_MEAN) / CIFAR_STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
