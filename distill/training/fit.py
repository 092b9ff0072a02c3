"""Training to the end: epochs, evaluation after each, checkpoints, progress."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from distill import ops, processes, stopping
from distill.data import Split, streaming
from distill.errors import InputError
from distill.training import compile_clock, engine
from distill.training.checkpoints import Checkpointer
from distill.training.recipe import Length
from distill.training.state import Hyper, TrainState
from distill.training.step import Task, TrainData

CHUNK_STEPS = 100  # updates per compiled call: long enough to hide the call, short for progress
CHUNK_BYTES = 64 * 2**20  # of pixels sent to the device per call, where they do not live there

Record = dict[str, Any]


class Progress(Protocol):
    """A display of how far a long piece of work is."""

    def advance(self, done: int, note: str = "") -> None:
        """Adds `done` units of work; `note` says in a few words how it goes."""


def fit(
    task: Task,
    plan: engine.Execution,
    states: TrainState,
    history: list[list[Record]],
    begun: dict[str, Any],
    hyper: Hyper,
    data: TrainData,
    stream: Split | None,
    *,
    num_examples: int,
    duration: Length,
    batch_size: int,
    evaluate: Callable[[TrainState], list[Record]],
    checkpointer: Checkpointer,
    checkpoint_every_s: float,
    meta: dict[str, Any],
    stop_on_divergence: bool,
    progress: Progress,
    on_epoch: Callable[[list[Record]], None],
) -> TrainState:
    """Trains students until the end of their schedule.

    From a restored state it ends with the same parameters, bit for bit: every random choice
    follows from a student's key and the step. Checkpoints lie between epochs, but for that of a
    process which is asked to stop: it ends within one, as soon as a compiled call is back; and but
    for sets that are streamed, whose epochs may be long.

    Args:
      task: what is trained, and how.
      plan: how the students are executed.
      states: fresh or restored ones; leading axis `[students]`.
      history: the records of each epoch that they have behind them.
      begun: what was measured in the epoch that they are in the middle of; empty between epochs.
      hyper: each `[students]`.
      data: what the steps read; without images and labels if `stream` is given.
      stream: images that do not fit the device, sent in pieces; None if `data` has them.
      num_examples: size of the training set.
      duration: from `recipe.length`.
      batch_size: examples of a step.
      evaluate: measures each student after an epoch; adds to its record.
      checkpointer: of this training alone.
      checkpoint_every_s: a state is saved at the end of an epoch, but not more often than this.
      meta: what the checkpoints are of.
      stop_on_divergence: otherwise a student whose loss is not finite is marked by `diverged_at`
        in its records, and the others go on without it.
      progress: told of every chunk, in examples.
      on_epoch: told of the records of every epoch, one per student.

    Returns:
      The trained states.

    Raises:
      InputError: if a loss is not finite and that is to stop it; the last good checkpoint is kept.
      Interrupted, KeyboardInterrupt: if the process was asked to stop; the states are saved.
    """
    step = int(states.step[0])
    states, hyper = plan.place_students((states, dict(hyper)))
    diverged_at = begun.get("diverged_at") or _diverged_at(history) or [None] * len(states.step)
    progress.advance(step * batch_size)
    saved_at = time.monotonic()
    while step < duration.total_steps:
        epoch, offset = divmod(step, duration.steps_per_epoch)
        began = time.monotonic()
        compiled = compile_clock.seconds()
        order = engine.epoch_order(
            states.key, jnp.int32(epoch), num_examples=num_examples, batch_size=batch_size
        )
        steps = min(
            duration.steps_per_epoch, duration.total_steps - epoch * duration.steps_per_epoch
        )
        sums, stopped = begun.get("sums", {}), False
        chunks = _chunks(np.asarray(order)[:, offset:], steps - offset, stream)
        for chunk, read in placed(data, stream, chunks, plan):
            states, measured = engine.run_chunk(
                task, plan, states, hyper, *read, np.int32(chunk.steps)
            )
            measured = jax.device_get(measured)
            bad_steps = measured.pop("bad_step")
            if stop_on_divergence:
                _require_finite(task, bad_steps, checkpointer)
            diverged_at = [
                int(bad) if at is None and bad >= 0 else at
                for at, bad in zip(diverged_at, bad_steps, strict=True)
            ]
            sums = {name: _plus(sums.get(name, 0.0), value) for name, value in measured.items()}
            step += chunk.steps
            progress.advance(
                chunk.steps * batch_size, f"loss {np.nanmean(measured['loss']) / chunk.steps:.4f}"
            )
            compiling = compile_clock.seconds() - compiled
            seconds = time.monotonic() - began - compiling + begun.get("seconds", 0.0)
            compiling += begun.get("compile_seconds", 0.0)
            stopped = processes.of_any(stopping.asked())
            if step % duration.steps_per_epoch == 0 or step >= duration.total_steps:
                continue
            late = time.monotonic() - saved_at > checkpoint_every_s
            if stopped or (stream is not None and processes.of_first(late)):
                under_way = {
                    "sums": {name: value.tolist() for name, value in sums.items()},
                    "diverged_at": diverged_at,
                    "seconds": seconds,
                    "compile_seconds": compiling,
                }
                checkpointer.save(
                    step, states, {**saved(task, meta, history, complete=False), "begun": under_way}
                )
                saved_at = time.monotonic()
            if stopped:
                raise _stop(step, duration)
        begun = {}
        records = [
            {
                "epoch": epoch + 1,
                "step": step,
                **_measures({name: float(value[i]) for name, value in sums.items()}, steps),
                **({} if diverged_at[i] is None else {"diverged_at": diverged_at[i]}),
                **extra,
                "seconds": round(seconds, 3),
                "compile_seconds": round(compiling, 3),
                "examples_per_second": round(steps * batch_size / seconds, 1),
            }
            for i, extra in enumerate(evaluate(states))
        ]
        history = [*history, records]
        on_epoch(records)
        done = step >= duration.total_steps
        late = time.monotonic() - saved_at > checkpoint_every_s
        if done or stopped or processes.of_first(late):
            checkpointer.save(step, states, saved(task, meta, history, done))
            saved_at = time.monotonic()
        if stopped and not done:
            raise _stop(step, duration)
    return states


def _stop(step: int, duration: Length) -> BaseException:
    return stopping.reason(f"stopped, and saved at step {step:,} of {duration.total_steps:,}")


def _plus(total: Any, value: np.ndarray) -> np.ndarray:
    """Adds to what a checkpoint may hold as lists, in the precision of a process that goes on."""
    return np.asarray(total, np.promote_types(value.dtype, np.float32)) + value


def saved(task: Task, of: Any, history: list[list[Record]], complete: bool) -> dict[str, Any]:
    """Returns what a checkpoint says beside its arrays.

    The kernels belong to it since others round otherwise: what goes on, goes on with the same.
    """
    kernels = ops.kernels_of(getattr(task.model, "conv", None))
    return {"of": of, "history": history, "complete": complete, "kernels": kernels}


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
    data: TrainData, stream: Split | None, chunks: Iterator[Chunk], plan: engine.Execution
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
    columns = plan.columns(known[0].order.shape[2])
    pieces = [chunk.order[:, : chunk.steps, columns] for chunk in known]
    found = streaming.ahead(stream.images, [piece.reshape(-1) for piece in pieces])
    for chunk, piece, images in zip(known, pieces, found, strict=True):
        images = np.asarray(images).reshape(*piece.shape, *images.shape[1:])
        missing = chunk.order.shape[1] - chunk.steps
        images = np.pad(images, [(0, 0), (0, missing)] + [(0, 0)] * 4) if missing else images
        index = chunk.order.reshape(-1)
        order = np.arange(index.size, dtype=np.int32).reshape(chunk.order.shape)
        part = dataclasses.replace(
            data,
            images=plan.place_examples(images, chunk.order.shape[2]),
            labels=plan.place(stream.labels[index]),
        )
        if data.teacher_logits is not None:
            part = dataclasses.replace(
                part, teacher_logits=plan.place(data.teacher_logits[:, index])
            )
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
