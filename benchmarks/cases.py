"""What is measured: models, the data they are calibrated and tested on, and the peers that can convert them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

CALIBRATION_IMAGES = 200


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        name: In tables and files.
        source: What `edgekit convert` is given.
        peers: Names in `benchmarks.peers.PEERS`.
        labelled: Whether there is a test set with labels.
        reference: The benchmark authors' own int8 file in the data folder, or None.
    """

    name: str
    source: str
    peers: tuple[str, ...]
    labelled: bool = True
    reference: str | None = None

    def folder(self, out: Path) -> Path:
        """Where its inputs and results are kept."""
        return out / self.name


def cases(data: Path, out: Path) -> list[Case]:
    """The benchmark's models. MobileNetV2 has random weights: it shows speed and memory, not accuracy."""
    both = ("tfliteconverter", "litert+aeq")
    return [
        Case("ic_resnet8", str(data / "ic_resnet8.keras"), both, reference=str(data / "ref_ic_resnet8_int8.tflite")),
        Case("cifar_resnet20", "benchmarks/models.py:cifar_resnet20", ("litert+aeq",)),
        Case("cifar_resnet56", "benchmarks/models.py:cifar_resnet56", ("litert+aeq",)),
        Case("mobilenet_v2", str(out / "mobilenet_v2" / "mobilenet_v2.keras"), both, labelled=False),
    ]


def prepare(out: Path) -> None:
    """Write each case's ``calibration.npz`` (x) and ``test.npz`` (x, y), model-ready, and the Keras MobileNetV2.

    ``wanted`` of a ``test.npz`` are the float model's outputs.
    Runs in a process of its own (``python -m benchmarks.cases OUT``), so that the measuring one stays small.
    """
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy as np
    import torch

    from benchmarks.models import cifar_resnet20, cifar_resnet56
    from edgekit.testing.data import cifar_test, cifar_train, data_file, normalized_nchw

    (test, labels), (train, _) = cifar_test(), cifar_train()
    answers = {
        "ic_resnet8": keras.saving.load_model(data_file("ic_resnet8.keras")),
        "cifar_resnet20": cifar_resnet20()[0],
        "cifar_resnet56": cifar_resnet56()[0],
    }
    for name in ("ic_resnet8", "cifar_resnet20", "cifar_resnet56"):
        ready = (lambda x: x.astype("float32")) if name == "ic_resnet8" else normalized_nchw
        (out / name).mkdir(parents=True, exist_ok=True)
        np.savez(out / name / "calibration.npz", x=ready(train[:CALIBRATION_IMAGES]))
        images = ready(test)
        np.savez(out / name / "test.npz", x=images, y=labels, wanted=answers[name](torch.from_numpy(images)).detach().numpy())
    folder = out / "mobilenet_v2"
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2(weights=None).save(folder / "mobilenet_v2.keras")
    np.savez(folder / "calibration.npz", x=np.random.default_rng(0).random((16, 224, 224, 3), dtype="float32") * 2 - 1)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
