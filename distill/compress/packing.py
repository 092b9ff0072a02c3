"""How small a network can be stored: the coding of Deep Compression, really encoded.

After Han et al. 2016 (arXiv:1510.00149), figure 1: shared values are stored once, each weight as an
index, the indices in as many bits as they need or in a Huffman code, and where most are zero, only
the others with the number of zeros before each. Everything that a decoder needs counts, down to
the lengths of the codes; names and shapes do not, as the configuration of the model says them.
Rounding to int8 is what a TensorFlow Lite file stores, and not repeated here: where shared values
were rounded with a scale for each channel, they count as the many values that they are then.
No file is written, the bytes are counted; the tests decode them again.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distill.compress import huffman
from distill.compress.network import Network
from distill.constraints import MAX_CLUSTERS

MAX_RUN = 31  # zeros that one entry can skip, 5 bits as in the paper; a zero is put in for more


class Packed(NamedTuple):
    """An array as bytes.

    Attributes:
      coding: a key of `CODINGS`; its number counts as one byte.
      shape: of the array.
      data: all that the decoder gets besides.
    """

    coding: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return 1 + len(self.data)


def pack(network: Network) -> dict[str, Packed]:
    """Returns each array of a network in its smallest coding, by its path.

    The parameters are taken as they are: a network that was trained, and read back, is applied with
    just these. (`network.weights` would average shared values again that were rounded to int8.)
    Kernels have all codings to choose from; biases and normalisation are float32.
    """
    return {path: min(found, key=lambda p: p.size) for path, found in _candidates(network).items()}


def sizes(network: Network) -> dict[str, Any]:
    """Returns what the network takes in bytes, coded in one way or the other.

    Returns:
      `dense_bytes`, as float32; `indices_bytes`, with kernels as indices of few bits where that is
      smaller; `huffman_bytes`, likewise with a Huffman code; `packed_bytes`, with the smallest
      coding for each; and `codings`, which that is for each kernel.
    """
    candidates = _candidates(network)

    def total(*codings: str) -> int:
        return sum(min(p.size for p in c if p.coding in codings) for c in candidates.values())

    return {
        "dense_bytes": total("float32"),
        "indices_bytes": total("float32", "indices"),
        "huffman_bytes": total("float32", "huffman"),
        "packed_bytes": total(*CODINGS),
        "codings": {
            layer: min(candidates[f"{layer}/kernel"], key=lambda p: p.size).coding
            for layer in network.kernels
        },
    }


def _candidates(network: Network) -> dict[str, list[Packed]]:
    arrays = {**network.params, **network.stats}
    kernels = {f"{layer}/kernel" for layer in network.kernels}
    found: dict[str, list[Packed]] = {}
    for path, array in arrays.items():
        values = array.ravel().astype("<f4") + np.float32(0)  # without negative zeros
        codebook = np.unique(values)
        found[path] = [
            Packed(name, array.shape, encode(values, codebook))
            for name, encode in CODINGS.items()
            if name == "float32"
            or (path in kernels and (name == "sparse" or len(codebook) <= MAX_CLUSTERS))
        ]
    return found


def _raw(values: np.ndarray, codebook: np.ndarray) -> bytes:
    del codebook
    return values.astype("<f4").tobytes()


def _indices(values: np.ndarray, codebook: np.ndarray) -> bytes:
    bits = index_bits(len(codebook))
    each = np.searchsorted(codebook, values)[:, None] >> np.arange(bits)[::-1] & 1
    return _book(codebook) + np.packbits(each.astype(np.uint8)).tobytes()


def _huffman(values: np.ndarray, codebook: np.ndarray) -> bytes:
    return _book(codebook) + _coded(np.searchsorted(codebook, values), len(codebook))


def _sparse(values: np.ndarray, codebook: np.ndarray) -> bytes:
    """Codes the values that are not zero, each with the number of zeros before it.

    Layout: how many entries (uint32), the runs, then the values: with a codebook if there is one
    (a byte says it), otherwise as float32.
    """
    places = np.flatnonzero(values)
    gaps = np.diff(places, prepend=-1) - 1
    fillers = gaps // (MAX_RUN + 1)
    ends = np.cumsum(fillers + 1)  # an entry is behind its fillers
    count = int(ends[-1]) if len(ends) else 0
    runs, entries = np.full(count, MAX_RUN), np.zeros(count, np.float32)
    runs[ends - 1] = gaps % (MAX_RUN + 1)
    entries[ends - 1] = values[places]
    few = len(codebook) <= MAX_CLUSTERS
    stored = np.unique(entries)
    coded = _huffman(entries, stored) if few and count else _raw(entries, stored)
    return struct.pack("<I?", count, few and count > 0) + _coded(runs, MAX_RUN + 1) + coded


Encode = Callable[[np.ndarray, np.ndarray], bytes]

CODINGS: dict[str, Encode] = {
    "float32": _raw,
    "indices": _indices,
    "huffman": _huffman,
    "sparse": _sparse,
}


def index_bits(count: int) -> int:
    """Returns the bits of an index of so many values."""
    return (count - 1).bit_length()


def _book(codebook: np.ndarray) -> bytes:
    """Returns the values as float32 behind their number less one, in a byte."""
    return bytes([len(codebook) - 1]) + codebook.astype("<f4").tobytes()


def _coded(symbols: np.ndarray, num_symbols: int) -> bytes:
    """Returns symbols in a Huffman code behind the lengths of its codes, a byte for each."""
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=num_symbols))
    return lengths.tobytes() + huffman.encode(symbols, lengths)
