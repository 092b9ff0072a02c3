"""The stages of a run, in order: each a function from files in `workdir` to files in `workdir`."""

import dataclasses
import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from distill import config as configs
from distill import data, losses, metrics, models, report
from distill.cost import cost
from distill.data import Dataset, Split
from distill.errors import InputError, unknown
from distill.report import records
from distill.report.progress import Display
from distill.training import recipe, train, trained

STAGES = ("teacher", "student", "evaluate", "report")
CONFIG = "config.json"
FORMAT = "distill-results/1"


def validate(config: ConfigDict) -> None:
    """Resolves every name and checks every value, before any work.

    Raises:
      InputError: for the first that cannot be used.
    """
    configs.stages(config, STAGES)
    configs.check_values(config)
    for name in ("teacher", "student"):
        models.check(config[name].model, config[name].args)
    if config.loss.name not in losses.LOSSES:
        raise unknown("loss", config.loss.name, losses.LOSSES)
    loss = recipe.loss_section(config.loss)
    if config.transfer.name and loss.get("alpha") != 1:
        raise InputError(
            f"the transfer set {config.transfer.name} has no labels to learn from: "
            "use a loss with a teacher and --config.loss.alpha=1"
        )
    data.check(config)


def run(config: ConfigDict, workdir: pathlib.Path, display: Display) -> dict[str, Any]:
    """Runs the stages that `config.stages` names.

    Args:
      config: complete, as from `config.defaults`.
      workdir: directory of this run; created if needed.
      display: says what happens.

    Returns:
      The contents of `results.json`, empty if it has not been written yet.

    Raises:
      InputError: if something given cannot be used; nothing is overwritten then.
    """
    validate(config)
    sources = data.find(config, display.warn)
    _claim(workdir, config, sources[0].name)
    dataset = data.load(config, *sources)
    context = _Run(config, workdir, dataset, display)
    stages = {
        "teacher": train_teacher, "student": train_student, "evaluate": evaluate,
        "report": write_report,
    }  # fmt: skip
    for name in configs.stages(config, STAGES):
        stages[name](context)
    path = workdir / report.RESULTS
    return json.loads(path.read_text()) if path.exists() else {}


@dataclasses.dataclass(frozen=True)
class _Run:
    config: ConfigDict
    workdir: pathlib.Path
    dataset: Dataset
    display: Display

    @property
    def student_checkpoints(self) -> pathlib.Path:
        return self.workdir / "checkpoints" / "student"

    @property
    def teacher_seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.teacher.members)

    def teacher_about(self) -> dict[str, Any]:
        """What decides the outcome of the teacher's training, and so where it is found again."""
        section = self.config.teacher.copy_and_resolve_references()
        with section.unlocked():
            del section.members, section.directory
        return self._about(section, {"name": "cross_entropy"}, self.teacher_seeds, None, None)

    def student_about(self, teacher: dict[str, Any] | None) -> dict[str, Any]:
        """What decides the outcome of the student's training."""
        loss = recipe.loss_section(self.config.loss)
        transfer = self.config.transfer.to_dict() if self.dataset.transfer else None
        return self._about(self.config.student, loss, [self.config.seed], teacher, transfer)

    def _about(self, section, loss, seeds, teacher, transfer):
        described = {
            "dataset": self.dataset.name,
            "splits": {k: self.config.dataset[k] for k in ("train", "validation", "test")},
            "transfer": transfer,
            "fingerprint": self.dataset.fingerprint,
            "input_shape": self.dataset.test.images.shape[1:],
            "num_classes": self.dataset.num_classes,
        }
        about = recipe.describe(section, loss, seeds, self.config.dataset, described, teacher)
        return json.loads(json.dumps(about))

    @property
    def teacher_checkpoints(self) -> pathlib.Path:
        """Beside the runs, named by what decides the outcome, so that other runs find it."""
        about = self.teacher_about()
        root = self.config.teacher.directory or self.workdir.parent / "teachers"
        name = f"{about['recipe']['model']}-{about['dataset']}-{configs.digest(about)}"
        return pathlib.Path(root) / name

    @property
    def roles(self) -> list[str]:
        """The models to evaluate: those that were to be trained, and the teacher of a student."""
        stages = configs.stages(self.config, STAGES)
        if "teacher" in stages and "student" not in stages:
            return ["teacher"]
        needed = "teacher" in stages or losses.needs_teacher(self.config.loss.name)
        return ["teacher", "student"] if needed else ["student"]

    @property
    def monitor(self) -> tuple[str, Split]:
        """The split whose accuracy is logged after each epoch; nothing is chosen by it."""
        if self.dataset.validation is not None:
            return "validation", self.dataset.validation
        return "test", self.dataset.test

    def train(self, role, directory, about, split, teacher=None) -> None:
        resident = split.images.nbytes <= self.config.dataset.resident_mb * 2**20
        with train.alone(directory, self.display), records.Log(self.workdir, role) as log:
            train.train(
                directory / "steps", about, split, resident=resident, teacher=teacher,
                monitor=self.monitor, display=self.display, log=log.write,
                checkpoint_every_s=self.config.checkpoint_every_s,
            )  # fmt: skip


