"""The blocks: their MACs by the formulas of Çallı (2017), sections 2.3 to 2.5, and what they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill.cost import cost
from distill.errors import InputError
from distill.models import blocks

SIDE, K, L = 6, 12, 20  # of the image, input channels, output channels
POSITIONS = SIDE * SIDE


def _macs(block, channels=K):
    return cost(block, (SIDE, SIDE, channels)).macs


@pytest.mark.parametrize(("n", "p"), [(3, 8), (5, 3), (7, 16)])
def test_decomposed_macs(n, p):
    block = blocks.Decomposed(features=L, inner=p, kernel_size=n)
    assert _macs(block) == POSITIONS * n * p * (L + K)
    whole = POSITIONS * n * n * K * L
    assert (_macs(block) < whole) == (p < n * K * L / (L + K))  # the bound of section 2.3.1


@pytest.mark.parametrize(("n", "i"), [(3, 1), (3, 4), (5, 2)])
def test_separable_macs(n, i):
    block = blocks.Separable(features=L, kernel_size=n, multiplier=i)
    assert _macs(block) == POSITIONS * i * K * (n**2 + L)
    assert _macs(block, channels=1) == POSITIONS * i * (1 * n**2 + L)  # as the thesis prints it


def test_bottleneck_macs():
    block = blocks.Stack(features=(4, 5, L), kernels=(1, 3, 1))
    assert _macs(block) == POSITIONS * (K * 4 + 9 * 4 * 5 + 5 * L)


def test_bottleneck_of_conv3_x():
    """Çallı, table 2.3: from 512 channels to 128 and back; about a twelfth of a 3×3 512→512."""
    block = blocks.Stack(features=(128, 128, 512))
    assert _macs(block, channels=512) == POSITIONS * (512 * 128 + 9 * 128 * 128 + 128 * 512)


def test_inception_macs():
    block = blocks.Inception(features=(4, 6, 3, 5), inner=(7, 2))
    assert _macs(block) == POSITIONS * (K * (4 + 7 + 2 + 5) + 9 * 7 * 6 + 25 * 2 * 3)


@pytest.mark.parametrize(("features", "shortcut"), [(K, 0), (L, K * L)])
def test_residual_macs(features, shortcut):
    block = blocks.Residual(features=(5, features), kernels=(3, 3))
    assert _macs(block) == POSITIONS * (9 * K * 5 + 9 * 5 * features + shortcut)
    free = blocks.Residual(features=(5, features), kernels=(3, 3), projection=False)
    assert _macs(free) == POSITIONS * (9 * K * 5 + 9 * 5 * features)


@pytest.mark.parametrize(("e", "expand"), [(24, K * 24 + 24 * 9 + 24 * L), (0, K * 9 + K * L)])
def test_inverted_residual_macs(e, expand):
    assert _macs(blocks.InvertedResidual(features=L, expanded=e)) == POSITIONS * expand


EVERY = {
    "decomposed": (blocks.Decomposed(features=L, inner=3), L),
    "separable": (blocks.Separable(features=L), L),
    "inception": (blocks.Inception(features=(4, 6, 3, 7), inner=(7, 2)), L),
    "stack": (blocks.Stack(features=(4, 4, L)), L),
    "residual": (blocks.Residual(features=(4, 4, L)), L),
    "inverted": (blocks.InvertedResidual(features=K, expanded=24, residual=True), K),
}


class _Any(nn.Module):
    """A network with a block in it, as a user would write it."""

    block: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(3)(self.block(x, train=train).mean((1, 2)))


@pytest.mark.parametrize("name", EVERY)
def test_any_network_takes_a_block(name, key):
    block, features = EVERY[name]
    images = jnp.zeros((2, SIDE, SIDE, K))
    shapes = jax.eval_shape(_Any(block).init, key, images)
    assert shapes["params"]["Dense_0"]["kernel"].shape == (features, 3)
    assert ("batch_stats" in shapes) == (name != "decomposed")
    output, _ = jax.eval_shape(block.init_with_output, key, images)
    assert output.shape == (2, SIDE, SIDE, features)


def _zeroed(block, x, key):
    """Fresh variables with every kernel zero, so that only shortcuts are left."""
    shapes = jax.eval_shape(block.init, key, x)
    return jax.tree_util.tree_map_with_path(
        lambda path, v: jnp.full(v.shape, path[-1].key in ("scale", "var"), v.dtype), shapes
    )


def test_residual_adds_its_input(key):
    x = jax.random.normal(key, (2, SIDE, SIDE, K))
    block = blocks.Residual(features=(5, K), kernels=(3, 3))
    np.testing.assert_array_equal(jax.jit(block.apply)(_zeroed(block, x, key), x), nn.relu(x))


def test_residual_without_projection_skips_and_appends_zeros(key):
    x = jax.random.uniform(key, (2, SIDE, SIDE, K))
    block = blocks.Residual(features=(5, L), kernels=(3, 3), strides=2, projection=False)
    y = jax.jit(block.apply)(_zeroed(block, x, key), x)
    np.testing.assert_array_equal(y[..., :K], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., K:], np.zeros((2, 3, 3, L - K)))


def test_inverted_residual_is_linear_at_its_ends(key):
    x = jax.random.normal(key, (2, SIDE, SIDE, K))
    block = blocks.InvertedResidual(features=K, expanded=24, residual=True)
    np.testing.assert_array_equal(jax.jit(block.apply)(_zeroed(block, x, key), x), x)


def test_channels_cannot_be_taken_away_by_zeros():
    with pytest.raises(InputError, match="4 channels meets 3.* must not decrease"):
        blocks.append_channels(jnp.zeros((1, 4)), 3)
