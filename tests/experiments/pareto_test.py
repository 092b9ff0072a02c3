"""The experiment on accuracy against bytes, from made-up rows."""

import json

import pandas as pd
import pytest

from distill import validation
from distill.errors import InputError
from experiments import pages, pareto, pareto_page


def _record(i):
    return {
        "accuracy": 0.99 - 0.0013 * (i % 7), "int8_accuracy": 0.989 - 0.0013 * (i % 7),
        "num_params": 3484, "nonzeros": 3000 - i, "macs": 149_940, "float32_bytes": 16_352 - 60 * i,
        "float32_gzip_bytes": 13_926 - 50 * i, "int8_bytes": 7_000 - 90 * i,
        "int8_gzip_bytes": 5_000, "packed_bytes": 4_000 - 70 * i,
    }  # fmt: skip


def _rows(seeds=(0,)):
    starts = set()
    for i, chain in enumerate(pareto.runs(seeds)):
        shared = {
            "test_images": 10_000, "fine_tune_epochs": 3, "config_hash": "0" * 12,
            "commit": "0" * 10, "device": "a processor", "dataset": "mnist",
            "seed": chain.config.seed, "epochs": 20, "float32_latency_us": 11.0,
            "int8_latency_us": 30.0,
        }  # fmt: skip
        if chain.directory not in starts:
            starts.add(chain.directory)
            yield {**pareto.row(chain.start, "", (), _record(-len(starts))), **shared}
        yield {**pareto.row(chain.start, chain.name, chain.config.compress, _record(i)), **shared}


def test_every_chain_is_a_valid_configuration():
    found = list(pareto.runs([0, 1], epochs=2))
    assert len(found) == 2 * 33
    assert len({(chain.directory, chain.name) for chain in found}) == len(found)
    for chain in found:
        validation.validate(chain.config)
        assert chain.config.student.epochs == 2 and chain.config.fine_tune.epochs in (1, 3)
    assert len(list(pareto.runs([0], quick=True))) == sum(pareto.QUICK.values())


def test_chains_of_a_start_train_the_same_weights():
    for start in pareto.CHAINS:
        configs = [chain.config.to_dict() for chain in pareto.runs([0]) if chain.start == start]
        assert len({json.dumps({**config, "compress": None}) for config in configs}) == 1
    config = next(pareto.runs([0])).config
    assert config.student.model == "teacher" and config.student.epochs == config.teacher.epochs
    assert config.student.learning_rate == config.teacher.learning_rate


def _points(*rows):
    return pd.DataFrame(rows, columns=["bytes", "accuracy"])


def test_the_front_is_what_nothing_beats():
    found = _points((100, 0.9), (50, 0.8), (200, 0.9), (70, 0.79), (50, 0.7), (300, 0.95))
    assert pareto_page.front(found).bytes.tolist() == [50, 100, 300]


def test_forms_are_those_that_say_something_of_a_chain():
    table = pd.DataFrame(_rows())
    found = pareto_page.points(table).groupby(["start", "chain"]).form.agg(list)
    assert found["simplenet_v1", ""] == ["float32", "int8"]
    assert found["simplenet_v1", "filters, int8"] == ["int8"]
    assert found["teacher", "clusters"] == ["float32", "int8", "packed"]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_page_has_every_chain_and_says_that_nothing_was_selected(seeds, tmp_path):
    for path in pages.write(pareto.PAGE, list(_rows(seeds)), tmp_path):
        assert path.exists()
    text = (tmp_path / "docs" / "pareto.md").read_text()
    assert "![Accuracy against bytes](results/pareto.png)" in text and "nan" not in text
    assert "nothing was selected by it" in text
    everything = text.split("## All chains")[1].splitlines()
    assert sum(line.startswith(("| teacher", "| v")) for line in everything) == 33 + 6
    orders = text.split("in another order")[1].split("##")[0]
    assert "| teacher: SVD, filters, int8 |" in orders and "| v1: SVD, filters, int8 |" in orders
    assert orders.count("| teacher:") == 4 and orders.count("| v1:") == 2


def test_students_that_were_only_distilled_are_compared_with_chains():
    table = pd.DataFrame(_rows())
    mine, chains = table.start == "simplenet_v2", (table.start == "teacher") & (table.chain != "")
    table.loc[mine & (table.chain == ""), ["accuracy", "float32_bytes"]] = 0.5, 100
    table.loc[chains, ["accuracy", "int8_accuracy"]] = 0.6
    table.loc[chains, "int8_bytes"] = range(1000, 1000 + chains.sum())
    lines = pareto_page.alone(table).splitlines()
    (line,) = [line for line in lines if line.startswith("| v2 | float32")]
    assert line == "| v2 | float32 | 100 | 50.00 | 0 of 19 | int8 (int8): 1,000 bytes, 60.00 |"


def test_what_was_not_run_is_missed(tmp_path):
    with pytest.raises(InputError, match=r"chains/int8.json is missing; leave out --notrain"):
        pareto.outcome(next(pareto.runs([0])), tmp_path, False, None)


def test_rows_of_the_page_are_those_of_the_file():
    csv, *_ = pareto.PAGE.files()
    if csv.exists():
        found = pages.read_csv(csv).fillna({"chain": ""})
        wanted = {(chain.start, chain.name) for chain in pareto.runs([0])}
        assert {pair for pair in zip(found.start, found.chain, strict=True) if pair[1]} == wanted
