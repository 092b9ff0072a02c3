"""What an exported file has to pass before it is called done."""

import gzip
from typing import Any

import jax
import numpy as np

from distill.errors import InputError
from distill.export import flatbuffer

# Largest difference of a probability from Flax's. A file with int8 weights is judged by its
# accuracy.
MAX_ERROR = {"float32": 1e-5, "float16": 1e-2}

# Smaller kernels stay float32 in a `dynamic` file; TensorFlow's converter decides so.
DYNAMIC_ELEMENTS = 1024

# What every runtime of TensorFlow Lite runs without further libraries, and this code has been used
# with. No operator of StableHLO, none of TensorFlow ("flex"), no custom one.
OPERATORS = {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV",
    "FULLY_CONNECTED", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MAXIMUM", "MEAN",
    "MINIMUM", "MUL", "PAD", "PADV2", "QUANTIZE", "REDUCE_MAX", "RELU", "RELU6", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SQUARED_DIFFERENCE",
    "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip
FLOAT_TYPES = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")


def operators(model: bytes, format: str) -> dict[str, int]:
    """Checks the operators of a file, and that an int8 file computes with integers only.

    Returns:
      How often each operator occurs.

    Raises:
      InputError: naming those that are not allowed, or the float tensors of an int8 file.
    """
    found = flatbuffer.operators(model)
    wrong = sorted(set(found) - OPERATORS)
    if wrong:
        raise InputError(
            f"the {format} file has {', '.join(wrong)}, which not every runtime of TensorFlow Lite "
            f"has; write the layer so that it becomes some of {', '.join(sorted(OPERATORS))}"
        )
    types = flatbuffer.tensor_types(model)
    floats = {name: types[name] for name in FLOAT_TYPES if name in types}
    if format == "int8" and floats:
        raise InputError(f"the int8 file has float tensors: {floats}; a layer was not quantised")
    return found


def parity(expected: np.ndarray, found: np.ndarray, format: str) -> float:
    """Checks that the file computes what the model does.

    Args:
      expected: `[n, classes]` probabilities of the Flax model.
      found: those of the exported file for the same images.
      format: one of `convert.FORMATS`.

    Returns:
      The largest difference of a probability.

    Raises:
      InputError: if it is too large, naming the image and both vectors.
    """
    errors = np.abs(found - expected).max(axis=1)
    worst = int(np.argmax(errors))  # or the first that is no number
    limit = MAX_ERROR.get(format)
    if limit is not None and not errors[worst] <= limit:
        raise InputError(
            f"the {format} file differs from the Flax model by {errors[worst]:.3g} in a "
            f"probability, at most {limit:g} is accepted; {_both(expected, found, worst)}"
        )
    return float(errors[worst])


def accuracy(
    labels: np.ndarray, expected: np.ndarray, found: np.ndarray, format: str, max_drop: float
) -> tuple[float, float]:
    """Checks that the file is as accurate as the model on a whole test set.

    Args:
      labels: `[n]`.
      expected, found: as for `parity`.
      format: one of `convert.FORMATS`.
      max_drop: share of the images that may be lost, but two in any case: a small test set decides
        nothing.

    Returns:
      The accuracies of the Flax model and of the file.

    Raises:
      InputError: if more is lost, naming the image that was lost by most, and both vectors.
    """
    right, still = (scores.argmax(axis=1) == labels for scores in (expected, found))
    lost = int(right.sum()) - int(still.sum())
    if lost > max(max_drop * len(labels), 2):
        errors = np.where(right & ~still, np.abs(found - expected).max(axis=1), -1)
        raise InputError(
            f"the {format} file has an accuracy of {still.mean():.4f} on {len(labels)} images, the "
            f"Flax model {right.mean():.4f}; at most {max_drop:g} may be lost "
            f"(--config.export.max_accuracy_drop); {_both(expected, found, int(errors.argmax()))}"
        )
    return float(right.mean()), float(still.mean())


def sizes(model: bytes, variables: dict[str, Any], format: str) -> dict[str, int]:
    """Returns the bytes of a file, raw and compressed, and of the weights in it.

    A weight takes four bytes, or two in a float16 file. In an int8 file those of kernels take one
    and biases, which are added to sums of products, four; in a dynamic file too, where a kernel is
    large enough. Everything else is overhead.
    """
    bytes_of_kernels, bytes_of_biases = {
        "float32": (4, 4), "float16": (2, 2), "dynamic": (1, 4), "int8": (1, 4),
    }[format]  # fmt: skip

    def item(leaf: Any) -> int:
        small = format == "dynamic" and np.size(leaf) < DYNAMIC_ELEMENTS
        return bytes_of_biases if np.ndim(leaf) < 2 or small else bytes_of_kernels

    weights = sum(np.size(leaf) * item(leaf) for leaf in jax.tree.leaves(variables["params"]))
    return {
        "bytes": len(model),
        "gzip_bytes": len(gzip.compress(model, mtime=0)),
        "weights_bytes": weights,
        "overhead_bytes": len(model) - weights,
    }


def _both(expected: np.ndarray, found: np.ndarray, image: int) -> str:
    vectors = [" ".join(f"{value:.6f}" for value in scores[image]) for scores in (expected, found)]
    return f"worst is test image {image}: Flax [{vectors[0]}], file [{vectors[1]}]"
