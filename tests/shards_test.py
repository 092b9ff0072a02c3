import pytest

from distill.errors import InputError
from distill.shards import shard


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        (None, {}, (0, 1)),
        ("2/4", {}, (2, 4)),
        ("0/1", {"SLURM_ARRAY_TASK_ID": "7"}, (0, 1)),  # the flag wins
        (None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        (
            None,
            {
                "SLURM_ARRAY_TASK_ID": "8",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_COUNT": "8",
            },
            (7, 8),
        ),
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
        (None, {"JOB_COMPLETION_INDEX": "5"}, "set JOB_COMPLETIONS"),
        (None, {"JOB_COMPLETION_INDEX": "6", "JOB_COMPLETIONS": "6"}, "JOB_COMPLETION_INDEX=6"),
    ],
)
def test_bad_shards_are_refused(given, environ, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        shard(given, environ)
