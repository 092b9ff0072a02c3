"""Training to the end: epochs, evaluation after each, checkpoints, progress."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from distill import ops, processes, stopping
from distill.data import Split, streaming
from distill.errors import InputError
from distill.training import compile_clock, engine
from distill.training import recipe as recipes
from distill.training.checkpoints import Checkpointer
from distill.training.engine import Execution
from distill.training.job import CHUNK_STEPS, Job
from distill.training.monitor import Monitor, Record
from distill.training.state import Hyper, TrainState
from distill.training.step import Task, TrainData

CHUNK_BYTES = 64 * 2**20  # of pixels sent to the device per call, where they do not live there


class Bar(Protocol):
    """A display of how far a long piece of work is."""

    def advance(self, done: int, note: str = "") -> None:
        """Adds `done` units of work; `note` says in a few words how it goes."""


class Epoch(NamedTuple):
    """What was measured in a part of an epoch.

    Attributes:
      diverged_at: for each student the step at which its loss stopped being finite, or None.
      sums: over the steps, `[students]` by name.
      seconds: without those of the compiler.
      compile_seconds: those.
    """

    diverged_at: list[int | None]
    sums: Mapping[str, np.ndarray] = {}
    seconds: float = 0.0
    compile_seconds: float = 0.0


class Reached(NamedTuple):
    """How far a training has come.

    Attributes:
      states: of the students, leading axis `[students]`.
      history: of each epoch that lies behind them, the record of each student.
      epoch: what was measured in the one that they are in the middle of; None between epochs.
      complete: whether this is the end.
    """

    states: TrainState
    history: list[list[Record]] = []
    epoch: Epoch | None = None
    complete: bool = False

    @property
    def step(self) -> int:
        """The number of updates."""
        return int(self.states.step[0])

    def where(self) -> str:
        """Says from where it is gone on."""
        return f"from step {self.step:,}" if self.epoch else f"after epoch {len(self.history)}"


def fit(
    job: Job,
    task: Task,
    at: Reached,
    data: TrainData,
    monitor: Monitor,
    checkpointer: Checkpointer,
    bar: Bar,
) -> None:
    """Trains students until the end of their schedule.

    From a restored state it ends with the same parameters, bit for bit: every random choice
    follows from a student's key and the step. Checkpoints lie between epochs, but for that of a
    process which is asked to stop: it ends within one, as soon as a compiled call is back; and but
    for images that are sent in pieces, of which an epoch may be long.

    Args:
      job: the training.
      task: what its steps do.
      at: from where it goes on.
      data: what the steps read; without images and labels if they are sent in pieces.
      monitor: measures each student after an epoch, and tells of it.
      checkpointer: of this training alone.
      bar: told of every chunk, in examples.

    Raises:
      InputError: if a loss is not finite and that is to stop it; the last good checkpoint is kept.
      Interrupted, KeyboardInterrupt: if the process was asked to stop; the states are saved.
    """
    states, hyper = job.plan.place_students((at.states, dict(recipes.hyper(job.about))))
    at = at._replace(states=states)
    bar.advance(at.step * job.batch_size)
    saved_at = time.monotonic()

    def save(at: Reached, now: bool) -> None:
        nonlocal saved_at
        if now or processes.of_first(time.monotonic() - saved_at > job.checkpoint_every_s):
            checkpointer.save(at.step, at.states, saved(job, task, at))
            saved_at = time.monotonic()

    while not at.complete:
        at = _train_epoch(job, task, at, hyper, data, checkpointer, bar, save)
        stopped = processes.of_any(stopping.asked())
        if at.epoch is not None and not job.duration.is_within_epoch(at.step):
            at = _end_epoch(job, at, at.epoch, monitor)
        save(at, at.complete or stopped)
        if stopped and not at.complete:
            of = f"{at.step:,} of {job.duration.total_steps:,}"
            raise stopping.reason(f"stopped, and saved at step {of}")


def _train_epoch(
    job: Job,
    task: Task,
    at: Reached,
    hyper: Hyper,
    data: TrainData,
    checkpointer: Checkpointer,
    bar: Bar,
    save: Callable[[Reached, bool], None],
) -> Reached:
    """Trains to the end of an epoch, or of the chunk in which the process was asked to stop."""
    number, offset = divmod(at.step, job.duration.steps_per_epoch)
    epoch = at.epoch or Epoch(_diverged_at(at.history) or [None] * len(at.states.step))
    began, compiled = time.monotonic(), compile_clock.seconds()
    order = engine.epoch_order(
        at.states.key, jnp.int32(number), num_examples=len(job.split), batch_size=job.batch_size
    )
    left = job.duration.steps_of(number) - offset
    states = at.states

    def reached() -> Reached:
        compiling = compile_clock.seconds() - compiled
        passed = time.monotonic() - began - compiling
        spent = epoch._replace(
            seconds=epoch.seconds + passed, compile_seconds=epoch.compile_seconds + compiling
        )
        return at._replace(states=states, epoch=spent)

    chunks = _chunks(np.asarray(order)[:, offset:], left, job.stream)
    for chunk, read in placed(data, job.stream, chunks, job.plan):
        states, measured = engine.run_chunk(
            task, job.plan, states, hyper, *read, np.int32(chunk.steps)
        )
        measured = jax.device_get(measured)
        bad_steps = measured.pop("bad_step")
        if job.stop_on_divergence:
            _require_finite(task, bad_steps, checkpointer)
        epoch = _plus(epoch, measured, bad_steps)
        loss = np.nanmean(measured["loss"]) / chunk.steps
        bar.advance(chunk.steps * job.batch_size, f"loss {loss:.4f}")
        if processes.of_any(stopping.asked()):
            break
        if job.stream is not None and job.duration.is_within_epoch(int(states.step[0])):
            save(reached(), False)
    return reached()


def _end_epoch(job: Job, at: Reached, epoch: Epoch, monitor: Monitor) -> Reached:
    """Measures the students after an epoch, and tells of it."""
    number = len(at.history)
    steps = job.duration.steps_of(number)
    records = [
        {
            "epoch": number + 1,
            "step": at.step,
            **_measures({name: float(value[i]) for name, value in epoch.sums.items()}, steps),
            **({} if epoch.diverged_at[i] is None else {"diverged_at": epoch.diverged_at[i]}),
            **extra,
            "seconds": round(epoch.seconds, 3),
            "compile_seconds": round(epoch.compile_seconds, 3),
            "examples_per_second": round(steps * job.batch_size / epoch.seconds, 1),
        }
        for i, extra in enumerate(monitor.measure(at.states))
    ]
    monitor.tell(records)
    complete = at.step >= job.duration.total_steps
    return Reached(at.states, [*at.history, records], None, complete)


def saved(job: Job, task: Task, at: Reached) -> dict[str, Any]:
    """Returns what a checkpoint says beside its arrays; `restored` is its inverse.

    The kernels belong to it since others round otherwise: what goes on, goes on with the same.
    """
    kernels = ops.kernels_of(getattr(task.model, "conv", None))
    about = job.about.json()
    meta = {"of": about, "history": at.history, "complete": at.complete, "kernels": kernels}
    if at.epoch is None:
        return meta
    sums = {name: value.tolist() for name, value in at.epoch.sums.items()}
    return {**meta, "begun": {**at.epoch._asdict(), "sums": sums}}


def restored(states: TrainState, meta: Mapping[str, Any]) -> Reached:
    """Returns how far the training of a checkpoint has come, from what `saved` has returned."""
    begun = meta.get("begun")
    epoch = None
    if begun:
        sums = {name: np.asarray(value) for name, value in begun["sums"].items()}
        epoch = Epoch(**{**begun, "sums": sums})
    return Reached(states, meta["history"], epoch, meta["complete"])


def _plus(epoch: Epoch, measured: Mapping[str, np.ndarray], bad_steps: np.ndarray) -> Epoch:
    """Adds what a chunk of steps has measured, in the precision of a process that goes on."""
    sums = {
        name: np.asarray(epoch.sums.get(name, 0.0), np.promote_types(value.dtype, np.float32))
        + value
        for name, value in measured.items()
    }
    diverged_at = [
        int(bad) if at is None and bad >= 0 else at
        for at, bad in zip(epoch.diverged_at, bad_steps, strict=True)
    ]
    return epoch._replace(sums=sums, diverged_at=diverged_at)


def _measures(sums: dict[str, float], steps: int) -> Record:
    """Returns the means over the steps of an epoch, and the accuracy on its visible labels if any.

    What is right, too, was counted while the weights changed.
    """
    correct, visible = sums.pop("correct", 0.0), sums.pop("visible", 0.0)
    means = {name: value / steps for name, value in sums.items()}
    return means | ({"train_accuracy": correct / visible} if visible else {})


def _diverged_at(history: list[list[Record]]) -> list[int | None]:
    """Returns the step at which each student's loss stopped being finite, or None."""
    return [record.get("diverged_at") for record in history[-1]] if history else []


