import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill.data import augment

# Compiled whole: otherwise each of their operations is, for each shape.
affine, hand, rotate = map(jax.jit, (augment.affine, augment.hand, augment.rotate))
draw = jax.jit(lambda name, key, n: augment.AUGMENTATIONS[name].draw(key, n), static_argnums=(0, 2))
IMAGE = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)


def _plane(images):
    return np.asarray(images)[0, :, :, 0]


@pytest.mark.parametrize("name, variant", [("none", 0), ("shift", 4)])
def test_identity_variants(name, variant):
    images = augment.AUGMENTATIONS[name].apply(IMAGE, jnp.array([variant]))
    np.testing.assert_array_equal(images, IMAGE)


@pytest.mark.parametrize(
    "variant, expected",
    [
        (0, [[5, 6, 0], [8, 9, 0], [0, 0, 0]]),  # up and left
        (1, [[4, 5, 6], [7, 8, 9], [0, 0, 0]]),  # up
        (5, [[0, 1, 2], [0, 4, 5], [0, 7, 8]]),  # right
        (8, [[0, 0, 0], [0, 1, 2], [0, 4, 5]]),  # down and right
    ],
)
def test_shift_literal(variant, expected):
    np.testing.assert_array_equal(_plane(augment.shift(IMAGE, jnp.array([variant]))), expected)


def test_variants_of_shift_are_distinct_and_each_is_drawn(key):
    shift = augment.AUGMENTATIONS["shift"]
    images = shift.apply(jnp.repeat(IMAGE, 9, axis=0), jnp.arange(9))
    assert len({image.tobytes() for image in np.asarray(images)}) == shift.num_variants == 9
    assert set(np.asarray(draw("shift", key, 500)).tolist()) == set(range(9))


def test_each_image_has_its_own_choice():
    images = augment.shift(jnp.repeat(IMAGE, 2, axis=0), jnp.array([8, 4]))
    np.testing.assert_array_equal(images[1:], IMAGE)
    assert np.asarray(images)[0, 0].sum() == 0


@pytest.mark.parametrize("size", [(4, 4), (5, 5)])
@pytest.mark.parametrize("turns", [0, 1, 2, -1])
def test_rotation_is_counter_clockwise_as_that_of_numpy(size, turns, rng):
    images = rng.random((1, *size, 2)).astype(np.float32)
    turned = rotate(images, jnp.array([90.0 * turns]))
    # The corners fall on the very edge, where rounding may mix in the black outside.
    np.testing.assert_allclose(turned, np.rot90(images, turns, axes=(1, 2)), atol=2e-5)


def test_a_small_rotation_moves_the_top_to_the_left():
    image = np.zeros((1, 21, 21, 1), np.float32)
    image[0, 1, 10] = 1
    turned = _plane(rotate(image, jnp.array([10.0])))
    columns = (turned.sum(0) * np.arange(21)).sum() / turned.sum()
    assert columns == pytest.approx(10 - 9 * np.sin(np.deg2rad(10)), abs=0.1)


