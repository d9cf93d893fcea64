"""`edgekit convert` for several targets and `edgekit verify` for several artifacts, as a user meets them."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from edgekit.cli import main
from edgekit.cli.converting import MOST_LISTED, listed
from edgekit.cli.parse import by_target

MODEL = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).eval(), (torch.zeros(1, 8),)
"""
TARGET = (
    'schema = "edgekit.target/1"\nname = "{0}"\ndescription = "x"\nformat = "{1}"\nrules = "litert"\nrecipe = "int8"\nruntimes = ["{1}"]\n'
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "net.py").write_text(MODEL)
    for name, model_format in (("one", "fake"), ("two", "fake"), ("broken", "nothing")):
        (tmp_path / f"{name}.toml").write_text(TARGET.format(name, model_format))
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).standard_normal((20, 8)).astype("f4"), y=np.zeros(20, int))
    return tmp_path


def convert(place, targets, *more):
    files = ",".join(str(place / f"{name}.toml") for name in targets)
    given = ["convert", f"{place / 'net.py'}:make", "--target", files, "--calibration", str(place / "data.npz")]
    return main([*given, "--out", str(place / "all"), *more])


@pytest.mark.slow
def test_one_failing_target_is_told_and_the_others_are_made(place, capfd):
    assert convert(place, ["one", "broken", "two"], "--recipe", "two=float32") == 2
    out, err = capfd.readouterr()
    assert "not made" in out
    assert "error: broken: no converter" in err
    assert (place / "all" / "one" / "manifest.json").exists()
    assert not (place / "all" / "broken").exists()
    assert convert(place, ["one", "two"], "--force", "--json") == 0
    document = json.loads(capfd.readouterr().out)
    assert [(t["target"], t["error"]) for t in document["targets"]] == [("one", None), ("two", None)]
    assert {t["artifact"]["manifest"]["recipe"] for t in document["targets"]} == {"int8"}
    verify = ["verify", str(place / "all" / "one"), str(place / "all" / "two"), "--model", f"{place / 'net.py'}:make"]
    assert main([*verify, "--data", str(place / "data.npz"), "--min-sqnr", "10"]) == 0
    shown = capfd.readouterr().out
    assert "one and two" in shown
    assert "exact" in shown
    assert main([*verify, "--min-sqnr", "99", "--json", "--junit", str(place / "junit.xml")]) == 1
    assert json.loads(capfd.readouterr().out)["passed"] is False
    assert len(ElementTree.parse(place / "junit.xml").getroot()) == 2
    assert main(["verify", str(place / "all" / "one"), "--model", f"{place / 'net.py'}:make", "--data", str(place / "data.npz")]) == 0
    assert "top-1 agreement" in capfd.readouterr().out


def test_one_target_is_summed_up(place, capfd):
    assert convert(place, ["one"], "--timings") == 0
    out = capfd.readouterr().out
    assert "recipe int8" in out and "seconds" in out


def test_labels_that_are_no_text_are_an_error_of_the_users(place, capfd):
    (place / "labels.txt").write_bytes(b"\xff\xfe\x00")
    assert convert(place, ["one"], "--labels", str(place / "labels.txt")) == 2
    assert "not text" in capfd.readouterr().err


def test_wrong_words_are_refused(place, capfd):
    assert convert(place, ["one", "two"], "--recipe", "int8", "--recipe", "float32") == 2
    assert "one for all" in capfd.readouterr().err
    assert main(["verify", str(place), "--layers"]) == 2
    assert "more than one" in capfd.readouterr().err
    assert convert(place, ["one"], "--recipe", "two=int8") == 2


def test_recipes_by_target():
    assert by_target(("int8",), ("a", "b")) == {"a": "int8", "b": "int8"}
    assert by_target(("int8", "b=fp16"), ("a", "b")) == {"a": "int8", "b": "fp16"}
    assert by_target((), ("a",)) == {}


def test_of_very_many_concessions_the_first_are_listed():
    shown = [str(line) for line in listed([f"float: op {number}" for number in range(1000)])]
    assert shown[:2] == ["1,000 concessions:", "  - float: op 0"]
    assert len(shown) == MOST_LISTED + 2 and "960 more" in shown[-1]
    assert listed([]) == []
