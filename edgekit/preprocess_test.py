import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DataError, UsageError
from edgekit.preprocess import Preprocess

sizes = st.integers(1, 9)
numbers = st.floats(-100, 100, allow_nan=False, width=32)
preprocesses = st.builds(
    Preprocess,
    resize=st.none() | sizes | st.tuples(sizes, sizes),
    crop=st.none() | st.tuples(sizes, sizes),
    colour=st.sampled_from(["RGB", "BGR", "GRAY"]),
    scale=numbers,
    mean=st.tuples(numbers) | st.tuples(numbers, numbers, numbers),
    std=st.tuples(numbers.filter(bool)),
    layout=st.sampled_from([None, "NHWC", "NCHW"]),
    data_layout=st.sampled_from(["NHWC", "NCHW"]),
    dtype=st.sampled_from(["float32", "uint8"]),
)


@given(preprocesses)
def test_json_reads_back_equal(preprocess):
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def image(height=8, width=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_default_only_casts():
    np.testing.assert_array_equal(Preprocess()(image()), image().astype(np.float32))
    assert Preprocess(dtype="uint8")(image()).dtype == np.uint8


def test_normalizing_is_scale_then_mean_then_std():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (image() / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(Preprocess(scale=1 / 255, mean=mean, std=std)(image()), expected, rtol=1e-5, atol=1e-6)
    planes = Preprocess(scale=1 / 255, mean=mean, std=std, data_layout="NCHW")(image().transpose(2, 0, 1))
    np.testing.assert_allclose(planes, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


@given(preprocesses.filter(lambda p: p.dtype == "float32"))
def test_a_batch_is_treated_as_its_samples_are(preprocess):
    data = np.stack([image(seed=s) for s in range(2)])
    if preprocess.data_layout == "NCHW":
        data = data.transpose(0, 3, 1, 2)
    try:
        together = preprocess(data)
    except DataError:
        with pytest.raises(DataError):
            preprocess(data[0])
        return
    np.testing.assert_array_equal(together, np.stack([preprocess(row) for row in data]))


def test_the_order_of_layouts_does_not_matter_to_the_values():
    steps = {"resize": (6, 5), "crop": (4, 4), "colour": "BGR", "scale": 0.5, "mean": (1.0, 2.0, 3.0)}
    straight = Preprocess(**steps)(image())
    np.testing.assert_array_equal(Preprocess(**steps, layout="NCHW")(image()), straight.transpose(2, 0, 1))
    planes = image().transpose(2, 0, 1)
    np.testing.assert_array_equal(Preprocess(**steps, data_layout="NCHW", layout="NHWC")(planes), straight)


def test_resizing_is_bilinear_between_pixel_centres():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(image()).permute(2, 0, 1)[None].float()
    for size in [(16, 24), (5, 7), (8, 6), (1, 1)]:
        expected = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
        np.testing.assert_allclose(Preprocess(resize=size)(image()), expected, rtol=1e-5, atol=1e-3)


def test_one_number_resizes_the_shorter_side():
    assert Preprocess(resize=4)(image(8, 12)).shape == (4, 6, 3)
    assert Preprocess(resize=4)(image(12, 8)).shape == (6, 4, 3)


def test_the_crop_is_central():
    np.testing.assert_array_equal(Preprocess(crop=(4, 6))(image()), image()[2:6, 3:9])
    with pytest.raises(DataError, match="crop 9x9"):
        Preprocess(crop=(9, 9))(image())


def test_colours():
    np.testing.assert_array_equal(Preprocess(colour="BGR")(image()), image()[..., ::-1])
    gray = Preprocess(colour="GRAY")(image())
    assert gray.shape == (8, 12, 1)
    np.testing.assert_allclose(gray[..., 0], image() @ np.array((0.299, 0.587, 0.114)), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "rgb"}, {"layout": "NHW"}, {"data_layout": None}, {"std": (0.0,)}, {"std": ()}, {"mean": ()}, {"resize": (0, 4)},
        {"resize": (4, 4, 4)}, {"crop": (4.5, 4)}, {"dtype": "complex64"},
    ],
)  # fmt: skip
def test_steps_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError, match="preprocess"):
        Preprocess(**options)


def test_unknown_steps_and_values_of_another_kind_are_refused():
    with pytest.raises(UsageError, match="blur"):
        Preprocess.from_json({"blur": 3})
    with pytest.raises(UsageError, match="mean is 'a'"):
        Preprocess.from_json({"mean": "a"})


def test_a_document_may_give_one_value_for_all_channels():
    assert Preprocess.from_json({"mean": 0.5, "std": [2]}) == Preprocess(mean=(0.5,), std=(2,))


def test_images_are_needed_only_by_steps_on_images():
    assert Preprocess(scale=2)(np.ones(7)).sum() == 14
    with pytest.raises(DataError, match="images"):
        Preprocess(resize=4)(np.ones(7))
    with pytest.raises(DataError, match="channels"):
        Preprocess(mean=(1.0, 2.0))(image())
