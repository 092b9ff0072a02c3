"""Canonical Huffman codes: all that a reader needs is the length of each symbol's code."""

import heapq

import numpy as np


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Returns how many bits each symbol gets, so that the total is the least.

    Args:
      counts: how often each symbol occurs, `[n]` integers.

    Returns:
      `[n]` uint8; 0 for symbols that do not occur, 1 for one that is alone.
    """
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if len(used) == 1:
        lengths[used] = 1
    # Trees by weight; of equal weights the one with the least symbol, so that codes are repeatable.
    trees = [(int(counts[symbol]), int(symbol), [int(symbol)]) for symbol in used]
    heapq.heapify(trees)
    while len(trees) > 1:
        a, b = heapq.heappop(trees), heapq.heappop(trees)
        symbols = a[2] + b[2]
        lengths[symbols] += 1
        heapq.heappush(trees, (a[0] + b[0], min(a[1], b[1]), symbols))
    return lengths


def codes(lengths: np.ndarray) -> np.ndarray:
    """Returns the canonical codes: rising with the length, and among equal ones with the symbol.

    Args:
      lengths: as from `code_lengths`.

    Returns:
      `[n]` uint64, of which the lowest bits count.
    """
    found = np.zeros(len(lengths), np.uint64)
    code, before = 0, 0
    for symbol in order(lengths):
        code <<= int(lengths[symbol]) - before
        found[symbol] = code
        code, before = code + 1, int(lengths[symbol])
    return found


def encode(symbols: np.ndarray, lengths: np.ndarray) -> bytes:
    """Returns the codes of the symbols one after the other, filled up with zeros to whole bytes.

    Args:
      symbols: `[n]` integers.
      lengths: of the code of each.
    """
    sizes = lengths[symbols].astype(np.int64)
    ends = np.cumsum(sizes)
    values = codes(lengths)[symbols]
    bits = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    for bit in range(int(lengths.max(initial=0))):  # counted from the end of a code
        has = sizes > bit
        bits[ends[has] - 1 - bit] = (values[has] >> np.uint64(bit)) & np.uint64(1)
    return np.packbits(bits).tobytes()


def order(lengths: np.ndarray) -> np.ndarray:
    """Returns the symbols that occur, by the length of their codes."""
    order = np.argsort(lengths, kind="stable")
    return order[lengths[order] > 0]
