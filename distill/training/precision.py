"""Networks computed in a narrower type than their weights have.

The weights, their gradients and the optimiser stay float32, as in Micikevicius et al. (2018),
arXiv:1710.03740; bfloat16 has the range of float32, so that no loss is scaled.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from distill.config import FLOAT32


def apply(
    dtype: str, function: Callable[[dict[str, Any], jax.Array], Any], variables: Any, x: jax.Array
) -> Any:
    """Applies a network to what it reads.

    The statistics of batch normalisation stay float32, and so does the sum that they are.

    Args:
      dtype: an entry of `config.DTYPES`; with float32 nothing is added.
      function: of the variables and the input, such as `model.apply`.
      variables: `params` in float32, and others.
      x: `[batch, ...]` float32.

    Returns:
      What the function returns, in float32.
    """
    if dtype == FLOAT32:
        return function(variables, x)
    narrow = {**variables, "params": _cast(variables["params"], dtype)}
    return _cast(function(narrow, x.astype(dtype)), FLOAT32)


def _cast(tree: Any, dtype: str) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.dtype(dtype)), tree)
