"""A PyTorch module to an int8 TFLite file, proved on held-out data.

python examples/01_pytorch.py
"""

import torch
from digits import digits, train_pytorch

import edgekit

data = digits()
model = train_pytorch(data, epochs=4)

artifact = edgekit.convert(
    model,
    target="android",
    example_inputs=(torch.zeros(1, 1, 8, 8),),  # the module's forward arguments, batch first
    calibration=data.train[:200, None],  # typical inputs, as the model takes them
    out="build/examples/01_pytorch",
    overwrite=True,
)
verdict = edgekit.verify(artifact, model, data=(data.test[:, None], data.test_labels))

print(artifact.model_file, artifact.manifest.inputs[0])
print("accuracy", verdict.metric.artifact, "float", verdict.metric.reference, "difference", verdict.metric.difference)
