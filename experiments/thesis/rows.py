"""The rows of the study: what each is of, which file it belongs to, and means over seeds."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from configs.thesis_study import MODELS, SEEDS, TEMPERATURES
from distill.errors import InputError
from experiments import PUBLISHED, significance
from experiments.pages import read_csv

MEASURES = ("accuracy", "precision", "recall", "f_measure")
DISTILLED, LABELS = "soft_squared_error", "cross_entropy"
CORRECTED, LEARNED = f"{DISTILLED} corrected", f"{DISTILLED} learned"
SELECTION = "selection"  # what the methods of students are called that a part of the images chose
RECIPE = "recipe"  # the last word of the methods by the thesis's own recipe
DATASETS = "datasets"  # the file of students of other data sets than MNIST
BEYOND = (  # a file for each
    "corrected", "kl", "learned", "ensemble", "unlabelled", RECIPE, DATASETS,
)  # fmt: skip
MAIN = "mnist.csv"  # the main results, of students that are exported
THESIS_RATE = 1e-4  # of learning
FULL = {
    "students": len(MODELS), "seeds": len(SEEDS), "teachers": len(SEEDS),
    "temperatures": len(TEMPERATURES), "epochs": 20, "training images": 60_000,
}  # fmt: skip


class Group(NamedTuple):
    """Students that differ in nothing but their seed.

    Attributes:
      model: its name.
      method: the loss, with what sets the training apart: `soft_squared_error corrected`.
      temperature: None where the loss has none.
    """

    model: str
    method: str
    temperature: float | None = None

    def __str__(self) -> str:
        softened = "" if self.temperature is None else f" T={self.temperature:g}"
        return f"{self.model} {self.method}{softened}"


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything that the tables are made of.

    Attributes:
      runs: a row for each student, `method` and `group` among the columns; also those of the
        selection.
      selection: those of them trained on a part of the images, with the accuracy on the rest.
      counts: images on which one group does better than another, by their names.
      published: the thesis's tables by name, `2_3` to `2_6`.
      main: teachers of the main results that are of the same data set; none if there are none.
    """

    runs: pd.DataFrame
    selection: pd.DataFrame
    counts: dict[tuple[str, str], tuple[int, int]]
    published: dict[str, pd.DataFrame]
    main: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)

    @property
    def teacher(self) -> pd.DataFrame:
        """The runs of the teacher: those of the study, else those of the main results."""
        beside = self.of(Group("teacher", LABELS))
        return self.main if beside.empty else beside

    @property
    def teacher_commit(self) -> str:
        """Says with which code the teacher was trained, where that is not the students'."""
        commits = sorted(set(self.teacher.get("commit", [])) - set(self.runs.commit))
        return f" (commit {', '.join(commits)})" if commits else ""

    def of(self, group: Group) -> pd.DataFrame:
        """Returns the finished runs of a group, by seed."""
        return self._finished.get(str(group), self.runs.iloc[:0])

    @functools.cached_property
    def chosen(self) -> dict[str, Group]:
        """Each student at the temperature that the validation images choose for it."""
        groups = {}
        for model in self.models():
            both = self.selection.temperature.isin(self.temperatures(model))
            temperature = choose(self.selection[both], model, "validation_accuracy")
            if temperature is not None:
                groups[model] = Group(model, DISTILLED, temperature)
        return groups

    @functools.cached_property
    def _finished(self) -> dict[str, pd.DataFrame]:
        finished = self.runs[self.runs.status == "ok"].sort_values("seed")
        return dict(iter(finished.set_index("seed", drop=False).groupby("group")))

    def mean(self, group: Group, measure: str = "accuracy") -> significance.Mean:
        """Returns the mean over the seeds of a group."""
        values = self.of(group)[measure].tolist()
        return significance.mean(values) if values else significance.Mean(0, *[math.nan] * 4)

    def temperatures(self, model: str, method: str = DISTILLED) -> list[float]:
        """Returns the temperatures that a model was trained at."""
        return temperatures(self.runs, model, method)

    def curve(self, model: str, method: str) -> dict[float, Group]:
        """Returns the groups of a model and method by temperature.

        The factor T² is 1 at T = 1, so that the corrected loss shares that group with the other.
        """
        groups = {t: Group(model, method, t) for t in self.temperatures(model, method)}
        if groups and method == CORRECTED and 1 in self.temperatures(model):
            groups = {1.0: Group(model, DISTILLED, 1.0)} | {
                t: g for t, g in groups.items() if t > 1
            }
        return groups

    def models(self, method: str = DISTILLED) -> list[str]:
        """Returns the students that were trained by a method, in order."""
        return [m for m in MODELS if any(_is(self.runs, m, method))]


def method(row: Any) -> str:
    """Returns the loss of a row, and what sets its training apart from the thesis's."""
    name = row.loss
    if str(getattr(row, "learn_temperature", None)) == "True":
        name += " learned"
    if str(row.gradient_correction) == "True":
        name += " corrected"
    if row.teacher_members > 1:
        name += " ensemble"
    if row.labelled_fraction < 1:
        name += f" {row.labelled_fraction:.0%} unlabelled"
    if row.model in MODELS and row.learning_rate == THESIS_RATE:
        name += f" {RECIPE}"
    if is_other(row.dataset):
        name += f" {row.dataset}"
    return name


def is_other(dataset: str) -> bool:
    """Whether a data set is another one than MNIST, its embedded sample included."""
    return not dataset.startswith("mnist")


