"""Tables of what the teachers say of the training set, and of what a teacher sees on the way.

That of the logits is kept beside their weights. It is named by everything that decides its numbers,
and ends with a checksum: what a training reads back is what was written, or it is made again.
"""

import contextlib
import math
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from distill import config as configs
from distill import files, processes
from distill.data import Augmentation, Split, fingerprint
from distill.errors import one_line
from distill.models import taps
from distill.progress import Display
from distill.training.checkpoints import checksum
from distill.training.engine import Execution
from distill.training.predict import feature_table, teacher_table
from distill.training.step import Task
from distill.training.trained import Trained

PREFIX = "teacher_logits"
_PROBES = 4  # images by whose outcomes augmentations are told apart


def shape(task: Task, split: Split, teacher: Trained) -> tuple[int, int, int, int]:
    """Returns `(variants, n, members, classes)`, the shape of a table."""
    variants = task.augmentation.num_variants or 0
    return variants, len(split), len(teacher.members), teacher.about.num_classes


def feature_shapes(task: Task, split: Split, teacher: Trained) -> dict[str, tuple[int, ...]]:
    """Returns for each tap of the teacher that the loss compares the shape of its table."""
    variants, known = task.augmentation.num_variants or 0, _taps(teacher)
    names = sorted({theirs for pairs in task.taps.values() for _, theirs in pairs})
    return {name: (variants, len(split), *known[name]) for name in names}


def tabulates_features(task: Task, split: Split, teacher: Trained, epochs: int, limit: int) -> bool:
    """Whether a table of the features that the loss compares is less work, and fits.

    Args:
      task: with the teacher in its steps.
      split: images to train on.
      teacher: a single one.
      epochs: of the training; more variants than that are more work than its steps.
      limit: bytes that a table may have.
    """
    variants = task.augmentation.num_variants
    if not task.taps or variants is None or variants > max(1, epochs):
        return False
    sizes = feature_shapes(task, split, teacher).values()
    return 4 * sum(math.prod(shape) for shape in sizes) <= limit


def features(task: Task, split: Split, teacher: Trained, display: Display) -> dict[str, np.ndarray]:
    """Computes a table of features for each tap of the teacher, `[variants, n, ...]` float32."""
    wanted = feature_shapes(task, split, teacher)
    size = 4 * sum(math.prod(shape) for shape in wanted.values()) / 2**20
    display.say(f"the teacher's {', '.join(wanted)} of all images are tabulated, {size:,.0f} MiB")
    with display.work("features", (task.augmentation.num_variants or 0) * len(split)) as bar:
        return feature_table(
            teacher.model, teacher.members[0], split.images, task.augmentation, tuple(wanted),
            mean=task.mean, std=task.std, on_batch=bar.advance,
        )  # fmt: skip


def _taps(teacher: Trained) -> dict[str, tuple[int, ...]]:
    return taps.shapes(teacher.model, teacher.about.input_shape)


def path(task: Task, split: Split, teacher: Trained) -> pathlib.Path:
    """Returns where a table lies, if it does: it reads all images, once for each `Split`."""
    decides = [
        split.seen,
        _digest(task.augmentation, split),
        fingerprint(*map(np.atleast_1d, jax.tree.leaves(teacher.members))),
        [list(task.mean), list(task.std)],
    ]
    return _directory(teacher) / f"{PREFIX}-{configs.digest(decides)}.npy"


def is_there(task: Task, split: Split, teacher: Trained) -> bool:
    """Returns whether a table has been left by another training; reads no image without need."""
    if task.augmentation.num_variants is None or not any(_directory(teacher).glob(f"{PREFIX}-*")):
        return False
    return path(task, split, teacher).exists()


def table(
    task: Task, split: Split, teacher: Trained, plan: Execution, display: Display
) -> np.ndarray:
    """Computes a table of logits, or reads it from beside the weights of the teachers.

    Where several trainings want it at once, one computes it and the others wait. Where it cannot be
    kept, as beside the teachers of somebody else, it is computed for this training alone.

    Args:
      task: whose augmentation has the variants.
      split: images to train on.
      teacher: one model, or the members of an ensemble.
      plan: on what devices it is computed.
      display: says how far it is.

    Returns:
      `[variants, n, members, classes]` float32.
    """
    wanted, where = shape(task, split, teacher), path(task, split, teacher)
    with contextlib.ExitStack() as stack:
        if processes.is_first():
            stack.enter_context(_alone(where.parent, display))
        processes.require_same("table of soft targets", where.name)  # the others wait here
        logits = _found(where, wanted, display)
        if processes.of_all(logits is not None):
            assert logits is not None
            return logits
        with display.work("soft targets", math.prod(wanted[:3])) as bar:
            logits = teacher_table(
                teacher.model,
                [plan.place_students(member) for member in teacher.members],
                split.images,
                task.augmentation,
                mean=task.mean,
                std=task.std,
                mesh=plan.batch_mesh,
                on_batch=bar.advance,
            )
        if processes.is_first():
            try:
                write(where, logits)
            except OSError as error:
                display.warn(f"{where} is not kept, but used: {error.strerror}")
    return logits


def write(where: pathlib.Path, logits: np.ndarray) -> None:
    """Writes a table in NumPy's format, with its checksum behind it; removes what kills left."""
    for part in where.parent.glob(f"{PREFIX}-*.part"):
        part.unlink(missing_ok=True)

    def contents(file):
        np.save(file, logits)
        file.write(_checksum(logits))

    files.replace(where, contents)


def read(where: pathlib.Path, wanted: tuple[int, ...]) -> np.ndarray:
    """Reads a table.

    Args:
      where: of the file.
      wanted: its shape.

    Raises:
      ValueError: if it is not exactly what was written.
    """
    with where.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is of another version")
        if np.lib.format.read_array_header_1_0(file) != (wanted, False, np.dtype(np.float32)):
            raise ValueError(f"it is no array of {list(wanted)} float32 in the order of C")
        logits = np.fromfile(file, np.float32, math.prod(wanted))
        if logits.size != math.prod(wanted) or file.read() != _checksum(logits.reshape(wanted)):
            raise ValueError("its checksum does not match")
    return logits.reshape(wanted)


def _found(where: pathlib.Path, wanted: tuple[int, ...], display: Display) -> np.ndarray | None:
    """Returns the table that lies there, if it is whole."""
    try:
        return read(where, wanted)
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - damage shows in every type of error
        display.warn(f"computing the damaged soft targets {where} again: {one_line(error)}")
        return None


def _checksum(logits: np.ndarray) -> bytes:
    return checksum({PREFIX: logits}).encode()


def _directory(teacher: Trained) -> pathlib.Path:
    return teacher.directory.parent


def _digest(augmentation: Augmentation, split: Split) -> str:
    """Returns a hash of what an augmentation makes of a few images, in all of its variants."""
    noise = np.random.default_rng(0).random((_PROBES, *split.images.shape[1:]), np.float32)
    images = np.concatenate([np.asarray(split.images[:_PROBES], np.float32) / 255, noise])
    variants = jnp.arange(augmentation.num_variants or 0)

    @jax.jit
    @jax.vmap
    def outcomes(variant):
        return augmentation.apply(jnp.asarray(images), jnp.full(len(images), variant))

    return fingerprint(np.asarray(outcomes(variants)))


@contextlib.contextmanager
def _alone(directory: pathlib.Path, display: Display) -> Iterator[None]:
    """Lets one process at a time work on a table, where a lock can be had."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the directory is not to be written
            stack.enter_context(
                files.locked(
                    directory / "lock",
                    lambda: display.say(f"waiting for another process that works in {directory}"),
                )
            )
        yield
