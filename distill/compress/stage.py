"""The stage `compress`: the student, step by step smaller, each step fine-tuned and measured."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distill import config as configs
from distill import models
from distill.compress import fold, measure, methods, rounds
from distill.compress import network as networks
from distill.compress.network import Network
from distill.compress.plan import SHARES
from distill.compress.rounds import DIRECTORY, FILES, RECORD, Record, Round
from distill.errors import InputError
from distill.run import Run, write
from distill.settings import Step
from distill.training import recipe, trained
from distill.training.trained import Trained

SUMMARY = "compress.json"


def compress(run: Run) -> list[Record]:
    """Applies the steps of `config.compress` to the trained student, one after the other.

    Each round lies in a directory that is named by everything that decides its outcome: a run that
    was killed goes on where it stopped, and chains that begin alike share their beginning.

    Args:
      run: whose student is trained. Its configuration has steps.

    Returns:
      A record of the student as it was, and of each round.

    Raises:
      InputError: if a step cannot be applied.
    """
    student = trained.load(run.student_checkpoints / "steps", run.display.warn)
    made = [_original(run, student)]
    for number, step in enumerate(run.settings.steps):
        made += _apply(run, student, number, step, made[0], made[-1])
    records = _with_latencies(made)
    last = made[-1].trained.directory.parent.relative_to(run.workdir)
    summary = {"of": _asked(run), "last": str(last), "rounds": records}
    write(run.workdir / SUMMARY, rounds.sealed(summary))
    return records


def require_asked(run: Run) -> None:
    """Checks that what `compress` has left is what the configuration asks for.

    Raises:
      InputError: if it has left nothing, or the outcome of other steps; or its summary is damaged.
    """
    if _summary(run.workdir).get("of") != _asked(run):
        raise InputError(
            f"{run.workdir / SUMMARY} is of other steps than config.compress has; run the stage "
            "compress again, which repeats nothing that it finds"
        )


def _asked(run: Run) -> str:
    """Returns a hash of what decides the outcome of the stage; the rest a directory has once."""
    given = configs.to_dict(run.config)
    return configs.digest([given[key] for key in ("compress", "fine_tune", "student")])


def rehearse(run: Run) -> None:
    """Finds what the steps name in the student before it is trained, as far as that can be known.

    Channels that go change no name; the layers that `svd` makes of one have names of their own, so
    that what comes behind it is found when it is its turn.

    Raises:
      InputError: if a step names what is not there, or fine-tunes with a batch that is too large.
    """
    network: Network | None = _fresh(run)
    for number, step in enumerate(run.settings.steps):
        try:
            if step.recipe.epochs:
                recipe.length(step.recipe, len(rounds.split(run, step)))
            if network is None:
                continue
            if step.method in methods.NAMED:
                methods.NAMED[step.method](network, **step.at(step.rounds - 1))
            if step.method in ("fold", "quantize"):
                network = fold.fold(network, rounds.context(run, number, step, 0, network))
            network = None if step.method == "svd" else network
        except InputError as error:
            raise InputError(f"compress[{number}], {step.method}: {error}") from error


def _fresh(run: Run) -> Network:
    """Returns the student with weights that are zero."""
    section, classes = run.config.student, run.dataset.num_classes
    shape = run.dataset.test.images.shape[1:]
    model = models.build(section.model, section.args, num_classes=classes)
    made = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), made)
    args = json.loads(json.dumps(section.args.to_dict()))
    return networks.of(section.model, args, classes, shape, variables)


def last_checkpoints(workdir: pathlib.Path) -> pathlib.Path:
    """Returns where the network lies that `compress` has ended with.

    Raises:
      InputError: if it has not, or its summary is damaged.
    """
    return workdir / _summary(workdir)["last"]


def read(workdir: pathlib.Path) -> list[Record]:
    """Returns the records of `compress`, as it returned them.

    Raises:
      InputError: as `last_checkpoints`.
    """
    return _summary(workdir)["rounds"]


def _summary(workdir: pathlib.Path) -> dict[str, Any]:
    path = workdir / SUMMARY
    if not path.exists():
        raise InputError(f"{path} is missing; run the stage compress first")
    return rounds.read_record(path)


def _original(run: Run, student: Trained) -> Round:
    """Measures the student as it was trained, or reads what was measured."""
    directory = run.workdir / DIRECTORY / "original"
    network, about = rounds.as_network(student), student.about.digest
    record = rounds.read(run, directory)
    if record is None or record.get("of") != about:
        directory.mkdir(parents=True, exist_ok=True)
        record = {
            "step": None, "method": "none", "round": 0, "of": about,
            **rounds.judge(run, student, network),
        }  # fmt: skip
    record = rounds.with_files(run, Round(student, network, record, directory))
    write(directory / RECORD, rounds.sealed(record))
    return Round(student, network, record, directory)


def _apply(
    run: Run, student: Trained, number: int, step: Step, original: Round, before: Round
) -> list[Round]:
    """Runs the rounds of a step; returns those that count."""
    begin, done = before, list[Round]()
    for round in range(step.rounds):
        teacher = student if step.teacher == "original" else None
        made = rounds.apply(run, number, step, round, begin.network, before, teacher)
        if made is None:
            run.display.say(f"compress {number} {step.method}: nothing more is removed")
            break
        if step.until and step.until[0] == "accuracy":
            accuracy = made.record["validation_accuracy"]
            if accuracy < (step.until[1] or 0):
                run.display.say(
                    f"compress {number} {step.method}: round {round} ends with an accuracy of "
                    f"{accuracy:.4f} on validation images and is undone"
                )
                break
        done.append(made)
        before = made
        if _reached(step, original.record, made.record):
            break
    if done:
        done[-1] = rounds.finish(run, step, student, done[-1])
    return done


def _with_latencies(made: list[Round]) -> list[Record]:
    """Returns the records, those that have files with how long these take, measured in turns."""
    measured = [round for round in made if "float32_bytes" in round.record]
    times = measure.latencies([round.directory for round in measured])
    time_of = {id(round): time for round, time in zip(measured, times, strict=True)}
    records = [{**round.record, **time_of.get(id(round), {})} for round in made]
    return [{k: v for k, v in record.items() if k != FILES} for record in records]


def _reached(step: Step, original: Record, record: Record) -> bool:
    """Whether so little is left as the step was to leave."""
    name, share = step.until or ("", None)
    return name in SHARES and share is not None and record[name] <= share * original[name]
