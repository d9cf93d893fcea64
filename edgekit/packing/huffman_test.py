import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.packing.bits import BitReader, BitWriter, Damaged
from edgekit.packing.huffman import LONGEST, Code, code_lengths


def huffman_bits(counts):
    """Total bits of the unlimited Huffman code: the sum of all inner weights."""
    queue, total = list(counts), 0
    heapq.heapify(queue)
    while len(queue) > 1:
        both = heapq.heappop(queue) + heapq.heappop(queue)
        total += both
        heapq.heappush(queue, both)
    return total


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=256))
def test_lengths_are_a_complete_code_and_as_good_as_huffmans_where_that_is_short_enough(counts):
    lengths = code_lengths(np.array(counts))
    assert sum(2.0**-n for n in lengths.tolist()) == 1
    assert lengths.max() <= LONGEST
    best = huffman_bits(counts)
    total = int((lengths * counts).sum())
    assert total == best or (total > best and lengths.max() == LONGEST)


def test_lengths_are_limited_where_huffmans_would_be_longer():
    counts = np.array([1, 1, *(2**i for i in range(1, 30))])  # Huffman's longest code has 30 bits
    lengths = code_lengths(counts)
    assert lengths.max() == LONGEST
    assert sum(2.0**-n for n in lengths.tolist()) == 1


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 10**6), min_size=1, max_size=256))
def test_codes_come_back(counts):
    symbols = np.array(sorted(counts))
    code = Code.of(symbols, np.array([counts[s] for s in symbols.tolist()]))
    writer = BitWriter()
    code.write(writer)
    assert writer.bits == code.bits
    again = Code.read(BitReader(writer.to_bytes()), 2**32 - 1)
    assert again.symbols.tolist() == symbols.tolist()
    assert again.lengths.tolist() == code.lengths.tolist()


def test_the_table_reads_what_the_codes_write():
    code = Code.of(np.array([2, 5, 9, 200]), np.array([100, 7, 7, 1]))
    symbols, lengths = code.table
    for symbol, word, length in zip(code.symbols, code.codes, code.lengths, strict=True):
        assert symbols[int(word)] == symbol
        assert lengths[int(word)] == length


def test_symbols_greater_than_an_element_can_be_are_refused():
    writer = BitWriter()
    Code.of(np.array([0, 16]), np.array([1, 1])).write(writer)
    with pytest.raises(Damaged, match="cannot be"):
        Code.read(BitReader(writer.to_bytes()), 15)


def test_an_incomplete_code_is_refused():
    writer = BitWriter()
    Code(np.arange(3, dtype=np.uint32), np.array([2, 2, 2])).write(writer)
    with pytest.raises(Damaged, match="complete"):
        Code.read(BitReader(writer.to_bytes()), 15)
