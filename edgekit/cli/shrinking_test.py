"""Pruning, training and gains on the command line, as a user meets them."""

import json

import numpy as np
import pytest

from edgekit.cli import main
from edgekit.recipe import Recipe

MODEL = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).eval(), (torch.zeros(1, 8),)
"""
TARGET = """
schema = "edgekit.target/1"
name = "{0}"
description = "x"
format = "fake"
rules = "litert"
recipe = "int8"
runtimes = ["fake"]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(TARGET.format(name))
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).standard_normal((40, 8)).astype("f4"), y=np.arange(40) % 4)
    np.savez(tmp_path / "wide.npz", x=np.zeros((40, 9), np.float32))
    return tmp_path


def convert(*more, target="./one.toml"):
    return main(["convert", "net.py:make", "--target", target, "--calibration", "data.npz", "--out", "made", *more])


def test_pruned_and_trained_to_a_budget_with_the_gain_in_the_result(place, capfd):
    assert convert("--macs", "0.5", "--recover", "data.npz", "--epochs", "2", "--unpruned", "whole", "--json") == 0
    manifest = json.loads(capfd.readouterr().out)["manifest"]
    before, after = manifest["gains"]["before"], manifest["gains"]["after"]
    assert before["macs"] == 8 * 16 + 16 * 4 and after["macs"] <= before["macs"] / 2 and after["bytes"] <= before["bytes"]
    assert manifest["recipe"] == "pruned_trained_int8" and (place / "whole" / "manifest.json").exists()
    assert manifest["gains"]["no_measured_gain"] is True and "fake" in manifest["gains"]["reason"]
    recipe = Recipe.from_toml((place / "made" / "recipe.toml").read_text())
    assert [step.name for step in recipe.passes] == ["prune_channels", "fine_tune", "equalize", "quantize", "bias_correction"]
    # The saved recipe, the same data: the same model again.
    first = (place / "made" / "manifest.json").read_text()
    assert convert("--recipe", "made/recipe.toml", "--recover", "data.npz", "--no-measure", "--force") == 0
    shown = capfd.readouterr().out
    digests = [json.loads(text)["files"]["model.fake"] for text in (first, (place / "made" / "manifest.json").read_text())]
    assert digests[0] == digests[1]
    assert "no measured gain" in shown and "multiply-accumulates" in shown


def test_a_loss_and_a_metric_of_ones_own_take_labels_of_any_shape(place, capfd):
    (place / "mine.py").write_text(
        "def near(outputs, labels):\n    (found,) = outputs.values()\n    return (found - labels).square().mean()\n\n"
        "def nearness(outputs, labels):\n    (found,) = outputs.values()\n    return -abs(found - labels).mean()\n"
    )
    with np.load(place / "data.npz") as data:
        np.savez(place / "targets.npz", x=data["x"], y=data["x"][:, :4])
    trained = ["--recover", "targets.npz", "--epochs", "2", "--loss", "mine.py:near", "--training-metric", "mine.py:nearness"]
    assert convert(*trained, "--teacher", "none", "--json") == 0
    manifest = json.loads(capfd.readouterr().out)["manifest"]
    assert any("nearness -" in note and "on 4 validation samples" in note for note in manifest["notes"])
    (tuned,) = [p for p in Recipe.from_toml((place / "made" / "recipe.toml").read_text()).passes if p.name == "fine_tune"]
    assert tuned.losses == {"own": 1.0}
    assert convert("--recipe", "made/recipe.toml", "--recover", "data.npz", "--force") == 2
    assert "--loss FILE.py:FUNCTION" in capfd.readouterr().err
    assert convert(*trained, "--calibration", "targets.npz", "--force") == 0, "the same file for both"


def test_a_budget_that_fits_is_found_and_kept_in_the_recipe(place, capfd, monkeypatch):
    monkeypatch.setattr("edgekit.conversion.fitting.budget_that_fits", lambda *_, **__: {"bytes": 0.5})
    (place / "one.toml").write_text((place / "one.toml").read_text() + "flash_bytes = 100000\n")
    assert convert("--fit", "--no-measure", "--json") == 0
    assert json.loads(capfd.readouterr().out)["manifest"]["recipe"] == "pruned_int8"
    assert convert("--recover", "data.npz", "--epochs", "1", "--no-measure", "--json", "--force") == 0
    assert json.loads(capfd.readouterr().out)["manifest"]["recipe"] == "pruned_trained_int8"
    monkeypatch.setattr("edgekit.conversion.fitting.budget_that_fits", lambda *_, **__: {})
    assert convert("--fit", "--recover", "data.npz", "--json", "--force") == 0
    assert json.loads(capfd.readouterr().out)["manifest"]["recipe"] == "int8"


def test_a_required_gain_fails_where_none_is_measured(place, capfd):
    assert convert("--params", "50%", "--require-gain") == 1
    out, err = capfd.readouterr()
    assert "parameters" in out and "error: no measured gain for one" in err
    assert (place / "made" / "manifest.json").exists(), "what was made is there to be looked at"


@pytest.mark.slow
def test_several_targets_each_prune_and_measure(place, capfd):
    training = ["--recover", "data.npz", "--epochs", "1", "--checkpoints", "training"]
    assert convert("--macs", "0.5", "--unpruned", "whole", *training, "--recipe", "two=float32", target="./one.toml,./two.toml") == 0
    out = capfd.readouterr().out
    assert out.count("no measured gain") == 2 and "pruned_trained_int8" in out and "pruned_trained_float32" in out
    assert {path.name for path in (place / "whole").iterdir()} == {"one", "two"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epochs", "3"], "--epochs is for training: name the data with --recover"),
        (["--teacher", "self"], "--teacher is for training"),
        (["--training-metric", "a.py:b"], "--training-metric is for training"),
        (["--recover", "data.npz", "--loss", "nowhere.py:loss"], "nowhere.py"),
        (["--keep", "0"], "--keep is for --macs, --params, --bytes or --fit"),
        (["--fit", "--macs", "0.5"], "--fit finds the budget itself"),
        (["--fit", "--rounds", "2"], "--fit is for one round"),
        (["--fit"], "limits neither flash nor RAM"),
        (["--require-gain"], "--require-gain is for recipes that prune"),
        (["--macs", "0.5", "--require-gain", "--no-measure"], "--require-gain needs"),
        (["--macs", "0.5", "--rounds", "2"], "in turns"),
        (["--macs", "half"], "is no share"),
        (["--macs", "1"], "macs is 1"),
        (["--macs", "0"], "macs is 0"),
        (["--bytes", "0.5", "--macs", "0.5"], "one of ratio, macs, parameters, bytes"),
        (["--macs", "0.0001"], "macs cannot be brought"),
        (["--macs", "0.5", "--keep", "2x"], "no module '2x'"),
        (["--recover", "data.npz", "--augment", "rotate"], "rotate"),
        (["--recover", "missing.npz"], "missing.npz"),
        (["--recover", "wide.npz"], "have shape [9]"),
        (["--macs", "0.5", "--recover", "data.npz", "--validation", "wide.npz"], "have shape [9]"),
        (["--recipe", "sparse24_int8"], "--recover"),
        (["--recipe", "float32", "--unpruned", "whole"], "prunes nothing"),
    ],
)
def test_what_cannot_be_is_one_clear_error(place, capfd, options, says):
    assert convert(*options) == 2
    err = capfd.readouterr().err
    assert says in err and "Traceback" not in err and "internal" not in err
    assert not (place / "made").exists()
