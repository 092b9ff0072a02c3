"""Each convolution of a network, its two gradients and its floor on this machine.

    python -m experiments.benchmarks.kernels --csv experiments/results/kernels.csv

An operation can take no less time than its multiplications and additions at the machine's best
rate, nor less than moving its arrays through memory once. The first is measured by products of
large matrices, the second by a pass over what no cache holds, both here and now. The larger of the
two is the floor. It takes about two minutes on two cores.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from distill import models, ops, provenance
from experiments.benchmarks import side_by_side

BATCH = 100
MODELS = {
    "teacher": (28, 28, 1), "simplenet_v1": (28, 28, 1), "simplenet_v4": (28, 28, 1),
    "resnet20": (32, 32, 3),
}  # fmt: skip
DIRECTIONS = ("forward", "image gradient", "kernel gradient")
SECONDS = 0.5  # of rounds for each operation


class Convolution(NamedTuple):
    """What is convolved: shapes `[batch, height, width, channels]` and `[kh, kw, c_in, c_out]`."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, int]
    padding: str | tuple[tuple[int, int], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    flops, bandwidth = peak_flops(), peak_bandwidth()
    print(f"{provenance.processor()}: {flops / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s")
    rows = []
    for model in args.models:
        for (convolution, direction), count in operations(model).items():
            row = measure(convolution, direction, flops, bandwidth)
            rows.append({"model": model, "count": count, **row})
            print(*(f"{value}" for value in rows[-1].values()), sep="  ", flush=True)
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def operations(model: str) -> Counter[tuple[Convolution, str]]:
    """Counts the convolutions of a training step of a model.

    The first layer's images need no gradient.
    """
    seen: list[Convolution] = []

    def record(lhs, rhs, window_strides, padding, *args, **kwargs):
        padding = padding if isinstance(padding, str) else tuple(map(tuple, padding))
        seen.append(Convolution(lhs.shape, rhs.shape, tuple(window_strides), padding))
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, *args, **kwargs)

    module = models.MODELS[model](num_classes=10, conv=record)
    jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((BATCH, *MODELS[model])))
    found = Counter((convolution, "forward") for convolution in seen)
    found.update((convolution, "image gradient") for convolution in seen[1:])
    found.update((convolution, "kernel gradient") for convolution in seen)
    return found


def measure(
    convolution: Convolution, direction: str, flops: float, bandwidth: float
) -> dict[str, Any]:
    """Times one operation, and computes its floor.

    Args:
      convolution: what is convolved.
      direction: an entry of `DIRECTIONS`.
      flops: multiplications and additions per second that the machine is capable of.
      bandwidth: bytes per second.

    Returns:
      A row; times in milliseconds.
    """
    conv = ops.conv_for("cpu")
    rng = np.random.default_rng(0)

    def apply(x, kernel):
        return conv(
            x, kernel, convolution.strides, convolution.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def random(shape):
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    x, kernel = random(convolution.image), random(convolution.kernel)
    out = jax.eval_shape(apply, x, kernel).shape
    ct = random(out)
    run = {
        "forward": lambda x, kernel, ct: apply(x, kernel),
        "image gradient": lambda x, kernel, ct: jax.vjp(lambda a: apply(a, kernel), x)[1](ct),
        "kernel gradient": lambda x, kernel, ct: jax.vjp(lambda a: apply(x, a), kernel)[1](ct),
    }[direction]
    seconds = time_of(jax.jit(run), x, kernel, ct)
    operations = 2 * np.prod(out, dtype=float) * np.prod(convolution.kernel[:3], dtype=float)
    size = 4 * (x.size + kernel.size + ct.size)
    floor = max(operations / flops, size / bandwidth)
    return {
        "image": "x".join(map(str, convolution.image[1:])),
        "kernel": "x".join(map(str, convolution.kernel)),
        "stride": convolution.strides[0],
        "direction": direction,
        "mflop": round(operations / 1e6, 1),
        "mb": round(size / 1e6, 2),
        "ms": round(1e3 * seconds, 3),
        "floor_ms": round(1e3 * floor, 3),
        "bound": "arithmetic" if operations / flops > size / bandwidth else "memory",
        "gflops": round(operations / seconds / 1e9, 1),
        "gbs": round(size / seconds / 1e9, 1),
        "peak_gflops": round(flops / 1e9),
        "peak_gbs": round(bandwidth / 1e9, 1),
        "batch": BATCH,
        "device": provenance.processor(),
        "commit": provenance.commit(),
    }


def time_of(function: Callable, *args: jax.Array) -> float:
    """Returns the median seconds of a call, after a first that compiles."""
    jax.block_until_ready(function(*args))
    seconds: list[float] = []
    while sum(seconds) < SECONDS or len(seconds) < 5:
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_flops(size: int = 2048) -> float:
    """Returns multiplications and additions per second in the product of two large matrices."""
    a = jnp.ones((size, size), jnp.float32)
    return 2 * size**3 / time_of(jax.jit(jnp.dot), a, a)


def peak_bandwidth(megabytes: int = 256) -> float:
    """Returns bytes per second, read and written, in passing over more than a cache holds."""
    a = jnp.ones(megabytes * 2**18, jnp.float32)
    double = jax.jit(lambda a: 2 * a, donate_argnums=0)  # in place: new memory costs more to get
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        a = jax.block_until_ready(double(a))
        seconds.append(time.perf_counter() - start)
    return 2 * a.nbytes / statistics.median(seconds)


if __name__ == "__main__":
    main()
