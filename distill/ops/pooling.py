"""Max-pooling whose gradient is cheap on a CPU."""

import jax
import jax.numpy as jnp
from flax import linen as nn


def max_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Non-overlapping `size`×`size` max-pooling; an odd edge is dropped, as with VALID padding.

    A reshape and a maximum: the gradient of XLA's `reduce_window` is some twenty times slower on a
    CPU. The two differ where values tie: this one splits the gradient among them.

    A single image is pooled by `reduce_window` after all. That is what is exported, and converters
    know it; the other they leave as transposes and reductions, which take longer than the rest of a
    small network.

    Inside, the batch comes last, as in the convolutions for the CPU: XLA makes the transposes
    between them and this a choice of layout, and moves nothing.

    Args:
      x: `[batch, height, width, channels]`.
      size: side of the window and stride.

    Returns:
      `[batch, height // size, width // size, channels]`.
    """
    if len(x) == 1:
        return nn.max_pool(x, (size, size), (size, size))
    n, h, w, c = x.shape
    h, w = h // size, w // size
    x = jnp.transpose(x[:, : h * size, : w * size], (2, 3, 1, 0))
    x = x.reshape(w, size, c, h, size, n).max((1, 4))
    return jnp.transpose(x, (3, 2, 0, 1))
