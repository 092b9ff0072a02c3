"""The comparison of all methods, from made-up rows, and its page."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from distill import losses, validation
from distill import study as study_lib
from distill.errors import InputError
from experiments import ROOT, methods, methods_cifar10, methods_page, pages
from experiments.benchmarks import methods as cost


def test_every_method_is_a_valid_configuration_of_its_own():
    shown = {methods._shown(loss) for loss in methods.METHODS.values()}
    assert len(shown) == len(methods.METHODS)
    used = {name.split("(")[0].split("*")[-1] for text in shown for name in text.split(" + ")}
    ours = {name for name, loss in losses.LOSSES.items() if loss.__module__.startswith("distill.")}
    assert used == ours - {"fsp", "reconstruction"}
    for fraction in methods.FRACTIONS:
        points = study_lib.expand(methods.sweep(fraction))
        assert len(points) == len(methods.METHODS) * len(methods.MODELS)
        for point in points:
            validation.validate(point)
            taught = methods.from_teacher(point.loss)
            images = methods.IMAGES * (1 if taught else fraction)
            assert point.student.epochs * images == methods.EPOCHS * methods.IMAGES


def _table(accuracies, counts):
    rows = [
        {
            "labelled_fraction": 1.0, "model": "simplenet_v1", "method": method, "seed": seed,
            "status": "ok", "accuracy": value, "a_better": counts[method][0],
            "b_better": counts[method][1], "test_images": 1000, "train_examples": 10_000,
            "epochs": 6, "dataset": "mnist", "device": "a processor", "commit": "0" * 10,
        }
        for method, values in accuracies.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


TABLE = _table(
    {
        "labels only": (0.950, 0.952, 0.951), "kl": (0.970, 0.9721, 0.971),
        "dkd": (0.951, 0.950, 0.953), "nst": (0.930, 0.9322, 0.931),
    },
    {"labels only": (0, 0), "kl": (30, 5), "dkd": (10, 9), "nst": (3, 25)},
)  # fmt: skip


def test_a_method_is_better_where_both_tests_say_so():
    (cells,) = methods_page.judge(TABLE).values()
    words = {method: cell.word for method, cell in cells.items()}
    assert words == {"labels only": "open", "kl": "better", "dkd": "open", "nst": "worse"}
    assert cells["kl"].difference.mean == pytest.approx(0.02003, abs=1e-5)
    assert methods_page.answer(methods_page.judge(TABLE)).endswith(
        "- v1, all labels: of 3 methods `kl` is better; `nst` is worse than labels only. The "
        "highest mean is that of `kl`, +2.00 ± 0.01."
    )


def test_counts_are_of_images_on_which_one_is_right_for_more_seeds(tmp_path):
    labels = np.array([0, 1, 2, 3])
    guesses = {"a": (0, 1, 2, 0), "b": (0, 1, 2, 3), "c": (0, 0, 0, 3)}
    (tmp_path / "predictions").mkdir()
    shown = {name: methods._shown(loss) for name, loss in methods.METHODS.items()}
    rows = []
    for name, (method, seed) in {"a": ("kl", 0), "b": ("kl", 1), "c": ("labels only", 0)}.items():
        np.save(tmp_path / "predictions" / f"{name}.npy", np.array(guesses[name]))
        rows.append(
            {
                "id": name, "loss": shown[method], "seed": seed, "status": "ok",
                "model": "simplenet_v1", "labelled_fraction": 1.0,
            }
        )  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "results.csv", index=False)
    found = {row["id"]: row for row in methods.collect(tmp_path, labels, methods.METHODS)}
    assert list(found) == ["c", "a", "b"]  # labels only first
    assert (found["a"]["a_better"], found["a"]["b_better"]) == (2, 1)  # of the seed that both have


def test_rows_of_one_student_trained_otherwise_are_no_further_seeds():
    twice = pd.concat([TABLE, TABLE.assign(epochs=12)])
    with pytest.raises(InputError, match=r"several rows of one student \(1.0, simplenet_v1, "):
        methods.in_order(twice, methods.METHODS)


def test_page_and_picture_are_written_from_the_rows(tmp_path):
    study = methods_page.MNIST
    csv, page, picture = methods_page.write(TABLE.to_dict("records"), tmp_path, study)
    assert "97.10 ± 0.26, **better**" in page.read_text()
    with Image.open(picture) as image:
        assert image.text[pages.SOURCE] == pages.digest(csv)


@pytest.mark.parametrize("study", [methods_page.MNIST, methods_page.CIFAR10], ids=lambda s: s.name)
def test_the_page_is_that_of_the_committed_results(study):
    csv, picture = study.csv(ROOT), study.picture(ROOT)
    assert csv.exists() == picture.exists()
    if csv.exists():
        stale = "run python -m experiments.methods_page"
        with Image.open(picture) as image:
            assert image.text[pages.SOURCE] == pages.digest(csv), stale
        page, table = (ROOT / methods_page.PAGE).read_text(), pages.read_csv(csv)
        for name, content in methods_page.render(table, study).items():
            assert pages.between(page, name, content) == page, stale


def test_the_costs_are_those_of_the_committed_results():
    page = (ROOT / methods_page.PAGE).read_text()
    csv = methods_page.Study(methods_page.COST).csv(ROOT)
    if not csv.exists():
        pytest.skip("nothing was measured")
    table = pages.read_csv(csv)
    rendered = methods_page.render_cost(table)
    assert pages.between(page, methods_page.COST, rendered) == page, "run experiments.methods_page"


def test_every_method_of_cifar10_is_a_valid_configuration_and_its_page_names_the_teacher():
    points = study_lib.expand(methods_cifar10.sweep())
    assert len(points) == len(methods_cifar10.METHODS) == 10
    for point in points:
        validation.validate(point)
        assert (point.teacher.model, point.student.model) == ("resnet20", "resnet8")
    for point in study_lib.expand(methods_cifar10.sweep(quick=True)):
        validation.validate(point)
        assert point.student.epochs == 1 and point.dataset.train == "train[:1000]"
    for quick in (False, True):  # a trained teacher is as it is
        (point, *_) = study_lib.expand(methods_cifar10.sweep(teacher="run", quick=quick))
        assert (point.teacher.init, point.teacher.epochs) == ("run", 0)
        assert not point.teacher.args
    table = TABLE.assign(labelled_fraction=1.0, model="resnet8", teacher_accuracy=0.9123)
    rendered = methods_page.render(table, methods_page.CIFAR10)["methods_cifar10"]
    assert (
        "is right on 91.23% of the test" in rendered and "- resnet8, all labels: of 3" in rendered
    )


def test_costs_are_ratios_to_labels_only(monkeypatch):
    seconds = {"labels only": 1.0, "kl": 1.5}
    clock = [0.0]

    def build(model, loss):
        name = next(name for name, of in methods.METHODS.items() if of is loss)

        def run():
            clock[0] += seconds[name]

        return run

    monkeypatch.setattr(cost, "build", build)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: clock[0])
    rows = cost.measure("simplenet_v1", ["kl"], rounds=3)
    assert [(row["method"], row["ratio"]) for row in rows] == [("labels only", 1.0), ("kl", 1.5)]
    assert rows[1]["ms"] == pytest.approx(1000 * 1.5 / cost.STEPS)
