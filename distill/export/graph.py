"""The function that is exported: one image in, probabilities or logits out."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from distill.errors import unknown
from distill.export.manifest import KINDS

PACK = 2  # columns that become channels; see `pack_columns`


def inference(
    model: nn.Module, variables: dict, kind: str, *, pack: bool = True
) -> Callable[[jax.Array], jax.Array]:
    """Returns the function from a normalised image `[1, h, w, c]` to `[1, num_classes]`.

    Convolutions are `jax.lax.conv_general_dilated`, which converters know, whatever the model was
    trained with.

    Args:
      model: maps images to logits.
      variables: of the model. They become constants of the function.
      kind: `probabilities` (the softmax is inside) or `logits`.
      pack: whether convolutions of images with one channel are packed; see `pack_columns`.

    Raises:
      InputError: if `kind` is neither.
    """
    if kind not in KINDS:
        raise unknown("output", kind, KINDS)
    variables = jax.tree.map(np.asarray, variables)  # so that what is made of them is constant too
    if "conv" in model.__dataclass_fields__:
        model = model.clone(conv=jax.lax.conv_general_dilated)

    def infer(image: jax.Array) -> jax.Array:
        with nn.intercept_methods(_pack_first) if pack else contextlib.nullcontext():
            logits: jax.Array = model.apply(variables, image)  # type: ignore[assignment]
        return jax.nn.softmax(logits) if kind == "probabilities" else logits

    return infer


def _pack_first(call: Callable, args: tuple, kwargs: dict, context) -> jax.Array:
    """Replaces a convolution of one channel by one of `PACK`, where that is possible."""
    layer = context.module
    if isinstance(layer, nn.Conv) and context.method_name == "__call__" and _packable(layer, args):
        (image,) = args
        params: Any = layer.variables["params"]
        kernel, padding = pack_columns(params["kernel"])
        n, h, w, _ = image.shape
        packed = jax.lax.conv_general_dilated(
            image.reshape(n, h, w // PACK, PACK), kernel, (1, 1), padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        bias = np.tile(params["bias"], PACK)[None, None, None]
        return (packed + bias).reshape(n, h, w, layer.features)
    return call(*args, **kwargs)


def _packable(layer: nn.Conv, args: tuple) -> bool:
    """Whether `pack_columns` computes the same as a layer.

    One without a bias is left alone: what follows it is a normalisation, and the converter folds
    that into the convolution only where the two meet.
    """
    image, ones = args[0], (None, 1, (1, 1))
    return (
        image.shape[-1] == 1
        and image.shape[2] % PACK == 0
        and np.size(layer.kernel_size) == 2
        and layer.padding == "SAME"
        and all(step in ones for step in (layer.strides, layer.kernel_dilation))
        and layer.input_dilation in ones
        and layer.feature_group_count == 1
        and layer.use_bias
        and layer.mask is None
    )


def pack_columns(kernel: np.ndarray) -> tuple[Any, tuple[tuple[int, int], ...]]:
    """Turns the kernel of a one-channel SAME convolution into one over blocks of columns.

    In NHWC an image `[h, w, 1]` and `[h, w/PACK, PACK]` are the same bytes, and so are the outputs
    `[h, w, c]` and `[h, w/PACK, PACK·c]`. Between them stands an ordinary convolution whose kernel
    holds the original one once for each column of the output's block, shifted by a column. It is
    the banded matrix of `distill.ops.banded` again.

    What it is good for: converters turn a convolution of one channel into a depthwise one with a
    multiplier, for which the int8 kernels are slow. Medians of SimpLeNet v1 on one x86 core, in µs:

    | graph              | float32 | int8 | weights of the first kernel |
    | ------------------ | ------- | ---- | --------------------------- |
    | as it is           | 14.6    | 17.9 | 75                          |
    | a channel of zeros | 29.1    | 26.2 | 150                         |
    | packed by 2        | 12.8    | 11.5 | 180                         |
    | packed by 4        | 12.0    | 8.5  | 720                         |
    | packed by 7        | 15.6    | 8.7  | 2205                        |

    Args:
      kernel: `[kh, kw, 1, c]`.

    Returns:
      The kernel `[kh, blocks, PACK, PACK·c]` and the padding of height and width.
    """
    kh, kw, _, filters = kernel.shape
    top, left = (kh - 1) // 2, (kw - 1) // 2  # as SAME pads for a stride of 1
    before = -(-left // PACK)  # blocks
    after = (PACK - 1 + kw - 1 - left) // PACK
    blocks = before + 1 + after
    spread = np.zeros((kh, blocks * PACK, PACK, filters), np.float32)
    for column in range(PACK):
        first = before * PACK + column - left
        spread[:, first : first + kw, column] = kernel[:, :, 0]
    padding = ((top, kh - 1 - top), (before, after))
    return spread.reshape(kh, blocks, PACK, PACK * filters), padding
