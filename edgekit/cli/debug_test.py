"""`edgekit debug` as a user runs it: tables, one JSON document, a page, exit codes."""

import json

import numpy as np
import pytest

from edgekit import schemas
from edgekit.cli import main
from edgekit.conversion import convert
from edgekit.testing.failing import PLAIN, answered, failing_net

MODEL = """
import torch
from torch import nn

from edgekit.testing.failing import failing_net


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        weights = dict(failing_net().module.named_buffers())
        self.stem, self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 6)
        for layer, number in ((self.stem, 1), (self.body, 2), (self.head, 3)):
            layer.weight.data, layer.bias.data = weights[f"w{number}"], weights[f"b{number}"]

    def forward(self, x0):
        return self.head(self.body(self.stem(x0).relu()).relu().mean((2, 3)))


def make():
    return Net().eval(), (torch.zeros(1, 3, 8, 8),)
"""


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
