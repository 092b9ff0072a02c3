"""From a function of JAX to the bytes of a TensorFlow Lite file, with TensorFlow's converter."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from distill.errors import InputError, unknown
from distill.export import flatbuffer
from distill.export.runtime import quiet

FORMATS = ("float32", "float16", "dynamic", "int8", "int4")
INTEGERS = ("int8", "int4")  # of which all tensors are


def to_tflite(
    function: Callable[[jax.Array], jax.Array],
    shape: tuple[int, ...],
    format: str,
    calibration: np.ndarray | None = None,
) -> bytes:
    """Converts a function with TensorFlow Lite's own operators only.

    Args:
      function: from float32 `shape` to the scores of those images.
      shape: of its argument, `(batch, height, width, channels)`.
      format: `float32`; `float16`, whose constants are halved and whose arithmetic is not;
        `dynamic`, whose weights are int8 where a layer has `checks.DYNAMIC_ELEMENTS` of them or
        more, and whose activations are float32 between operators; `int8`, whose tensors are all
        quantised, input and output too, by what calibration finds; or `int4`, which is the same but
        for its kernels, see `flatbuffer.four_bits`.
      calibration: `[n, *shape[1:]]` float32, arguments that are typical; needed for `int8` and
        `int4`.

    Raises:
      InputError: if the format is unknown, or the converter refuses the function.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    tf = tensorflow()
    from jax.experimental import jax2tf

    # No gradient: it would be saved too. A fixed shape: a free batch makes 33 operators out of 5.
    converted = jax2tf.convert(function, with_gradient=False)
    module = tf.Module()
    module.infer = tf.function(
        converted, autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")]
    )
    with quiet():
        concrete = module.infer.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if calibration is not None:  # in batches; the first images fill the last one
        repeated = np.resize(calibration, (-(-len(calibration) // shape[0]) * shape[0], *shape[1:]))
        calibration = repeated.reshape(-1, *shape)
    if format != "int4":
        return run(converter, format, calibration)
    return flatbuffer.four_bits(run(converter, "int8", calibration))


def run(converter: Any, format: str, calibration: np.ndarray | None = None) -> bytes:
    """Runs a converter of TensorFlow Lite, set for a format.

    Args:
      converter: a `tf.lite.TFLiteConverter` of whatever is to be converted.
      format: as for `to_tflite`, but for `int4`.
      calibration: `[n, *shape]`, arguments that are typical; needed for `int8`.

    Raises:
      InputError: if it refuses.
    """
    _configure(converter, format, calibration)
    with quiet(), _no_warnings():
        try:
            return converter.convert()
        except Exception as error:  # of many types, none of which says more than its text
            raise InputError(f"{format} conversion failed: {_reason(error)}") from error


def tensorflow() -> Any:
    """Imports TensorFlow, which takes seconds, and leaves the accelerator to JAX."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    return tf


def _configure(converter: Any, format: str, calibration: np.ndarray | None) -> None:
    tf = tensorflow()
    if format == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return
    if format == "dynamic":  # which is what nothing more than the optimisation means
        return
    if calibration is None or not len(calibration):
        raise InputError("int8 needs images to calibrate on")
    converter.representative_dataset = lambda: ([images] for images in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def _reason(error: Exception) -> str:
    """Returns the line of a converter's report that says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line.lower()]
    return (telling or lines or [type(error).__name__])[0]


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Hides TensorFlow's advice on conversion; what matters of it is checked."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