class Chunk(NamedTuple):
    """The steps of a compiled call.

    Attributes:
      order: `[students, steps, batch]`, the examples of each.
      steps: how many of those are real.
    """

    order: np.ndarray
    steps: int


def _chunks(order: np.ndarray, steps: int, stream: Split | None) -> Iterator[Chunk]:
    """Cuts the first `steps` of an epoch into chunks of one shape; the last one is padded."""
    students, available, batch = order.shape
    size = min(CHUNK_STEPS, available)
    if stream is not None:
        step_bytes = students * batch * int(np.prod(stream.images.shape[1:]))
        size = max(1, min(size, CHUNK_BYTES // step_bytes))
    for start in range(0, steps, size):
        part = order[:, start : min(start + size, steps)]
        padding = np.zeros((students, size - part.shape[1], batch), order.dtype)
        yield Chunk(np.concatenate([part, padding], axis=1), part.shape[1])


def placed(
    data: TrainData, stream: Split | None, chunks: Iterable[Chunk], plan: Execution
) -> Iterator[tuple[Chunk, tuple[TrainData, jax.Array]]]:
    """Yields each chunk with what it reads and which examples its steps take from that.

    Resident data stay where they are. Of streamed data only the examples of the chunk are sent, in
    the order of their use; each process reads those of its own devices.
    """
    if stream is None:
        for chunk in chunks:
            yield chunk, (data, plan.place_order(chunk.order))
        return
    known = list(chunks)
    batch = known[0].order.shape[2]
    pieces = [chunk.order[:, : chunk.steps, plan.columns(batch)] for chunk in known]
    found = streaming.ahead(stream.images, [piece.reshape(-1) for piece in pieces])
    for chunk, piece, images in zip(known, pieces, found, strict=True):
        images = images.reshape(*piece.shape, *images.shape[1:])
        if missing := chunk.order.shape[1] - chunk.steps:
            images = np.pad(images, [(0, 0), (0, missing)] + [(0, 0)] * 4)
        index = chunk.order.reshape(-1)
        part = dataclasses.replace(
            data,
            images=plan.place_examples(images, batch),
            labels=plan.place(stream.labels[index]),
        )
        if data.teacher_logits is not None:
            table = plan.place(data.teacher_logits[:, index])
            part = dataclasses.replace(part, teacher_logits=table)
        order = np.arange(index.size, dtype=np.int32).reshape(chunk.order.shape)
        yield chunk, (part, plan.place_order(order))


def _require_finite(task: Task, bad_steps: np.ndarray, checkpointer: Checkpointer) -> None:
    for student in np.flatnonzero(bad_steps >= 0):
        step, kept = bad_steps[student], checkpointer.newest()
        said = f"the loss {task.loss} of student {student} is not finite at step {step}"
        if step == 0:
            raise InputError(
                f"{said}, before any update; look at dataset.mean and dataset.std, and at the "
                "numbers of the loss, such as its temperature"
            )
        kept_too = "" if kept is None else f"; the last good checkpoint, of step {kept}, is kept"
        raise InputError(f"{said}{kept_too}. Lower the learning rate")
