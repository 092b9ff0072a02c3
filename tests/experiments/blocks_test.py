"""The experiment on blocks, from made-up rows."""

import pandas as pd
import pytest

from distill import validation
from experiments import blocks, pages


def _rows(seeds):
    for i, (variant, config, _) in enumerate(blocks.runs(seeds)):
        number = list(blocks.VARIANTS).index(variant)
        yield {
            "variant": variant, "model": "calli", "args": "{}", "test_images": 10_000,
            "accuracy": 0.99 - 0.001 * i, "num_params": 1000 * (10 - number),
            "macs": 200_000 * (10 - number), "float32_bytes": 4000, "int8_bytes": 1000,
            "int8_accuracy": 0.98, "config_hash": "0" * 12, "commit": "0" * 10,
            "device": "a processor", "dataset": "mnist", "seed": config.seed, "epochs": 12,
            "float32_latency_us": 100.0 - number, "int8_latency_us": 50.0,
        }  # fmt: skip


def test_each_variant_is_a_valid_configuration():
    found = list(blocks.runs([0, 1], epochs=3))
    assert len({name for *_, name in found}) == len(found) == 2 * len(blocks.VARIANTS)
    for variant, config, _ in found:
        validation.validate(config)
        assert config.student.epochs == 3
        assert dict(config.student.args) == blocks.VARIANTS[variant]


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_page_compares_with_the_plain_network(seeds, tmp_path):
    for path in pages.write(blocks.PAGE, list(_rows(seeds)), tmp_path):
        assert path.exists()
    lines = (tmp_path / "docs" / "blocks.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|") and "±" in line or "(9" in line]
    assert len(table) == len(blocks.VARIANTS)
    assert "| 1,800,000 | 90 % | 4,000 | 99.0 | 99 % | 1,000 | 50.0 | 100 % | 98.00 |" in table[1]
    assert "![Efficient structures in one network](results/blocks.png)" in lines


def test_a_row_is_read_from_results():
    found = {
        "models": {
            "student": {
                "accuracy": 0.75, "num_params": 9, "macs": 8, "confusion_matrix": [[2, 1], [0, 1]],
            }
        },
        "export": {
            "float32": {"bytes": 70}, "int8": {"bytes": 60, "accuracy_tflite": 0.5},
        },
    }  # fmt: skip
    _, config, _ = list(blocks.runs([0]))[3]
    assert blocks.row("separable", config, found) == {
        "variant": "separable", "model": "calli", "args": '{"block": "separable"}',
        "test_images": 4, "accuracy": 0.75, "num_params": 9, "macs": 8, "float32_bytes": 70,
        "int8_bytes": 60, "int8_accuracy": 0.5,
    }  # fmt: skip


def test_rows_of_the_page_are_those_of_the_file():
    csv, *_ = blocks.PAGE.files()
    if csv.exists():
        assert list(pd.read_csv(csv).variant.unique()) == list(blocks.VARIANTS)
