"""What `config.compress` says: steps, each a method with its options, repeated and fine-tuned.

A step is a mapping. `method` is an entry of `methods.COMPRESSORS`; every step may have these keys:

* `rounds`: how many times the method is applied, each time followed by fine-tuning; by default 1;
* `schedule`: how `amount` grows over the rounds, an entry of `SCHEDULES`; by default `linear`;
* `until`: what ends the rounds early. `"nothing removed"`; or `{"macs": 0.5}`, `{"num_params": …}`
  or `{"nonzeros": …}`: when no more than that share of the original's is left; or
  `{"accuracy": 0.98}`: the round that ends below it on `dataset.validation` is undone;
* `fine_tune`: of the recipe of the student what is different, `{"epochs": 3, "l1": 1e-5}`; beyond
  the fields of `config.training`, `teacher` as in `config.fine_tune`, and `loss`, a mapping with
  what is different from `config.loss`. With `epochs` 0 there is none;
* `scratch`: whether the shape that comes out is also trained from fresh weights with the recipe of
  the student, as the control that pruning has to beat.

All other keys are options of the method.
"""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from distill import config as configs
from distill import losses
from distill.compress import methods
from distill.data import AUGMENTATIONS
from distill.errors import InputError, unknown
from distill.settings import SCHEDULES, Step
from distill.training import recipe

TEACHERS = ("same", "original")
SHARES = ("macs", "num_params", "nonzeros")
UNTIL = ("nothing removed", "accuracy", *SHARES)


def steps(config: ConfigDict) -> list[Step]:
    """Reads and checks `config.compress`.

    Raises:
      InputError: for the first name or value that cannot be used.
    """
    _require_known("fine_tune.teacher", config.fine_tune.teacher, TEACHERS)
    if not isinstance(config.compress, tuple | list):
        raise InputError(
            f"compress is a {type(config.compress).__name__}; it must be a list of steps, where a "
            "single one has a comma behind it: ({'method': 'svd'},)"
        )
    found = [_step(config, f"compress[{i}]", given) for i, given in enumerate(config.compress)]
    for number, step in enumerate(found):
        for before in found[: number + 1]:
            if step.scratch and before.method in methods.CONSTRAINING:
                raise InputError(
                    f"compress[{number}].scratch: {before.method} leaves weights with constraints, "
                    "and not a shape that could be trained from scratch; leave out `scratch`"
                )
    return found


def _step(config: ConfigDict, where: str, given: Any) -> Step:
    given = _mapping(where, given, "{'method': 'svd'}")
    left = dict(given)
    rounds, schedule = left.pop("rounds", 1), left.pop("schedule", "linear")
    until, scratch = left.pop("until", None), left.pop("scratch", False)
    tuned = _mapping(f"{where}.fine_tune", left.pop("fine_tune", {}), "{'epochs': 3}")
    try:
        methods.check(left)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if not methods.fits(rounds, int) or rounds < 1:
        raise InputError(f"{where}.rounds is {rounds!r}; it must be 1 or more")
    if not isinstance(scratch, bool):
        raise InputError(f"{where}.scratch is {scratch!r}; it must be True or False")
    _require_known(f"{where}.schedule", schedule, SCHEDULES)
    section, loss, teacher = _fine_tuning(config, where, tuned)
    method = left.pop("method")
    amount = methods.known(method).get("amount")
    return Step(
        method=method,
        options=left if amount is None else {"amount": amount, **left},
        rounds=rounds,
        schedule=schedule,
        until=_until(config, where, until),
        scratch=scratch,
        recipe=section,
        loss=loss,
        teacher=teacher,
        given=given,
    )


