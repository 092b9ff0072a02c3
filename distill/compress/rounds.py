"""One round of a step: the method applied, the network fine-tuned and measured."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np

from distill import assistants, constraints, data, losses
from distill import config as configs
from distill.compress import measure, methods, packing
from distill.compress import network as networks
from distill.compress.context import Context
from distill.compress.network import Network
from distill.errors import InputError, one_line
from distill.run import Run, write
from distill.settings import Step
from distill.training import start, trained
from distill.training.description import Description
from distill.training.recipe import deciding
from distill.training.trained import Trained, quality, quality_of

DIRECTORY = "compress"
RECORD = "record.json"
FILES = "files"  # of a record: `measure.identity` of the files that its figures are of
CHECKSUM = "checksum"  # of what a file says besides

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Round:
    """What a round of a step has left.

    Attributes:
      trained: the network, fine-tuned.
      network: the same as plain arrays.
      record: what was measured.
      directory: where it lies.
    """

    trained: Trained
    network: Network
    record: Record
    directory: pathlib.Path


def as_network(model: Trained) -> Network:
    """Returns a trained model as plain arrays, its weights as the constraints leave them."""
    about, variables = model.about, model.members[0]
    network = networks.of(about.model, about.args, about.num_classes, about.input_shape, variables)
    held = {k: {p: leaf[0] for p, leaf in of.items()} for k, of in model.held.items()}
    return dataclasses.replace(network, constraints=about.constraints or {}, held=held)


def as_trained(network: Network, like: Trained) -> Trained:
    """Returns a network with the weights that its constraints leave, to be applied to images.

    Args:
      network: any.
      like: a model for the same images.
    """
    return dataclasses.replace(like, model=network.module, members=[_effective(network)])


def _effective(network: Network) -> dict[str, Any]:
    variables = network.variables
    params = constraints.effective(network.constraints, network.held, variables["params"])
    return {**variables, "params": params}


def apply(
    run: Run,
    number: int,
    step: Step,
    round: int,
    begin: Network,
    before: Round,
    original: Trained | None,
) -> Round | None:
    """Applies the method once and fine-tunes, unless that is done; None if nothing was removed."""
    previous = before.trained
    elsewhere = ("model", "args", "init")  # which `of` says
    identity = {
        "of": previous.about.digest, "step": step.given, "round": round,
        "recipe": {k: v for k, v in deciding(step.recipe.to_dict()).items() if k not in elsewhere},
        "loss": step.loss, "teacher": step.teacher,
    }  # fmt: skip
    identity = json.loads(json.dumps(identity))
    name = f"{number}_{step.method}-{configs.digest(identity)}"
    directory = run.workdir / DIRECTORY / name
    if record := read(run, directory):
        tuned = trained.load(directory / "steps", run.display.warn)
        run.display.say(f"compress {number} {step.method}, round {round}: found")
        return Round(tuned, as_network(tuned), record, directory)
    seen = context(run, number, step, round, begin)
    try:
        network = methods.COMPRESSORS[step.method](before.network, seen, **step.at(round))
    except InputError as error:
        raise InputError(f"compress[{number}], {step.method}: {error}") from error
    if step.until == ("nothing removed", None) and not _removed(before.network, network):
        return None
    untuned = quality(as_trained(network, previous), run.dataset.test)
    about = _about(run, step, network, identity, original)
    run.display.say(
        f"compress {number} {step.method}, round {round}: "
        f"{measure.describe(measure.counts(_obeying(network)))}"
    )
    _train(run, f"compress{number}.{round}", directory, about, network, step, original)
    tuned = trained.load(directory / "steps", run.display.warn)
    network = as_network(tuned)
    record = {
        "step": number, "method": step.method, "round": round, "given": step.given,
        f"untuned_{quality_of(about)}": untuned, **judge(run, tuned, network),
    }  # fmt: skip
    write(directory / RECORD, sealed(record))
    return Round(tuned, network, record, directory)


def read(run: Run, directory: pathlib.Path) -> Record | None:
    """Returns a record; None if it is missing or damaged, so that the round is judged again.

    The figures of files are left out where the files are not those that were measured, or
    `config.export` is another by now, so that they are made again.
    """
    path = directory / RECORD
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except InputError as error:
        cause = one_line(error.__cause__ or error)
        run.display.warn(f"measuring again what the damaged {path} is of: {cause}")
        return None
    if record.get(FILES) != measure.identity(run.config.export, directory):
        record = measure.without_files({k: v for k, v in record.items() if k != FILES})
    return record


def read_record(path: pathlib.Path) -> Record:
    """Returns what a file holds that `sealed` was written into.

    Raises:
      InputError: if it cannot be read, or is damaged.
    """
    try:
        return opened(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged; run the stage compress again, which writes it anew"
        ) from error


def sealed(contents: dict[str, Any]) -> dict[str, Any]:
    """Returns the contents of a JSON file with their checksum."""
    return {**contents, CHECKSUM: configs.digest(contents)}


def opened(contents: dict[str, Any]) -> dict[str, Any]:
    """Returns what `sealed` was given.

    Raises:
      ValueError: if the checksum is missing or another one.
    """
    bare = {key: value for key, value in contents.items() if key != CHECKSUM}
    if contents.get(CHECKSUM) != configs.digest(bare):
        raise ValueError("its checksum does not match")
    return bare


def with_files(run: Run, made: Round) -> Record:
    """Returns the record of a round with its files measured, unless that is done."""
    if FILES in made.record:
        return made.record
    section = run.config.export
    figures = measure.files(made.trained, run.dataset, section, made.directory)
    return {**made.record, **figures, FILES: measure.identity(section, made.directory)}


def context(run: Run, number: int, step: Step, round: int, begin: Network) -> Context:
    """Returns what the method of a step may look at beside the network, in one round."""
    return Context(
        images=run.dataset.train.images,
        labels=run.dataset.train.labels,
        mean=tuple(run.config.dataset.mean),
        std=tuple(run.config.dataset.std),
        loss=step.loss["name"]
        if losses.compares_with_pixels(step.loss["name"])
        else "cross_entropy",
        begin=begin,
        seed=run.config.seed + round,
        say=lambda line: run.display.say(f"compress {number} {step.method}: {line}"),
    )


def _obeying(network: Network) -> Network:
    """Returns the network with the weights that its constraints leave."""
    params = constraints.flat(_effective(network)["params"])
    return dataclasses.replace(network, params={k: np.asarray(v) for k, v in params.items()})


def _about(
    run: Run, step: Step, network: Network, identity: dict[str, Any], original: Trained | None
) -> Description:
    """Describes the fine-tuning of a network."""
    section = step.recipe.copy_and_resolve_references()
    section.model = network.name
    with section.unlocked():
        section.args = dict(network.args)
    of_run = run.student_about(None)
    teacher = _teacher(run, step, original)
    about = run.about(
        section, step.loss, of_run.seeds, teacher.about if teacher else None, of_run.transfer
    )
    constrained = json.loads(json.dumps(network.constraints))
    return dataclasses.replace(about, constraints=constrained, compression=identity)


def _teacher(run: Run, step: Step, original: Trained | None) -> Trained | None:
    """Returns whom a fine-tuning learns from, if from anyone."""
    if not losses.needs_teacher(step.loss["name"]):
        return None
    return original or assistants.last(run)


def _train(
    run: Run,
    role: str,
    directory: pathlib.Path,
    about: Description,
    network: Network,
    step: Step,
    original: Trained | None,
) -> None:
    begin = start.Start(
        jax.tree.map(lambda leaf: np.asarray(leaf)[None], network.variables),
        jax.tree.map(lambda leaf: np.asarray(leaf)[None], dict(network.held)),
    )
    run.train(role, directory, about, split(run, step), _teacher(run, step, original), begin)


def split(run: Run, step: Step) -> data.Split:
    """Returns the images of a fine-tuning; those with labels only, without a teacher."""
    split = run.dataset.transfer or run.dataset.train
    return split if losses.needs_teacher(step.loss["name"]) else data.labelled(split)


def finish(run: Run, step: Step, student: Trained, made: Round) -> Round:
    """Adds to the last round of a step its files, and the control that is trained from scratch."""
    record = dict(with_files(run, made))
    scratch = f"scratch_{quality_of(student.about)}"
    if step.scratch and scratch not in record:
        tuned = ("freeze", "layer_decay")  # nothing of fresh weights is
        recipe = {k: v for k, v in student.about.recipe.items() if k not in tuned}
        recipe["args"] = made.trained.about.args
        about = dataclasses.replace(student.about, recipe=recipe, init=None)
        teacher = None
        if losses.needs_teacher(about.loss["name"]):
            teacher = assistants.last(run)
        directory = made.directory / "scratch"
        run.train(f"scratch{record['step']}", directory, about, run.training_set, teacher)
        control = trained.load(directory / "steps", run.display.warn)
        record[scratch] = quality(control, run.dataset.test)
    write(made.directory / RECORD, sealed(record))
    return dataclasses.replace(made, record=record)


def judge(run: Run, model: Trained, network: Network) -> Record:
    """Measures what a network costs and how good it is, on test and validation images."""
    name = quality_of(model.about)
    record: Record = {
        **measure.counts(network), **packing.sizes(network),
        name: quality(model, run.dataset.test),
    }  # fmt: skip
    if run.dataset.validation is not None:
        record[f"validation_{name}"] = quality(model, run.dataset.validation)
    return record


def _removed(before: Network, after: Network) -> bool:
    """Whether any weight is gone or zero that was not."""
    counted = [measure.counts(_obeying(network)) for network in (before, after)]
    return counted[1]["nonzeros"] < counted[0]["nonzeros"]
