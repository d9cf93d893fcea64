"""The examples of shrinking.md: the Python runs as it stands, and the command lines are ones the command takes."""

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.cli.app import app
from edgekit.cli.shrinking import Shrinking

TEXT = (Path(__file__).parent / "shrinking.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_python_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(edgekit, "measure_gains", lambda pruned, _: edgekit.Artifact.load(pruned.path))  # half a minute on a busy machine
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)).eval()
    rng = np.random.default_rng(0)
    given = {
        "model": edgekit.load(net, (torch.zeros(1, 3, 8, 8),)),
        "x": rng.normal(size=(16, 3, 8, 8)).astype("f4"),
        "y": np.arange(16) % 4,
    }
    (code,) = blocks("python")
    exec(compile(code, "shrinking.md", "exec"), given)
    assert "True" in capsys.readouterr().out
    assert (tmp_path / "build/small/recipe.toml").is_file()
    assert (tmp_path / "build/whole/recipe.toml").is_file()


@pytest.mark.parametrize("line", [line for block in blocks("bash") for line in block.splitlines()])
def test_the_command_lines(line):
    words = shlex.split(line)
    assert words[:2] == ["edgekit", "convert"]
    command = app.get_command(click.Context(app), "convert")
    parsed = command.make_context("convert", words[2:], resilient_parsing=False)
    assert Shrinking.taken(parsed.params).training is not None


def test_every_option_is_explained():
    command = app.get_command(click.Context(app), "convert")
    own = {
        "--macs",
        "--params",
        "--bytes",
        "--fit",
        "--keep",
        "--rounds",
        "--recover",
        "--validation",
        "--teacher",
        "--epochs",
        "--seconds",
    }
    own |= {"--augment", "--checkpoints", "--unpruned", "--no-measure", "--require-gain"}
    assert own <= {option for parameter in command.params for option in parameter.opts}
    assert [option for option in own if f"`{option}" not in TEXT] == []
