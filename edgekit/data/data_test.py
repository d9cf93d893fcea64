import io
import itertools
import zipfile

import numpy as np
import pytest

from edgekit.data import Samples, read_samples
from edgekit.errors import DataError, EdgekitError
from edgekit.preprocess import Preprocess
from edgekit.tensors import TensorSpec

IMAGE = (TensorSpec("image", (1, 4, 6, 3), "float32"),)
PLANES = (TensorSpec("image", (1, 3, 4, 6), "float32"),)
TWO = (TensorSpec("a", (1, 2), "float32"), TensorSpec("ids", (1, 3), "int32"))


def images(count=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)


def test_an_array_becomes_the_only_input_in_its_dtype():
    samples = read_samples(images(), IMAGE)
    assert len(samples) == 5 and samples.labels is None
    assert samples.inputs["image"].dtype == np.float32
    np.testing.assert_array_equal(samples.inputs["image"], images())


def test_arrays_and_labels_come_as_a_tuple_a_dict_or_an_npz(tmp_path):
    x, y = images(), np.arange(5)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savez(tmp_path / "named.npz", image=x, labels=y)
    for data in [(x, y), {"x": x, "y": y}, {"image": x, "label": y}, tmp_path / "d.npz", str(tmp_path / "named.npz"), (x, y[:, None])]:
        samples = read_samples(data, IMAGE)
        np.testing.assert_array_equal(samples.inputs["image"], x)
        np.testing.assert_array_equal(samples.labels, y)


def test_limit_takes_the_first(tmp_path):
    x, y = images(), np.arange(5)
    np.save(tmp_path / "x.npy", x)
    for data in [(x, y), list(zip(x, y, strict=True)), tmp_path / "x.npy"]:
        samples = read_samples(data, IMAGE, limit=2)
        np.testing.assert_array_equal(samples.inputs["image"], x[:2])
        assert samples.labels is None or samples.labels.tolist() == [0, 1]


def test_an_endless_iterable_stops_at_the_limit():
    samples = read_samples((images(1)[0] for _ in itertools.count()), IMAGE, limit=7)
    assert len(samples) == 7


def test_iterables_give_samples_batches_tuples_or_dicts():
    x = images()
    for data in [list(x), [x[:2], x[2:]], [(x[:3], [0, 1, 2]), (x[3:], [3, 4])], [{"image": row, "y": i} for i, row in enumerate(x)]]:
        samples = read_samples(data, IMAGE)
        np.testing.assert_array_equal(samples.inputs["image"], x)
        assert samples.labels is None or samples.labels.tolist() == [0, 1, 2, 3, 4]


def test_torch_tensors_and_loaders_of_them_are_data():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(images())
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.arange(5)), batch_size=2)
    for data in [x, loader]:
        np.testing.assert_array_equal(read_samples(data, IMAGE).inputs["image"], images())


def test_several_inputs_go_by_name():
    data = {"a": np.ones((4, 2)), "ids": np.arange(12).reshape(4, 3)}
    samples = read_samples(data, TWO)
    assert samples.inputs["ids"].dtype == np.int32
    rows = [{"a": a, "ids": i} for a, i in zip(data["a"], data["ids"], strict=True)]
    np.testing.assert_array_equal(read_samples(rows, TWO).inputs["ids"], samples.inputs["ids"])
    with pytest.raises(DataError, match=r"ids"):
        read_samples({"a": np.ones((4, 2))}, TWO)
    with pytest.raises(DataError, match="x"):
        read_samples(np.ones((4, 2)), TWO)


def test_preprocessing_goes_to_the_input_it_names():
    data = {"a": np.ones((4, 2)), "ids": np.zeros((4, 3))}
    samples = read_samples(data, TWO, {"a": Preprocess(scale=3)})
    assert samples.inputs["a"].max() == 3 and samples.inputs["ids"].dtype == np.int32
    with pytest.raises(DataError, match="b"):
        read_samples(data, TWO, {"b": Preprocess()})


def test_samples_are_only_checked():
    given = Samples({"image": images().astype(np.float32)})
    assert read_samples(given, IMAGE, Preprocess(scale=5), limit=3).inputs["image"].max() <= 255
    with pytest.raises(DataError):
        read_samples(given, PLANES)


@pytest.mark.parametrize(
    ("shape", "inputs", "advice"),
    [
        ((5, 4, 6, 3), PLANES, "layout='NCHW'"),
        ((5, 3, 4, 6), IMAGE, "data_layout='NCHW'"),
        ((5, 9, 9, 3), IMAGE, "resize="),
        ((5, 4, 6), (TensorSpec("x", (1, 4, 6, 1), "float32"),), "x[..., None]"),
        ((4, 6, 3), IMAGE, "x[None]"),
    ],
)
def test_a_wrong_shape_says_what_to_declare(shape, inputs, advice):
    with pytest.raises(DataError) as error:
        read_samples(np.zeros(shape), inputs)
    assert advice in str(error.value)


