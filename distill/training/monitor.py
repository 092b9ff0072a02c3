"""What is measured and told after each epoch of a training."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distill.training import bilevel, curriculum, head
from distill.training.job import Job
from distill.training.state import TrainState
from distill.training.step import Task, head_logits
from distill.training.trained import Trained, members, quality, quality_of, quality_of_outputs

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Monitor:
    """Measures the students of a job after each epoch, and tells of it.

    Attributes:
      job: the training.
      task: what is trained.
      log: told the record of each epoch and student.
      head_inputs: of the split that is measured, what reaches the head, where nothing before it
        moves.
    """

    job: Job
    task: Task
    log: Callable[[Record], None]
    head_inputs: jax.Array | None = None

    def of_head(self, variables: dict[str, Any]) -> "Monitor":
        """Returns one that computes what reaches the head once, with these variables."""
        if self.job.monitor is None:
            return self
        reached = head.inputs(self.task, variables, self.job.monitor[1], self.job.display)
        return dataclasses.replace(self, head_inputs=jnp.asarray(reached[0]))

    def measure(self, states: TrainState) -> list[Record]:
        """Returns what each student's record has beside what its steps have measured."""
        records: list[Record] = [{} for _ in self.job.about.seeds]
        temperatures = _temperatures(states)
        if temperatures is not None:
            for record, temperature in zip(records, temperatures, strict=True):
                record["temperature"] = float(temperature)
        if self.job.monitor is not None:
            name = f"{self.job.monitor[0]}_{quality_of(self.job.about)}"
            for record, value in zip(records, self._qualities(states), strict=True):
                record[name] = value
        return records

    def _qualities(self, states: TrainState) -> list[float]:
        assert self.job.monitor is not None
        split, about = self.job.monitor[1], self.job.about
        current = Trained(self.task.model, members(states, self.task), about, self.job.directory)
        if self.head_inputs is None:
            return [quality(model, split, self.job.plan.batch_mesh) for model in current.apart()]
        outputs = [head_logits(m["params"], self.head_inputs) for m in current.members]
        return [quality_of_outputs(quality_of(about), np.asarray(o), split) for o in outputs]

    def write(self, records: list[Record]) -> None:
        """Logs the records of an epoch, one per student."""
        about = self.job.about
        for seed, record in zip(about.seeds, records, strict=True):
            self.log({"model": about.model, "seed": seed, **record})

    def tell(self, records: list[Record]) -> None:
        """Logs the records of an epoch, and says them in a line."""
        self.write(records)
        about = self.job.about
        line = f"{about.model} epoch {records[0]['epoch']}/{self.job.duration.epochs}: "
        line += ", ".join(
            f"{label} {_range([record[key] for record in records], form)}"
            for label, key, form in self._shown()
            if key in records[0]
        )
        speed = sum(record["examples_per_second"] for record in records)
        self.job.display.say(f"{line}, {speed:,.0f} examples/s")

    def _shown(self) -> list[tuple[str, str, str]]:
        """Returns what a line says of an epoch: a label, the name in a record, the format."""
        shown = [("loss", "loss", "{:.5f}"), ("train", "train_accuracy", "{:.2%}")]
        if not self.job.about.loss.keys().isdisjoint((bilevel.RATE, curriculum.SHARE)):
            shown.append(("T", "temperature", "{:.3g}"))
        if self.job.monitor is not None:
            measured = quality_of(self.job.about)
            form = "{:.2%}" if measured == "accuracy" else "{:.5f}"
            shown.append((self.job.monitor[0], f"{self.job.monitor[0]}_{measured}", form))
        return shown


def _temperatures(states: TrainState) -> np.ndarray | None:
    """Returns the temperature that each student has reached, `[students]`, if it moves."""
    if states.learned:
        return np.exp(states.learned["log_temperature"])
    if curriculum.SHARE in states.parts:
        return np.asarray(curriculum.temperature(states.parts))
    return None


def _range(values: list[float], form: str) -> str:
    """Formats the value of a student, or the least and the greatest of several."""
    ends = [form.format(value) for value in (min(values), max(values))]
    return ends[0] if len(values) == 1 else " to ".join(ends)
