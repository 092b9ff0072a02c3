"""What a training step needs, and what an accelerator could make of it; nothing is measured.

    python -m experiments.benchmarks.on_paper --csv experiments/results/on_paper.csv

The arithmetic of a step is three times its forward pass; its memory traffic is each output of a
layer written and read once forward and once backward, and each weight with its gradient and Adam's
two moments read and written. At the data sheet's rates the longer of the two is the least time of a
step. Starting kernels is not in it, which small networks are bound by, a few students at a time.
A teacher in the step adds its forward pass. `hours` says so of a whole run, and `training` of the
configurations that nobody has measured.
"""

import argparse
from collections.abc import Sequence
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


class Work(NamedTuple):
    """What an accelerator has to do: operations, and bytes that are read or written."""

    flop: float
    moved: float

    def seconds(self, accelerator: Accelerator) -> float:
        """Returns the least time that it takes, by what takes longer."""
        arithmetic = self.flop / (accelerator.tflops * 1e12)
        return max(arithmetic, self.moved / (accelerator.terabytes_per_second * 1e12))


def of_step(layers: Sequence[cost.LayerCost], batch: int) -> Work:
    """Returns the work of an update."""
    outputs = batch * sum(layer.activation_bytes for layer in layers)
    weights = 4 * sum(layer.num_params for layer in layers)
    moved = PASSES_OF_AN_OUTPUT * outputs + FLOATS_OF_A_WEIGHT * weights
    return Work(6 * batch * sum(layer.macs for layer in layers), moved)


def of_forward_pass(layers: Sequence[cost.LayerCost], batch: int) -> Work:
    """Returns the work of applying a network: each output is written and read once."""
    outputs = batch * sum(layer.activation_bytes for layer in layers)
    weights = 4 * sum(layer.num_params for layer in layers)
    return Work(2 * batch * sum(layer.macs for layer in layers), 2 * outputs + weights)


def hours(config: ConfigDict, images: int, accelerator: Accelerator) -> tuple[float, float]:
    """Returns the least hours of the trainings of a teacher, and of a student with it in the step.

    Args:
      config: complete, of models that classify.
      images: in the training set.
      accelerator: that they are trained on.
    """
    shape, num_classes = sources.shape(config.dataset.name, config.dataset.image_size)
    layers = {
        role: cost.layers(
            models.build(config[role].model, config[role].args, num_classes=num_classes), shape
        )
        for role in ("teacher", "student")
    }
    forward = of_forward_pass(layers["teacher"], config.student.batch_size).seconds(accelerator)
    besides = {"teacher": 0.0, "student": forward}
    steps = {role: config[role].epochs * images / config[role].batch_size for role in layers}
    teacher, student = (
        of_step(layers[role], config[role].batch_size).seconds(accelerator) + besides[role]
        for role in layers
    )
    return steps["teacher"] * teacher / 3600, steps["student"] * student / 3600


def training(config: ConfigDict) -> str:
    """Says what a configuration would cost at the least on the first of `ACCELERATORS`.

    Args:
      config: complete, on one of `EXAMPLES`; a teacher is tabulated, and not in the step.
    """
    shape, classes = sources.shape(config.dataset.name, config.dataset.image_size)
    taught = losses.needs_teacher(losses.name_of(config.loss))
    flop = seconds = 0.0
    for section in (config.teacher, config.student) if taught else (config.student,):
        module = models.build(section.model, section.args, num_classes=classes)
        work = of_step(cost.layers(module, shape), section.batch_size)
        steps = section.epochs * (EXAMPLES[config.dataset.name] // section.batch_size)
        flop += steps * work.flop
        seconds += steps * work.seconds(ACCELERATORS[0])
    name = ACCELERATORS[0].name.partition(" ")[0]
    shown = f"{flop / 1e15:,.{0 if flop > 1e17 else 2}f} PFLOP"
    return f"On paper: {shown}; an {name} needs {_span(seconds)} or more, and nobody has tried."


def _span(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.1f} seconds"


def row(model: str, accelerator: Accelerator) -> dict[str, Any]:
    """Returns what a step of one network needs, and its least time; of 600 it is 600 times that."""
    module = models.build(model, {}, num_classes=10)
    layers = cost.layers(module, train_step.input_shape(model))
    work = of_step(layers, BATCH)
    least = work.seconds(accelerator)
    arithmetic = Work(work.flop, 0).seconds(accelerator)
    return {
        "model": model,
        "accelerator": accelerator.name,
        "gflop": round(work.flop / 1e9, 3),
        "mb": round(work.moved / 1e6, 2),
        "least_us": round(1e6 * least, 2),
        "bound": "arithmetic" if arithmetic == least else "memory",
        "examples_per_second": round(BATCH / least),
        "batch": BATCH,
        "commit": provenance.commit(),
    }


if __name__ == "__main__":
    main()
