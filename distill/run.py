"""A run: its configuration, data and directory, and where its models are found."""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from distill import config as configs
from distill import data, files, losses, models, paths, processes, records
from distill.data import Dataset, Split
from distill.errors import InputError, one_line
from distill.models.layers import HEAD
from distill.progress import Display
from distill.settings import Settings
from distill.training import engine, freezing, pairing, recipe, train, trained
from distill.training import start as starts
from distill.training.description import Description
from distill.training.job import Job
from distill.training.trained import Trained

CONFIG = "config.json"
LOCK = ".lock"
_NUMBERS = re.compile(r"\[\n([\s\d.eE+,-]*)\]")


@dataclasses.dataclass(frozen=True)
class Run:
    """A configuration with its data and directory, and where its models are kept."""

    settings: Settings
    workdir: pathlib.Path
    dataset: Dataset
    display: Display

    @property
    def config(self) -> ConfigDict:
        return self.settings.config

    @property
    def student_checkpoints(self) -> pathlib.Path:
        return self.workdir / "checkpoints" / "student"

    @property
    def teacher_seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.teacher.members)

    def teacher_about(self) -> Description:
        """What decides the outcome of the teacher's training, and so where it is found again."""
        section = self.config.teacher.copy_and_resolve_references()
        with section.unlocked():
            del section.members, section.directory
        return self.about(section, {"name": "cross_entropy"}, self.teacher_seeds, None, None)

    def student_about(self, teacher: Description | None, seed: int | None = None) -> Description:
        """What decides the outcome of a student's training; the seed: `config.seed` if None."""
        transfer = self.config.transfer.to_dict() if self.dataset.transfer else None
        seeds = [self.config.seed if seed is None else seed]
        return self.about(self.config.student, self.settings.loss, seeds, teacher, transfer)

    def about(
        self,
        section: ConfigDict,
        loss: dict[str, Any],
        seeds: Sequence[int],
        teacher: Description | None,
        transfer: dict[str, Any] | None,
    ) -> Description:
        """What decides the outcome of a training on the data of this run; see `recipe.describe`."""
        described = {
            "dataset": self.dataset.name,
            "splits": {k: self.config.dataset[k] for k in ("train", "validation", "test")},
            "transfer": transfer,
            "fingerprint": self.dataset.fingerprint,
            "input_shape": self.dataset.test.images.shape[1:],
            "num_classes": self.dataset.num_classes,
        }
        if losses.needs_memory(loss["name"]):
            described["examples"] = len(self.training_set)
        init = starts.digest(section.init) if section.init else None
        about = recipe.describe(section, loss, seeds, self.config.dataset, described, teacher, init)
        dtype = self.config.engine.dtype
        return about if dtype == configs.FLOAT32 else dataclasses.replace(about, dtype=dtype)

    def check_models(self) -> None:
        """Checks that the models that are to be trained take the images, and that these suffice.

        Raises:
          InputError: naming the model, its arguments and the shape of the images, or the batch, or
            features that the loss cannot compare.
        """
        sets = {"teacher": data.labelled(self.dataset.train), "student": self.training_set}
        for role in self.settings.trained:
            recipe.length(self.config[role], len(sets[role]))
            section = self.config[role]
            models.check_images(
                section.model, section.args, input_shape=self.dataset.test.images.shape[1:],
                num_classes=self.dataset.num_classes,
            )  # fmt: skip
            self._check_start(role)
        loss = self.settings.loss
        self._check_memory(loss)
        if losses.needs_features(loss["name"]):
            student, teacher = (
                models.build(
                    self.config[role].model, self.config[role].args,
                    num_classes=self.dataset.num_classes,
                )
                for role in ("student", "teacher")
            )  # fmt: skip
            pairing.pairs(loss, student, teacher, self.dataset.test.images.shape[1:])

    def require_same_images(self) -> None:
        """Checks that the student, if there is one, has learned from the images that are read now.

        Raises:
          InputError: if a folder has changed since, and with it what is drawn for the test.
        """
        about = trained.described(self.student_checkpoints / "steps")
        if about is not None and about.fingerprint != self.dataset.fingerprint:
            raise InputError(
                f"the student in {self.workdir} was trained on other images of {about.dataset} "
                f"than are there now, of {self.dataset.name}, and nothing can be measured or "
                "proven on these: choose another --workdir, where it is trained again"
            )

    def _check_memory(self, loss: dict[str, Any]) -> None:
        """Checks that what the loss keeps of every example has a place."""
        if not losses.needs_memory(loss["name"]):
            return
        split, limit = self.training_set, self.config.dataset.resident_mb
        if split.images.nbytes > limit * 2**20:
            raise InputError(
                f"loss {loss['name']} keeps something of every example, and images that are sent "
                f"in pieces, {split.images.nbytes / 2**20:,.0f} MiB, have no number: raise "
                f"--config.dataset.resident_mb, which is {limit}, or use crd"
            )
        memory = losses.Memory(len(split), losses.structure(loss, "negatives"))
        kept = memory.num_bytes * max(1, losses.structure(loss, "peers"))  # each of them its own
        if kept > limit * 2**20:
            raise InputError(
                f"loss {loss['name']} keeps {kept / 2**20:,.0f} MiB of "
                f"{len(split):,} examples: raise --config.dataset.resident_mb, which is {limit}, "
                "or use crd"
            )

    def _check_start(self, role: str) -> None:
        """Checks what a model starts from, and says what of it is fresh."""
        section, shape = self.config[role], self.dataset.test.images.shape[1:]
        begin = self.start(role, 1)
        if begin is not None and HEAD not in begin.variables["params"]:
            self.display.say(
                f"{role}: {HEAD} starts fresh, for {self.dataset.num_classes} classes, "
                f"which are not those of {section.init}"
            )
        if section.freeze:
            model = models.build(section.model, section.args, num_classes=self.dataset.num_classes)
            freezing.frozen(section.freeze, freezing.layers(model, shape))
            if begin is None:
                raise InputError(
                    f"{role}.freeze is {section.freeze!r}, and nothing is trained yet that could "
                    f"be kept; name weights to start from in {role}.init"
                )

    def start(self, role: str, students: int) -> starts.Start | None:
        """Returns the weights that a model is to start from, for each of some students alike.

        Raises:
          InputError: if they cannot be read, or are not those of the model.
        """
        section = self.config[role]
        if not section.init:
            return None
        model = models.build(section.model, section.args, num_classes=self.dataset.num_classes)
        shape = self.dataset.test.images.shape[1:]
        variables = starts.variables(section.init, section.model, model, shape, self.display.warn)
        return starts.Start(jax.tree.map(lambda leaf: np.stack([leaf] * students), variables))

    @property
    def teacher_checkpoints(self) -> pathlib.Path:
        """Beside the runs, named by what decides the outcome, so that other runs find it."""
        return self.beside(self.teacher_about())

    def beside(self, about: Description) -> pathlib.Path:
        """Returns where a teacher, or an assistant, is kept that is described so."""
        root: str | pathlib.Path = self.config.teacher.directory or self.workdir.parent / "teachers"
        root = paths.trained(root, "teacher.directory")
        return root / f"{about.model}-{about.dataset}-{about.digest}"

    @property
    def training_set(self) -> Split:
        """The images that the student learns from; those with labels only, without a teacher."""
        split = self.dataset.transfer or self.dataset.train
        taught = losses.needs_teacher(losses.name_of(self.config.loss))
        return split if taught else data.labelled(split)

    @property
    def monitor(self) -> tuple[str, Split]:
        """The split whose accuracy is logged after each epoch; nothing is chosen by it."""
        if self.dataset.validation is not None:
            return "validation", self.dataset.validation
        return "test", self.dataset.test

    def job(
        self,
        directory: pathlib.Path,
        about: Description,
        split: Split,
        teacher: Trained | None = None,
        start: starts.Start | None = None,
        *,
        in_sweep: bool = False,
        monitored: bool = True,
    ) -> Job:
        """Returns a training of this run.

        Args:
          directory: where it is kept.
          about: what it is.
          split: images to train on.
          teacher: whose outputs the loss compares with.
          start: weights to start from instead of fresh ones.
          in_sweep: whether it is of students of a sweep: they are divided among the devices, and
            one that diverges does not stop the others.
          monitored: whether `monitor` is measured after each epoch.
        """
        section, options = self.config.dataset, self.config.engine
        data_parallel = 1 if in_sweep else options.data_parallel
        return Job(
            directory=directory / "steps",
            about=about,
            split=split,
            teacher=teacher,
            start=start,
            validation=self.dataset.validation,
            monitor=self.monitor if monitored else None,
            plan=engine.execution(len(about.seeds), options.students, data_parallel),
            resident=split.images.nbytes <= section.resident_mb * 2**20,
            table_mb=section.resident_mb,
            checkpoint_every_s=self.config.checkpoint_every_s,
            stop_on_divergence=not in_sweep,
            display=self.display,
        )

    def train(
        self,
        role: str,
        directory: pathlib.Path,
        about: Description,
        split: Split,
        teacher: Trained | None = None,
        start: starts.Start | None = None,
        *,
        monitored: bool = True,
    ) -> None:
        """Trains what `about` describes into `directory`, one run at a time; see `job`."""
        job = self.job(directory, about, split, teacher, start, monitored=monitored)
        with contextlib.ExitStack() as stack:

            def open_log() -> Callable[[dict[str, Any]], None]:
                stack.enter_context(train.alone(directory, self.display))
                return stack.enter_context(records.Log(self.workdir, role, self._waiting)).write

            train.train(job, processes.first(open_log) or (lambda record: None))

    def _waiting(self) -> None:
        """Says so; only shards of a sweep meet in a workdir, whose teachers they train in turn."""
        self.display.say(f"waiting for another process that trains in {self.workdir}")


