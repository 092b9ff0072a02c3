import shutil

import numpy as np
import pandas as pd
import pytest
from absl.testing import flagsaver

from configs import thesis_study
from distill import cli
from distill.errors import InputError
from experiments import pages, reproduce
from experiments.thesis import predictions, rows

LABELS = np.arange(20) % 10
OF = {"mnist": LABELS}


@pytest.fixture
def run():
    def call(*arguments):
        with flagsaver.flagsaver():
            cli.parse(["reproduce", *arguments])
            reproduce.main([])

    return call


@pytest.fixture
def workdir(made_row, tmp_path):
    """A sweep of two seeds, distilled and on labels, wrong on the first images."""
    table = []
    for loss, temperature in (("soft_squared_error", 1.0), ("cross_entropy", None)):
        for seed in (0, 1):
            wrong = seed + 1 + 2 * (temperature is None)
            predictions = np.where(np.arange(20) < wrong, LABELS + 1, LABELS).astype(np.uint16)
            name = f"id{len(table)}"
            folder = tmp_path / "study" / "predictions"
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{name}.npy", predictions)
            accuracy = (20 - wrong) / 20
            table.append(made_row("simplenet_v1", seed, accuracy, temperature, loss, id=name))
    pd.DataFrame(table).to_csv(tmp_path / "study" / "results.csv", index=False)
    return tmp_path / "study"


def test_each_sweep_is_run_once():
    assert reproduce.sweeps(["2.3", "2.6"]) == ["students", "selection", "teacher", "baselines"]
    assert reproduce.sweeps(["2.5", "kl"]) == ["temperatures", "kl"]
    assert set(thesis_study.SWEEPS) == set(reproduce.sweeps(reproduce.TABLES))
    with pytest.raises(InputError, match="unknown table '2.7'"):
        reproduce.sweeps(["2.7"])


def test_collect(workdir, tmp_path):
    written = reproduce.collect(workdir, OF, tmp_path / "tables")
    names = ["thesis.csv", "thesis_mcnemar.csv", "thesis_predictions.npz"]
    assert [path.name for path in written] == names
    table = pages.read_csv(written[0])
    assert list(table.columns) == list(pages.read_csv(workdir / "results.csv").columns)
    counts = pd.read_csv(written[1])
    assert counts.seed.tolist() == ["0", "1", "all"]
    assert counts[["a_better", "b_better", "images"]].to_numpy().tolist() == [
        [2, 0, 20], [2, 0, 20], [3, 0, 20]
    ]  # fmt: skip
    study = rows.read(tmp_path / "tables")
    assert list(study.counts.values()) == [(3, 0)]