def _fine_tuning(
    config: ConfigDict, where: str, given: dict[str, Any]
) -> tuple[ConfigDict, dict[str, Any], str]:
    """Reads how a step is fine-tuned: the recipe, the loss, and who teaches."""
    tuned = {**config.fine_tune.to_dict(), **given}
    loss, teacher = config.loss.copy_and_resolve_references(), tuned.pop("teacher")
    _require_known(f"{where}.fine_tune.teacher", teacher, TEACHERS)
    of_loss = f"{where}.fine_tune.loss"
    given_loss = _mapping(of_loss, tuned.pop("loss", {}), "{'name': 'kl'}")
    if "name" in given_loss:
        loss.terms, loss.hint_stage = ConfigDict(), 0.0  # which would stand before it
    for name, value in given_loss.items():
        if name not in loss:
            raise unknown(of_loss, name, loss)
        _set(loss, name, value, of_loss)
    configs.check_loss(loss, of_loss)
    taken = recipe.loss_section(loss)
    of_network, of_tuning = losses.name_of(config.loss), taken["name"]
    if loss.learn_temperature and not config.dataset.validation:
        raise InputError(
            f"{of_loss}.learn_temperature is True, but dataset.validation, on which it is learned, "
            "is empty"
        )
    if losses.compares_with_pixels(of_tuning) != losses.compares_with_pixels(of_network):
        raise InputError(
            f"{where}.fine_tune.loss.name is {of_tuning}, the network's own {of_network}; "
            "both must be of models that classify, or both of models that reconstruct images"
        )
    if teacher == "original" and not losses.needs_teacher(of_tuning):
        raise InputError(
            f"{where}.fine_tune.teacher is original, but the loss {of_tuning} has no teacher; "
            "leave it out, or name a loss that has one"
        )
    section = config.student.copy_and_resolve_references()
    section.steps, section.init = None, ""
    section.warmup_epochs, section.warmup_steps = 0.0, 0
    if section.schedule == "step":  # in the epochs of the student
        section.schedule, section.decay_at = "constant", ()
    known = [name for name in section if name not in ("model", "args", "init")]
    for name, value in tuned.items():
        if name not in known:
            raise unknown(f"{where}.fine_tune", name, [*known, "loss", "teacher"])
        _set(section, name, value, f"{where}.fine_tune")
    checked = {f"{where}.fine_tune": section} if section.epochs else {}
    configs.check_trainings(checked)
    if losses.needs_peers(of_tuning) or losses.needs_memory(of_tuning):
        if section.epochs:
            raise InputError(
                f"{where} is fine-tuned by {of_tuning}, and what learns beside the network, or is "
                f"kept of every example, is not there any more: give {of_loss}, as "
                "{'name': 'cross_entropy'}, or fine_tune.epochs=0"
            )
        taken = {"name": "cross_entropy"}
    _require_known("augmentation", section.augmentation, AUGMENTATIONS)
    recipe.check_mixtures(f"{where}.fine_tune", section, of_tuning)
    return section, taken, teacher


def _until(config: ConfigDict, where: str, given: Any) -> tuple[str, float | None] | None:
    """Reads what ends the rounds of a step early: its name, and its number if it has one."""
    if given is None:
        return None
    found = given if isinstance(given, Mapping) else {str(given): None}
    if len(found) != 1:
        raise InputError(f"{where}.until is {given!r}; it must name one end, like {{'macs': 0.5}}")
    ((name, value),) = found.items()
    _require_known(f"{where}.until", name, UNTIL)
    if (value is None) != (name == "nothing removed"):
        raise InputError(f"{where}.until is {given!r}; it must be like {{'macs': 0.5}}")
    if value is not None and not (methods.fits(value, float) and 0 < value < 1):
        raise InputError(f"{where}.until.{name} is {value!r}; it must be between 0 and 1")
    if name == "accuracy" and losses.compares_with_pixels(losses.name_of(config.loss)):
        raise InputError(f"{where}.until.accuracy is of models that classify; use another end")
    if name == "accuracy" and not config.dataset.validation:
        raise InputError(
            f"{where}.until.accuracy is judged on images that nothing is trained on: hold some "
            "back, as with --config.dataset.train=train[:55000] "
            "--config.dataset.validation=train[55000:]"
        )
    return name, value


def _require_known(kind: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, str(name), known)


def _mapping(where: str, given: Any, example: str) -> dict[str, Any]:
    """Returns a mapping as JSON values."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r}; it must be a mapping, like {example}")
    try:
        return json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} cannot be written as JSON: {error}") from error


def _set(section: ConfigDict, name: str, value: Any, where: str) -> None:
    """Replaces a value by another of its type."""
    try:
        section[name] = value
    except TypeError as error:
        accepted = configs.accepted(f"student.{name}") or configs.accepted(f"loss.{name}")
        raise InputError(f"{where}.{name} is {value!r}; it must be {accepted}") from error
    if value is None:
        raise InputError(f"{where}.{name} is None; leave it out")