@contextlib.contextmanager
def alone(workdir: pathlib.Path, *, shared: bool = False) -> Iterator[None]:
    """Keeps other processes out of the directory of a run, before anything in it is touched.

    Args:
      workdir: created if needed.
      shared: whether those may come in that share it too, as the shards of a sweep.

    Raises:
      InputError: if another process is in it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.locked(workdir / LOCK, shared=shared))
        except BlockingIOError as error:
            raise InputError(
                f"another process works in {workdir}; wait for it, or choose another --workdir"
            ) from error
        except OSError as error:
            raise InputError(f"workdir {workdir} cannot be written: {error.strerror}") from error
        yield


def claim(workdir: pathlib.Path, config: ConfigDict, dataset: str) -> str:
    """Writes `config.json`, unless the one that is there is of a run with another outcome.

    What decides no outcome of a training (stages, compression, export, seeds of a sweep) may change
    from run to run; the file then says what was asked for last, which is what `export` reads.
    Several processes may claim a directory at once: each replaces the file whole.

    Args:
      workdir: of the run; created if needed.
      config: complete.
      dataset: the name of what is really read, after a fallback.

    Returns:
      A hash of the configuration, without what changes only where and when a run computes.

    Raises:
      InputError: if the directory is of another configuration or cannot be written.
    """
    wanted = configs.to_dict(config)
    wanted["dataset"]["name"] = dataset
    path = workdir / CONFIG
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        there = _read(path) if path.exists() else None
        if there is not None:
            difference = configs.first_difference(_deciding(there), _deciding(wanted))
            if difference:
                key, given, asked = difference
                raise InputError(
                    f"{workdir} holds a run with {key}={given!r}, this one has {asked!r}; "
                    f"choose another --workdir or remove it{_how_to_go_on(key, workdir)}"
                )
        if there != wanted:
            write(path, wanted)
    except OSError as error:
        raise InputError(f"workdir {workdir} cannot be written: {error.strerror}") from error
    return configs.digest(_deciding(wanted))


def configuration(workdir: pathlib.Path) -> ConfigDict:
    """Returns the configuration of a run, with today's default for what it does not mention.

    Raises:
      InputError: if there is none, or it is not of this version of the code.
    """
    path = workdir / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
    section = found.get("dataset") if isinstance(found, dict) else None
    if not (isinstance(section, dict) and section.get("name")):
        raise InputError(f"{path} is not the configuration of a run: it names no data set")
    config = configs.defaults()
    try:
        with config.unlocked():  # arguments of models are new keys
            config.update(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is of another version: {one_line(error)}") from error
    return config


def _how_to_go_on(key: str, workdir: pathlib.Path) -> str:
    """Says how a student is trained for longer, whose learning rate has come to its end."""
    if key not in ("student.epochs", "student.steps"):
        return ""
    return (
        f". Its schedule has ended; to train its student further, by a schedule of its own, start "
        f"from it: --config.student.init={workdir} with another --workdir"
    )


def _read(path: pathlib.Path) -> dict[str, Any]:
    """Reads the configuration of a run.

    Raises:
      InputError: if it is damaged, or of another program.
    """
    try:
        config = json.loads(path.read_text())
    except ValueError as error:  # no JSON, or no text
        raise InputError(f"{path} is damaged ({one_line(error)}); remove it") from error
    sections = ("dataset", "teacher")
    if not (isinstance(config, dict) and all(isinstance(config.get(s), dict) for s in sections)):
        raise InputError(f"{path} is not the configuration of a run; choose another --workdir")
    return config


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what changes where and when a run computes, but not what."""
    other = ("stages", "checkpoint_every_s", "engine", "sweep", "export", "compress", "fine_tune")
    dtype = config.get("engine", {}).get("dtype", configs.FLOAT32)
    export = config.get("export", {})
    config = {k: v for k, v in config.items() if k not in other and (v or k != "assistants")}
    if isinstance(search := config.get("search"), dict):  # which may go on for longer
        config["search"] = {k: v for k, v in search.items() if k != "generations"}
        config["export"] = configs.measured(export)  # by which networks are chosen
    if dtype != configs.FLOAT32:
        config["engine"] = {"dtype": dtype}
    later = (
        "standardise", "taps", "label_smoothing", "terms", "temperature_curriculum", "hint_stage",
        "paper",
    )  # fmt: skip
    if isinstance(loss := config.get("loss"), dict):  # of those, empty ones once were not there
        config["loss"] = {k: v for k, v in loss.items() if v or k not in later}
    # What a folder holds, and in which color, the fingerprint of each training says.
    place = ("data_dir", "fallback", "resident_mb", "folder", "color", "classes")
    config["dataset"] = {k: v for k, v in config["dataset"].items() if k not in place}
    config["teacher"] = {k: v for k, v in config["teacher"].items() if k != "directory"}
    for role in ("teacher", "student"):
        if isinstance(config.get(role), dict):
            config[role] = recipe.deciding(config[role])
    return config


def in_rows(text: str) -> str:
    """Puts each list of numbers in indented JSON on one line, as the rows of a large matrix.

    Within a string there is no line break, so none is changed.
    """
    return _NUMBERS.sub(lambda rows: f"[{' '.join(rows[1].split())}]", text)


def write(path: pathlib.Path, contents: dict[str, Any]) -> None:
    """Replaces a JSON file in one step, so that a kill leaves the old one or the new one."""
    text = in_rows(json.dumps(contents, indent=2)) + "\n"
    files.replace(path, lambda file: file.write(text.encode()))
