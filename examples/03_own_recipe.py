"""A recipe of one's own: every preset side by side, then int8 with one layer left in float.

python examples/03_own_recipe.py
"""

import torch
from digits import digits, train_pytorch

import edgekit
from edgekit.recipes import load_recipe, recipe_names

MINE = """\
schema = "edgekit.recipe/1"
name = "mine"
output_dtype = "float32"    # the last layer stays in float

[[passes]]
pass = "quantize"
scheme = "w8a8"
calibration = "entropy"

[passes.overrides]
classifier = "float32"
"""

data = digits()
model = train_pytorch(data, epochs=4)
example = (torch.zeros(1, 1, 8, 8),)
graph = edgekit.load(model, example)  # exported once, converted often

recipes = [load_recipe(name) for name in recipe_names()] + [edgekit.Recipe.from_toml(MINE)]
for recipe in recipes:
    trains = any(step.name == "fine_tune" for step in recipe.passes)
    artifact = edgekit.convert(
        graph,
        recipe=recipe,
        calibration=data.train[:200, None],
        training=(data.train[:, None], data.train_labels) if trains else None,
        out=f"build/examples/03_{recipe.name}",
        overwrite=True,
    )
    verdict = edgekit.verify(artifact, graph, data=(data.test[:, None], data.test_labels))
    print(f"{recipe.name:18} {artifact.model_file.stat().st_size:7,} bytes, accuracy {verdict.metric.artifact}")
