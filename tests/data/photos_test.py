"""Augmentation of photos, from literal choices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill.data import AUGMENTATIONS, photos

WHOLE = jnp.array([[0.0, 0.0, 1.0, 1.0]])
KEEP, MIRROR = jnp.array([False]), jnp.array([True])


def crop(image, part, mirrored=KEEP):
    return np.asarray(photos.resized_crop(jnp.asarray(image, jnp.float32), (part, mirrored)))


def test_the_whole_is_the_image_itself(rng):
    image = rng.random((1, 5, 7, 3), np.float32)
    np.testing.assert_allclose(crop(image, WHOLE), image, atol=1e-6)
    np.testing.assert_allclose(crop(image, WHOLE, MIRROR), image[:, :, ::-1], atol=1e-6)


def test_a_part_is_enlarged_bilinearly():
    # The left half of four columns: their centres lie at -0.25, 0.25, 0.75 and 1.25.
    image = np.broadcast_to(np.arange(4.0)[:, None], (1, 2, 4, 1))
    left = crop(image, jnp.array([[0.0, 0.0, 1.0, 0.5]]))
    np.testing.assert_allclose(left[0, :, :, 0], [[0, 0.25, 0.75, 1.25]] * 2, atol=1e-6)
    right = crop(image, jnp.array([[0.0, 0.5, 1.0, 0.5]]))
    np.testing.assert_allclose(right[0, 0, :, 0], [1.75, 2.25, 2.75, 3], atol=1e-6)
    rows = crop(np.swapaxes(image, 1, 2), jnp.array([[0.5, 0.0, 0.5, 1.0]]))
    np.testing.assert_allclose(rows[0, :, 0, 0], [1.75, 2.25, 2.75, 3], atol=1e-6)


def test_parts_lie_inside_and_are_of_the_published_shapes(key):
    part, mirrored = photos.draw_crop(key, 2000)
    top, left, height, width = np.asarray(part).T
    assert (np.asarray(part) >= 0).all() and (top + height).max() <= 1.0001
    assert (left + width).max() <= 1.0001
    area, aspect = height * width, width / height
    whole = np.maximum(height, width) < 1  # others were cut
    assert area.min() > 0.079 and 0.9 < area.max() <= 1.0001
    assert aspect[whole].min() > 0.749 and aspect[whole].max() < 1.334
    assert area.mean() == pytest.approx(0.53, abs=0.03)
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1, 1, 1), [[0.2, 0.4, 0.6], [0.4, 0.4, 0.4]]),
        ((0.5, 1, 1), [[0.1, 0.2, 0.3], [0.2, 0.2, 0.2]]),
        ((3, 1, 1), [[0.6, 1, 1], [1, 1, 1]]),
        # The gray of the first is 0.0598 + 0.2348 + 0.0684 = 0.363, and the mean of both 0.3815.
        ((1, 0, 1), [[0.3815] * 3] * 2),
        ((1, 2, 1), [[0.0185, 0.4185, 0.8185], [0.4185] * 3]),
        ((1, 1, 0), [[0.363] * 3, [0.4] * 3]),
        ((1, 1, 2), [[0.037, 0.437, 0.837], [0.4] * 3]),
    ],
)
def test_colors_are_changed_as_torchvision_does(factors, expected):
    image = jnp.array([[[[0.2, 0.4, 0.6], [0.4, 0.4, 0.4]]]])
    found = photos.colors(image, jnp.array([factors], jnp.float32))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_gray_photos_have_no_saturation():
    image = jnp.array([0.2, 0.6]).reshape(1, 1, 2, 1)
    found = photos.colors(image, jnp.array([[1.0, 0.5, 9.0]]))
    np.testing.assert_allclose(found.ravel(), [0.3, 0.5], atol=1e-6)


@pytest.mark.parametrize("name", ["resized_crop", "photo"])
def test_augmented_photos_stay_between_black_and_white(name, key, rng):
    images = jnp.asarray(rng.random((16, 6, 6, 3), np.float32))
    draw, apply, variants = AUGMENTATIONS[name]
    found = jax.jit(apply)(images, draw(key, 16))
    assert found.shape == images.shape and variants is None
    assert found.min() >= 0 and found.max() <= 1 + 1e-6
    assert not np.allclose(found, images)
