import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.bias_correction import BiasCorrection
from edgekit.compress.quantize import CALIBRATIONS, Quantize
from edgekit.errors import UsageError
from edgekit.recipe import PASSES, Recipe, pass_class
from edgekit.recipes import PRESETS, load_recipe, recipe_names, summary
from edgekit.schemes import SCHEMES, parse_scheme

schemes = st.sampled_from([*SCHEMES, "w4b64", "w4a8", "w4"])
words = st.text("abcdefghij.*_0123456789", min_size=1, max_size=12)
quantizes = st.builds(
    Quantize,
    scheme=schemes,
    calibration=st.sampled_from(list(CALIBRATIONS)),
    percentile=st.floats(51, 100),
    momentum=st.floats(0, 0.99),
    batch_size=st.integers(1, 99),
    overrides=st.dictionaries(words, schemes, max_size=3),
)
dtypes = st.none() | st.sampled_from(["int8", "uint8", "int16", "float32"])
passes = st.lists(quantizes | st.builds(BiasCorrection, batch_size=st.integers(1, 64)), max_size=3).map(tuple)
recipes = st.builds(Recipe, name=st.text(min_size=1), passes=passes, input_dtype=dtypes, output_dtype=dtypes)


@given(recipes)
def test_toml_reads_back_equal(recipe):
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_documented_and_read_back(name):
    preset = load_recipe(name)
    assert preset.name == name and summary(name).endswith(".") and len(summary(name)) <= 125
    assert Recipe.from_toml(preset.to_toml()) == preset
    assert load_recipe(preset) is preset


@pytest.mark.parametrize("name", [*(s for s in SCHEMES if s not in PRESETS), "w4b64", "w4b128", "w4a8", "w4"])
def test_scheme_names_are_recipes(name):
    recipe = load_recipe(name)
    assert recipe.passes[0].scheme == name
    assert (recipe.input_dtype is None) == parse_scheme(name).static


def test_files_are_recipes(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schema = "edgekit.recipe/1"\nname = "mine"\n[[passes]]\npass = "quantize"\noverrides = { "head.*" = "float32" }\n')
    assert load_recipe(path) == load_recipe(str(path)) == Recipe("mine", (Quantize(overrides={"head.*": "float32"}),))


@pytest.mark.parametrize("name", ["int9", "", "w9", "w4b33", "w6a8", "w4a16", "INT8", "int8 "])
def test_unknown_names_list_the_known(name):
    with pytest.raises(UsageError) as error:
        load_recipe(name)
    assert set(recipe_names()) <= set(str(error.value.accepted).split(", "))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "schema"),
        ("nonsense", "TOML"),
        ('schema = "edgekit.recipe/1"\ncolour = 1\n', "colour"),
        ('schema = "edgekit.recipe/1"\n[[passes]]\npass = "squash"\n', "squash"),
        ('schema = "edgekit.recipe/1"\n[[passes]]\nscheme = "w8"\n', "pass"),
        ('schema = "edgekit.recipe/1"\n[[passes]]\npass = "quantize"\nbits = 3\n', "bits"),
        ('schema = "edgekit.recipe/1"\n[[passes]]\npass = "quantize"\nscheme = "w9"\n', "w9"),
    ],
)
def test_files_that_are_no_recipes(tmp_path, text, told):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        load_recipe(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_recipe(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        load_recipe(tmp_path / "binary.toml")


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_answers_to_its_recipe_name(name):
    assert pass_class(name).name == name


def test_names_and_summaries_need_no_torch():
    code = "import sys; from edgekit.recipes import *; [summary(n) for n in recipe_names()]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("passes = 3", "passes is 3"),
        ('passes = ["quantize"]', "passes is"),
        ("name = 3", "name is 3"),
        ("[[passes]]\npass = ['quantize']", "unknown pass"),
        ('[[passes]]\npass = "quantize"\nscheme = 3', "scheme is 3"),
        ('[[passes]]\npass = "prune"\nsparsity = "half"', "sparsity is 'half'"),
        ('[[passes]]\npass = "fine_tune"\nepochs = 1.5', "epochs is 1.5"),
        ('[[passes]]\npass = "prune"\nsparsity = 0.5\noverrides.head.weight = 0.1', "overrides is"),
    ],
)
def test_values_of_another_type_are_refused_by_name(lines, said):
    with pytest.raises(UsageError, match=said):
        Recipe.from_toml(f'schema = "edgekit.recipe/1"\n{lines}\n', "my.toml")


def test_one_value_stands_for_a_list_of_one():
    text = 'schema = "edgekit.recipe/1"\n[[passes]]\npass = "fine_tune"\nfrozen = "stem"\n'
    assert Recipe.from_toml(text).passes[0].frozen == ("stem",)