def train_teacher(run: _Run) -> None:
    """Trains the teacher, or the members of an ensemble, unless it is found trained."""
    run.display.say(f"teacher: {run.teacher_checkpoints}")
    split = data.labelled(run.dataset.train)
    run.train("teacher", run.teacher_checkpoints, run.teacher_about(), split)


def train_student(run: _Run) -> None:
    """Distils the student from the teacher, or trains it on labels, as the loss says."""
    teacher = None
    split = run.dataset.transfer or run.dataset.train
    if losses.needs_teacher(run.config.loss.name):
        teacher = trained.load(run.teacher_checkpoints / "steps", run.display.warn)
    else:
        split = data.labelled(split)
    run.display.say(f"student: {run.student_checkpoints}")
    about = run.student_about(teacher.about if teacher else None)
    run.train("student", run.student_checkpoints, about, split, teacher)


def evaluate(run: _Run) -> None:
    """Measures the trained models on the whole test set, into `results.json`."""
    directories = {"teacher": run.teacher_checkpoints, "student": run.student_checkpoints}
    found = {
        role: trained.load(directories[role] / "steps", run.display.warn) for role in run.roles
    }
    predictions = {
        role: model.logits(run.dataset.test.images).argmax(-1) for role, model in found.items()
    }
    shape = run.dataset.test.images.shape[1:]
    teacher_model = models.build(
        run.config.teacher.model, run.config.teacher.args, num_classes=run.dataset.num_classes
    )
    teacher_params = cost(teacher_model, shape).num_params
    results: dict[str, Any] = {}
    for role, model in found.items():
        matrix = metrics.confusion_matrix(
            run.dataset.test.labels, predictions[role], run.dataset.num_classes
        )
        counted, student = cost(model.model, shape), role == "student"
        agreement = rate = None
        if student:
            rate = metrics.compression_rate(teacher_params, counted.num_params)
        if student and "teacher" in found:
            agreement = metrics.agreement(predictions["student"], predictions["teacher"])
        results[role] = {
            "model": model.about["recipe"]["model"],
            "num_params": counted.num_params * len(model.members),
            "macs": counted.macs * len(model.members),
            **metrics.measures(matrix)._asdict(),
            "agreement": agreement,
            "compression_rate": rate,
            "confusion_matrix": matrix.tolist(),
            "seed": model.about["seeds"][0],
            "loss": model.about["loss"]["name"],
            "temperature": model.about["loss"].get("temperature"),
        }
    contents = {"format": FORMAT, "dataset": run.dataset.name, "models": results}
    _write(run.workdir / report.RESULTS, contents)


def write_report(run: _Run) -> None:
    """Writes `report.md` and the plots from `results.json` and `metrics.jsonl`."""
    path = run.workdir / report.RESULTS
    if not path.exists():
        raise InputError(f"the stage report needs {path}; run the stage evaluate first")
    config = json.loads((run.workdir / CONFIG).read_text())
    report.write(run.workdir, json.loads(path.read_text()), config)


def _claim(workdir: pathlib.Path, config: ConfigDict, dataset: str) -> None:
    """Writes `config.json`, or checks that the one that is there is of this configuration."""
    wanted = configs.to_dict(config)
    wanted["dataset"]["name"] = dataset  # what it really is, after a fallback
    path = workdir / CONFIG
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if path.exists():
            found = json.loads(path.read_text())
            difference = configs.first_difference(_deciding(found), _deciding(wanted))
            if difference:
                key, there, here = difference
                raise InputError(
                    f"{workdir} holds a run with {key}={there!r}, this one has {here!r}; "
                    "choose another --workdir or remove it"
                )
        else:
            _write(path, wanted)
    except OSError as error:
        raise InputError(f"workdir {workdir} cannot be written: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}); remove it") from error


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what changes where and when a run computes, but not what."""
    config = {k: v for k, v in config.items() if k not in ("stages", "checkpoint_every_s")}
    place = ("data_dir", "fallback", "resident_mb")
    config["dataset"] = {k: v for k, v in config["dataset"].items() if k not in place}
    config["teacher"] = {k: v for k, v in config["teacher"].items() if k != "directory"}
    return config


def _write(path: pathlib.Path, contents: dict[str, Any]) -> None:
    """Replaces a JSON file in one step, so that a kill leaves the old one or the new one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(contents, indent=2) + "\n")
    part.replace(path)
