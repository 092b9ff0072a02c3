"""The sweeps behind the tables of Rusu (2018), chapter 2, and what goes beyond them.

python -m distill.sweep --config=configs/thesis_study.py:students --workdir=runs/thesis

`python -m experiments.reproduce` runs those that a table needs. All share a configuration and
differ in their axes, so they can share a directory, where no student is trained twice.
"""

from collections.abc import Sequence

from ml_collections import ConfigDict

from distill import config as configs
from distill import presets
from distill.errors import unknown

SEEDS = tuple(range(10))
TEMPERATURES = (1.0, 3.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 15.0, 20.0)  # of table 2.5
DETAILED = {"simplenet_v1": 1.0, "simplenet_v5": 3.0}  # of table 2.4
MODELS = tuple(f"simplenet_v{version}" for version in range(1, 6))
LEARNING = ("simplenet_v1", "simplenet_v4")  # their temperature
LEARNED_FROM = (1.0, 3.0, 10.0)  # where it starts
LEARNED_SEEDS = 3
LABELLED_FRACTION = 0.1
ENSEMBLE = 3

SWEEPS = {
    "students": "every student at every temperature",
    "selection": "the same without the last training images, which choose the temperature",
    "learned": "v1 and v4 on those images, their temperature learned from where the others stay",
    "runs": "the students and temperatures of table 2.4",
    "temperatures": "v1 at the temperatures of table 2.5",
    "baselines": "every student trained on labels, without a teacher",
    "teacher": "the teacher itself, once per seed",
    "corrected": "every student, the loss multiplied by the square of the temperature",
    "kl": "every student with the Kullback-Leibler divergence",
    "ensemble": "every student distilled from three teachers",
    "unlabelled": "every student with a tenth of the labels, with and without distillation",
}

Axis = dict[str, tuple]


def get_config(arg=None):
    words = configs.variants(arg, (*SWEEPS, "quick"))
    names = words - {"quick"} or {"students"}
    if len(names) > 1:
        raise unknown("configuration argument", ",".join(sorted(names)), SWEEPS)
    return study(names.pop(), quick="quick" in words)


def study(
    name: str,
    *,
    seeds: Sequence[int] = SEEDS,
    temperatures: Sequence[float] = TEMPERATURES,
    epochs: int | None = None,
    quick: bool = False,
) -> ConfigDict:
    """Returns the configuration of one sweep.

    Args:
      name: an entry of `SWEEPS`.
      seeds: of the students; all of them have the same teacher.
      temperatures: tried for every student.
      epochs: of the students; by default those of the recipe.
      quick: a run of seconds on few images, with one or two values on each axis.
    """
    config = presets.simplenet(1, "quick" if quick else None)
    if not quick:  # the teacher of all rows there are; the preset's is younger
        config.teacher.update({"epochs": 12, "learning_rate": 1e-3})
    config.student.args = ConfigDict()  # the models' own; one axis then names them all
    if quick:
        seeds, temperatures, config.student.epochs = seeds[:2], temperatures[:2], 1
    if epochs is not None:
        config.student.epochs = epochs
    held_out = ("train[:3500]", "train[3500:]") if quick else ("train[:55000]", "train[55000:]")
    students: Axis = {"student.model": MODELS}
    softened: Axis = {"loss.temperature": tuple(temperatures)}
    higher: Axis = {"loss.temperature": tuple(t for t in temperatures if t != 1)}  # 1² is 1
    selection = {"dataset.train": held_out[:1], "dataset.validation": held_out[1:]}
    axes: dict[str, tuple[Axis, ...]] = {
        "students": (students, softened),
        "selection": (selection, students, softened),
        "learned": (
            selection,
            {"student.model": LEARNING},
            {"loss.temperature": LEARNED_FROM[: 2 if quick else None]},
            {"loss.learn_temperature": (True,)},
        ),
        "runs": ({"student.model": tuple(DETAILED), "loss.temperature": tuple(DETAILED.values())},),
        "temperatures": (
            {"student.model": MODELS[:1]},
            softened if quick else {"loss.temperature": TEMPERATURES},
        ),
        "baselines": (students, {"loss.name": ("cross_entropy",)}),
        "teacher": ({**_teacher(config), "loss.name": ("cross_entropy",)},),
        "corrected": (students, higher, {"loss.gradient_correction": (True,)}),
        "kl": (students, softened, {"loss.name": ("kl",)}),
        "ensemble": (students, softened, {"teacher.members": (ENSEMBLE,)}),
        "unlabelled": (
            students,
            {
                "dataset.labelled_fraction": (LABELLED_FRACTION, LABELLED_FRACTION),
                "loss.name": ("soft_squared_error", "cross_entropy"),
                # A tenth of the images makes a tenth of the steps in an epoch.
                "student.epochs": (
                    config.student.epochs,
                    round(config.student.epochs / LABELLED_FRACTION),
                ),
            },
            {"teacher.epochs": (round(config.teacher.epochs / LABELLED_FRACTION),)},
        ),
    }
    config.sweep.seeds = tuple(seeds[:LEARNED_SEEDS] if name == "learned" else seeds)
    config.sweep.axes = axes[name]
    return config


def _teacher(config: ConfigDict) -> Axis:
    """The teacher's model and recipe, for a student that is trained as the teacher is."""
    section = {name: (config.teacher[name],) for name in ("model", "epochs", "learning_rate")}
    return {f"student.{name}": value for name, value in section.items()}
