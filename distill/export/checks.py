"""What an exported file has to pass before it is called done."""

import gzip
import math
from typing import Any

import jax
import numpy as np
from scipy import special

from distill.errors import InputError
from distill.export import convert, flatbuffer, shapes

# Largest difference of a probability from Flax's, but for what `rounding` allows a deep network. A
# file with int8 weights is judged by its accuracy.
MAX_ERROR = {"float32": 1e-5, "float16": 1e-2}

SIGNIFICANCE = 0.05  # of a loss of accuracy

# Smaller kernels stay float32 in a `dynamic` file; TensorFlow's converter decides so.
DYNAMIC_ELEMENTS = 1024

# What every runtime of TensorFlow Lite runs without further libraries, and this code has been used
# with. No operator of StableHLO, none of TensorFlow ("flex"), no custom one.
OPERATORS = {rule.name for rule in shapes.OPERATORS.values()}
FLOAT_TYPES = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")


def operators(model: bytes, format: str) -> dict[str, int]:
    """Checks the operators of a file, and that an int8 file computes with integers only.

    Returns:
      How often each operator occurs.

    Raises:
      InputError: naming those that are not allowed, or the float tensors of an int8 file.
    """
    operators = flatbuffer.operators(model)
    wrong = sorted(set(operators) - OPERATORS)
    if wrong:
        raise InputError(
            f"the {format} file has {', '.join(wrong)}, which not every runtime of TensorFlow Lite "
            f"has; write the layer so that it becomes some of {', '.join(sorted(OPERATORS))}"
        )
    types = flatbuffer.tensor_types(model)
    floats = {name: types[name] for name in FLOAT_TYPES if name in types}
    if format in convert.INTEGERS and floats:
        raise InputError(
            f"the {format} file has float tensors: {floats}; a layer was not quantised"
        )
    return operators


def rounding(logits: np.ndarray, layers: int) -> np.ndarray:
    """Returns by how much rounding alone may change the probabilities of each image.

    Two programs add the same products in another order. What a layer returns then differs by about
    a unit in the last place of float32, and from layer to layer these add up: over the 50 layers of
    EfficientNet-Lite0, on 1,000 images of CIFAR-10, to half a unit of an image's largest logit for
    each layer on average, and to two at most. Where no logit is off by more than δ no probability
    is off by more than δ / 2: it changes by `p_i (δ_i - Σ p_j δ_j)`, and `p (1 - p)` is at most a
    quarter.

    Args:
      logits: `[n, classes]`.
      layers: of the network, one behind the other, that multiply.

    Returns:
      `[n]`: a unit of the largest logit for each layer, half of the two.
    """
    unit = np.finfo(np.float32).eps * np.abs(logits).max(axis=1)
    return np.asarray(layers * unit)


def parity(
    expected: np.ndarray, exported: np.ndarray, format: str, rounded: np.ndarray | float = 0.0
) -> float:
    """Checks that the file computes what the model does.

    Args:
      expected: `[n, classes]` probabilities of the Flax model.
      exported: those of the exported file for the same images.
      format: one of `convert.FORMATS`.
      rounded: `[n]`, what `rounding` allows each image where it is more than `MAX_ERROR`.

    Returns:
      The largest difference of a probability.

    Raises:
      InputError: if it is too large, naming the image and both vectors.
    """
    errors = np.abs(exported - expected).max(axis=1)
    limits = np.maximum(MAX_ERROR.get(format, np.inf), rounded) * np.ones(len(errors))
    worst = int(np.argmax(errors / limits))  # or the first that is no number
    if not errors[worst] <= limits[worst]:
        raise InputError(
            f"the {format} file differs from the Flax model by {errors[worst]:.3g} in a "
            f"probability, at most {limits[worst]:.3g} is accepted; "
            f"{_both(expected, exported, worst)}"
        )
    return float(errors.max())


