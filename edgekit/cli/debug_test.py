"""`edgekit debug` as a user runs it: tables, one JSON document, a page, exit codes."""

import json

import numpy as np
import pytest

from edgekit import schemas
from edgekit.cli import main
from edgekit.compress.training import FineTune
from edgekit.conversion import convert
from edgekit.recipe import Recipe
from edgekit.testing.failing import PLAIN, answered, failing_net

MODEL = "from edgekit.testing.failing import failing_module as make"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("debug")
    (folder / "net.py").write_text(MODEL)
    for name, seed in (("choose", 1), ("test", 2)):
        samples = answered(failing_net(), 60, seed)
        np.savez(folder / f"{name}.npz", x=samples.inputs["x0"], y=samples.labels)
    convert(f"{folder}/net.py:make", recipe=PLAIN, calibration=folder / "choose.npz", out=folder / "a")
    return folder


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(folder, *more):
    return main(["debug", str(folder / "a"), "--model", f"{folder}/net.py:make", "--data", str(folder / "choose.npz"), *more])


def test_the_tables_name_the_layer_the_cause_and_the_knobs(folder, capfd):
    assert run(folder, "--calibration", str(folder / "choose.npz"), "--html", str(folder / "page.html")) == 0
    out, err = capfd.readouterr()
    assert err == ""
    lines = out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.split()[:2] == ["layer", "operator"]) + 1
    assert lines[first].split()[:2] == ["stem", "convolution"]
    assert "1. stem, result: per-channel spread" in out and "knobs: equalize" in out
    page = (folder / "page.html").read_text()
    assert "per-channel spread" in page and "<svg" in page and "stem" in page


@pytest.mark.slow
def test_a_fix_is_one_document_on_stdout(folder, capfd):
    fix = ["--fix", "--max-drop", "2%", "--test", str(folder / "test.npz"), "--out", str(folder / "b")]
    assert run(folder, *fix, "--html", str(folder / "fixed.html"), "--json") == 0
    document = json.loads(capfd.readouterr().out)
    fixed = document.pop("fix")
    schemas.validate(document, "diagnosis-1", "it")
    assert fixed["passed"] and fixed["trials"][fixed["best"]]["knob"] == "equalize" and fixed["test"]["samples"] == 60
    assert (folder / "b" / "recipe.toml").exists() and (folder / "b.trials.json").exists()
    assert "inside the budget" in (folder / "fixed.html").read_text()
    assert run(folder, *fix, "--force") == 0  # from the record
    out = capfd.readouterr().out
    assert "on the test data" in out and "→" in out


def test_what_was_trained_is_trained_again(folder, tmp_path, capfd):
    recipe = Recipe("qat", (*PLAIN.passes, FineTune(epochs=1, batch_norm=False)))
    source, data = f"{folder}/net.py:make", str(folder / "choose.npz")
    made = convert(source, recipe=recipe, calibration=data, training=data, out=tmp_path / "a")
    command = ["debug", str(made.path), "--model", source, "--data", data, "--calibration", data]
    assert main(command) == 2
    assert "--recover" in capfd.readouterr().err
    assert main([*command, "--recover", data, "--teacher", "self", "--checkpoints", str(tmp_path / "states")]) == 0
    assert "1. stem, result: per-channel spread" in capfd.readouterr().out
    assert list((tmp_path / "states").iterdir())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--fix"], "--max-drop"),
        (["--max-drop", "1%"], "is an option of --fix"),
        (["--out", "b"], "--out is an option of --fix"),
        (["--force"], "--force is an option of --fix"),
        (["--fix", "--max-drop", "120%"], "0 up to 1"),
    ],
)
def test_options_that_do_not_go_together(folder, capfd, more, told):
    assert run(folder, *more) == 2
    assert told in capfd.readouterr().err
