"""A training that was interrupted ends with the bits of one that was not."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from edgekit.compress.training import FineTune, loop
from edgekit.compress.training.checkpoints import Checkpoint, digest
from edgekit.errors import UsageError
from edgekit.testing.training import classifier, context, stripes

STEP = FineTune(epochs=4, batch_size=16, augment=("flip", "mixup"), weight_decay=0.01)


def bits(graph):
    return [t for _, t in sorted(graph.module.state_dict().items())]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(bits(first), bits(second), strict=True))


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("at", [1, 9, 17])
def test_goes_on_to_the_same_bits(tmp_path, monkeypatch, optimizer, at):
    step = FineTune(epochs=4, batch_size=16, augment=("flip", "mixup"), weight_decay=0.01, optimizer=optimizer)
    whole = step(classifier(), context())
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)  # after every step
    real = loop.Training._step

    def failing(self):
        if self.history.step == at:
            raise Interrupted
        real(self)

    monkeypatch.setattr(loop.Training, "_step", failing)
    with pytest.raises(Interrupted):
        step(classifier(), context(checkpoints=tmp_path))
    monkeypatch.setattr(loop.Training, "_step", real)
    assert same(whole, step(classifier(), context(checkpoints=tmp_path)))


def test_what_is_finished_is_not_trained_again(tmp_path, monkeypatch):
    first = STEP(classifier(), context(checkpoints=tmp_path / "new" / "folder"))
    monkeypatch.setattr(loop.Training, "_step", None)
    again = STEP(classifier(), context(checkpoints=tmp_path / "new" / "folder"))
    assert same(first, again) and first.notes == again.notes


def test_other_options_data_and_models_have_other_files(tmp_path):
    for step, graph, given in (
        (FineTune(epochs=1), classifier(), stripes()),
        (FineTune(epochs=1, seed=1), classifier(), stripes()),
        (FineTune(epochs=1), classifier(seed=1), stripes()),
        (FineTune(epochs=1), classifier(), stripes(seed=1)),
    ):
        step(graph, context(given, checkpoints=tmp_path))
    assert len(list(tmp_path.iterdir())) == 4
    assert digest([classifier()], [None], STEP) == digest([classifier()], [None], STEP)


KILLED = """
from pathlib import Path
import sys
from edgekit.compress.training import FineTune, loop
from edgekit.compress.training.checkpoints_test import STEP
from edgekit.testing.training import classifier, context

real = loop.Training._step
def told(self):
    real(self)
    print(self.history.step, flush=True)
    if self.history.step == 9:
        sys.stdin.read()
loop.Training._step = told
STEP(classifier(), context(checkpoints=Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_goes_on_after_a_kill(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "9":
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (file,) = (f for f in tmp_path.iterdir() if not f.name.startswith("."))
    assert Checkpoint.read(file).numbers["history"]["step"] == 5  # the end of the first epoch
    assert same(STEP(classifier(), context()), STEP(classifier(), context(checkpoints=tmp_path)))


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", (8).to_bytes(8, "little") + b"{}      "])
def test_files_that_are_no_checkpoints(tmp_path, content):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no state of a training"):
        Checkpoint.read(path)


def test_a_checkpoint_of_another_version(tmp_path, monkeypatch):
    monkeypatch.setattr("edgekit.compress.training.checkpoints.SCHEMA", "edgekit.training/0")
    Checkpoint({"x": torch.zeros(2)}, {"step": 1}).write(tmp_path / "a")
    monkeypatch.undo()
    with pytest.raises(UsageError, match="another version"):
        Checkpoint.read(tmp_path / "a")
    assert Checkpoint.read(tmp_path / "none") is None
