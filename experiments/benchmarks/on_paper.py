"""What a training step needs, and what an accelerator could make of it; nothing is measured.

    python -m experiments.benchmarks.on_paper --csv experiments/results/on_paper.csv

The arithmetic of a step is three times its forward pass; its memory traffic is each output of a
layer written and read once forward and once backward, and each weight with its gradient and Adam's
two moments read and written. At the data sheet's rates the longer of the two is the least time of a
step. Starting kernels is not in it, which small networks are bound by, a few students at a time.
A teacher in the step adds its forward pass. `hours` and `summary` are what the configurations say
of whole runs that nobody has measured.
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
EXAMPLES = {
    "mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000,
    "imagenet2012": 1_281_167,
}  # fmt: skip


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
    for made in rows:
        print(*made.values(), sep="  ")
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


class Training(NamedTuple):
    """A model of a configuration: its layers, the images of a step, and the number of steps."""

    layers: Sequence[cost.LayerCost]
    batch: int
    steps: int

    @property
    def step(self) -> Work:
        return of_step(self.layers, self.batch)

    def seconds(self, accelerator: Accelerator) -> float:
        """Returns the least time of all steps."""
        return self.steps * self.step.seconds(accelerator)


def trainings(config: ConfigDict) -> dict[str, Training]:
    """Returns the trainings of a configuration: the student, and the teacher if it needs one.

    Args:
      config: complete, of models that classify, on one of `EXAMPLES`.
    """
    shape, classes = sources.shape(config.dataset.name, config.dataset.image_size)
    taught = losses.needs_teacher(losses.name_of(config.loss))
    made = {}
    for role in ("teacher", "student") if taught else ("student",):
        section = config[role]
        module = models.build(section.model, section.args, num_classes=classes)
        steps = section.epochs * (EXAMPLES[config.dataset.name] // section.batch_size)
        made[role] = Training(cost.layers(module, shape), section.batch_size, steps)
    return made


def hours(config: ConfigDict, accelerator: Accelerator) -> tuple[float, float]:
    """Returns the least hours of a teacher, and of a student with the teacher in its steps."""
    teacher, student = trainings(config).values()
    beside = of_forward_pass(teacher.layers, student.batch).seconds(accelerator)
    seconds = student.seconds(accelerator) + student.steps * beside
    return teacher.seconds(accelerator) / 3600, seconds / 3600


def summary(config: ConfigDict) -> str:
    """Says what a configuration would cost at the least on the first of `ACCELERATORS`.

    A teacher is tabulated, and not in the step.
    """
    parts = trainings(config).values()
    flop = sum(part.steps * part.step.flop for part in parts)
    seconds = sum(part.seconds(ACCELERATORS[0]) for part in parts)
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
