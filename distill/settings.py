"""What a configuration says, parsed once, by `validation.validate`: a run carries it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: done,
    "polynomial": lambda done: 1 - (1 - done) ** 3,  # Zhu and Gupta (2017), arXiv:1710.01878
}


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of `config.compress`; `compress.plan` explains the attributes.

    Attributes:
      options: of the method, with its own amount where none is given.
      recipe: the student's, as it is fine-tuned.
      loss: of the fine-tuning, from `recipe.loss_section`.
      given: the step as it was written, JSON values.
    """

    method: str
    options: dict[str, Any]
    rounds: int
    schedule: str
    until: tuple[str, float | None] | None
    scratch: bool
    recipe: ConfigDict
    loss: dict[str, Any]
    teacher: str
    given: dict[str, Any]

    def at(self, round: int) -> dict[str, Any]:
        """Returns the options of a round, counted from 0, with the amount that it is to reach."""
        share = SCHEDULES[self.schedule]((round + 1) / self.rounds)
        amount = self.options.get("amount")
        if isinstance(amount, Mapping):
            grown: Any = {name: value * share for name, value in amount.items()}
        else:
            grown = None if amount is None else amount * share
        return self.options if grown is None else {**self.options, "amount": grown}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A configuration whose names and values have been checked, and what its texts say.

    Attributes:
      config: complete.
      stages: to run, in their order.
      trained: those of teacher and student that a run trains.
      loss: of the student, from `recipe.loss_section`.
      assistants: the section of each, complete.
      steps: of compression.
      formats: to export.
    """

    config: ConfigDict
    stages: tuple[str, ...]
    trained: tuple[str, ...]
    loss: dict[str, Any]
    assistants: tuple[ConfigDict, ...]
    steps: tuple[Step, ...]
    formats: tuple[str, ...]
