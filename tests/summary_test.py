"""`python -m distill.summary`: the table, the line of JSON, and one line for bad input."""

import functools
import json

import pytest

from distill.data import sources
from distill.errors import InputError


@pytest.fixture
def command(python):
    return functools.partial(python, "-m", "distill.summary")


TABLE = """\
simplenet_v4, input 28×28×1

layer   kind       output  parameters  non-zero    MACs  activation bytes
conv0   conv 5×5  28×28×3          78         –  58,800             9,408
pool0   conv 2×2  14×14×3          39         –   7,056             2,352
logits  dense          10       5,890         –   5,880                40
total                           6,007         –  71,736            11,800
"""


def test_table(command):
    result = command("--config=configs/simplenet_v4.py")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(TABLE)


def test_of_what_is_compressed_it_is_the_student_that_is_counted(command):
    result = command("--config=configs/simplenet_v1_compressed.py", "--json")
    assert json.loads(result.stdout)["num_params"] == 3484


def test_one_line_of_json_about_either_role(command):
    result = command("--config=configs/simplenet_v4.py", "--json", "--role=teacher")
    (line,) = result.stdout.splitlines()
    described = json.loads(line)
    assert (described["num_params"], described["macs"]) == (3_274_634, 13_883_904)
    assert [layer["name"] for layer in described["layers"]] == [
        "conv0", "conv1", "hidden", "logits",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--config is missing"),
        (("--config=configs/simplenet_v4.py", "--checkpoints=x"), "both given; choose one"),
        (("--checkpoints=nowhere",), "no checkpoint in nowhere"),
        (("--config=configs/simplenet_v4.py", "--role=student2"), "student2"),
        (("--config=configs/simplenet_v4.py", "--config.dataset.name=mnits"), "mnits"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, arguments, message):
    result = command(*arguments)
    (line,) = result.stderr.splitlines()
    assert result.returncode == 2 and line.startswith("error: ") and message in line


def test_shapes_of_known_data():
    assert sources.shape("cifar10", 0) == ((32, 32, 3), 10)
    assert sources.shape("mnist", 14) == ((14, 14, 1), 10)
    assert sources.shape("imagenet2012", 224) == ((224, 224, 3), 1000)
    with pytest.raises(InputError, match="differ in size; set --config.dataset.image_size"):
        sources.shape("imagenet2012", 0)
