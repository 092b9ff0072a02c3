"""Huffman codes: a literal one, that they come back, and how near they are to the entropy."""

import numpy as np
import pytest

from distill.compress import huffman


def test_a_literal_code():
    counts = np.array([5, 9, 12, 0, 13, 16, 45])  # the example of Cormen et al. with a gap
    lengths = huffman.code_lengths(counts)
    assert lengths.tolist() == [4, 4, 3, 0, 3, 3, 1]
    codes = huffman.codes(lengths)
    assert [f"{codes[i]:0{n}b}" for i, n in enumerate(lengths) if n] == [
        "1110", "1111", "100", "101", "110", "0"
    ]  # fmt: skip


def test_literal_bytes(decode):
    lengths = np.array([1, 2, 2], np.uint8)  # 0, 10, 11
    data = huffman.encode(np.array([0, 2, 1, 0, 0, 2]), lengths)
    assert data == bytes([0b01110001, 0b10000000])
    assert decode(data, lengths, 6).tolist() == [0, 2, 1, 0, 0, 2]


def test_nothing_and_one_symbol(decode):
    assert huffman.code_lengths(np.array([0, 7, 0])).tolist() == [0, 1, 0]
    lengths = np.array([0, 1], np.uint8)
    assert decode(huffman.encode(np.ones(9, int), lengths), lengths, 9).tolist() == [1] * 9
    nothing = np.zeros(2, np.uint8)
    assert huffman.encode(np.zeros(0, int), nothing) == b""
    assert decode(b"", nothing, 0).tolist() == []


@pytest.mark.parametrize("size", [2, 17, 256])
def test_the_mean_length_is_within_a_bit_of_the_entropy(rng, size, decode):
    shares = rng.dirichlet(np.full(size, 0.3))
    symbols = rng.choice(size, 20_000, p=shares)
    counts = np.bincount(symbols, minlength=size)
    lengths = huffman.code_lengths(counts)
    there = counts[counts > 0] / counts.sum()
    entropy = -(there * np.log2(there)).sum()
    assert entropy <= (lengths * counts).sum() / counts.sum() < entropy + 1
    assert (2.0 ** -lengths[counts > 0].astype(float)).sum() == 1  # no code is wasted
    data = huffman.encode(symbols, lengths)
    assert len(data) == -(-(lengths * counts).sum() // 8)
    np.testing.assert_array_equal(decode(data, lengths, len(symbols)), symbols)


def test_counts_of_powers_of_two_reach_the_entropy():
    assert huffman.code_lengths(np.array([8, 4, 2, 1, 1])).tolist() == [1, 2, 3, 4, 4]