def test_sweeps_in_folders_beside_one_another_are_one_study(workdir, tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    workdir.rename(parts / "a")
    once = reproduce.collect(parts, OF, tmp_path / "once")
    (parts / "b").symlink_to(parts / "a")  # the same students again
    twice = reproduce.collect(parts, OF, tmp_path / "twice")
    assert [p.read_bytes() for p in once] == [p.read_bytes() for p in twice]


def test_a_study_goes_on_from_its_files(workdir, tmp_path):
    diverged = pages.read_csv(workdir / "results.csv").iloc[:1]
    diverged = diverged.assign(id="far", status="diverged", seed=2, accuracy=np.nan)
    diverged.to_csv(workdir / "results.csv", mode="a", header=False, index=False)
    tables, elsewhere = tmp_path / "tables", tmp_path / "elsewhere"
    written = reproduce.collect(workdir, OF, tables)
    elsewhere.mkdir()
    (config_hash,) = set(pages.read_csv(written[0]).config_hash)
    assert predictions.restore(tables, elsewhere, config_hash, "mnist", LABELS) == 5
    assert predictions.restore(tables, elsewhere, config_hash, "mnist", LABELS) == 0
    assert predictions.restore(tables, elsewhere, config_hash, "cifar10", LABELS) == 0
    again = reproduce.collect(elsewhere, OF, tmp_path / "again")
    for before, after in zip(written, again, strict=True):
        if before.suffix == ".csv":
            table = pages.read_csv(before)
            pd.testing.assert_frame_equal(table, pages.read_csv(after)[table.columns])
        else:
            assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize(
    "damage, config_hash, message",
    [
        (lambda t: None, "other", "has rows of the configuration .*, this one is other"),
        (lambda t: (t / predictions.FILE).unlink(), "", "lacks the predictions of id0"),
    ],
)
def test_files_that_a_study_cannot_go_on_from(workdir, tmp_path, damage, config_hash, message):
    table = pages.read_csv(reproduce.collect(workdir, OF, tmp_path / "tables")[0])
    damage(tmp_path / "tables")
    with pytest.raises(InputError, match=message):
        predictions.restore(
            tmp_path / "tables", tmp_path, config_hash or table.config_hash[0], "mnist", LABELS
        )
    assert not (tmp_path / "results.csv").exists()


def test_students_of_other_images_are_judged_by_their_own_labels(workdir, tmp_path):
    elsewhere = tmp_path / "study" / "fashion_mnist"
    elsewhere.mkdir()
    table = pd.read_csv(workdir / "results.csv")
    other = table.assign(dataset="fashion_mnist", id="of" + table.id)
    (elsewhere / "predictions").mkdir()
    for i, name in enumerate(table.id):
        predictions = np.load(workdir / "predictions" / f"{name}.npy")
        np.save(elsewhere / "predictions" / f"{other.id[i]}.npy", (predictions + 3) % 10)
    other.to_csv(elsewhere / "results.csv", index=False)
    with pytest.raises(InputError, match="is of fashion_mnist, not of mnist"):
        reproduce.collect(workdir, OF, tmp_path / "tables")
    labels = {**OF, "fashion_mnist": (LABELS + 3) % 10}
    reproduce.collect(workdir, labels, tmp_path / "tables")
    counts = pd.read_csv(tmp_path / "tables" / "thesis_mcnemar.csv")
    pairs = {(row.a, row.b) for row in counts.itertuples()}
    assert pairs == {
        (f"simplenet_v1 soft_squared_error{of} T=1", f"simplenet_v1 cross_entropy{of}")
        for of in ("", " fashion_mnist")
    }


def test_collect_loses_no_rows(workdir, tmp_path):
    reproduce.collect(workdir, OF, tmp_path / "tables")
    table = pd.read_csv(workdir / "results.csv")
    table.iloc[1:].to_csv(workdir / "results.csv", index=False)
    with pytest.raises(InputError, match="thesis.csv has 1 rows that .* has not; remove the file"):
        reproduce.collect(workdir, OF, tmp_path / "tables")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda w: (w / "predictions" / "id2.npy").unlink(), "id2.npy is missing"),
        (lambda w: np.save(w / "predictions" / "id0.npy", LABELS[:9]), "not of these 20 test im"),
        (lambda w: np.save(w / "predictions" / "id0.npy", LABELS), "not of these 20 test images"),
        (lambda w: (w / "results.csv").unlink(), "no results.csv in .*; leave out --notrain"),
    ],
)
def test_collect_refuses(workdir, tmp_path, damage, message):
    damage(workdir)
    with pytest.raises(InputError, match=message):
        reproduce.collect(workdir, OF, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--tables=2.33", "unknown table '2.33'; did you mean '2.3'?"),
        ("--seeds=0", "--seeds is 0; it must be 1 or more"),
        ("--tables=kl", "students of table 2.3"),
        ("--temperatures=1,three", "--temperatures are numbers separated by commas"),
    ],
)
def test_arguments_that_cannot_be_used(run, tmp_path, argument, message):
    with pytest.raises(InputError) as error:
        run("--quick", f"--workdir={tmp_path / 'study'}", argument)
    assert message in str(error.value)
    assert not (tmp_path / "study").exists()


def test_a_quick_study_ends_with_a_page_and_trains_nothing_twice(run, tmp_path, capsys):
    arguments = ("--quick", "--tables=2.5", f"--workdir={tmp_path / 'study'}")
    run(*arguments)
    table = tmp_path / "study" / "results.csv"
    first, page = table.read_text(), tmp_path / "study" / "tables" / "results.md"
    assert len(pages.read_csv(table)) == 4  # two seeds, two temperatures
    assert (
        "### Table 2.5 — reduced: 2 of 10 seeds, 2 of 16 temperatures, 1 of 20 epochs, "
        "4,000 of 60,000 training images"
    ) in page.read_text()
    counts = pd.read_csv(page.parent / "thesis_mcnemar.csv")
    assert set(counts.images) == {1_000} and set(counts.seed) == {"0", "1", "all"}
    text = page.read_text()
    page.unlink()
    capsys.readouterr()
    run(*arguments)
    assert table.read_text() == first and page.read_text() == text
    assert "epoch" not in capsys.readouterr().out
    shutil.copytree(page.parent, tmp_path / "elsewhere" / "tables")
    run(*arguments[:2], "--published", f"--workdir={tmp_path / 'elsewhere'}")
    assert "epoch" not in capsys.readouterr().out
    assert (tmp_path / "elsewhere" / "tables" / "results.md").read_text() == text
