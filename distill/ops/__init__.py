"""The same convolution or pooling in a formulation that the device runs faster."""

from distill.ops.pooling import max_pool

__all__ = ["max_pool"]
