import pytest

from distill.errors import InputError
from distill.shards import shard


def array(task, first, last, step=1):
    """What Slurm says to a task of `--array=first-last:step`."""
    count = (last - first) // step + 1
    values = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_the_tasks_of_an_array_are_counted_from_0():
    for first, last, step in ((0, 7, 1), (1, 8, 1), (0, 6, 2), (3, 12, 3), (0, 7, 2), (0, 0, 1)):
        tasks = range(first, last + 1, step)
        expected = [(i, len(tasks)) for i in range(len(tasks))]
        assert [shard(None, array(task, first, last, step)) for task in tasks] == expected


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        (None, {}, (0, 1)),
        ("2/4", {}, (2, 4)),
        ("0/1", {"SLURM_ARRAY_TASK_ID": "7"}, (0, 1)),  # the flag wins
        (None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        (None, {"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": "6"}, (5, 6)),
    ],
)
def test_shard(given, environ, expected):
    assert shard(given, environ) == expected


@pytest.mark.parametrize(
    ("given", "environ", "message"),
    [
        ("5/4", {}, "--shard=5/4 is no part of 4; they count from 0 to 3"),
        ("4/4", {}, "count from 0 to 3"),
        ("1", {}, "not of the form i/n"),
        ("-1/4", {}, "not of the form i/n"),
        (None, array(3, 3, 3), "task 3 is the only one of its Slurm array; .* as --shard=3/N"),
        (None, {**array(9, 1, 9), "SLURM_ARRAY_TASK_COUNT": "3"}, "SLURM_ARRAY_TASK_ID=9 is no"),
        (None, {"JOB_COMPLETION_INDEX": "5"}, "set JOB_COMPLETIONS"),
        (None, {"JOB_COMPLETION_INDEX": "6", "JOB_COMPLETIONS": "6"}, "JOB_COMPLETION_INDEX=6"),
    ],
)
def test_bad_shards_are_refused(given, environ, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        shard(given, environ)