def accuracy(
    labels: np.ndarray, expected: np.ndarray, exported: np.ndarray, format: str, max_drop: float
) -> tuple[float, float]:
    """Checks that the file is as accurate as the model on a whole test set.

    Args:
      labels: `[n]`.
      expected, exported: as for `parity`.
      format: one of `convert.FORMATS`.
      max_drop: share of the images that may be lost; see `chance_of_loss`.

    Returns:
      The accuracies of the Flax model and of the file.

    Raises:
      InputError: if more is lost than this test set's noise explains, naming the image that was
        lost by most, and both vectors.
    """
    right, still = (scores.argmax(axis=1) == labels for scores in (expected, exported))
    lost, won = int((right & ~still).sum()), int((still & ~right).sum())
    chance = chance_of_loss(lost, won, len(labels), max_drop)
    if chance < SIGNIFICANCE:
        errors = np.where(right & ~still, np.abs(exported - expected).max(axis=1), -1)
        raise InputError(
            f"the {format} file has an accuracy of {still.mean():.4f} on {len(labels)} images, the "
            f"Flax model {right.mean():.4f}; {lost} are lost and {won} won, which is more than a "
            f"drop of {max_drop:g} explains (--config.export.max_accuracy_drop; McNemar's exact "
            f"test, p = {chance:.2g}); {_both(expected, exported, int(errors.argmax()))}"
        )
    return float(right.mean()), float(still.mean())


def reading(labels: np.ndarray, exported: np.ndarray, read: np.ndarray, max_drop: float) -> None:
    """Checks that a reader's own preprocessing leaves a file its accuracy.

    Args:
      labels: `[n]`, of images of the size of the tensor.
      exported: `[n, classes]`, the scores of the file for the images as they are.
      read: likewise, for what a reader makes of them: cropped, resized, perhaps inverted.
      max_drop: share of the images that may be lost; see `chance_of_loss`.

    Raises:
      InputError: if more is lost than this test set's noise explains.
    """
    right, still = (scores.argmax(axis=1) == labels for scores in (exported, read))
    lost, won = int((right & ~still).sum()), int((still & ~right).sum())
    if chance_of_loss(lost, won, len(labels), max_drop) < SIGNIFICANCE:
        raise InputError(
            f"a reader, which crops, resizes and inverts images itself, has an accuracy of "
            f"{still.mean():.4f} on {len(labels)} test images, the file {right.mean():.4f} on what "
            "it was trained on; where it inverts what it should not, set "
            "--config.export.polarity=as_is"
        )


def chance_of_loss(lost: int, won: int, images: int, max_drop: float) -> float:
    """Returns how likely so much is lost, or more, by a file whose true drop is just accepted.

    McNemar (1947), Psychometrika 12(2), exact and one-sided: only the images count on which the two
    differ. If nothing may be lost each of them is a fair coin. A drop that is accepted makes the
    coin fall to the loss so often that the mean difference is that drop. So a few images of a small
    test set decide nothing, and of a large one little more than the drop is let through.

    Args:
      lost: images on which the model is right and the file is not.
      won: images on which it is the other way round.
      images: in the test set.
      max_drop: share of them that may be lost.
    """
    differing = lost + won
    if not differing:
        return 1.0
    share = min(1.0, (1 + max_drop * images / differing) / 2)
    return float(special.bdtrc(lost - 1, differing, share)) if lost else 1.0


def sizes(model: bytes, variables: dict[str, Any], format: str) -> dict[str, int]:
    """Returns the bytes of a file, raw and compressed, and of the weights in it.

    A weight takes four bytes, or two in a float16 file. In an int8 file those of kernels take one,
    in an int4 file half of one, and biases, which are added to sums of products, four; in a dynamic
    file it is as in int8, where a kernel is large enough. Everything else is overhead.
    """
    bytes_of_kernels, bytes_of_biases = {
        "float32": (4, 4), "float16": (2, 2), "dynamic": (1, 4), "int8": (1, 4),
        "int4": (0.5, 4),
    }[format]  # fmt: skip

    def item(leaf: Any) -> float:
        small = format == "dynamic" and np.size(leaf) < DYNAMIC_ELEMENTS
        return bytes_of_biases if np.ndim(leaf) < 2 or small else bytes_of_kernels

    leaves = jax.tree.leaves(variables["params"])
    weights = sum(math.ceil(np.size(leaf) * item(leaf)) for leaf in leaves)
    return {
        "bytes": len(model),
        "gzip_bytes": len(gzip.compress(model, mtime=0)),
        "weights_bytes": weights,
        "overhead_bytes": len(model) - weights,
    }


def _both(expected: np.ndarray, exported: np.ndarray, image: int) -> str:
    vectors = [
        " ".join(f"{value:.6f}" for value in scores[image]) for scores in (expected, exported)
    ]
    return f"worst is test image {image}: Flax [{vectors[0]}], file [{vectors[1]}]"
