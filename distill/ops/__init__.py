"""The same convolution or pooling in a formulation that the device runs faster."""

import jax

from distill.ops.pooling import max_pool

__all__ = ["conv_for", "max_pool"]


def conv_for(platform):
    return jax.lax.conv_general_dilated
