"""The same convolution or pooling in a formulation that the device runs faster."""

from distill.ops.bias import add_bias
from distill.ops.conv import conv_cpu, conv_for, conv_native, kernels_of, prepare
from distill.ops.norm import batch_statistics, normalise
from distill.ops.pooling import max_pool

__all__ = [
    "add_bias",
    "batch_statistics",
    "conv_cpu",
    "conv_for",
    "conv_native",
    "kernels_of",
    "max_pool",
    "normalise",
    "prepare",
]
