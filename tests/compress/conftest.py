"""Small networks of every family, and the decoders of what is packed."""

import math
import struct

import jax
import numpy as np
import pytest

from distill import models
from distill.compress import huffman, packing
from distill.compress import network as networks
from distill.compress.context import Context

SMALL = {
    "simplenet_v1": ({"filters": (4, 5)}, (12, 12, 1)),
    "simplenet_v4": ({"filters": (4,)}, (8, 8, 1)),
    "teacher": ({"filters": (4, 5), "hidden": 7}, (8, 8, 1)),
    "calli": ({"features": (4, 5, 6)}, (28, 28, 1)),
    "calli_1d": ({"features": (4, 5, 6), "inner": (3, 4, 5)}, (28, 28, 1)),
    "vgg16": ({"features": (4, 6, 5), "pools": (1, 3), "hidden": (7,)}, (8, 8, 3)),
    "vgg8": ({"features": (4, 6, 5), "pools": (1, 2), "hidden": (7,)}, (8, 8, 3)),
    "wrn_16_2": ({"blocks": (1, 2), "features": (4, 6), "stem": 5}, (8, 8, 3)),
    "wrn_40_1": ({"blocks": (2, 1), "features": (4, 6), "stem": 4}, (8, 8, 3)),
    "resnet20": ({"blocks": (1, 2, 1), "features": (4, 6, 9), "stem": 4}, (8, 8, 3)),
    "resnet34": ({"blocks": (2, 1), "features": (4, 8), "stem": 4}, (32, 32, 3)),
    "resnet50": ({"blocks": (1, 2), "features": (8, 12), "stem": 4}, (32, 32, 3)),
    "densenet40": (
        {"stem": 4, "growth": ((3, 2), (2, 3)), "transitions": (6,)}, (8, 8, 3)
    ),
    "densenet_bc100": (
        {"stem": 4, "growth": ((3, 2), (2,)), "inner": ((5, 4), (3,)), "transitions": (6,)},
        (8, 8, 3),
    ),
    "densenet121": (
        {"stem": 4, "growth": ((3, 2), (2,)), "inner": ((5, 4), (3,)), "transitions": (6,),
         "symmetric": True},
        (16, 16, 3),
    ),
    "autoencoder": ({"encoder": (4, 6), "decoder": (5, 1)}, (8, 8, 1)),
    "mobilenet_v1": ({"features": (16, 24), "strides": (1, 2), "stem": 8, "width": 0.5}, (8, 8, 3)),
    "mobilenet_v2": (
        {"blocks": (1, 2, 1), "features": (4, 6, 5), "strides": (1, 2, 1), "stem": 4, "head": 9},
        (8, 8, 3),
    ),
    "efficientnet_lite0": (
        {"blocks": (1, 2, 1), "features": (4, 6, 5), "strides": (1, 2, 1), "kernels": (3, 5, 3),
         "stem": 4, "head": 9},
        (8, 8, 3),
    ),
}  # fmt: skip


@pytest.fixture
def network(rng, key):
    """Makes a small network of random weights, by its name and further arguments."""
    return lambda name, **more: _random(name, rng, key, more)


@pytest.fixture
def context():
    """Makes what a method may look at beside the network; all labels are 0."""
    return lambda found, images=(), say=print: Context(
        images, np.zeros(len(images), np.int32), (0.0,), (1.0,), "cross_entropy", found, 0, say
    )


def _random(name, rng, key, more):
    args, shape = SMALL[name]
    module = models.build(name, {**args, **more}, num_classes=3)
    shapes = jax.eval_shape(module.init, key, np.zeros((1, *shape), np.float32))
    variables = jax.tree.map(
        lambda v: rng.uniform(0.1, 1, v.shape).astype(np.float32) - (v.ndim > 1) * 0.5, shapes
    )
    return networks.of(name, {**args, **more}, 3, shape, variables)


@pytest.fixture(scope="session")
def decode():
    """Undoes `huffman.encode`: from bytes, lengths of codes and a count to symbols."""
    return _decode


@pytest.fixture(scope="session")
def unpack():
    """Undoes `packing.pack`."""
    return _unpack


def _decode(data: bytes, lengths: np.ndarray, count: int) -> np.ndarray:
    """Undoes `encode`.

    Args:
      data: what it returned.
      lengths: of the code of each symbol.
      count: number of symbols.

    Returns:
      `[count]` integers.
    """
    order, longest = huffman.order(lengths), int(lengths.max(initial=0))
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    padded = np.concatenate([bits, np.zeros(longest, np.uint8)])
    # What a code that began at a bit would be: with zeros behind them codes are in their order.
    windows = np.zeros(len(bits), np.uint64)
    for bit in range(longest):
        windows = (windows << np.uint64(1)) | padded[bit : bit + len(bits)]
    shifts = (longest - lengths[order]).astype(np.uint64)
    ranks = np.searchsorted(huffman.codes(lengths)[order] << shifts, windows, side="right") - 1
    symbols = order[ranks].tolist()
    sizes = lengths.tolist()
    found, position = np.zeros(count, np.int64), 0
    for i in range(count):
        found[i] = symbols[position]
        position += sizes[found[i]]
    return found


def _unpack(packed: dict[str, packing.Packed]) -> dict[str, np.ndarray]:
    """Undoes `packing.pack`.

    Returns:
      The parameters and the running statistics, to the bit.
    """
    return {
        path: _DECODERS[p.coding](p.data, math.prod(p.shape)).reshape(p.shape)
        for path, p in packed.items()
    }


def _from_raw(data: bytes, count: int) -> np.ndarray:
    return np.frombuffer(data, "<f4", count)


def _from_indices(data: bytes, count: int) -> np.ndarray:
    codebook, rest = _read_book(data)
    bits = packing.index_bits(len(codebook))
    each = np.unpackbits(np.frombuffer(rest, np.uint8), count=count * bits).reshape(count, bits)
    return codebook[each.astype(np.int64) @ (1 << np.arange(bits)[::-1])]


def _from_huffman(data: bytes, count: int) -> np.ndarray:
    codebook, rest = _read_book(data)
    return codebook[_read_coded(rest, len(codebook), count)[0]]


def _from_sparse(data: bytes, count: int) -> np.ndarray:
    entries, few = struct.unpack_from("<I?", data)
    runs, used = _read_coded(data[5:], packing.MAX_RUN + 1, entries)
    rest = data[5 + used :]
    values = np.zeros(count, np.float32)
    values[np.cumsum(runs + 1) - 1] = (_from_huffman if few else _from_raw)(rest, entries)
    return values


def _read_book(data: bytes) -> tuple[np.ndarray, bytes]:
    size = data[0] + 1
    return np.frombuffer(data, "<f4", size, 1), data[1 + 4 * size :]


def _read_coded(data: bytes, num_symbols: int, count: int) -> tuple[np.ndarray, int]:
    """Returns the symbols, and how many bytes they took."""
    lengths = np.frombuffer(data, np.uint8, num_symbols)
    symbols = _decode(data[num_symbols:], lengths, count)
    return symbols, num_symbols + -(-int(lengths[symbols].sum(dtype=np.int64)) // 8)


_DECODERS = {
    "float32": _from_raw,
    "indices": _from_indices,
    "huffman": _from_huffman,
    "sparse": _from_sparse,
}
