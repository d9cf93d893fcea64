"""Is int8 faster than float here? Both are launched in turns, so that what disturbs one disturbs the other.

python examples/05_compare.py
"""

import torch
from digits import digits, train_pytorch

import edgekit

data = digits()
graph = edgekit.load(train_pytorch(data, epochs=1), (torch.zeros(1, 1, 8, 8),))
calibration = data.train[:200, None]
float32, int8 = (
    edgekit.convert(graph, recipe=recipe, calibration=calibration, out=f"build/examples/05_{recipe}", overwrite=True)
    for recipe in ("float32", "int8")
)
comparison = edgekit.compare(float32, int8, quick=True)
print(comparison.sentence)