def test_a_declared_layout_is_applied():
    samples = read_samples(images(), PLANES, Preprocess(layout="NCHW"))
    np.testing.assert_array_equal(samples.inputs["image"], images().transpose(0, 3, 1, 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_named(bad):
    x = images().astype(np.float32)
    x[3, 1, 2, 0] = bad
    with pytest.raises(DataError, match=r"input 'image'.*sample 3 at \[1, 2, 0\]"):
        read_samples(x, IMAGE)


def test_values_too_large_to_sum_are_not_taken_for_infinite():
    x = np.full((4, 2, 2), 3e38, np.float32)
    assert len(read_samples(x, (TensorSpec("x", (1, 2, 2), "float32"),))) == 4


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((0, 4, 6, 3)), [], iter(()), {}, {"z": images()}, {"x": images(), "extra": images()}, 7, None, "missing.npz",
        "missing.csv", (images(), np.arange(4)), (images(), np.eye(5)), (images(), np.arange(5) + 0.5), (images(), 1, 2),
        images().astype(complex), np.array(["a"] * 5), [np.zeros((4, 6, 3)), np.zeros((4, 5, 3))], [(1, 2, 3)], np.array([object()]),
    ],
)  # fmt: skip
def test_bad_data_give_one_clear_error(data):
    with pytest.raises(DataError) as error:
        read_samples(data, IMAGE)
    assert len(str(error.value)) > 20


def test_fractions_are_no_ids():
    with pytest.raises(DataError, match="fractions"):
        read_samples({"a": np.ones((4, 2)), "ids": np.full((4, 3), 0.5)}, TWO)


def test_damaged_and_pickled_files_are_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", x=images())
    whole = (tmp_path / "whole.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 10):
        (tmp_path / "part.npz").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"part\.npz"):
            read_samples(tmp_path / "part.npz", IMAGE)
    np.savez(tmp_path / "objects.npz", x=np.array([{"a": 1}] * 5, object))
    with pytest.raises(DataError, match="Python objects"):
        read_samples(tmp_path / "objects.npz", IMAGE)
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("x.npy", b"no numpy")
    with pytest.raises(DataError):
        read_samples(tmp_path / "other.npz", IMAGE)


def png(array):
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_a_folder_of_images_takes_classes_in_turn(tmp_path):
    x = images(6)
    for index, row in enumerate(x):
        folder = tmp_path / ("cat" if index < 4 else "dog")
        folder.mkdir(exist_ok=True)
        (folder / f"{index}.png").write_bytes(png(row))
    samples = read_samples(tmp_path, IMAGE)
    assert samples.classes == ("cat", "dog")
    assert samples.labels.tolist() == [0, 1, 0, 1, 0, 0]
    np.testing.assert_array_equal(samples.inputs["image"], x[[0, 4, 1, 5, 2, 3]])
    assert read_samples(tmp_path, IMAGE, limit=2).labels.tolist() == [0, 1]


def test_loose_images_of_any_size_are_resized_one_by_one(tmp_path):
    for size in (8, 12):
        (tmp_path / f"{size}.png").write_bytes(png(np.full((size, size * 2, 3), size, np.uint8)))
    samples = read_samples(tmp_path, IMAGE, Preprocess(resize=(4, 6)))
    assert samples.labels is None and samples.inputs["image"].shape == (2, 4, 6, 3)
    with pytest.raises(DataError, match="resize"):
        read_samples(tmp_path, IMAGE)


def test_a_gray_model_reads_gray_images(tmp_path):
    (tmp_path / "0.png").write_bytes(png(np.full((4, 6), 9, np.uint8)))
    assert read_samples(tmp_path, (TensorSpec("x", (1, 4, 6, 1), "float32"),)).inputs["x"].max() == 9


def test_image_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="no images"):
        read_samples(tmp_path, IMAGE)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        read_samples(tmp_path, IMAGE)
    with pytest.raises(DataError, match="one input"):
        read_samples(tmp_path, TWO)


def test_limit_must_be_positive():
    with pytest.raises(EdgekitError, match="limit"):
        read_samples(images(), IMAGE, limit=0)


def test_spread_samples_are_at_even_distances_with_their_labels():
    samples = Samples({"image": images(7)}, np.arange(7), ("a", "b"))
    some = samples.spread(3)
    assert some.labels.tolist() == [0, 3, 6] and some.classes == ("a", "b")
    np.testing.assert_array_equal(some.inputs["image"], samples.inputs["image"][[0, 3, 6]])
    assert len(samples.spread(7)) == len(samples.spread(99)) == 7
    assert samples.spread(1).labels.tolist() == [0]
