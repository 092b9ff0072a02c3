"""The pages on small networks and on the search for them, from made-up rows."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

from configs import small_mnist
from distill import validation
from distill.cost import cost
from distill.errors import InputError
from distill.models import build
from distill.progress import Display
from distill.report import fronts
from experiments import driver, search, small_networks, small_recipes

SHARED = {
    "config_hash": "0" * 12, "commit": "0" * 10, "device": "a processor", "dataset": "mnist",
    "test_images": 10_000,
}  # fmt: skip


def _row(seed, accuracy=0.9920, weights=3_400):
    shipped = {
        "num_params": weights, "macs": 200_000, "float32_bytes": 20_000, "int8_bytes": 7_900,
        "accuracy": accuracy, "int8_accuracy": accuracy - 0.0005,
        "int4_bytes": 5_600, "int4_accuracy": accuracy - 0.001,
    }  # fmt: skip
    tested = [accuracy + extra for extra in (-0.01, 0.0006, 0.0)]
    config = small_networks.configuration("tiny_3k")
    return small_networks.row("tiny_3k", config, seed, shipped, tested) | SHARED


@pytest.mark.parametrize("name", small_networks.names())
def test_the_networks_are_valid_and_as_large_as_they_are_called(name):
    config = small_networks.configuration(name)
    validation.validate(config)
    assert config.student.epochs == 60
    bare = name.removesuffix(small_networks.DISTILLED)
    folded = {} if bare == "v1" else {"folded": True}
    model = build(config.student.model, {**config.student.args, **folded}, num_classes=10)
    sizes = {"v1": 3_484, "tiny_1k": 1_000, "tiny_3k": 3_500, "tiny_6k": 6_000}
    most = sizes.get(bare) or 1.01 * int(bare.removeprefix("found_"))
    weights = cost(model, (28, 28, 1)).num_params
    assert 0.85 * most < weights <= most
    if bare not in sizes:
        tried = pd.read_csv(search.PAGE.files()[0]).query("num_params == @weights")
        rates = [json.loads(genes)["student.learning_rate"] for genes in tried.genes]
        assert config.student.learning_rate in rates


def test_a_network_is_trained_once_for_all_seeds_and_its_best_epoch_is_told(tmp_path):
    display = Display()
    config = small_networks.configuration("v1", epochs=2, quick=True)
    first = small_networks.train("v1", config, range(1), tmp_path, display)
    assert [row["seed"] for row in first] == [0]
    assert all(row["best_epoch_accuracy"] >= row["accuracy"] > 0.1 for row in first)
    assert first[0]["num_params"] == 3_484 and first[0]["test_images"] == 500
    assert first[0]["int4_bytes"] < 4_700 < first[0]["int8_bytes"] < 6_400
    assert first[0]["int4_accuracy"] > first[0]["accuracy"] - 0.05  # two epochs more
    more = small_networks.train("v1", config, range(2), tmp_path, display)
    assert more[:1] == first and more == small_networks.left(tmp_path, config)
    config.student.learning_rate *= 2
    with pytest.raises(InputError, match="student.learning_rate"):
        small_networks.left(tmp_path, config)


def test_recipes_are_compared_by_held_out_images(tmp_path):
    axes = small_mnist.get_config("v1,recipe").sweep.axes
    points = [
        dict(zip(axes[0], values, strict=True)) for values in zip(*axes[0].values(), strict=True)
    ]
    table = [
        {"id": f"{number}-{seed}", "point": json.dumps(point), "seed": seed, "epochs": 30}
        | {"train_examples": 55_000, "validation_accuracy": 0.98 + 0.001 * number, **SHARED}
        for number, point in enumerate(points)
        for seed in range(2)
    ]
    (tmp_path / "v1").mkdir()
    pd.DataFrame(table).to_csv(tmp_path / "v1" / "results.csv", index=False)
    call = driver.Call(Display(), tmp_path, tmp_path, quick=False, train=False)
    found = pd.DataFrame(small_recipes.rows(call, "v1"))
    text = small_recipes.PAGE.text(found)
    augmentation, rate = points[-1].values()
    best = f"| v1 | {augmentation} | {rate:g} | 2 | {98 + 0.1 * (len(points) - 1):.2f} ± 0.00 | – |"
    assert best in text and text.index(best) < text.index("| v1 | shift |")
    assert "`train[55000:]` of mnist" in text and small_recipes.rows(call, "tiny_3k") == []
    small_recipes.draw(found, Figure())


def test_networks_are_one_of_several():
    with pytest.raises(InputError, match="tiny_1k,tiny_3k"):
        small_mnist.get_config("tiny_1k,tiny_3k")


def test_the_page_has_the_last_epoch_and_says_what_the_best_would_show():
    table = pd.DataFrame([_row(seed, 0.992 + 0.0001 * seed) for seed in range(3)])
    text = small_networks.PAGE.text(table)
    assert (
        "| 3 | 60 | 3,400 | 200,000 | 20,000 | 99.21 ± 0.02 | 7,900 | 99.16 ± 0.02 | 5,600 "
        "| 99.11 ± 0.02 | 0.06" in text
    )
    assert "| 3,500 weights | ≥ 99.35 | tiny_3k, 60 epochs, 3 seeds | 99.21 ± 0.02 | no |" in text
    found = "tiny_3k, int8, 60 epochs, 3 seeds | 99.16 ± 0.02 | no |"
    assert f"8,000 bytes, int8 or int4 | ≥ 99.40 | {found}" in text
    assert "| 1,000 weights | ≥ 99.00 | none that small was trained |  | no |" in text
    assert "BitNetMCU" in text and "the epoch chosen on the test set" in text
    small_networks.draw(table, Figure())


def test_a_goal_is_reached_by_ten_seeds_only():
    rows = [_row(seed, 0.9940) for seed in range(10)]
    assert "| 99.40 ± 0.00 | yes |" in small_networks.goals(pd.DataFrame(rows))
    assert "| yes |" not in small_networks.goals(pd.DataFrame(rows[:9]))


def _candidate(number, generation, accuracy, size, epochs=12):
    return {
        "id": f"{number}", "config": "search", **SHARED, "status": "ok", "generation": generation,
        "genes": json.dumps({"student.args.widths[0]": 4, "student.args.skip": True}),
        "model": "tiny", "loss": "cross_entropy", "seed": 0, "epochs": epochs,
        "train_examples": 20_000, "num_params": size // 2, "macs": 100_000,
        "float32_bytes": 3 * size, "int8_bytes": size, "accuracy": accuracy,
        "int8_accuracy": accuracy, "train_seconds": 36.0, "compile_seconds": 1.0,
    }  # fmt: skip


def test_the_front_of_a_search_is_a_page():
    rows = [
        _candidate(0, 0, 0.97, 5_000), _candidate(1, 0, 0.98, 9_000), _candidate(2, 1, 0.98, 6_000),
        _candidate(3, 1, 0.99, 9_500), _candidate(4, 1, 0.999, 4_000, epochs=3),
        {**_candidate(5, 1, 0.999, 4_000), "status": "diverged"},
    ]  # fmt: skip
    found = fronts.finished(rows, 12)
    best = fronts.front(found, ("int8_accuracy", "int8_bytes"))
    assert [row["id"] for row in best] == ["0", "2", "3"]
    assert fronts.front([], ("accuracy", "macs")) == []
    text = search.PAGE.text(pd.DataFrame(rows))
    assert (
        "| 2 | 3,000 | 100,000 | 18,000 | 6,000 | 98.00 | 98.00 | 2 | widths 4, skip yes |" in text
    )
    assert "| 4 |" not in text and "1 for 3, 5 for 12" in text
    search.draw(pd.DataFrame(rows), Figure())


def test_a_search_that_has_finished_nothing_yet_has_an_empty_picture(tmp_path):
    fronts.write([], ("int8_accuracy", "int8_bytes"), tmp_path)
    assert (tmp_path / fronts.PICTURE).stat().st_size > 0
