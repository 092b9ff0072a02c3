"""Networks of a sweep, trained some epochs more for kernels of four bits, all seeds at once."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from distill.compress import fold, quantize, rounds
from distill.compress.context import Context
from distill.data import Dataset
from distill.export import drafting, runtime
from distill.progress import Display
from distill.run import Run
from distill.study import Student
from distill.training import description, start, train, trained
from distill.training.trained import Trained, quality_of_outputs

EPOCHS, LEARNING_RATE = 5, 1e-3
FORMAT = "int4"


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
        job = run.job(directory, about, run.training_set, teacher, begin, in_sweep=True)
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
    section = section.copy_and_resolve_references()
    section.batch_size = 1
    labels = [str(i) for i in range(dataset.num_classes)]
    bundle, _ = drafting.draft(model, dataset, labels, section, FORMAT)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{FORMAT}.tflite").write_bytes(bundle.model)
    outputs = runtime.Model(bundle).scores(dataset.test.images)
    accuracy = quality_of_outputs("accuracy", outputs, dataset.test)
    return {f"{FORMAT}_bytes": len(bundle.model), f"{FORMAT}_accuracy": accuracy}


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
