import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.packing import elements
from edgekit.packing.bits import BitWriter, Damaged
from edgekit.packing.huffman import Code


def coded_size(data):
    """Bytes that data take, after holding what comes back against them."""
    choice = elements.best(data)
    assert choice is not None
    bits, planes = choice
    payload = elements.encode(planes)
    assert len(payload) == (bits + 7) // 8
    assert np.array_equal(elements.decode(payload, len(data)), data)
    return len(payload)


def normal_int8(size, rng):
    return (rng.normal(size=size) * 20).round().clip(-127, 127).astype(np.int8)


def entropy_bytes(values):
    counts = np.unique(values, return_counts=True)[1]
    return -(counts * np.log2(counts / counts.sum())).sum() / 8


@settings(max_examples=60)
@given(hnp.arrays(np.uint8, st.integers(1, 400), elements=st.sampled_from([0, 0, 0, 1, 15, 16, 255]) | st.integers(0, 255)))
def test_any_bytes_come_back(data):
    coded_size(data)


def test_a_million_bits_and_more_come_back(monkeypatch):
    monkeypatch.setattr(elements, "_AT_ONCE", 1000)
    rng = np.random.default_rng(0)
    weights = normal_int8(20_000, rng)
    coded_size(weights.view(np.uint8))
    coded_size(np.where(rng.random(20_000) < 0.05, weights, 0).astype(np.int8).view(np.uint8))


def test_dense_integers_take_little_more_than_their_entropy():
    weights = normal_int8(100_000, np.random.default_rng(0))
    assert coded_size(weights.view(np.uint8)) < 1.01 * entropy_bytes(weights)


def test_sparse_integers_take_little_more_than_their_entropy():
    rng = np.random.default_rng(0)
    weights = np.where(rng.random(200_000) < 0.05, normal_int8(200_000, rng), 0).astype(np.int8)
    assert coded_size(weights.view(np.uint8)) < 1.03 * entropy_bytes(weights)


def test_clustered_floats_take_little_more_than_the_entropy_of_their_indices():
    rng = np.random.default_rng(0)
    indices = np.where(rng.random(200_000) < 0.05, rng.integers(1, 17, 200_000), 0)
    table = np.append(0.0, rng.normal(size=16)).astype(np.float32)
    assert coded_size(table[indices].view(np.uint8)) < 1.03 * entropy_bytes(indices) + 64


def test_packed_nibbles_are_told_apart():
    rng = np.random.default_rng(0)
    nibbles = np.where(rng.random(100_000) < 0.03, rng.integers(1, 16, 100_000), 0).astype(np.uint8)
    size = coded_size(nibbles[::2] | nibbles[1::2] << 4)
    assert size < 1.03 * entropy_bytes(nibbles)


def test_masks_of_single_bits_are_told_apart():
    bits = (np.random.default_rng(0).random(200_000) < 0.02).astype(np.uint8)
    assert coded_size(np.packbits(bits, bitorder="little")) < 1.02 * entropy_bytes(bits)


def test_plain_floats_save_on_signs_and_exponents():
    floats = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    assert coded_size(floats.view(np.uint8)) < 0.86 * floats.nbytes


def test_constants_take_nothing():
    assert coded_size(np.zeros(1_000_000, np.uint8)) < 8


def test_a_long_run_takes_a_few_bits():
    data = np.zeros(1_000_000, np.uint8)
    data[[0, 5, 400_000]] = 1, 2, 3
    assert coded_size(data) < 40


def test_every_run_length_has_a_token_and_comes_back():
    lengths = np.unique(np.concatenate([np.arange(300), 2 ** np.arange(32), 2 ** np.arange(2, 32) - 1]))
    tokens, extra, widths = elements._tokens(lengths)
    shortest, again = elements._shortest(tokens)
    assert np.array_equal(shortest + extra, lengths)
    assert np.array_equal(again, widths)
    assert elements._tokens(np.array([2**32 - 1]))[0] == elements.LARGEST_RUN


def test_a_run_longer_than_what_is_left_is_refused():
    data = np.zeros(5000, np.uint8)
    data[:2000:7] = np.arange(286) % 5
    payload = elements.encode(elements.best(data)[1])
    with pytest.raises(Damaged):
        elements.decode(payload, 4000)


def test_bytes_behind_the_elements_are_refused():
    payload = elements.encode(elements.best(np.arange(100, dtype=np.uint8))[1])
    with pytest.raises(Damaged, match="behind"):
        elements.decode(payload + b"\0", 100)


def test_codes_without_bits_are_refused_before_they_fill_memory():
    writer = BitWriter()
    writer.put(0, 4)
    writer.put(7, 5)
    writer.put(1, 1)
    writer.put(0, 8)
    for symbol in (1, 3):
        Code.of(np.array([symbol]), np.array([1])).write(writer)
    with pytest.raises(Damaged, match="no bits"):
        elements.decode(writer.to_bytes(), 100)
