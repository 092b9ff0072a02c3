"""docs/results.md: it is that of the committed results, and so are its figures."""

import pytest
from PIL import Image

from experiments import RESULTS, pages, results_page
from experiments.thesis import figures, rows
from experiments.thesis.rows import DISTILLED, LABELS

METHODS = (
    DISTILLED, LABELS, f"{DISTILLED} corrected", "kl", f"{DISTILLED} ensemble",
    f"{DISTILLED} learned", f"{DISTILLED} 10% unlabelled", f"{LABELS} 10% unlabelled",
)  # fmt: skip
STALE = "run python -m experiments.results_page"


def _source(picture):
    with Image.open(picture) as image:
        return image.text[figures.SOURCE]


def _check(results, page):
    study = rows.read(results)
    assert page.read_text() == results_page.render(study), STALE
    folder = page.parent / results_page.FIGURES
    names = {f"{name}.png" for name in figures.drawable(study)}
    ours = {f"{name}.png" for name in figures.DRAW}
    assert {path.name for path in folder.iterdir()} & ours == names, STALE
    for name in names:
        assert _source(folder / name) == results_page.digest(results), f"{name}: {STALE}"


def test_the_page_is_that_of_the_committed_results():
    there = (RESULTS / "thesis.csv").exists()
    assert results_page.PAGE.exists() == there
    if there:
        _check(RESULTS, results_page.PAGE)


@pytest.fixture(scope="module")
def written(make_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    make_study(folder, lambda model, method, t: 0.95, methods=METHODS)
    results_page.write(folder, folder / "docs" / "results.md")
    return folder


def test_a_page_has_everything_there_are_rows_for(written):
    page = written / "docs" / "results.md"
    text = page.read_text()
    headings = [line.split(" — ")[0] for line in text.splitlines() if line.startswith("#")]
    assert [h for h in headings if h.startswith("## ")] == [
        "## Answers", "## Tables and figures", "## Beyond the thesis"
    ]  # fmt: skip
    assert [h for h in headings if "Table 2" in h] == [f"### Table 2.{i}" for i in range(3, 7)]
    assert sum(h.startswith(("### (a)", "### (b)", "### (c)")) for h in headings) == 4
    for name in figures.DRAW:
        assert f"(results/{name}.png)" in text
    trained = [path for path in written.glob("thesis*.csv") if "mcnemar" not in path.name]
    assert f"{sum(len(pages.read_csv(path)) for path in trained):,} trainings, " in text
    _check(written, page)


def test_a_change_of_the_results_makes_the_page_stale(written, tmp_path):
    page = written / "docs" / "results.md"
    for path in written.glob("*.csv"):
        (tmp_path / path.name).write_text(path.read_text().replace("0.95,", "0.93,"))
    with pytest.raises(AssertionError, match=STALE):
        _check(tmp_path, page)


def test_without_the_other_sweeps_their_sections_are_missing(make_study, tmp_path):
    text = results_page.render(make_study(tmp_path, lambda *_: 0.95, teacher_accuracy=0.9961))
    assert "The teacher is right on 99.61 %. Every row" in text
    assert "Beyond" not in text and "losses.png" not in text and "Table 2.6" in text


def test_a_study_of_one_seed_has_no_intervals_but_a_page(make_study, tmp_path):
    make_study(tmp_path, lambda *_: 0.95, seeds=[0], methods=METHODS)
    results_page.write(tmp_path, tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert "nan" not in text and "**better**" not in text and "**worse**" not in text
