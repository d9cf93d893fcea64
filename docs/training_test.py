import re
from pathlib import Path

from edgekit.compress.training import FineTune
from edgekit.compress.training.losses import TERMS
from edgekit.recipe import SCHEMA, Recipe

PAGE = (Path(__file__).parent / "training.md").read_text(encoding="utf-8")


def test_the_recipe_on_the_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    recipe = Recipe.from_toml(f'schema = "{SCHEMA}"\n{text}')
    assert [step.name for step in recipe.passes] == ["prune_channels", "fine_tune"]
    assert isinstance(recipe.passes[1], FineTune) and recipe.passes[1].losses == {"soft": 1.0, "labels": 0.5}


def test_every_loss_is_on_the_page():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == ["soft", "hard", "labels", "outputs", "features", "inputs"]
    assert set(TERMS) == {"soft", "hard", "labels", "outputs", "features", "inputs"}
