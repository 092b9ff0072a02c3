"""Array moves that the formulations of a convolution share."""

import jax
import jax.numpy as jnp
from jax import lax


def pad_axis(x: jax.Array, axis: int, amounts: tuple[int, int]) -> jax.Array:
    """Adds zeros before and after one axis; negative amounts crop."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (*amounts, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)
