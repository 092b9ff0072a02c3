"""What a training step needs, and what an accelerator could make of it; nothing is measured.

    python -m experiments.benchmarks.on_paper --csv experiments/results/on_paper.csv

The arithmetic of a step is three times its forward pass; its memory traffic is each output of a
layer written and read once forward and once backward, and each weight with its gradient and Adam's
two moments read and written. At the data sheet's rates the longer of the two is the least time of a
step. Starting kernels is not in it, which small networks are bound by, a few students at a time.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from distill import cost, models, provenance
from experiments.benchmarks import side_by_side, train_step

BATCH = train_step.BATCH
FLOATS_OF_A_WEIGHT = 10  # read forward and backward; gradient, m and v and itself read, written
PASSES_OF_AN_OUTPUT = 4


class Accelerator(NamedTuple):
    """Rates of a data sheet: float32 without tensor cores, and of the memory."""

    name: str
    tflops: float
    terabytes_per_second: float


ACCELERATORS = (Accelerator("A100 SXM 80 GB", 19.5, 2.039), Accelerator("H100 SXM", 66.9, 3.35))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = [row(model, accelerator) for model in train_step.STEPS for accelerator in ACCELERATORS]
    for found in rows:
        print(*found.values(), sep="  ")
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def row(model: str, accelerator: Accelerator) -> dict[str, Any]:
    """Returns what a step of one network needs, and its least time; of 600 it is 600 times that."""
    module = models.build(model, {}, num_classes=10)
    layers = cost.layers(module, train_step.input_shape(model))
    flops = 6 * BATCH * sum(layer.macs for layer in layers)
    outputs = BATCH * sum(layer.activation_bytes for layer in layers)
    weights = 4 * sum(layer.num_params for layer in layers)
    moved = PASSES_OF_AN_OUTPUT * outputs + FLOATS_OF_A_WEIGHT * weights
    arithmetic = flops / (accelerator.tflops * 1e12)
    memory = moved / (accelerator.terabytes_per_second * 1e12)
    return {
        "model": model,
        "accelerator": accelerator.name,
        "gflop": round(flops / 1e9, 3),
        "mb": round(moved / 1e6, 2),
        "least_us": round(1e6 * max(arithmetic, memory), 2),
        "bound": "arithmetic" if arithmetic > memory else "memory",
        "examples_per_second": round(BATCH / max(arithmetic, memory)),
        "batch": BATCH,
        "commit": provenance.commit(),
    }


if __name__ == "__main__":
    main()