@pytest.mark.parametrize(
    "offset, flip, expected",
    [
        ((0, 0), False, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ((0, 0), True, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ((-1, 0), False, [[4, 5, 6], [7, 8, 9], [0, 0, 0]]),
        ((1, 2), False, [[0, 0, 0], [0, 0, 1], [0, 0, 4]]),
        ((1, 2), True, [[0, 0, 0], [1, 0, 0], [4, 0, 0]]),
        ((4, -4), False, np.zeros((3, 3))),
    ],
)
def test_crop_flip_literal(offset, flip, expected):
    choices = jnp.array([offset]), jnp.array([flip])
    np.testing.assert_array_equal(_plane(augment.crop_flip(IMAGE, choices)), expected)


def test_crop_flip_draws_every_offset_and_both_sides(key):
    offset, flip = draw("crop_flip", key, 1000)
    for axis in np.asarray(offset).T:
        assert set(axis.tolist()) == set(range(-4, 5))
    assert 0.4 < np.asarray(flip).mean() < 0.6


def test_shift_rotate_draws_within_its_limits(key):
    variant, degrees = draw("shift_rotate", key, 1000)
    assert set(np.asarray(variant).tolist()) == set(range(9))
    assert -10 <= degrees.min() < -9 and 9 < degrees.max() < 10


def test_shift_rotate_by_nothing_is_the_identity():
    choices = jnp.array([4]), jnp.array([0.0])
    images = augment.AUGMENTATIONS["shift_rotate"].apply(IMAGE, choices)
    np.testing.assert_allclose(images, IMAGE, rtol=1e-6)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_pixels_stay_between_zero_and_one(name, key, rng):
    augmentation = augment.AUGMENTATIONS[name]
    images = rng.random((16, 8, 8, 3)).astype(np.float32)
    augmented = jax.jit(augmentation.apply)(images, draw(name, key, 16))
    assert augmented.shape == images.shape and augmented.dtype == jnp.float32
    assert augmented.min() >= 0 and augmented.max() <= 1 + 1e-6


def _affine(images, degrees=0.0, scale=1.0, offset=(0.0, 0.0)):
    choices = jnp.array([degrees]), jnp.array([scale]), jnp.array([offset])
    return np.asarray(affine(images, choices))


def test_affine_by_nothing_is_the_identity_and_turns_as_rotate_does(rng):
    images = rng.random((1, 7, 7, 2)).astype(np.float32)
    np.testing.assert_allclose(_affine(images), images, atol=1e-6)
    turned = rotate(images, jnp.array([10.0]))
    np.testing.assert_allclose(_affine(images, degrees=10.0), turned, atol=1e-5)


def test_affine_moves_down_and_right_and_by_fractions():
    moved = _plane(_affine(IMAGE, offset=(1.0, 1.0)))
    np.testing.assert_allclose(moved, [[0, 0, 0], [0, 1, 2], [0, 4, 5]], atol=1e-6)
    half = _plane(_affine(IMAGE, offset=(0.0, 0.5)))
    np.testing.assert_allclose(half[0], [0.5, 1.5, 2.5], atol=1e-6)


def test_affine_scales_about_the_centre():
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 2:7, 2:7] = 1
    assert _affine(image, scale=1.2).sum() == pytest.approx(36, abs=4)  # (5 · 1.2)²
    assert _affine(image, scale=0.8).sum() == pytest.approx(16, abs=3)


def test_affine_draws_within_its_limits(key):
    degrees, scale, offset = draw("affine", key, 1000)
    assert abs(degrees).max() <= 10 and offset.shape == (1000, 2) and abs(offset).max() <= 2
    assert scale.min() >= 0.9 and scale.max() <= 1.1 and np.ptp(scale) > 0.19


def test_half_of_the_images_are_moved_by_whole_pixels_and_stay_sharp(key, rng):
    images = rng.random((500, 7, 7, 1)).astype(np.float32)
    degrees, scale, offset = choices = draw("affine_or_shift", key, 500)
    whole = np.asarray(degrees) == 0
    assert 0.4 < whole.mean() < 0.6 and (np.asarray(scale)[whole] == 1).all()
    variants = (np.asarray(offset)[whole] + augment.MAX_SHIFT) @ [3, 1]
    assert set(variants.tolist()) == set(range(9))
    moved = np.asarray(affine(images, choices))
    shifted = augment.shift(images[whole], jnp.array(variants, jnp.int32))
    np.testing.assert_array_equal(moved[whole], shifted)
    assert np.ptp(np.asarray(scale)[~whole]) > 0.18 and abs(degrees).max() > 9


def test_the_fixed_maps_are_those_of_shift_and_a_few_that_affine_could_draw(key):
    fixed = augment.AUGMENTATIONS["affine_fixed"]
    image = np.repeat(IMAGE[:1], fixed.num_variants, 0)
    all_of_them = np.asarray(jax.jit(fixed.apply)(image, jnp.arange(fixed.num_variants)))
    flat = all_of_them.reshape(fixed.num_variants, -1)
    assert len(np.unique(flat.round(5), axis=0)) == fixed.num_variants
    again = np.asarray(jax.jit(fixed.apply)(image, fixed.draw(key, len(image))))
    chosen = np.asarray(fixed.draw(key, len(image)))
    np.testing.assert_array_equal(again, all_of_them[chosen])


def hands(**choices):
    """Returns the choices of `hand` for one image, zeros but for those given."""
    zeros = {name: 0.0 for name in augment.HAND} | {"scale": (0.0, 0.0), "shift": (0.0, 0.0)}
    return {name: jnp.array([value]) for name, value in (zeros | choices).items()}


def test_a_hand_of_zeros_is_the_identity(rng):
    images = rng.random((1, 6, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(hand(images, hands()), images, atol=1e-6)


def test_each_trait_of_a_hand_does_what_it_says():
    image = np.zeros((1, 15, 15, 1), np.float32)
    image[0, 3:12, 7] = 1  # a stroke, downwards
    wider = _plane(hand(image, hands(stroke=0.5)))
    np.testing.assert_allclose(wider[7, 5:10], [0, 0.5, 1, 0.5, 0])
    np.testing.assert_allclose(_plane(hand(image, hands(stroke=-0.5)))[7, 7], 0.5)
    half = hand(image / 2, hands(gamma=np.log(2)))
    np.testing.assert_allclose(_plane(half)[7, 7], 0.25, rtol=1e-5)
    moved = _plane(hand(image, hands(shift=(0.0, -2.0))))
    np.testing.assert_allclose(moved, np.roll(image[0, :, :, 0], 2, axis=1), atol=1e-6)
    leaning = _plane(hand(image, hands(shear=0.25)))
    np.testing.assert_allclose([leaning[3, 8], leaning[7, 7], leaning[11, 6]], 1, atol=1e-6)
    longer = _plane(hand(image, hands(scale=(np.log(1.25), 0.0))))
    assert longer.sum() == pytest.approx(9 * 1.25, rel=0.05)
    turned = _plane(hand(image, hands(degrees=10.0)))
    np.testing.assert_allclose(turned, _plane(rotate(image, jnp.array([10.0]))), atol=1e-6)


def test_hands_differ_and_stay_within_their_range(key):
    drawn = draw("hand", key, 100)
    for name, values in drawn.items():
        assert np.abs(values).max() <= augment.HAND[name] and len(np.unique(values)) > 90
    images = hand(np.ones((100, 5, 5, 1), np.float32), drawn)
    assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