def named(table: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
    """Adds the columns `method`, which ends in `suffix`, and `group`, the name of the group."""
    groups = [
        Group(
            row.model,
            f"{method(row)} {suffix}".strip(),
            None if pd.isna(row.temperature) else row.temperature,
        )
        for row in table.itertuples()
    ]
    return table.assign(method=[g.method for g in groups], group=[str(g) for g in groups])


def require_one_each(table: pd.DataFrame) -> None:
    """Checks that no student stands twice.

    Args:
      table: from `named`.

    Raises:
      InputError: naming one that does.
    """
    for row in table[table.duplicated(["group", "seed"])].itertuples():
        raise InputError(
            f"there are two rows of {row.group}, seed {row.seed}, of different trainings; keep one"
        )


def split(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Divides all rows of a study into its files, `thesis` and `thesis_...`, by name.

    A row has a validation accuracy if part of the training images were held out, unless it
    diverged; then the number of training images tells.
    """
    held_out = set(table.train_examples[table.validation_accuracy.notna()])

    def name(row: Any) -> str:
        how = method(row)
        if is_other(row.dataset):
            return f"thesis_{DATASETS}"
        if how not in (DISTILLED, LABELS):
            return f"thesis_{how.split()[-1]}"
        return f"thesis_{SELECTION}" if row.train_examples in held_out else "thesis"

    files = pd.Series(map(name, table.itertuples()), index=table.index, dtype=str)
    return dict(iter(table.groupby(files)))


def read(folder: pathlib.Path) -> Study:
    """Reads the files of a study that `experiments.reproduce` has written.

    Raises:
      InputError: if `thesis.csv` is missing, or its rows are not of one recipe and data set.
    """
    if not (folder / "thesis.csv").exists():
        raise InputError(f"{folder / 'thesis.csv'} is missing; run python -m experiments.reproduce")
    names = ["thesis", *(f"thesis_{name}" for name in BEYOND)]
    paths = [folder / f"{name}.csv" for name in names]
    runs = pd.concat([read_csv(path) for path in paths if path.exists()], ignore_index=True)
    runs = named(runs)
    apart = runs.method.str.contains(f"learned|unlabelled|{RECIPE}") | runs.dataset.map(is_other)
    students = runs[runs.model.isin(MODELS) & ~apart]
    for column in ("dataset", "epochs", "learning_rate", "train_examples"):
        different = students.loc[students.status == "ok", column].unique()
        if len(different) > 1:
            raise InputError(f"{folder} mixes students of {column} {sorted(different)}; keep one")
    selection = _optional(folder / f"thesis_{SELECTION}.csv", runs)
    everything = pd.concat([runs, named(selection, SELECTION)], ignore_index=True)
    require_one_each(everything)
    if "teacher" in students:  # which rows of before did not say
        of_one = students[(students.teacher_members == 1) & (students.status == "ok")]
        if of_one.teacher.nunique(dropna=False) > 1:
            raise InputError(f"{folder} mixes students of several teachers; keep one")
    counts = _optional(folder / "thesis_mcnemar.csv", pd.DataFrame(columns=["a", "b", "seed"]))
    counts = counts[counts.seed == "all"]
    tables = {
        number: pd.read_csv(PUBLISHED / f"table_{number}.csv")
        for number in ("2_3", "2_4", "2_5", "2_6")
    }
    pairs = {(row.a, row.b): (row.a_better, row.b_better) for row in counts.itertuples()}
    return Study(everything, named(selection), pairs, tables, _teachers(folder, runs))


def temperatures(table: pd.DataFrame, model: str, method: str = DISTILLED) -> list[float]:
    """Returns the temperatures at which `table` has a model trained by `method`."""
    return sorted(table.temperature[_is(table, model, method)].dropna().unique())


def choose(table: pd.DataFrame, model: str, measure: str) -> float | None:
    """Returns the temperature with the highest mean of a measure, None if there is none.

    The means are over those seeds that all temperatures have. A temperature at which a student
    diverged is not chosen; of equal ones the lowest is.
    """
    distilled = table[_is(table, model, DISTILLED)]
    seeds = [set(runs.seed) for _, runs in distilled.groupby("temperature")]
    distilled = distilled[distilled.seed.isin(set.intersection(*seeds) if seeds else set())]
    whole = distilled.groupby("temperature").filter(lambda runs: (runs.status == "ok").all())
    if whole.empty:
        return None
    return float(whole.groupby("temperature")[measure].mean().idxmax())


def reduced(runs: pd.DataFrame, of: Mapping[str, int] | None = None, **counted: int) -> str:
    """Returns what a table's title says of its extent: nothing if the study was run in full.

    Args:
      runs: the rows behind the table.
      of: how many there would be in full, where that is not as `FULL` says.
      **counted: how many there are of what the rows do not say.
    """
    counts = {
        "students": runs.groupby("method").model.nunique().min(),
        "seeds": runs.groupby("group").seed.nunique().min(),
        **counted,
        "epochs": runs.epochs.max(),
        "training images": runs.train_examples.max(),
    }
    full = FULL | (of or {})
    missing = [f"{n:,} of {full[name]:,} {name}" for name, n in counts.items() if n < full[name]]
    return f" — reduced: {', '.join(missing)}" if missing else ""


def _teachers(folder: pathlib.Path, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the teachers of the main results beside a study, of the study's data set."""
    if not (folder / MAIN).exists():
        return pd.DataFrame()
    table = read_csv(folder / MAIN)
    return table[(table.role == "teacher") & table.dataset.isin(runs.dataset)]


def _is(table: pd.DataFrame, model: str, method: str) -> pd.Series:
    return (table.model == model) & (table.method == method)


def _optional(path: pathlib.Path, like: pd.DataFrame) -> pd.DataFrame:
    return read_csv(path) if path.exists() else like.iloc[:0]
