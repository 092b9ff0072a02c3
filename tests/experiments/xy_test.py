"""The network that adds: masks are slices, and the page is of each seed's last cycle."""

import numpy as np
import pandas as pd
import pytest

from distill.errors import InputError
from experiments import xy, xy_train

SIZES = {"hidden": 20, "samples": 4000, "batch_size": 100, "epochs": 1, "most_cycles": 2}


def test_networks_of_several_seeds_lose_units_together():
    said = []
    variant = {**xy.OPTIMIZERS["momentum"], "distort": True, "outliers": True, "l1": 1e-4}
    rows = xy_train.cycles([0, 1], "normal", variant, SIZES, said.append)
    alone = xy_train.cycles([1], "normal", variant, {**SIZES, "most_cycles": 1}, said.append)
    table = pd.DataFrame(rows)
    assert table.cycle.max() <= 2 and (table.units <= 20).all() and (table.units > 0).all()
    first = table[(table.seed == 1) & (table.cycle == 1)].iloc[0]
    assert (alone[0]["seed"], alone[0]["units"]) == (1, first.units)
    np.testing.assert_allclose(alone[0]["loss"], first.loss, rtol=1e-3)


def test_units_alive_move_to_the_front_of_every_array():
    params = {
        "hidden/kernel": np.arange(12.0).reshape(2, 2, 3),
        "hidden/bias": np.arange(6.0).reshape(2, 3),
        "output/kernel": np.arange(6.0).reshape(2, 3, 1),
        "output/bias": np.zeros((2, 1)),
    }
    kept = np.array([[False, True, True], [False, False, True]])
    moved, alive = xy_train._compact(params, kept)
    assert alive.tolist() == [[True, True], [True, False]]
    assert moved["hidden/kernel"].tolist() == [[[1, 2], [4, 5]], [[8, 6], [11, 9]]]
    assert moved["hidden/bias"].tolist() == [[1, 2], [5, 3]]
    assert moved["output/kernel"][..., 0].tolist() == [[1, 2], [5, 3]]
    assert moved["output/bias"].shape == (2, 1)


def test_activations_are_counted_on_every_sample():
    inputs = 255 * np.array([[1, 0], [0, 1], [-1, -1], [1, 1]], np.float32).reshape(4, 1, 1, 2)
    params = {
        "hidden/kernel": np.array([[[1.0, 0, -1], [1, 0, 0]]], np.float32),
        "hidden/bias": np.array([[0.0, 0, 0]], np.float32),
    }
    assert xy_train._counts(params, inputs).tolist() == [[3, 0, 1]]


def rows():
    shared = {
        "optimizer": "momentum", "init": "normal", "variant": "vanilla", "hidden": 1000,
        "samples": 10, "batch_size": 5, "epochs": 1, "most_cycles": 3, "commit": "c", "device": "d",
    }  # fmt: skip
    found = [(0, 1, 60, 0.5), (1, 1, 40, 0.5), (0, 2, 30, 0.25)]
    return [{**shared, "seed": s, "cycle": c, "units": u, "loss": e} for s, c, u, e in found]


def test_the_page_counts_each_seed_after_its_last_cycle():
    text = xy.PAGE.text(pd.DataFrame(rows()))
    assert "| momentum | normal | vanilla | 2 | 35 | 30 to 40 | 0.38 | 0 of 2 | about 50 |" in text


def test_rows_of_other_sizes_are_refused(tmp_path):
    path = tmp_path / "xy.csv"
    with pytest.raises(InputError, match="xy.csv is missing; leave out --notrain"):
        xy.collect(path, SIZES, range(2), False, None)
    pd.DataFrame(rows()).to_csv(path)
    with pytest.raises(InputError, match="rows of other sizes; choose another --workdir"):
        xy.collect(path, SIZES, range(2), False, None)
