"""Images that stay in their files: what they have in common with an array, and their order."""

import threading

import numpy as np
import pytest

from distill.data import splits, streaming
from distill.data.streaming import Streamed

N, SHAPE = 12, (2, 3, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (N, *SHAPE), np.uint8)


def streamed(identity="some", decode=PIXELS.__getitem__):
    return Streamed(decode, SHAPE, identity, np.arange(N))


@pytest.mark.parametrize(
    "part", [slice(2, 9), slice(None, None, 5), np.array([7, 0, 7]), np.arange(N) % 2 == 0, 3, -1]
)
def test_a_part_is_what_it_is_of_an_array(part):
    found = streamed()[part]
    np.testing.assert_array_equal(np.asarray(found), PIXELS[part])
    assert found.shape == PIXELS[part].shape
    np.testing.assert_array_equal(np.asarray(streamed()[2:][:5]), PIXELS[2:7])


def test_it_says_what_an_array_says():
    images = streamed()
    assert (images.shape, images.ndim, images.dtype) == (PIXELS.shape, 4, PIXELS.dtype)
    assert (len(images), images.nbytes) == (N, PIXELS.nbytes)
    np.testing.assert_array_equal(list(images), PIXELS)


def test_a_fingerprint_is_of_files_and_numbers():
    seen = splits.fingerprint(streamed())
    assert splits.fingerprint(streamed()) == seen
    assert splits.fingerprint(streamed("other")) != seen
    assert splits.fingerprint(streamed()[::-1]) != seen
    assert splits.fingerprint(streamed()[:-1]) != seen


@pytest.mark.parametrize("images", [PIXELS, streamed()], ids=["array", "streamed"])
def test_pieces_come_in_their_order(images):
    pieces = [np.array([5, 1, 1]), slice(3, 5), np.array([11])]
    found = list(streaming.ahead(images, pieces))
    for piece, part in zip(pieces, found, strict=True):
        np.testing.assert_array_equal(part, PIXELS[piece])


def test_what_waits_is_bounded_and_decoded_by_others(monkeypatch):
    monkeypatch.setattr(streaming, "AHEAD_BYTES", 4 * PIXELS[0].nbytes)
    monkeypatch.setattr(streaming, "num_workers", lambda: 2)
    decoded, threads = [], set()

    def decode(i):
        decoded.append(i)
        threads.add(threading.get_ident())
        return PIXELS[i]

    pieces = streaming.ahead(streamed(decode=decode), [slice(i, i + 2) for i in range(0, N, 2)])
    np.testing.assert_array_equal(next(pieces), PIXELS[:2])
    assert len(decoded) <= 2 + 4 and threading.get_ident() not in threads
    pieces.close()
    assert len(decoded) <= 2 + 4
