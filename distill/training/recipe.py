"""The description of a training as JSON values, and what is built from it."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import FrozenDict
from ml_collections import ConfigDict

from distill import config as configs
from distill import losses, models
from distill.data import AUGMENTATIONS
from distill.errors import InputError, unknown
from distill.models import taps
from distill.models.taps import Pairs
from distill.training import bilevel, curriculum, description, freezing, hint_stage, pairing
from distill.training import state as states_lib
from distill.training.description import Description
from distill.training.state import TrainState
from distill.training.step import Task

MIXTURES = ("mixup", "cutmix")


def check_mixtures(role: str, section: ConfigDict, loss: str) -> None:
    """Checks that a loss can do with mixtures of images, where these are asked for.

    Args:
      role: whose section it is.
      section: made by `config.training`.
      loss: the name of a loss, or of its terms.

    Raises:
      InputError: naming the part of it that needs the label of each image, or the image.
    """
    for name in MIXTURES:
        if section[name] and (needing := losses.needs_hard_labels(loss)):
            raise InputError(
                f"{role}.{name} is {section[name]}, and a mixture of images has no label that loss "
                f"{needing[0]} could take: use losses without labels and cross_entropy, or leave "
                "it out"
            )
        if section[name] and losses.needs_memory(loss):
            raise InputError(
                f"{role}.{name} is {section[name]}, and loss {loss} keeps something of every "
                "example, where a mixture is of two: leave one of them out"
            )


def loss_section(loss: ConfigDict) -> dict[str, Any]:
    """Returns of `config.loss` what the loss takes: its name, its numbers, alpha if it is mixed.

    Its values have been checked by `config.check_loss`.

    Where the temperature is learned, the rate of that is one of the numbers; nowhere else. The
    numbers of a term begin with its name, as `kl.weight`.

    Raises:
      InputError: if there is no such loss, or it takes a number that the configuration does not
        have, or is to learn a temperature that it does not take, or a term has numbers that it does
        not take.
    """
    for method in loss.get("terms") or (loss.name,):
        if method not in losses.LOSSES:
            raise unknown("loss", method, losses.LOSSES)
    name = losses.name_of(loss)
    if loss.get(hint_stage.SHARE):
        hint_stage.check(name, loss)
    if loss.get("terms"):
        return _terms(name, loss)
    wanted = losses.hyperparameters(name)
    wanted += ("alpha",) if losses.needs_teacher(name) else ()
    if loss.learn_temperature:
        if "temperature" not in wanted:
            taking = [n for n in losses.LOSSES if "temperature" in losses.hyperparameters(n)]
            raise InputError(
                f"loss {name} has no temperature to learn; use {' or '.join(taking)}, or "
                "--config.loss.learn_temperature=False"
            )
        if losses.learns_parts(name):
            raise InputError(
                f"loss {name} trains parts of its own, beside which no temperature is learned: use "
                "--config.loss.learn_temperature=False"
            )
        wanted += (bilevel.RATE,)
    if loss.get(curriculum.SHARE):
        curriculum.check(name, loss)
        wanted += (curriculum.SHARE,)
    given = losses.defaults(name) | dict(loss.items())
    for number in wanted:
        if number not in given:
            raise InputError(f"loss {name} needs --config.loss.{number}, which is not set")
    options = losses.options(name)
    if losses.needs_teacher(name):
        options |= losses.options("cross_entropy")  # which is mixed in
    chosen = {option: loss[option] for option in options if loss.get(option)}
    _require_used(loss, chosen)
    return {"name": name, **{number: given[number] for number in wanted}, **chosen}


def _terms(name: str, loss: ConfigDict) -> dict[str, Any]:
    """Returns what the terms of `config.loss` take, as `loss_section`."""
    if loss.learn_temperature:
        raise InputError(
            "the temperature of a single loss can be learned: name it in loss.name, without "
            "loss.terms, or use --config.loss.learn_temperature=False"
        )
    if loss.get(curriculum.SHARE):
        raise InputError(
            f"loss.{curriculum.SHARE} is of a single loss: name it in loss.name, without loss.terms"
        )
    section: dict[str, Any] = {"name": name}
    used = set()
    for method in losses.methods(name):
        numbers, options = losses.hyperparameters(method), losses.options(method)
        own = dict(loss.terms[method].items())
        for number in own:
            if number not in ("weight", *numbers, *options):
                raise unknown(f"number of loss.terms.{method}", number, [*numbers, "weight"])
        given = {"weight": 1.0, **losses.defaults(method), **dict(loss.items()), **own}
        for number in ("weight", *numbers):
            if number not in given:
                raise InputError(
                    f"loss {method} needs loss.terms.{method}.{number}, which is not set"
                )
            section[f"{method}.{number}"] = given[number]
        chosen = {option for option in options if given.get(option)}
        section |= {f"{method}.{option}": given[option] for option in chosen}
        used |= chosen
    if losses.compares_with_pixels(name) and len(losses.methods(name)) > 1:
        pixels = [m for m in losses.methods(name) if losses.compares_with_pixels(m)]
        if len(pixels) < len(losses.methods(name)):
            raise InputError(
                f"loss.terms has {pixels[0]}, which is of reconstructed images, beside others that "
                "are of classes; leave one kind out"
            )
    _require_used(loss, used)
    if loss.get(hint_stage.SHARE):
        section[hint_stage.SHARE] = loss[hint_stage.SHARE]
    return section


def _require_used(loss: ConfigDict, used: Iterable[str]) -> None:
    """Raises `InputError` if an option of `config.loss` is set that nothing in it takes."""
    for option, taking in losses.OPTIONS.items():
        if loss.get(option) and option not in used:
            raise InputError(
                f"loss.{option} is {loss[option]}, and {losses.name_of(loss)} has no use for it: "
                f"it is of {taking}; leave it out"
            )


def describe(
    recipe: ConfigDict,
    loss: dict[str, Any],
    seeds: Sequence[int],
    dataset: ConfigDict,
    data: Mapping[str, Any],
    teacher: Description | None,
    init: str | None = None,
) -> Description:
    """Describes a training.

    Args:
      recipe: a section made by `config.training`.
      loss: `name`, and the hyperparameters that the loss takes.
      seeds: one per student.
      dataset: the section `config.dataset`.
      data: the fields of `Description` that are of the images.
      teacher: of the teachers, if the loss needs them.
      init: hash of the weights to start from; what they are decides, and not where they are kept.
    """
    made_of = {k: v for k, v in recipe.to_dict().items() if k != "init"}
    return description.from_json(
        {
            "recipe": deciding(made_of), "loss": loss, "seeds": list(seeds), **data,
            "mean": list(dataset.mean), "std": list(dataset.std),
            "teacher": teacher and teacher.json(), "init": init,
        }
    )  # fmt: skip


def deciding(section: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of a section what is empty and was not always there, so that ids stay."""
    return {k: v for k, v in section.items() if v or k not in configs.LATER}


