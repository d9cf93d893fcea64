"""Training as a part of a conversion, and the forms in which data and teachers come."""

import numpy as np
import pytest
import torch

from edgekit import progress
from edgekit.compress.quantize import Quantize
from edgekit.compress.training import FineTune
from edgekit.conversion import convert
from edgekit.conversion.lessons import Lessons
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph
from edgekit.recipe import Recipe
from edgekit.testing.fake_target import fake_target
from edgekit.testing.training import classifier, stripes

TRAINED = Recipe("trained", (FineTune(epochs=2), Quantize("w8a8", calibration="minmax"), FineTune(epochs=1)))
DATA = {"x": stripes().inputs["x0"], "y": stripes().labels}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(192, 4)

    def forward(self, image):
        return self.dense(image.flatten(1))


@pytest.mark.parametrize("teacher", [None, "self", lambda x: x[:, 0, 0, :4]])
def test_a_recipe_trains_before_and_after_quantization(tmp_path, teacher):
    np.savez(tmp_path / "train.npz", **DATA)
    given = {"training": tmp_path / "train.npz", "calibration": tmp_path / "train.npz", "teacher": teacher}
    made = convert(classifier(), fake_target(), recipe=TRAINED, out=tmp_path / "out", checkpoints=tmp_path / "states", **given)
    trained = [note for note in made.manifest.notes if note.startswith("trained: fine-tuned: ")]
    assert len(trained) == 2 and "2 epochs" in trained[0] and "1 epoch of" in trained[1]
    assert len(list((tmp_path / "states").iterdir())) == 2
    again = convert(classifier(), fake_target(), recipe=TRAINED, out=tmp_path / "again", checkpoints=tmp_path / "states", **given)
    assert again.model_file.read_bytes() == made.model_file.read_bytes()


def test_training_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="there are no training data"):
        convert(classifier(), fake_target(), recipe=Recipe("t", (FineTune(),)), out=tmp_path / "out")


def test_progress_tells_loss_and_accuracy(tmp_path):
    told = []
    with progress.listening(lambda title, done, total: told.append((title, done, total))):
        convert(classifier(), fake_target(), recipe=Recipe("t", (FineTune(epochs=2, batch_size=16),)), training=DATA, out=tmp_path / "out")
    steps = [entry for entry in told if entry[0].startswith("fine_tune · loss ")]
    assert [done for _, done, _ in steps] == list(range(1, 11)) and {total for *_, total in steps} == {10}
    assert all(" · accuracy " in title for title, *_ in steps)


def test_teachers_are_models_graphs_and_callables():
    graph, module = classifier(), Net().eval()
    assert Lessons.read(graph, None, teacher=None).teacher is Lessons.read(graph, None, teacher="self").teacher is None
    assert Lessons.read(graph, None, teacher=graph).teacher is graph
    read = Lessons.read(graph, None, teacher=module).teacher
    image = torch.randn(1, 3, 8, 8)
    assert isinstance(read, Graph)
    torch.testing.assert_close(read(image)[0], module(image))
    assert Lessons.read(graph, None, teacher=len).teacher is len
    with pytest.raises(UsageError, match="the teacher is a int"):
        Lessons.read(graph, None, teacher=3)


def test_data_are_preprocessed_and_checked():
    graph = classifier()
    with pytest.raises(DataError, match="NHWC"):
        Lessons.read(graph, None, training=np.zeros((5, 8, 8, 3), np.float32))
    found = Lessons.read(graph, None, training=DATA, validation=(DATA["x"][:3], DATA["y"][:3]))
    assert len(found.training) == 96 and len(found.validation) == 3 and found.validation.labels is not None


OWN = """
import numpy as np
import torch

def angle(outputs, labels):
    (found,) = outputs.values()
    return torch.nn.functional.huber_loss(found[:, :2], labels)

def nearness(outputs, labels):
    (found,) = outputs.values()
    return -np.abs(found[:, :2] - labels).mean()
"""


def test_a_loss_and_a_metric_of_ones_own_are_named_by_file_and_take_labels_of_any_shape(tmp_path):
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    targets = np.stack([np.cos(DATA["y"]), np.sin(DATA["y"])], 1)
    recipe = Recipe("trained", (FineTune(epochs=2), Quantize("w8"), FineTune(epochs=1)))
    given = {"training": (DATA["x"], targets), "loss": f"{tmp_path}/mine.py:angle", "metric": f"{tmp_path}/mine.py:nearness"}
    made = convert(classifier(), fake_target(), recipe=recipe, out=tmp_path / "out", **given)
    assert sum("nearness -" in note for note in made.manifest.notes) == 2
    kept = Recipe.from_toml((made.path / "recipe.toml").read_text(encoding="utf-8"))
    assert [p.losses for p in kept.passes if p.name == "fine_tune"] == [{"own": 1.0}] * 2
    with pytest.raises(DataError, match="none is given"):
        convert(classifier(), fake_target(), recipe=kept, out=tmp_path / "again", training=DATA)


def test_a_loss_that_nothing_would_minimize_is_refused(tmp_path):
    labels = Recipe("t", (FineTune(losses={"labels": 1.0}),))
    for recipe, given in ((labels, {"training": DATA}), (Recipe("t", ()), {})):
        with pytest.raises(UsageError, match="nothing in recipe 't' minimizes it"):
            convert(classifier(), fake_target(), recipe=recipe, out=tmp_path / "out", loss=len, **given)
    with pytest.raises(UsageError, match="no 'other'"):
        Lessons.read(classifier(), None, loss="os.path:other")
    with pytest.raises(UsageError, match="the metric is a int"):
        Lessons.read(classifier(), None, metric=3)


def test_labels_are_class_indices_unless_a_function_of_ones_own_takes_them():
    graph, image = classifier(), DATA["x"][:3]
    with pytest.raises(DataError, match="class indices"):
        Lessons.read(graph, None, training=(image, np.zeros((3, 2), np.float32)))
    for labels, kept in ((np.array([[1], [0], [2]]), np.array([1, 0, 2])), (np.ones((3, 2), bool), None), (np.ones(3, np.float32), None)):
        found = Lessons.read(graph, None, training=(image, labels), loss=len).training.labels
        np.testing.assert_array_equal(found, labels if kept is None else kept)
        assert found.dtype == (labels if kept is None else kept).dtype
