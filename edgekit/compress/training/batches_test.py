import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.training.batches import Data, augmented, check_augmentations, rows_of
from edgekit.compress.training.losses import Batch
from edgekit.errors import DataError, UsageError
from edgekit.testing.graphs import graph_of
from edgekit.testing.training import classifier


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_takes_each_sample_once_at_most(samples, size, epoch, seed):
    size = min(size, samples)
    per_epoch = samples // size
    rows = torch.cat([rows_of(epoch * per_epoch + i, size, samples, seed) for i in range(per_epoch)])
    assert len(rows) == per_epoch * size == len(rows.unique())
    assert int(rows.max()) < samples


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [rows_of(step, 100, 100, seed).tolist() for step, seed in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == rows_of(0, 100, 100, 0).tolist()


@given(st.integers(2, 50), st.floats(0.01, 0.99))
def test_parting_loses_and_shares_nothing(count, share):
    kept, aside = Data([torch.arange(count)], torch.arange(count)).parted(share)
    assert sorted(torch.cat([kept.inputs[0], aside.inputs[0]]).tolist()) == list(range(count))
    assert torch.equal(kept.inputs[0], kept.labels) and len(aside) == min(max(round(share * count), 1), count - 1)


def test_one_sample_cannot_be_parted():
    with pytest.raises(DataError, match="one sample"):
        Data([torch.zeros(1)], None).parted(0.1)


@pytest.mark.parametrize("shape", [(64, 3, 16, 8), (64, 16, 8, 3)])
def test_flipped_images_are_mirrored_or_as_they_were(shape):
    batch, axis = Batch([torch.rand(shape)], None), 3 if shape[1] == 3 else 2
    images, (flipped,) = batch.inputs[0], augmented(batch, ["flip"], 3, 0).inputs
    mirrored = [torch.equal(a, b.flip(axis - 1)) for a, b in zip(images, flipped, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert all(a or b for a, b in zip(mirrored, same, strict=True)) and 16 < sum(mirrored) < 48


def test_shifted_images_move_by_an_eighth_at_most():
    ramp = torch.arange(16.0).reshape(1, 1, 16, 1).expand(32, 1, 16, 16)
    (moved,) = augmented(Batch([ramp], None), ["shift"], 0, 0).inputs
    inner = moved[:, 0, 4:12, 0]
    offsets = inner - ramp[:, 0, 4:12, 0]
    assert set(offsets.flatten().tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert torch.equal(offsets, offsets[:, :1].expand_as(offsets))
    assert float(moved.min()) >= 0 and float(moved.max()) <= 15


def test_mixup_blends_labels_as_it_blends_samples():
    hot = torch.eye(8)
    mixed = augmented(Batch([hot.clone()], hot), ["mixup"], 0, 0)
    torch.testing.assert_close(mixed.inputs[0], mixed.labels)
    torch.testing.assert_close(mixed.labels.sum(1), torch.ones(8))
    assert int((mixed.labels > 0).sum()) > 8


def test_augmentation_depends_on_the_step_and_the_seed():
    batch = Batch([torch.rand(8, 3, 8, 8)], None)
    found = [augmented(batch, ["shift", "flip", "mixup"], *place).inputs[0] for place in ((0, 0), (0, 0), (1, 0), (0, 1))]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2]) and not torch.equal(found[0], found[3])


def test_what_cannot_be_augmented():
    check_augmentations(("flip", "mixup"), classifier())
    ids = graph_of(torch.ops.aten.abs.default, [torch.zeros(1, 4, dtype=torch.int64)])
    check_augmentations((), ids)
    with pytest.raises(UsageError, match="cannot be blended"):
        check_augmentations(("mixup",), ids)
    with pytest.raises(UsageError, match="no image"):
        check_augmentations(("shift",), ids)
