import os

import pytest
import torch

from edgekit.errors import LoadError
from edgekit.loading import export
from edgekit.loading.source import build, is_source

CODE = """
import torch
from torch import nn
from helper_of_net import WIDTH

def build():
    return nn.Linear(3, WIDTH), (torch.ones(1, 3),)

def only_module():
    return nn.Linear(3, WIDTH)

class Net(nn.Module):
    def forward(self, x, scale=1.0):
        return x * scale

def with_keywords():
    return Net(), (torch.ones(1, 3),), {"scale": 2.0}

def fails():
    raise RuntimeError("no weights here")

def wrong():
    return 1, 2, 3, 4

def backend():
    import os
    return os.environ.get("KERAS_BACKEND"), ()

COUNT = 3
READY = nn.Linear(3, WIDTH)
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "helper_of_net.py").write_text("WIDTH = 4\n")
    path = tmp_path / "net_source.py"
    path.write_text(CODE)
    return path


def test_the_form_is_told_from_files():
    assert is_source("net.py:build") and is_source("package.net:build") and is_source("/a/b c/net.py:Net.make")
    assert not is_source("model.keras") and not is_source("a/b") and not is_source("weights.pt") and not is_source("C:\\model.keras")


def test_a_callable_of_a_file_gives_module_and_examples(file):
    exported = export(f"{file}:build")
    assert exported.outputs[0].shape == (1, 4)
    assert exported.source.name == f"{file}:build"


def test_keyword_arguments_are_passed(file):
    exported = export(f"{file}:with_keywords")
    assert "argument 'scale' fixed at 2.0" in exported.notes
    assert exported.program.module()(torch.ones(1, 3))[0].tolist() == [[2, 2, 2]]


def test_a_module_alone_needs_examples(file):
    with pytest.raises(LoadError, match="example_inputs"):
        export(f"{file}:only_module")
    assert export(f"{file}:only_module", torch.ones(1, 3)).outputs[0].shape == (1, 4)
    assert export(f"{file}:READY", torch.ones(1, 3)).outputs[0].shape == (1, 4)


def test_a_class_and_a_package_module_are_called_too(file):
    assert type(build("torch.nn:ReLU").model) is torch.nn.ReLU
    assert type(build(f"{file}:Net").model).__name__ == "Net"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{0}:missing", "has no 'missing'"),
        ("{0}:fails", "no weights here"),
        ("{0}:wrong", "tuple of 4"),
        ("no_such_file.py:build", "there is no file"),
        ("no_such_package.net:build", "cannot be imported"),
    ],
)
def test_what_goes_wrong_is_said(file, source, message):
    with pytest.raises(LoadError, match=message):
        export(source.format(file))


def test_code_that_imports_keras_gets_the_backend_it_is_traced_on_unless_the_user_chose_one(file, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert build(f"{file}:backend").model == "torch" and "KERAS_BACKEND" not in os.environ
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert build(f"{file}:backend").model == "jax" and os.environ["KERAS_BACKEND"] == "jax"


def test_something_else_than_a_model_is_named_with_its_type(file):
    with pytest.raises(LoadError, match=r"net_source.py:COUNT is of type int"):
        export(f"{file}:COUNT")
