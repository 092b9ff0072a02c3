import pandas as pd
import pytest

from distill.errors import InputError
from experiments import pages
from experiments.thesis import rows
from experiments.thesis.rows import Group


def _table(row, *changes):
    return pd.DataFrame([row("simplenet_v1", 0, 0.9, 3.0) | change for change in changes])


@pytest.mark.parametrize(
    "change, name, file",
    [
        ({}, "simplenet_v1 soft_squared_error T=3", "thesis"),
        ({"gradient_correction": True}, "simplenet_v1 soft_squared_error corrected T=3",
         "thesis_corrected"),
        ({"loss": "kl", "gradient_correction": None}, "simplenet_v1 kl T=3", "thesis_kl"),
        ({"teacher_members": 3}, "simplenet_v1 soft_squared_error ensemble T=3",
         "thesis_ensemble"),
        ({"learn_temperature": True, "train_examples": 55_000, "validation_accuracy": 0.9},
         "simplenet_v1 soft_squared_error learned T=3",
         "thesis_learned"),
        ({"loss": "cross_entropy", "temperature": None, "teacher_members": None},
         "simplenet_v1 cross_entropy", "thesis"),
        ({"loss": "cross_entropy", "temperature": None, "labelled_fraction": 0.1,
          "train_examples": 6_000}, "simplenet_v1 cross_entropy 10% unlabelled",
         "thesis_unlabelled"),
        ({"learning_rate": 1e-4}, "simplenet_v1 soft_squared_error recipe T=3", "thesis_recipe"),
        ({"dataset": "cifar10_jpeg"}, "simplenet_v1 soft_squared_error cifar10_jpeg T=3",
         "thesis_datasets"),
        ({"train_examples": 55_000, "validation_accuracy": 0.9},
         "simplenet_v1 soft_squared_error T=3", "thesis_selection"),
    ],
)  # fmt: skip
def test_a_row_has_its_group_and_its_file(made_row, tmp_path, change, name, file):
    _table(made_row, change).to_csv(tmp_path / "rows.csv", index=False)
    table = pages.read_csv(tmp_path / "rows.csv")
    assert rows.named(table).group[0] == name
    assert list(rows.split(table)) == [file]


def test_a_diverged_student_of_the_selection_is_told_by_its_training_images(made_row):
    held = {"train_examples": 55_000}
    table = _table(made_row, held | {"validation_accuracy": 0.9}, held | {"status": "diverged"}, {})
    found = {name: list(part.index) for name, part in rows.split(table).items()}
    assert found == {"thesis": [2], "thesis_selection": [0, 1]}


def test_hashes_of_digits_stay_text(tmp_path):
    (tmp_path / "rows.csv").write_text("id,commit,seed\n0123,12e4567890,1\n")
    read = pages.read_csv(tmp_path / "rows.csv")
    assert (read.id[0], read.commit[0], read.seed[0]) == ("0123", "12e4567890", 1)


@pytest.mark.parametrize(
    "accuracies, chosen",
    [
        ({1.0: [0.90, 0.92], 3.0: [0.93, 0.93]}, 3.0),
        ({1.0: [0.90, 0.92], 3.0: [0.99, 0.80]}, 1.0),
        ({1.0: [0.9, 0.9], 3.0: [0.9, 0.9]}, 1.0),
        ({1.0: [0.9, 0.9], 3.0: [0.99, None]}, 1.0),  # one diverged
    ],
)
def test_choose_takes_the_highest_mean(made_row, accuracies, chosen):
    table = rows.named(
        pd.DataFrame(
            [
                made_row("simplenet_v1", seed, a, t)
                | {"validation_accuracy": a, "status": "ok" if a else "diverged"}
                for t, values in accuracies.items()
                for seed, a in enumerate(values)
            ]
        )
    )
    assert rows.choose(table, "simplenet_v1", "validation_accuracy") == chosen
    assert rows.choose(table, "simplenet_v2", "validation_accuracy") is None


def test_temperatures_are_compared_at_the_seeds_that_all_have(made_row):
    """More seeds at one temperature, better ones, do not make it the better temperature."""
    table = rows.named(
        pd.DataFrame(
            [
                made_row("simplenet_v1", seed, 0.9, t, validation_accuracy=accuracy)
                for t, accuracies in ((1.0, (0.92, 0.99, 0.99)), (3.0, (0.93,)))
                for seed, accuracy in enumerate(accuracies)
            ]
        )
    )
    assert rows.choose(table, "simplenet_v1", "validation_accuracy") == 3.0


@pytest.mark.parametrize(
    ("column", "message"),
    [("id", "two rows of simplenet_v1 .* seed 0"), ("teacher", "students of several teachers")],
)
def test_rows_that_do_not_belong_together_are_refused(make_study, tmp_path, column, message):
    make_study(tmp_path, lambda *_: 0.9, seeds=[0])
    table = pd.read_csv(tmp_path / "thesis.csv").assign(teacher="one")
    if column == "id":
        table = pd.concat([table, table.assign(id=table.id + "again", precision=0.5)])
    else:
        table.loc[table.temperature == 3, "teacher"] = "another"
    table.to_csv(tmp_path / "thesis.csv", index=False)
    with pytest.raises(InputError, match=message):
        rows.read(tmp_path)


def test_a_title_says_what_was_reduced(made_row):
    def runs(seeds, **other):
        return rows.named(
            pd.DataFrame([made_row("simplenet_v1", s, 0.9, 1.0, **other) for s in seeds])
        )

    one = {"students": 1}
    assert rows.reduced(runs(range(10)), one) == ""
    assert rows.reduced(runs(range(10))) == " — reduced: 1 of 5 students"
    assert rows.reduced(runs(range(3)), one, temperatures=3) == (
        " — reduced: 3 of 10 seeds, 3 of 16 temperatures"
    )
    assert rows.reduced(runs(range(10), epochs=1, train_examples=4_000), one) == (
        " — reduced: 1 of 20 epochs, 4,000 of 60,000 training images"
    )
    assert rows.reduced(runs(range(10)), one | {"training images": 55_000}) == ""


def test_runs_of_a_group_are_the_finished_ones_by_seed(make_study, tmp_path):
    study = make_study(tmp_path, lambda *_: 0.9, seeds=(2, 0, 1))
    group = Group("simplenet_v3", "soft_squared_error", 3.0)
    study.runs.loc[(study.runs.group == str(group)) & (study.runs.seed == 2), "status"] = "diverged"
    assert list(study.of(group).seed) == [0, 1]
    assert study.mean(group).n == 2
    assert study.mean(Group("simplenet_v3", "kl", 3.0)).n == 0


def test_students_of_different_recipes_are_not_averaged(make_study, tmp_path):
    make_study(tmp_path, lambda *_: 0.9)
    table = pd.read_csv(tmp_path / "thesis.csv")
    table.loc[0, "epochs"] = 5
    table.to_csv(tmp_path / "thesis.csv", index=False)
    with pytest.raises(InputError, match=r"mixes students of epochs \[.*5.*20.*\]"):
        rows.read(tmp_path)


def test_without_results_the_command_that_makes_them_is_named(tmp_path):
    with pytest.raises(InputError, match="thesis.csv is missing; run python -m experiments.repro"):
        rows.read(tmp_path)
