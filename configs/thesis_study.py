"""The sweeps behind the tables of Rusu (2018), chapter 2, and what goes beyond them.

python -m distill.sweep --config=configs/thesis_study.py:students --workdir=runs/thesis

`python -m experiments.reproduce` runs those that a table needs. All share a configuration and
differ in their axes, so they can share a directory, where no student is trained twice.
"""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from distill import config as configs
from distill import presets
from distill.errors import unknown

SEEDS = tuple(range(10))
TEMPERATURES = tuple(map(float, (*range(1, 14), 15, 17, 20)))  # those of table 2.5 and five more
SOME_TEMPERATURES = (1.0, 3.0, 10.0)  # of what goes beyond the thesis
DETAILED = {"simplenet_v1": 1.0, "simplenet_v5": 3.0}  # of table 2.4
MODELS = tuple(f"simplenet_v{version}" for version in range(1, 6))
LEARNING = ("simplenet_v1", "simplenet_v4")  # their temperature
LEARNED_FROM = (1.0, 3.0, 10.0)  # where it starts
LABELLED_FRACTIONS = (0.01, 0.1, 0.5)
ENSEMBLE = 3
DATASETS = ("fashion_mnist", "cifar10")  # besides MNIST
FEWER_SEEDS = {"selection": 3, "recipe": 4, **dict.fromkeys(DATASETS, 5)}

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
    "unlabelled": "every student with a part of the labels, with and without distillation",
    "recipe": "every student and its teacher by the thesis's recipe, on labels and at T = 1",
    "fashion_mnist": "every student on Fashion-MNIST, on labels and at T = 3",
    "cifar10": "the same on CIFAR-10",
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
    seeds: Sequence[int] | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    epochs: int | None = None,
    quick: bool = False,
) -> ConfigDict:
    """Returns the configuration of one sweep.

    Args:
      name: an entry of `SWEEPS`.
      seeds: of the students; all of them have the same teacher. By default ten, or fewer.
      temperatures: tried for every student.
      epochs: of the students; by default those of the recipe.
      quick: a run of seconds on few images, with one or two values on each axis.
    """
    dataset = name if name in DATASETS else "mnist"
    config = presets.simplenet(1, "quick" if quick else None, dataset)
    if dataset == "cifar10":
        config.dataset.fallback = "cifar10_jpeg"  # where somebody has prepared it
        if not quick:  # what the teacher says of two outcomes is computed once
            config.teacher.augmentation = config.student.augmentation = "flip"
    config.student.args = ConfigDict()  # the models' own; one axis then names them all
    if seeds is None:
        seeds = SEEDS[: FEWER_SEEDS.get(name)]
    if quick:
        seeds, temperatures, config.student.epochs = seeds[:2], temperatures[:2], 1
    if epochs is not None:
        config.student.epochs = epochs
    held_out = ("train[:3500]", "train[3500:]") if quick else ("train[:55000]", "train[55000:]")
    students: Axis = {"student.model": MODELS}
    softened: Axis = {"loss.temperature": tuple(temperatures)}
    few = tuple(t for t in SOME_TEMPERATURES if t in temperatures)
    few = few if len(few) > 1 else tuple(temperatures)
    somewhat: Axis = {"loss.temperature": few}
    higher: Axis = {"loss.temperature": tuple(t for t in few if t != 1)}  # 1² is 1
    on_labels: Axis = {"loss.name": ("soft_squared_error", "cross_entropy")}
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
        "temperatures": ({"student.model": MODELS[:1]}, softened),
        "baselines": (students, {"loss.name": ("cross_entropy",)}),
        "teacher": ({**_teacher(config), "loss.name": ("cross_entropy",)},),
        "corrected": (students, higher, {"loss.gradient_correction": (True,)}),
        "kl": (students, somewhat, {"loss.name": ("kl",)}),
        "ensemble": (students, somewhat, {"teacher.members": (ENSEMBLE,)}),
        "unlabelled": _unlabelled(config, LABELLED_FRACTIONS[1:2] if quick else LABELLED_FRACTIONS),
        "recipe": (_recipe(config, quick), students, on_labels),
        **dict.fromkeys(DATASETS, (students, {**on_labels, "loss.temperature": (3.0, 1.0)})),
    }
    config.sweep.seeds = tuple(seeds)
    config.sweep.axes = axes[name]
    return config


def control(chosen: Mapping[str, float], epochs: int | None = None) -> ConfigDict:
    """Returns the sweep of those beside which the ones with a learned temperature are seen.

    They are students of `selection`, with the seeds that it does not have.

    Args:
      chosen: the temperature that `selection` chooses for each of `LEARNING`.
      epochs: of the students; by default those of the recipe.
    """
    config = study("selection", seeds=SEEDS[FEWER_SEEDS["selection"] :], epochs=epochs)
    config.sweep.axes = (
        config.sweep.axes[0],
        {"student.model": tuple(chosen), "loss.temperature": tuple(chosen.values())},
    )
    return config


def _unlabelled(config: ConfigDict, fractions: Sequence[float]) -> tuple[Axis, ...]:
    """Every student distilled from a teacher that sees a part of the labels, and on those alone.

    A tenth of the images makes a tenth of the steps in an epoch, which there are more of.
    """
    pairs = [
        (fraction, loss, round(config.student.epochs / (fraction if on_labels else 1)),
         round(config.teacher.epochs / fraction))
        for fraction in fractions
        for on_labels, loss in enumerate(("soft_squared_error", "cross_entropy"))
    ]  # fmt: skip
    keys = ("dataset.labelled_fraction", "loss.name", "student.epochs", "teacher.epochs")
    return {"student.model": MODELS}, dict(zip(keys, zip(*pairs, strict=True), strict=True))


def _recipe(config: ConfigDict, quick: bool) -> Axis:
    """What the thesis's recipe sets otherwise, for students and their teacher."""
    thesis = presets.simplenet(1, "thesis")
    keys = ("batch_size", "learning_rate", "schedule", "augmentation", *(["epochs"] * (not quick)))
    return {
        f"{role}.{key}": (thesis[role][key],)
        for role in ("teacher", "student")
        for key in keys
        if thesis[role][key] != config[role][key]
    }


def _teacher(config: ConfigDict) -> Axis:
    """The teacher's model and recipe, for a student that is trained as the teacher is."""
    section = {name: (config.teacher[name],) for name in ("model", "epochs", "learning_rate")}
    return {f"student.{name}": value for name, value in section.items()}
