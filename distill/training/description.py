"""What decides the outcome of a training: typed here, JSON in checkpoints and in names."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from distill import config as configs
from distill import losses

LATER = ("init", "constraints", "compression", "examples", "dtype")  # not in the JSON if None


@dataclasses.dataclass(frozen=True)
class Description:
    """Everything that decides the outcome of a training.

    Two trainings of equal descriptions end with the same parameters on the same machine. The digest
    of its JSON names directories and students, so what is added here is one of `LATER`.

    Attributes:
      recipe: a section made by `config.training`, without what is empty and came later.
      loss: `name`, and what the loss takes; a list where the students differ.
      seeds: one per student.
      dataset: name of the data set.
      splits: `train`, `validation` and `test` as they are written.
      transfer: the section of the transfer set, if there is one.
      fingerprint: of the images and labels.
      input_shape: `(height, width, channels)`.
      num_classes: of the labels.
      mean: of a channel, or of each.
      std: likewise.
      teacher: of the teachers, if the loss needs them.
      init: hash of the weights that it starts from, if it does.
      constraints: on the weights, of a network that was compressed; see `distill.constraints`.
      compression: the round that made such a network.
      dtype: an entry of `config.DTYPES`, if the networks are not trained in float32.
      examples: number of the images, where the loss keeps something of each.
    """

    recipe: dict[str, Any]
    loss: dict[str, Any]
    seeds: list[int]
    dataset: str = ""
    splits: dict[str, str] = dataclasses.field(default_factory=dict)
    transfer: dict[str, Any] | None = None
    fingerprint: str = ""
    input_shape: tuple[int, ...] = ()
    num_classes: int = 0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    teacher: "Description | None" = None
    init: str | None = None
    constraints: dict[str, Any] | None = None
    compression: dict[str, Any] | None = None
    dtype: str | None = None
    examples: int | None = None

    @property
    def model(self) -> str:
        """The name of the model, an entry of `models.MODELS`."""
        return self.recipe["model"]

    @property
    def args(self) -> dict[str, Any]:
        """The arguments of the model."""
        return self.recipe["args"]

    @property
    def section(self) -> ConfigDict:
        """The recipe as a section of a configuration."""
        return ConfigDict(self.recipe)

    @functools.cached_property
    def digest(self) -> str:
        """A short hash, the same on every machine."""
        return configs.digest(self.json())

    @property
    def streams(self) -> list[int]:
        """A number for each seed, that its random numbers depend on too; 0 where it is alone.

        Two trainings of one seed would begin with the same weights and see the same batches: a
        network and one of its kind that it learns from, in a chain of generations, and the rounds
        of a compression.
        """
        before, chain = self.teacher, list[Description]()
        while before is not None:
            chain += [before] if (before.model, before.args) == (self.model, self.args) else []
            before = before.teacher
        alike = [sum(seed in other.seeds for other in chain) for seed in self.seeds]
        return [
            int(configs.digest([count, self.compression])[:7], 16)
            if count or self.compression
            else 0
            for count in alike
        ]

    def json(self) -> dict[str, Any]:
        """Returns JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values = {k: v for k, v in fields.items() if v is not None or k not in LATER}
        values["teacher"] = self.teacher and self.teacher.json()
        return json.loads(json.dumps(values))


def from_json(contents: Mapping[str, Any]) -> Description:
    """Returns the description whose JSON values are given; tuples are taken for lists.

    Raises:
      ValueError: if something is missing or unknown.
    """
    values = json.loads(json.dumps(contents))
    for name in ("input_shape", "mean", "std"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if values.get("teacher") is not None:
        values["teacher"] = from_json(values["teacher"])
    known = {field.name for field in dataclasses.fields(Description)}
    if differing := (values.keys() ^ known) - set(LATER):
        raise ValueError(f"{', '.join(sorted(differing))} is not as this program describes it")
    return Description(**values)


def together(abouts: Sequence[Description]) -> Description:
    """Describes several trainings as one whose numbers are lists, one entry per student.

    Args:
      abouts: they differ in nothing but what `apart` leaves out.
    """
    first = abouts[0]
    loss = {name: _listed([about.loss[name] for about in abouts]) for name in first.loss}
    rate = _listed([about.recipe["learning_rate"] for about in abouts])
    return dataclasses.replace(
        first,
        recipe={**first.recipe, "learning_rate": rate},
        loss=loss,
        seeds=[seed for about in abouts for seed in about.seeds],
    )


def apart(about: Description) -> dict[str, Any]:
    """Leaves out of a description the seeds and numbers in which students of a program differ."""
    rest = {k: v for k, v in about.json().items() if k != "seeds"}
    recipe = {k: v for k, v in about.recipe.items() if k != "learning_rate"}
    shaping = [[k, value] for k, value in sorted(about.loss.items()) if losses.is_structure(k)]
    loss = [about.loss["name"], *sorted(about.loss), *shaping]
    return {**rest, "recipe": recipe, "loss": loss}


def _listed(values: list[Any]) -> Any:
    """Returns the value that all share, or the list of them."""
    return values[0] if all(value == values[0] for value in values) else values
