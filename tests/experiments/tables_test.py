import pandas as pd
import pytest

from experiments.thesis import answers, rows, tables
from experiments.thesis.rows import DISTILLED, LABELS, Group


def _cells(text, *start):
    """Returns the cells of the only table row that begins with `start`."""
    found = [
        cells
        for line in text.splitlines()
        if line.startswith("|")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
        if tuple(cells[: len(start)]) == start
    ]
    assert len(found) == 1, found
    return found[0][len(start) :]


def _flat(model, method, temperature):
    return 0.95 - 0.0004 * ((temperature or 1) - 1)


@pytest.fixture(scope="module")
def flat(make_study, tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("flat"), _flat)


def test_table_2_3_has_the_thesis_beside_ours(flat):
    text = tables.table_2_3(flat)
    assert text.startswith("### Table 2.3 — reduced: 3 of 10 seeds, 1 of 10 teachers, ")
    assert "teachers, 3 of 16 temperatures\n" in text
    ours = _cells(text, "v1", "ours")
    mean = flat.mean(Group("simplenet_v1", DISTILLED, 1.0))
    assert ours[:2] == ["1", "3"]
    widths = 100 * mean.normal_half_width, 100 * mean.t_half_width
    assert ours[2] == f"{100 * mean.mean:.2f} ± {widths[0]:.2f} / {widths[1]:.2f}"
    assert ours[-2:] == ["3,484", "99.89"]
    assert (
        "|  | thesis | 1 | 10 | 98.05 ± 0.06 | 98.05 ± 0.06 | 98.03 ± 0.06 | 98.04 ± 0.06 "
        "| 3,484 | 99.89 |"
    ) in text
    assert _cells(text, "teacher", "ours")[:3] == ["–", "1", "99.59"]  # of the main results
    assert "from 99.44 to 99.70 on other test images (Wilson)" in text
    assert "The teacher's accuracy in one run (commit db6af62b73), 99.59, could be" in text


def test_the_thesis_s_recipe_stands_beside_both(make_study, tmp_path):
    methods = (DISTILLED, LABELS, f"{DISTILLED} recipe", f"{LABELS} recipe")
    lower = {f"{DISTILLED} recipe": 0.02, f"{LABELS} recipe": 0.03}
    study = make_study(
        tmp_path, lambda model, method, t: 0.99 - lower.get(method, 0.0), methods=methods
    )
    mean = study.mean(Group("simplenet_v1", f"{DISTILLED} recipe", 1.0))
    text = tables.table_2_3(study)
    assert text.count("|  | its recipe, ours | 1 | 3 |") == 5
    assert f"|  | its recipe, ours | 1 | 3 | {100 * mean.mean:.2f} ± " in text
    table = tables.table_2_6(study)
    assert "Adam at 1e-4 in batches of 50 of unmoved images, here for 50 epochs" in table
    on_labels, distilled = _cells(table, "v1")[-2:]
    assert on_labels.startswith("96.") and distilled.startswith("97.")


def test_the_teacher_is_of_the_study_or_of_its_data_set_or_missing(make_study, made_row, tmp_path):
    other = make_study(tmp_path, _flat, dataset="mnist5k")
    assert other.teacher.empty and "99.59" not in tables.table_2_3(other)
    assert answers.preservation(other) == ""
    table = pd.read_csv(tmp_path / "thesis.csv", dtype={"commit": str, "gradient_correction": str})
    own = made_row("teacher", 0, 0.97, None, LABELS, dataset="mnist5k")
    pd.concat([table, pd.DataFrame([own])]).to_csv(tmp_path / "thesis.csv", index=False)
    study = rows.read(tmp_path)
    assert _cells(tables.table_2_3(study), "teacher", "ours")[:3] == ["–", "1", "97.00"]
    assert study.teacher_commit == ""  # it is that of the students
    (tmp_path / rows.MAIN).unlink()
    assert rows.read(tmp_path).main.empty


def test_the_temperature_is_chosen_by_validation_and_not_by_the_test_set(flat, tmp_path):
    runs, selection = flat.runs.copy(), flat.selection.copy()
    runs.loc[runs.temperature == 3, "accuracy"] += 0.01
    selection.loc[selection.temperature == 10, "validation_accuracy"] += 0.01
    study = rows.Study(runs, selection, flat.counts, flat.published, flat.main)
    assert {g.temperature for g in study.chosen.values()} == {10.0}
    choice = tables.table_2_3(study).partition("How T was chosen")[2]
    tried, by_validation, accuracy, by_test, its_accuracy, gained, theirs = _cells(choice, "v4")
    assert (tried, by_validation, by_test, theirs) == ("1, 3, 10", "10", "3", "10")
    assert float(gained) == pytest.approx(float(its_accuracy) - float(accuracy), abs=0.011)
    assert "5,000 training images" in choice


