"""A training from its description to the checkpoints in a directory."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from distill import files, ops, processes, stopping
from distill.errors import InputError
from distill.progress import Display
from distill.training import fit as fitting
from distill.training import head
from distill.training import job as jobs
from distill.training import recipe as recipes
from distill.training.checkpoints import Checkpointer
from distill.training.fit import Reached
from distill.training.job import Job
from distill.training.monitor import Monitor, Record
from distill.training.step import Task
from distill.training.trained import members


def train(job: Job, log: Callable[[Record], None]) -> None:
    """Trains what a job describes, into its checkpoints; does nothing if that is done.

    Args:
      job: the training.
      log: told the record of each epoch and student.

    Raises:
      InputError: if the checkpoints are of another training, or the loss is not finite.
      Interrupted, KeyboardInterrupt: if the process was asked to stop; what was trained is saved.
    """
    processes.require_same("configuration or data", job.about.digest)
    task, name, say = jobs.task(job), job.about.model, job.display.say
    with Checkpointer(job.directory, job.display.warn) as checkpointer:
        task, at = _reached(job, task, checkpointer)
        monitor = Monitor(job, task, log)
        for records in at.history:
            monitor.write(records)
        if at.complete:
            say(f"{name}: already trained")
            return
        if at.history or at.epoch:
            say(f"{name}: going on {at.where()}")
        if not job.duration.total_steps:
            untrained = at._replace(history=[[{} for _ in job.about.seeds]], complete=True)
            checkpointer.save(0, at.states, fitting.saved(job, task, untrained))
            return
        data = jobs.place(job, task)
        if jobs.only_head_moves(job, task):
            say(f"{name}: only its head moves; what reaches it is computed once")
            (variables, *_) = members(at.states, task)
            table = head.inputs(task, variables, job.split, job.display, task.augmentation)
            data = dataclasses.replace(data, head_inputs=job.plan.place(table))
            monitor = monitor.of_head(variables)
        total = job.duration.total_steps * job.batch_size
        with job.display.work(name, total) as bar, stopping.saving_first():
            fitting.fit(job, task, at, data, monitor, checkpointer, bar)


def _reached(job: Job, task: Task, checkpointer: Checkpointer) -> tuple[Task, Reached]:
    """Returns where the training is: at its beginning, or as far as its checkpoints are.

    The kernels of a checkpoint are gone on with, since others round otherwise.
    """
    restored = checkpointer.restore(recipes.shapes(job.about, task))
    at_step = None if restored is None else int(restored[0].step[0])
    processes.require_same("checkpoint", str(at_step))
    if restored is None:
        states = recipes.create(job.about, task)
        return task, Reached(states if job.start is None else job.start.put_into(states))
    states, meta = restored
    if meta["of"] != job.about.json():
        raise InputError(f"{job.directory} is of another configuration; choose another workdir")
    kernels = meta.get("kernels", "xla")
    if kernels != ops.kernels_of(getattr(task.model, "conv", None)):
        model = recipes.task(job.about, job.duration, kernels=kernels).model
        task = dataclasses.replace(task, model=model)
    return task, fitting.restored(states, meta)


@contextlib.contextmanager
def alone(directory: pathlib.Path, display: Display) -> Iterator[None]:
    """Lets one process at a time train into `directory`; the others wait and then find it done."""
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                files.locked(
                    directory / "lock",
                    lambda: display.say(f"waiting for another process that trains in {directory}"),
                )
            )
        except OSError as error:
            if not is_finished(directory / "steps"):  # which nobody changes any more
                raise InputError(f"{directory} cannot be written: {error.strerror}") from error
        yield


def is_finished(directory: pathlib.Path) -> bool:
    """Returns whether the newest checkpoint of a directory is of a training at its end."""
    if not directory.is_dir():
        return False
    with Checkpointer(directory, lambda line: None, alone=True) as checkpointer:
        meta = checkpointer.meta()
    return meta is not None and bool(meta.get("complete"))
