"""Verification as a gate in continuous integration: thresholds, an exit code, a JUnit report.

python examples/04_gate.py
"""

import sys
from pathlib import Path

import torch
from digits import digits, train_pytorch

import edgekit

data = digits()
model = train_pytorch(data, epochs=4)
example = (torch.zeros(1, 1, 8, 8),)
artifact = edgekit.convert(model, example_inputs=example, calibration=data.train[:200, None], out="build/examples/04_gate", overwrite=True)

verdict = edgekit.verify(
    artifact,
    model,
    data=(data.test[:, None], data.test_labels),
    max_drop=0.02,  # accuracy may fall by two points, measured on the same samples
    min_cosine=0.99,
)
Path("build/examples/04_gate.xml").write_text(verdict.to_junit(), encoding="utf-8")
try:
    verdict.require()
except edgekit.GateFailed as error:
    sys.exit(str(error))
print("every gate is met:", *verdict.gates, sep="\n  ")
