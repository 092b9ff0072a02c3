"""Which part of a list of work is this process's: from a flag, or from the scheduler."""

import re
from collections.abc import Mapping

from distill.errors import InputError


def shard(given: str | None, environ: Mapping[str, str]) -> tuple[int, int]:
    """Returns `(i, n)`: the i-th of n parts, counted from 0.

    Args:
      given: `i/n`, or None to ask the scheduler: a Slurm array (`SLURM_ARRAY_TASK_ID`) or an
        indexed Job of Kubernetes (`JOB_COMPLETION_INDEX`, with `JOB_COMPLETIONS` set to the number
        of completions, which Kubernetes does not tell). Without either, the whole.
      environ: the environment.

    Raises:
      InputError: if there is no such part.
    """
    if given is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", given)
        if not match:
            raise InputError(f"--shard={given} is not of the form i/n, such as 0/4")
        return _checked(int(match[1]), int(match[2]), f"--shard={given}")
    if "SLURM_ARRAY_TASK_ID" in environ:
        return _of_slurm(environ)
    if "JOB_COMPLETION_INDEX" in environ:
        if "JOB_COMPLETIONS" not in environ:
            raise InputError("JOB_COMPLETION_INDEX is set; set JOB_COMPLETIONS to their number too")
        index, count = int(environ["JOB_COMPLETION_INDEX"]), int(environ["JOB_COMPLETIONS"])
        return _checked(index, count, f"JOB_COMPLETION_INDEX={index}")
    return 0, 1


def _of_slurm(environ: Mapping[str, str]) -> tuple[int, int]:
    """Counts the tasks of an array such as `--array=0-7`, `1-8` or `0-6:2`.

    One task that does not count from 0, as `--array=3`, is what is submitted again of an array that
    is not known here. Alone it would be taken for the whole.
    """
    task = int(environ["SLURM_ARRAY_TASK_ID"])
    first = int(environ.get("SLURM_ARRAY_TASK_MIN", 0))
    step = int(environ.get("SLURM_ARRAY_TASK_STEP", 1)) or 1
    count = int(environ.get("SLURM_ARRAY_TASK_COUNT", 1))
    if count == 1 and task:
        raise InputError(
            f"task {task} is the only one of its Slurm array; say which part it is, as "
            f"--shard={task}/N, or submit the whole array again, which repeats nothing"
        )
    return _checked((task - first) // step, count, f"SLURM_ARRAY_TASK_ID={task}")


def _checked(index: int, count: int, source: str) -> tuple[int, int]:
    if not 0 <= index < count:
        raise InputError(f"{source} is no part of {count}; they count from 0 to {count - 1}")
    return index, count
