"""Train, distil, compress and ship small image classifiers with JAX and Flax."""

__version__ = "0.1.0"
