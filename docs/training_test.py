import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.compress.training import FineTune
from edgekit.compress.training.losses import TERMS
from edgekit.data import Samples
from edgekit.recipe import SCHEMA, Context, Recipe
from edgekit.testing.quantizing import RULES, data
from edgekit.testing.training import regression

PAGE = (Path(__file__).parent / "training.md").read_text(encoding="utf-8")


def test_the_recipe_on_the_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    recipe = Recipe.from_toml(f'schema = "{SCHEMA}"\n{text}')
    assert [step.name for step in recipe.passes] == ["prune_channels", "fine_tune"]
    assert isinstance(recipe.passes[1], FineTune) and recipe.passes[1].losses == {"soft": 1.0, "labels": 0.5}


def test_every_loss_is_on_the_page():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == ["soft", "hard", "labels", "outputs", "features", "inputs", "own"]
    assert set(TERMS) == {"soft", "hard", "labels", "outputs", "features", "inputs", "own"}


def test_the_functions_on_the_page_can_be_trained_by():
    (text,) = re.findall(r"```python own\n(.*?)```", PAGE, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(text, "training.md", "exec"), found)
    samples = data((6,), count=40)
    given = Samples(samples.inputs, samples.inputs["x0"][:, ::-1].copy())
    graph = regression()
    graph = replace(graph, outputs=(replace(graph.outputs[0], name="angle"),))
    tuned = FineTune(epochs=1)(graph, Context(RULES, training=given, loss=found["loss"], metric=found["closeness"]))
    assert "closeness -" in tuned.notes[-1]
