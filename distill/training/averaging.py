"""An exponential moving average of the weights, which is what a training is used for.

Polyak and Juditsky (1992) average the path of SGD; with a decay, and the statistics of batch
normalisation averaged alike, it is what EfficientNet's authors evaluate (Tan and Le 2019,
arXiv:1905.11946, section 5). The decay is less in the first steps, `(1 + n) / (10 + n)` behind `n`
updates, as in TensorFlow's `ExponentialMovingAverage`, so that the initial weights are forgotten.
"""

from typing import Any

import jax
import jax.numpy as jnp


def init(params: Any, batch_stats: Any) -> dict[str, Any]:
    """Returns the average before any update."""
    return {"params": params, "batch_stats": batch_stats}


def update(
    average: dict[str, Any], params: Any, batch_stats: Any, decay: float, step: jax.Array
) -> dict[str, Any]:
    """Moves the average towards the weights; what does not move stays, bit for bit.

    Args:
      average: from `init`.
      params, batch_stats: behind the update.
      decay: between 0 and 1.
      step: number of updates before it.
    """
    rate = 1 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(
        lambda old, new: old + rate * (new - old), average, init(params, batch_stats)
    )
