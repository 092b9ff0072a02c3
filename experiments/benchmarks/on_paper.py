"""What a training step needs, and what an accelerator could make of it; nothing is measured.

    python -m experiments.benchmarks.on_paper --csv experiments/results/on_paper.csv

The arithmetic of a step is three times its forward pass; its memory traffic is each output of a
layer written and read once forward and once backward, and each weight with its gradient and Adam's
two moments read and written. At the data sheet's rates the longer of the two is the least time of a
step. Starting kernels is not in it, which small networks are bound by, a few students at a time.

`training` says the same of a whole configuration, for those in configs/ that nobody has measured.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from distill import cost, losses, models, provenance
from distill.data import sources
from experiments.benchmarks import side_by_side, train_step

BATCH = train_step.BATCH
FLOATS_OF_A_WEIGHT = 10  # read forward and backward; gradient, m and v and itself read, written
PASSES_OF_AN_OUTPUT = 4
EXAMPLES = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "imagenet2012": 1_281_167}


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
    flops, moved = step(module, train_step.input_shape(model), BATCH)
    arithmetic, memory = times(flops, moved, accelerator)
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


def step(module: Any, input_shape: tuple[int, ...], batch: int) -> tuple[int, int]:
    """Returns the operations of a step, and the bytes that it moves."""
    layers = cost.layers(module, input_shape)
    flops = 6 * batch * sum(layer.macs for layer in layers)
    outputs = batch * sum(layer.activation_bytes for layer in layers)
    weights = 4 * sum(layer.num_params for layer in layers)
    return flops, PASSES_OF_AN_OUTPUT * outputs + FLOATS_OF_A_WEIGHT * weights


def times(flops: int, moved: int, accelerator: Accelerator) -> tuple[float, float]:
    """Returns the least seconds of a step by its arithmetic, and by its memory traffic."""
    return (
        flops / (accelerator.tflops * 1e12),
        moved / (accelerator.terabytes_per_second * 1e12),
    )


def training(config: ConfigDict) -> str:
    """Says what a configuration would cost on the first of `ACCELERATORS`, at the least."""
    shape, classes = sources.shape(config.dataset.name, config.dataset.image_size)
    taught = losses.needs_teacher(losses.name_of(config.loss))
    operations = seconds = 0.0
    for section in (config.teacher, config.student) if taught else (config.student,):
        module = models.build(section.model, section.args, num_classes=classes)
        steps = section.epochs * (EXAMPLES[config.dataset.name] // section.batch_size)
        flops, moved = step(module, shape, section.batch_size)
        operations += steps * flops
        seconds += steps * max(times(flops, moved, ACCELERATORS[0]))
    name = ACCELERATORS[0].name.partition(" ")[0]
    shown = f"{operations / 1e15:,.{0 if operations > 1e17 else 2}f} PFLOP"
    return f"On paper: {shown}; an {name} needs {_span(seconds)} or more, and nobody has tried."


def _span(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.1f} seconds"


if __name__ == "__main__":
    main()
