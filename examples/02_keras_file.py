"""A .keras file and raw images: preprocessing is declared once, and kept in the artifact for the app.

python examples/02_keras_file.py
"""

from pathlib import Path

import numpy as np
from digits import digits, train_keras

import edgekit

data = digits()
Path("build/examples").mkdir(parents=True, exist_ok=True)
train_keras(data, epochs=2).save("build/examples/digits.keras")
raw = (data.test[..., None] * 16).astype(np.uint8)  # what a camera would give: bytes, 0 to 16 in this data set

artifact = edgekit.convert(
    "build/examples/digits.keras",
    target="android",
    calibration=(data.train[:200, ..., None] * 16).astype(np.uint8),
    preprocess=edgekit.Preprocess(scale=1 / 16),
    labels=[str(digit) for digit in range(10)],
    input_dtype="uint8",
    out="build/examples/02_keras_file",
    overwrite=True,
)
verdict = edgekit.verify(artifact, data=(raw, data.test_labels))  # finds the source file and the preprocessing by itself

print(artifact.manifest.preprocess)
print("accuracy", verdict.metric.artifact, "float", verdict.metric.reference)
