"""What the candidates of a search may differ in, and by what they are judged: `config.search`."""

import re
from typing import Any

from ml_collections import ConfigDict

from distill import config as configs
from distill import study, validation, values
from distill.errors import InputError, unknown
from distill.evolution import Genes
from distill.settings import Settings

COSTS = ("num_params", "macs", "float32_bytes", "int8_bytes")
ACCURACIES = ("accuracy", "int8_accuracy")


def _is_gene(given: Any) -> bool:
    """Whether an entry of the space is a key with the values that it may have."""
    return (
        isinstance(given, list | tuple)
        and len(given) == 2
        and isinstance(given[0], str)
        and isinstance(given[1], list | tuple)
    )


_VALUES = {  # of the section `config.search`
    "space": values.each(
        values.Kind("", _is_gene),
        'keys with the values of each, as (("student.learning_rate", (0.01, 0.02)),)',
    ),
    "objectives": values.each(values.TEXT, 'names, as ("int8_accuracy", "int8_bytes")'),
    "population": values.whole(2, 10_000),
    "generations": values.whole(1, configs.EPOCHS),
    "epochs": values.each(values.whole(1, configs.EPOCHS), "whole numbers, as (1, 3, 9)"),
    "keep": values.between(1e-3, 1),
}


def check(config: ConfigDict) -> Settings:
    """Checks the section `config.search`, and a configuration with each value of its space.

    Returns:
      The first candidate's settings.

    Raises:
      InputError: naming what cannot be used.
    """
    if "search" not in config:
        raise InputError(
            "the configuration has no search; begin with config.search = distill.config.search(...)"
        )
    section = config.search
    for field, kind in _VALUES.items():
        if not isinstance(section, ConfigDict) or field not in section:
            raise InputError(
                f"search has no {field}; begin with config.search = distill.config.search(...)"
            )
        values.require(f"search.{field}", section[field], kind)
    if not section.epochs or list(section.epochs) != sorted(set(section.epochs)):
        raise InputError(f"search.epochs is {section.epochs}; they must rise, as (1, 3, 9)")
    accuracy, *costs = section.objectives or ("",)
    if accuracy not in ACCURACIES:
        raise unknown("first of search.objectives", accuracy, ACCURACIES)
    for cost in costs:
        if cost not in COSTS:
            raise unknown("search.objectives", cost, COSTS)
    if not costs:
        raise InputError(f"search.objectives has no cost; add one of {', '.join(COSTS)}")
    if not config.dataset.validation:
        raise InputError(
            "candidates are chosen on dataset.validation, which is empty; give "
            "--config.dataset.train='train[:90%]' --config.dataset.validation='train[90%:]'"
        )
    if config.student.steps is not None:
        raise InputError(
            f"student.steps is {config.student.steps}, and search.epochs says for how long "
            "candidates are trained: leave it out"
        )
    for key, given in (("compress", config.compress), ("sweep", configs.is_sweep(config))):
        if given:
            raise InputError(
                f"a search has no {key}: its candidates are folded, and train with config.seed; "
                "leave it out"
            )
    if not section.space:
        raise InputError("search.space is empty; give keys and the values that they may have")
    first = {key: choices[0] for key, choices in section.space if len(choices)}
    for key, choices in section.space:
        if not choices:
            raise InputError(f"search.space gives {key} no values")
        if key.split(".")[0] not in ("student", "loss"):
            raise InputError(
                f"search.space has {key}; candidates can differ in student.* and loss.* only"
            )
        if key in ("student.epochs", "student.steps"):
            raise InputError(f"search.space has {key}, which search.epochs says: leave it out")
        for choice in choices:
            validation.validate(point(config, {**first, key: choice}))
    return validation.validate(point(config, first))


def point(config: ConfigDict, genes: Genes, epochs: int | None = None) -> ConfigDict:
    """Returns the configuration of a candidate.

    Args:
      config: of the search.
      genes: by their keys, as `student.args.widths[0]`.
      epochs: of its training.

    Raises:
      InputError: if a key is none of the configuration, or takes no such value.
    """
    made = config.copy_and_resolve_references()
    with made.unlocked():
        del made.search
    for key, value in genes.items():
        name, index = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", key).groups()  # type: ignore[union-attr]
        if index is not None:
            entries: Any = made
            for part in name.split("."):
                entries = entries.get(part) if isinstance(entries, ConfigDict) else None
            if not isinstance(entries, list | tuple) or int(index) >= len(entries):
                raise InputError(f"search.space has {key}, and {name} is {entries}")
            value = (*entries[: int(index)], value, *entries[int(index) + 1 :])
        study.put(made, name, value, "key of search.space")
    if epochs is not None:
        made.student.epochs = epochs
    return made