class Length(NamedTuple):
    """How long a training is."""

    steps_per_epoch: int
    total_steps: int

    @property
    def epochs(self) -> int:
        """Number of epochs, the last of which may be cut short."""
        return -(-self.total_steps // self.steps_per_epoch)

    def steps_of(self, epoch: int) -> int:
        """Returns the number of steps of an epoch, counted from 0."""
        return min(self.steps_per_epoch, self.total_steps - epoch * self.steps_per_epoch)

    def is_within_epoch(self, step: int) -> bool:
        """Whether an epoch has begun and not ended after so many steps."""
        return step % self.steps_per_epoch > 0 and step < self.total_steps


def length(recipe: Any, num_examples: int) -> Length:
    """Converts the duration of a recipe to steps.

    Raises:
      InputError: if a batch is larger than the set, or the schedule longer than the run.
    """
    steps_per_epoch = num_examples // recipe.batch_size
    if steps_per_epoch == 0:
        raise InputError(
            f"batch_size of {recipe.model} is {recipe.batch_size}; "
            f"there are {num_examples} examples to train on"
        )
    total_steps = recipe.steps or recipe.epochs * steps_per_epoch
    epochs = total_steps / steps_per_epoch
    for field, most in (("warmup_steps", total_steps), ("warmup_epochs", epochs)):
        if recipe.get(field, 0) > most:
            raise InputError(
                f"{field} of {recipe.model} is {recipe[field]}, more than the {most:g} of the "
                "training; lower it"
            )
    if total_steps and max(recipe.get("decay_at", ()), default=0) >= epochs:
        raise InputError(
            f"decay_at of {recipe.model} is {tuple(recipe.decay_at)}, and the training ends after "
            f"{epochs:g} epochs, before its learning rate has fallen: lower it"
        )
    return Length(steps_per_epoch, total_steps)


def task(
    about: Description,
    duration: Length,
    teacher: nn.Module | None = None,
    kernels: str = "auto",
) -> Task:
    """Returns the static half of the training steps.

    Args:
      about: from `describe`.
      duration: from `length`; what is only applied to images has any.
      teacher: the module of the teachers, if the loss needs them.
      kernels: what a CPU convolves with, see `ops.conv_for`.
    """
    recipe, shape = about.section, about.input_shape
    build = functools.partial(models.build, num_classes=about.num_classes, kernels=kernels)
    model = build(recipe.model, recipe.args)
    other = teacher
    learns = losses.learns_parts(about.loss["name"])
    if other is None and learns and about.teacher:  # parts are of the shapes that it has
        other = build(about.teacher.model, about.teacher.args)
    pairs: Mapping[str, Pairs] = FrozenDict()
    tapped: Mapping[str, losses.Tapped] = FrozenDict()
    if other is not None:
        pairs = pairing.pairs(about.loss, model, other, shape)
    if other is not None and learns:
        ours, theirs = taps.shapes(model, shape), taps.shapes(other, shape)
        shapes = {name: pairing.shapes(chosen, ours, theirs) for name, chosen in pairs.items()}
        tapped = FrozenDict(shapes)
    freeze, decay = recipe.get("freeze", ""), recipe.get("layer_decay", 0.0)
    layers = freezing.layers(model, shape) if freeze or decay else []
    memory = None
    if losses.needs_memory(about.loss["name"]):
        memory = losses.Memory(about.examples or 0, losses.structure(about.loss, "negatives"))
    frozen, rates = freezing.frozen(freeze, layers), freezing.rates(decay, layers) if decay else {}
    augmentation = AUGMENTATIONS[recipe.augmentation]
    mixed = {name: recipe.get(name, 0.0) for name in MIXTURES}
    if any(mixed.values()):  # what is mixed has no number of outcomes
        augmentation = augmentation._replace(num_variants=None)
    # Either the teachers see the training set once, in every variant of the augmentation, or they
    # see every batch of every epoch: whichever is fewer images.
    variants = augmentation.num_variants
    inline = variants is None or variants > max(1, duration.epochs)
    return Task(
        model=model,
        loss=about.loss["name"],
        augmentation=augmentation,
        make_optimizer=states_lib.optimizer(
            recipe,
            duration.total_steps,
            frozen,
            rates,
            duration.total_steps / duration.steps_per_epoch,
        ),
        frozen=frozen,
        teacher=teacher if inline or pairs else None,
        taps=pairs,
        tapped=tapped,
        memory=memory,
        peers=max(0, losses.structure(about.loss, "peers") - 1),
        mean=about.mean,
        std=about.std,
        constraints=models.frozen(about.constraints or {}),
        l1=recipe.l1,
        total_steps=max(1, duration.total_steps),
        ema_decay=recipe.get("ema_decay", 0.0),
        dtype=about.dtype or configs.FLOAT32,
        **mixed,
    )


def create(about: Description, task: Task) -> TrainState:
    """Returns fresh states, one per seed, whose constraints do nothing; see `state.create`."""
    return states_lib.create(*_arguments(about, task))


def shapes(about: Description, task: Task) -> TrainState:
    """Returns the shapes and dtypes of what `create` returns."""
    return states_lib.shapes(*_arguments(about, task))


def _arguments(about: Description, task: Task) -> tuple:
    return (
        task.model,
        task.make_optimizer,
        hyper(about),
        about.input_shape,
        about.seeds,
        task.constraints,
        task.tapped,
        task.ema_decay > 0,
        task.memory,
        task.peers,
        about.streams,
    )


def hyper(about: Description) -> dict[str, jax.Array]:
    """Returns the hyperparameters by name, each `[students]`; a number holds for all of them."""
    numbers = {"learning_rate": about.recipe["learning_rate"], **about.loss}
    numbers = {k: v for k, v in numbers.items() if k != "name" and not losses.is_structure(k)}
    students = len(about.seeds)
    arrays = {name: np.asarray(value) for name, value in numbers.items()}
    return {
        name: jnp.broadcast_to(
            jnp.asarray(value, bool if value.dtype == bool else jnp.float32), students
        )
        for name, value in arrays.items()
    }
