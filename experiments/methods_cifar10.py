"""Methods of distillation on CIFAR-10: a ResNet-20 teaches a ResNet-8.

    python -m experiments.methods_cifar10             # four seeds: hours on two cores
    python -m experiments.methods_cifar10 --init=RUN  # whose ResNet-20 teaches as it is
    python -m experiments.methods_cifar10 --quick     # minutes, on 1,000 images, narrow networks
    python -m experiments.methods_cifar10 --notrain   # only collects what is there

All training images with all of their labels, flipped at random. The methods are as in
`experiments.methods`. All seeds of a method train in one program. What has a row in --workdir is
not trained again, and a training that was stopped goes on from its last epoch, so the command can
be stopped at any time. At the end it writes results/methods_cifar10.csv, and the table and the
picture of docs/methods.md.
"""

import pathlib
from collections.abc import Sequence

from absl import logging
from ml_collections import ConfigDict

from distill import cli, presets, provenance
from distill.progress import Display
from experiments import ROOT, methods, methods_page, options

SEEDS = 4
TEACHER_EPOCHS, EPOCHS = 60, 6
METHODS = {
    name: methods.METHODS[name]
    for name in (
        methods_page.LABELS, "kl", "dkd", "dist", "attention", "fitnets", "similarity", "rkd",
        "crd", "mutual",
    )
}  # fmt: skip


def sweep(
    *,
    seeds: Sequence[int] = range(SEEDS),
    epochs: int | None = None,
    teacher: str = "",
    quick: bool = False,
) -> ConfigDict:
    """Returns the configuration of the students of all methods, a sweep.

    Args:
      seeds: of the students; all of them have the same teacher.
      epochs: of the students; `EPOCHS` if None.
      teacher: a run whose ResNet-20 teaches; one is trained if there is none.
      quick: a run of minutes on few images, with narrow networks.
    """
    narrow = {"features": (4, 8, 16), "stem": 4}
    config = presets.from_labels(
        "resnet8", "cifar10", "quick" if quick else None, quick_args=narrow
    )
    # Of two outcomes, what the teacher says of both is computed once, where a table can hold it.
    config.student.augmentation = "flip"
    config.dataset.resident_mb = 4096  # of all features but those of attention
    same = ("schedule", "learning_rate", "weight_decay", "augmentation")
    config.teacher.update({key: config.student[key] for key in same})
    config.teacher.update({"model": "resnet20", "epochs": TEACHER_EPOCHS})
    if teacher:
        config.teacher.update({"init": teacher, "epochs": 0})
    elif quick:
        config.teacher.update({"epochs": 1, "batch_size": 50, "args": narrow})
    config.student.epochs = epochs or (1 if quick else EPOCHS)
    config.sweep.seeds = tuple(seeds)
    config.sweep.axes = (methods.varied(METHODS.values()),)
    return config


def main(argv: list[str]) -> None:
    """Trains, collects, and writes the page."""
    del argv
    provenance.make_a_device_of_each_core()
    from distill import data, study  # imports JAX, which --help can do without

    logging.set_verbosity(logging.WARNING)
    display, quick = Display(), options.QUICK.value
    workdir = options.workdir("methods_cifar10")
    config = sweep(
        seeds=options.seeds(SEEDS), epochs=options.EPOCHS.value, teacher=options.INIT.value or "",
        quick=quick,
    )  # fmt: skip
    if options.TRAIN.value:
        study.run(config, workdir, display)
    dataset = data.load(config, *data.find(config, display.warn))
    rows = methods.collect(workdir, dataset.test.labels, METHODS)
    accuracy = _teacher_accuracy(config, workdir, dataset, display)
    rows = [{**row, "teacher_accuracy": accuracy} for row in rows]
    root = workdir / "tables" if quick else ROOT
    for path in methods_page.write(rows, root, methods_page.CIFAR10):
        display.say(str(path))


def _teacher_accuracy(config: ConfigDict, workdir: pathlib.Path, dataset, display) -> float:
    """Returns the share of the test images on which the teacher is right."""
    from distill import validation
    from distill.run import Run
    from distill.training import trained

    directory = (
        Run(validation.validate(config), workdir, dataset, display).teacher_checkpoints / "steps"
    )
    return trained.quality(trained.load(directory, display.warn), dataset.test)


if __name__ == "__main__":
    cli.run(main, cli.parse)