def test_the_choice_stays_on_the_temperatures_that_have_whole_runs(flat):
    selection = flat.selection.copy()
    selection.loc[selection.temperature == 10, "temperature"] = 20
    selection.loc[selection.temperature == 20, "validation_accuracy"] += 0.01
    study = rows.Study(flat.runs, selection, flat.counts, flat.published)
    assert {group.temperature for group in study.chosen.values()} <= {1, 3}
    assert len(study.chosen) == 5 and tables.table_2_3(study)


def test_table_2_4_ends_with_what_follows_from_the_runs(flat):
    text = tables.table_2_4(flat)
    assert text.startswith("### Table 2.4 — reduced: 3 of 10 seeds\n")
    assert _cells(text, "v1", "1", "**min**")[4:] == ["97.83", "97.84", "97.83", "97.83"]
    assert _cells(text, "v5", "3", "**max**")[4:] == ["96.60", "96.62", "96.58", "96.60"]
    assert _cells(text, "v5", "3", "**stdev**")[4] == "1.228"  # the thesis prints 1.2277
    assert _cells(text, "v5", "3", "**average**")[4] == "95.40 ± 0.76 / 0.88"
    first = flat.of(Group("simplenet_v1", DISTILLED, 1.0)).accuracy[0]
    assert _cells(text, "v1", "1", "seed 0")[::4] == [f"{100 * first:.2f}", "98.10"]
    assert text.count("| v1 | 1 | – |") == 7


def test_table_2_5_compares_with_the_thesis_at_the_same_temperature(flat):
    text = tables.table_2_5(flat)
    cells = _cells(text, "10", "3")
    assert cells[1::2] == ["97.92 ± 0.10", "97.92 ± 0.09", "97.90 ± 0.11", "97.91 ± 0.10"]
    assert "p-values after Holm's correction over 10 comparisons, of which these are 2." in text
    assert len(_cells(text, "v1 distilled, T = 3", "v1 distilled, T = 1")) == 4


def test_a_temperature_that_the_thesis_has_not_stands_alone(flat):
    runs = flat.runs.replace({"temperature": {10: 4}, "group": {r"T=10$": "T=4"}}, regex=True)
    study = rows.Study(runs, flat.selection, {}, flat.published)
    assert _cells(tables.table_2_5(study), "4", "3")[1::2] == ["–"] * 4


@pytest.mark.parametrize("gain, word", [(0.004, "**better**"), (-0.004, "**worse**")])
def test_table_2_6_tests_the_difference(make_study, tmp_path, gain, word):
    study = make_study(
        tmp_path, lambda model, method, t: 0.95 + (gain if method == DISTILLED else 0)
    )
    text = tables.table_2_6(study)
    cells = _cells(text, "v3")
    assert (cells[2], cells[4]) == ("95.34", "95.93") and cells[-1] == "+0.59"
    assert cells[-2] == word
    assert float(cells[5].split()[0]) == pytest.approx(100 * gain, abs=0.04)


def test_a_diverged_run_is_counted_and_left_out_of_the_mean(flat):
    runs = flat.runs.copy()
    lost = (runs.group == "simplenet_v2 soft_squared_error T=1") & (runs.seed == 1)
    runs.loc[lost, "status"] = "diverged"
    runs.loc[lost, ["accuracy", "precision", "recall", "f_measure", "num_params"]] = None
    selection = flat.selection.copy()
    selection.loc[selection.temperature == 1, "validation_accuracy"] = 0.99
    study = rows.Study(runs, selection, flat.counts, flat.published, flat.main)
    assert _cells(tables.table_2_3(study), "v2", "ours")[1] == "2 (1 diverged)"


def test_tables_without_rows_are_left_out(flat):
    study = rows.Study(
        flat.runs[flat.runs.method == LABELS], flat.selection.iloc[:0], {}, flat.published
    )
    for table in (tables.table_2_3, tables.table_2_4, tables.table_2_5, tables.table_2_6):
        assert table(study) == ""
