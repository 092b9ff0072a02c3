"""The experiments on pruning, from made-up rows."""

import pandas as pd
import pytest

from distill import models, validation
from distill.errors import InputError
from distill.patterns import matching
from experiments import autoencoder, filter_pruning, pages, sensitivity

SHARED = {
    "config_hash": "0" * 12, "commit": "0" * 10, "device": "a processor", "dataset": "some",
    "seed": 0, "epochs": 12, "test_images": 10_000,
}  # fmt: skip
COSTS = {"num_params": 900, "macs": 1000, "float32_latency_us": 10.0, "int8_latency_us": 8.0}


def test_variants_of_a_seed_share_a_directory():
    found = list(autoencoder.runs([0, 1], epochs=3))
    assert [name for name, *_ in found] == 2 * list(autoencoder.VARIANTS)
    assert [directory for *_, directory in found][1:3] == ["seed-0", "seed-0-regularised"]
    assert len({directory for *_, directory in found}) == 4
    for name, config, _ in found:
        validation.validate(config)
        assert bool(config.student.l1) == (name in ("regularised", "combined"))


def test_the_page_counts_channels_beside_the_thesis(tmp_path):
    def record(error, macs):
        return {"reconstruction_error": error, "float32_bytes": 5000, **COSTS, "macs": macs}

    whole = {"encoder": [32, 64], "decoder": [32, 1]}
    rows = []
    for i, variant in enumerate(autoencoder.VARIANTS):
        found = {
            "compress": [record(0.01, 2000), record(0.02, 1500), record(0.03, 1000)],
            "models": {"student": {"test_images": 10_000}},
        }
        made = autoencoder.rows(variant, found, {"encoder": [16, 60], "decoder": [22, 1]}, whole)
        rows += made if not i else made[1:]
    rows = [{**row, "whole_latency_us": 20.0, **SHARED} for row in rows]
    for path in pages.write(autoencoder.PAGE, rows, tmp_path):
        assert path.exists()
    text = (tmp_path / "docs" / "autoencoder.md").read_text()
    line = "| vanilla | 2 | 16 / 60 / 22 | 16 / 64 / 22 | 0.03000 | 900 | 1,000 | 5,000 | 10.0 |"
    assert line in text and "| whole | 0 | 32 / 64 / 32 |" in text


@pytest.mark.parametrize("width, vgg", [(1.0, 64), (0.25, 16)])
def test_networks_are_pruned_as_in_the_paper(width, vgg):
    found = {name: config for name, config, _ in filter_pruning.runs(
        list(filter_pruning.AMOUNTS), [0], width)}  # fmt: skip
    for name, config in found.items():
        validation.validate(config)
        module = models.build(name, config.student.args, num_classes=10)
        groups = [group.name for group in module.channels().groups]
        amount = config.compress[0]["amount"]
        assert all(matching(patterns, groups) for patterns in amount)
        if name == "vgg16":
            assert module.features[0] == vgg
            (patterns,) = amount
            assert len(matching(patterns, groups)) == 7
    with pytest.raises(InputError, match="--width is 2.0; it must be above 0, at most 1"):
        list(filter_pruning.runs(["vgg16"], [0], 2.0))
    with pytest.raises(InputError, match="unknown network 'vgg'"):
        list(filter_pruning.runs(["vgg"], [0]))


def test_the_page_stands_beside_the_paper(tmp_path):
    after = {"accuracy": 0.9, "untuned_accuracy": 0.5, "scratch_accuracy": 0.89, **COSTS}
    before = {"accuracy": 0.91, **{name: 2 * value for name, value in COSTS.items()}}
    found = {
        "compress": [before, after],
        "models": {"student": {"confusion_matrix": [[5000, 0], [0, 5000]]}},
    }
    (_, config, _), *_ = filter_pruning.runs(["vgg16"], [0], 0.25, images=20_000, fine_tune=3)
    rows = [{**filter_pruning.row("vgg16", 0.25, config, found), **SHARED}]
    pages.write(filter_pruning.PAGE, rows, tmp_path)
    text = (tmp_path / "docs" / "filter_pruning.md").read_text()
    assert "| vgg16 | 6.75 | 6.60 | 6.88 | −34.2 % | −64.0 % | Li et al. |" in text
    assert "| vgg16 × 0.25 | 9.00 | 10.00 | 11.00 | −50.0 % | −50.0 % | ours |" in text
    assert "1,800 → 900 (-50 %)" in text
    assert "| vgg16 | × 0.25 | train[:20000] | 12 + 3 | 91.00 (" in text


def test_rows_of_other_networks_stay(tmp_path):
    def names():
        return pages.read_csv(sensitivity.PAGE.files(tmp_path)[0]).network.tolist()

    row = {
        "network": "vgg16", "group": "conv0", "size": 8, "score": "l1", "amount": 0.5,
        "removed": 4, "accuracy": 0.4, "width": 1.0, **SHARED,
    }  # fmt: skip
    other = {**row, "network": "resnet56"}
    for rows in ([row, row], [other], [{**row, "accuracy": 0.3}]):
        rows = pages.with_others(sensitivity.PAGE, rows, tmp_path, "network")
        pages.write(sensitivity.PAGE, rows, tmp_path)
    assert names() == ["resnet56", "vgg16"]


def test_curves_name_what_is_missed_the_most():
    curve = {"network": "vgg16", "size": 8, "score": "l1", "removed": 4, "width": 1.0, **SHARED}
    rows = [
        {**curve, "group": group, "amount": amount, "accuracy": accuracy}
        for group, accuracy in (("conv0", 0.4), ("conv1", 0.3))
        for amount in (0.5, 0.9)
    ]
    text = sensitivity.PAGE.text(pd.DataFrame(rows))
    assert text.index("| vgg16 | conv1 | 30.00 |") < text.index("| vgg16 | conv0 | 40.00 |")
