"""Networks of a sweep, trained some epochs more for kernels of four bits, all seeds at once."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from distill.compress import fold, measure, quantize, rounds
from distill.compress.context import Context
from distill.data import Dataset
from distill.progress import Display
from distill.run import Run
from distill.study import Student
from distill.training import description, start, train, trained
from distill.training.trained import Trained

EPOCHS, LEARNING_RATE = 5, 1e-3


def tuned(run: Run, batch: list[Student], models: list[Trained], display: Display) -> list[Trained]:
    """Returns networks whose kernels have four bits.

    Normalisation is folded, and the networks learn on from whom they have learned so far, by a
    constraint of `compress.quantize`. What is complete is not trained again.

    Args:
      run: of the sweep.
      batch: the students, of one shape.
      models: as they were trained.
      display: says what happens.
    """
    section, images = run.config.dataset, run.dataset.train.images
    networks = []
    for model in models:
        network = fold.folded(rounds.as_network(model))
        seen = Context(
            images, run.dataset.train.labels, tuple(section.mean), tuple(section.std),
            "cross_entropy", network, 0, display.say,
        )  # fmt: skip
        networks.append(quantize.quantize(network, seen, bits=4))
    about = description.together([student.about for student in batch])
    epochs = min(EPOCHS, about.recipe["epochs"])
    tuning = {"args": dict(networks[0].args), "epochs": epochs, "learning_rate": LEARNING_RATE}
    recipe = {**about.recipe, **tuning}
    about = dataclasses.replace(
        about, recipe=recipe, constraints=networks[0].constraints,
        compression={"of": about.digest},
    )  # fmt: skip
    begin = start.Start(
        _stacked([network.variables for network in networks]),
        _stacked([dict(network.held) for network in networks]),
    )
    directory = run.workdir / "four_bits" / about.digest
    display.say(f"{about.model}, {len(models)} students learn to have four bits")
    with train.alone(directory, display):
        teacher = batch[0].teacher
        job = run.job(
            directory, about, run.training_set, teacher, begin, in_sweep=True, monitored=False
        )
        train.train(job, lambda record: None)
    return trained.load(directory / "steps", display.warn).apart()


def measured(
    model: Trained, dataset: Dataset, section: ConfigDict, directory: pathlib.Path
) -> dict[str, Any]:
    """Returns the bytes of a network's file of four bits, and its accuracy on the test images.

    Args:
      model: from `tuned`.
      dataset: calibrates the file and tries it.
      section: `config.export`.
      directory: for the file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = measure.files(model, dataset, section, directory, [measure.FOUR_BITS])
    return {name: found[name] for name in ("int4_bytes", "int4_accuracy")}


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
