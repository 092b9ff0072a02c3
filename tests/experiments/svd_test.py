"""The experiment on singular values, from made-up records."""

import json

import pytest

from distill import models, validation
from distill.compress import rounds
from distill.cost import cost
from distill.errors import InputError
from experiments import pages, svd

RECORD = {"num_params": 3_274_634, "macs": 13_883_904, "float32_bytes": 13_000_000, "accuracy": 0.9}


@pytest.fixture
def workdir(tmp_path):
    """Records of the teacher and of each step; half as much for each, and as many errors."""
    for i, step in enumerate((None, *svd.steps())):
        directory = tmp_path / "compress" / (f"0_svd-{i}" if step else "original")
        directory.mkdir(parents=True)
        record = {name: value // 2 if step else value for name, value in RECORD.items()}
        record["accuracy"] = 0.99 if step is None else 0.98
        made = {"given": step, "untuned_accuracy": 0.5} if step else {"step": None}
        (directory / "record.json").write_text(json.dumps(rounds.sealed({**record, **made})))
    return tmp_path


def test_every_step_is_valid_and_trains_the_teacher_itself():
    for quick in (False, True):
        config = svd.base(1, epochs=2, quick=quick)
        config.compress = tuple(svd.steps(quick))
        validation.validate(config)
    whole = svd.base(0)
    recipe = {**whole.teacher, **whole.student}
    assert recipe == dict(whole.teacher) and whole.loss.name == "cross_entropy"
    model = models.build(whole.student.model, whole.student.args, num_classes=10)
    assert cost(model, (28, 28, 1)) == (RECORD["num_params"], RECORD["macs"])


def test_records_are_found_by_their_step(workdir):
    rows = svd.collect(workdir)
    assert [(row["layer"], row["rank"]) for row in rows] == [("none", 0)] + [
        (layer, rank) for layer, ranks in svd.RANKS.items() for rank in ranks
    ]
    assert [row["directory"].name for row in rows[:2]] == ["original", "0_svd-1"]
    assert rows[0]["untuned_accuracy"] == 0.99 and rows[1]["untuned_accuracy"] == 0.5
    path = workdir / "compress" / "0_svd-3" / "record.json"
    path.write_text(path.read_text().replace("0.98", "0.99"))
    with pytest.raises(InputError, match="0_svd-3/record.json is damaged; run the stage"):
        svd.collect(workdir)
    path.write_text(path.read_text().replace("0.99", "0.98"))
    (workdir / "compress" / "0_svd-2").rename(workdir / "elsewhere")
    with pytest.raises(InputError, match='has no record of .*"rank": 2.*; leave out --notrain'):
        svd.collect(workdir)


def test_the_page_compares_with_the_whole(workdir, tmp_path):
    shared = {
        "test_images": 10_000, "commit": "0" * 10, "device": "a processor", "dataset": "mnist",
        "seed": 0, "epochs": 12,
    }  # fmt: skip
    rows = [
        {**row, **shared, "float32_latency_us": 400 - row["rank"]} for row in svd.collect(workdir)
    ]
    for row in rows:
        del row["directory"]
    for path in pages.write(svd.PAGE, rows, tmp_path / "made"):
        assert path.exists()
    lines = (tmp_path / "made" / "docs" / "svd.md").read_text().splitlines()
    assert lines[0] == "# The teacher's dense layers at lower ranks"
    assert (
        "| hidden | 64 | 50.00 (49.02 to 50.98) | 98.00 (97.71 to 98.26) | 1,637,317 | 6,941,952 "
        "| 50 % | 6,500,000 | 50 % | 336.0 | 84 % |"
    ) in lines
