"""What JAX can be told from outside and would change outcomes, held fast."""

import jax

KEYS = "threefry2x32"  # named wherever keys are made, as JAX's default can be set from outside


def pin() -> None:
    """Computes in 32 bits, with random numbers that do not depend on how arrays are divided.

    `JAX_ENABLE_X64` and `JAX_THREEFRY_PARTITIONABLE` would make another training of the same
    description, and checkpoints that fit neither.
    """
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_threefry_partitionable", True)
