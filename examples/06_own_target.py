"""A device of one's own is a TOML file: here, a board whose app wants bytes in and floats out.

python examples/06_own_target.py
"""

from pathlib import Path

import torch
from digits import digits, train_pytorch

import edgekit

BOARD = """\
schema = "edgekit.target/1"
name = "my-board"
description = "My board: TFLite int8 on LiteRT, bytes in, floats out"
format = "litert"
rules = "litert"
recipe = "int8"
runtimes = ["litert"]
input_dtype = "uint8"
output_dtype = "float32"
"""

Path("build/examples").mkdir(parents=True, exist_ok=True)
Path("build/examples/my-board.toml").write_text(BOARD, encoding="utf-8")
data = digits()
artifact = edgekit.convert(
    train_pytorch(data, epochs=1),
    target="build/examples/my-board.toml",
    example_inputs=(torch.zeros(1, 1, 8, 8),),
    calibration=data.train[:200, None],
    out="build/examples/06_own_target",
    overwrite=True,
)
print(artifact.manifest.target, artifact.manifest.inputs[0].dtype, artifact.manifest.outputs[0].dtype)
