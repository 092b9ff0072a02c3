"""Several processes, on one machine or many, that make one training together.

Each of them runs the same program on the same data. The first alone writes, but for checkpoints,
which Orbax saves from all. What one of them finds wrong has to stop all, since the others would
wait for it for ever; `together` sees to that. In a single process all of this is nothing.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from distill.errors import InputError, one_line

_MESSAGE_BYTES = 1024
_CONNECT_S = 300  # until the others are there
_LEAVE_S = 30  # that a process which has failed waits for the others, which wait for it

T = TypeVar("T")


def start(coordinator: str | None, count: int | None, index: int | None) -> None:
    """Joins the other processes; to be called before anything else of JAX.

    What is None is found out from Slurm, Open MPI, a TPU pod or Kubernetes.

    Args:
      coordinator: `host:port` of the first process, the same in all.
      count: number of processes.
      index: of this process, from 0.

    Raises:
      InputError: if something is missing, or the others cannot be reached.
    """
    jax.config.update("jax_enable_preemption_service", False)  # it makes nothing of SIGTERM
    try:
        jax.distributed.initialize(
            coordinator, count, index,
            initialization_timeout=_CONNECT_S, shutdown_timeout_seconds=_LEAVE_S,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the processes do not come together: {one_line(error)}; give --coordinator=HOST:PORT, "
            "--num_processes and --process_id (from 0) to each, or start them by Slurm, a TPU pod "
            "or Kubernetes"
        ) from error


def is_first() -> bool:
    """Returns whether this process is the one that writes."""
    return jax.process_index() == 0


def together(f: Callable[[], T]) -> T:
    """Calls `f` in every process and returns what it returns here, when all have done it.

    Raises:
      InputError: in all processes, if `f` raises it in one.
    """
    if jax.process_count() == 1:
        return f()
    result, failure = None, ""
    try:
        result = f()
    except InputError as error:
        failure = str(error)
    for index, message in enumerate(_gather(failure)):
        if message:
            raise InputError(message if index == 0 else f"process {index}: {message}")
    return result  # type: ignore[return-value]


def first(f: Callable[[], T]) -> T | None:
    """Calls `f` in the first process while the others wait, and get None.

    Raises:
      InputError: in all processes, if `f` raises it.
    """
    return together(lambda: f() if is_first() else None)


def of_first(value: bool) -> bool:
    """Returns the first process's value, where each has its own, as of a clock."""
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(value)))


def of_all(value: bool) -> bool:
    """Returns whether the value is true in every process."""
    return bool(np.all(multihost_utils.process_allgather(np.bool_(value))))


def of_any(value: bool) -> bool:
    """Returns whether the value is true in one process at least."""
    return value if jax.process_count() == 1 else not of_all(not value)


def require_same(what: str, value: str) -> None:
    """Checks that the processes agree.

    Args:
      what: for the message, as "configuration or data".
      value: of this process.

    Raises:
      InputError: in all processes, if one of them has another value than the first.
    """
    values = _gather(value)
    for index, other in enumerate(values):
        if other != values[0]:
            raise InputError(
                f"process {index} has another {what} than process 0; "
                "start all of them with the same flags, on the same files"
            )


def _gather(text: str) -> list[str]:
    """Returns the texts of all processes; no more than the start of a long one."""
    if jax.process_count() == 1:
        return [text]
    data = text.encode()[:_MESSAGE_BYTES].ljust(_MESSAGE_BYTES, b"\0")
    gathered = multihost_utils.process_allgather(np.frombuffer(data, np.uint8))
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in np.asarray(gathered)]
