import jax
import numpy as np
import pytest
from flax import linen as nn

from distill.cost import layers
from distill.models.autoencoder import Autoencoder
from distill.models.layers import Upsampling


@pytest.mark.parametrize(("height", "width"), [(7, 7), (2, 5), (1, 1)])
def test_upsampling_is_the_transposed_convolution(height, width, rng):
    x = rng.normal(size=(2, height, width, 3)).astype(np.float32)
    params = {
        "kernel": rng.normal(size=(3, 3, 3, 4)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
    }
    ours, desired = (kind(4, (3, 3), (2, 2)) for kind in (Upsampling, nn.ConvTranspose))
    assert jax.eval_shape(ours.init, jax.random.key(0), x) == jax.eval_shape(
        desired.init, jax.random.key(0), x
    )
    actual = jax.jit(ours.apply)({"params": params}, x)
    assert actual.shape == (2, 2 * height, 2 * width, 4)
    np.testing.assert_allclose(
        actual, jax.jit(desired.apply)({"params": params}, x), rtol=1e-4, atol=1e-4
    )


def test_layers_of_the_thesis():
    """Çallı (2017), section 2.2.3: 14×14×32, 7×7×64, 14×14×32, 28×28×1, all 3×3."""
    counted = [layer for layer in layers(Autoencoder(), (28, 28, 1)) if layer.macs]
    assert [(layer.name, layer.output, layer.num_params, layer.macs) for layer in counted] == [
        ("encoder0", (14, 14, 32), 9 * 32, 14**2 * 9 * 32),
        ("encoder1", (7, 7, 64), 9 * 32 * 64, 7**2 * 9 * 32 * 64),
        ("decoder0", (14, 14, 32), 9 * 64 * 32, 7**2 * 9 * 64 * 32),
        ("decoder1", (28, 28, 1), 9 * 32, 14**2 * 9 * 32),
    ]
    assert counted[2].kind == "transposed conv 3×3"


def test_pruned_as_in_the_thesis():
    pruned = Autoencoder(encoder=(16, 64), decoder=(22, 1))
    # Kernels, and two numbers of batch normalisation for each channel.
    kernels = 9 * (16 + 16 * 64 + 64 * 22 + 22)
    expected = kernels + 2 * (16 + 64 + 22 + 1)
    assert sum(layer.num_params for layer in layers(pruned, (28, 28, 1))) == expected
