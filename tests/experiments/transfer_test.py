"""The experiment on transfer: its configurations are valid, and its page is made of rows."""

import pytest

from distill import validation
from distill.compress import stage
from distill.errors import InputError
from distill.export import bundle, drafting
from distill.training import trained
from distill.training.description import Description
from experiments import pages, transfer

SHARED = {
    "size": 64, "train": "train[:5000]", "fine_tune_epochs": 0, "test_images": 2000,
    "num_params": 3_000_000, "macs": 30_000_000, "int8_accuracy": 0.79, "float32_bytes": 12_000_000,
    "int8_bytes": 3_500_000, "float32_latency_us": 2500.0, "int8_latency_us": 900.0,
    "config_hash": "0" * 12, "commit": "0" * 10, "device": "a processor", "dataset": "some",
    "seed": 0, "epochs": 3,
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in transfer.RUNS if not n.startswith("scratch")])
def test_every_run_is_of_a_valid_configuration(name, tmp_path):
    config = transfer.config_of(name, "weights.npz", tmp_path)
    validation.validate(config)
    begins = {"frozen": "weights.npz", "frozen_96": "weights.npz"}
    if not name.startswith("small"):
        assert config.student.init == begins.get(
            name, str(tmp_path / ("tuned" if name.startswith("pruned") else "frozen"))
        )


def test_a_name_that_is_not_known():
    with pytest.raises(InputError, match="unknown network 'pruned'; did you mean 'pruned_"):
        transfer.config_of("pruned", "", None)


def test_the_page_is_in_the_order_of_what_builds_on_what(tmp_path):
    rows = [
        {"network": name, "accuracy": 0.8, "untuned": 0.5 if pruned else None, **SHARED}
        | ({"fine_tune_epochs": 2} if pruned else {})
        for name in ("pruned_50", "frozen")
        for pruned in (name != "frozen",)
    ]
    pages.write(transfer.PAGE, rows, tmp_path)
    text = (tmp_path / "docs" / "transfer.md").read_text()
    first = "| head alone | 64 | train[:5000] | 2,000 | 3 | – | 80.00 (78.19 to 81.69) | 79.00 |"
    second = "| 50 % fewer MACs | 64 | train[:5000] | 2,000 | 3 + 2 | 50.00 | 80.00"
    assert 0 < text.index(first) < text.index(second)
    assert "| 12,000 | 3,500 | 2.50 | 0.90 |" in text


def test_the_same_shape_from_fresh_weights_is_that_of_the_pruned(tmp_path, monkeypatch):
    trained_on(tmp_path, monkeypatch, {"stages": "of what is left"})
    assert transfer._shape(tmp_path) == {"stages": "of what is left"}
    config = transfer.config_of("scratch_50", "weights.npz", tmp_path)
    assert config.student.args.stages == "of what is left" and config.student.init == ""


def test_a_float32_file_is_written_beside_the_proven_one(tmp_path, monkeypatch):
    trained_on(tmp_path, monkeypatch, {})

    def draft(model, dataset, labels, section, format):
        assert dataset.train.images.shape == (1, 8, 8, 3) and labels == ["0", "1"]
        assert (dataset.name, dataset.num_classes, format) == ("some", 2, "float32")
        return bundle.Bundle({}, b"float32"), {}

    monkeypatch.setattr(drafting, "draft", draft)
    monkeypatch.setattr(bundle, "read", lambda path: bundle.Bundle({}, path.name.encode()))
    config = transfer.config_of("frozen", "weights.npz", tmp_path)
    found = transfer.files(config, tmp_path)
    assert found == {"float32_bytes": 7, "int8_bytes": 4}
    assert (tmp_path / transfer.FILES / "int8.tflite").read_bytes() == b"int8"


def trained_on(workdir, monkeypatch, args):
    """Makes every trained network one of given arguments."""
    about = Description(
        {"model": "some", "args": args}, {}, [0], "some", input_shape=(8, 8, 3), num_classes=2
    )
    found = trained.Trained(model=None, members=[], about=about, directory=workdir)
    monkeypatch.setattr(trained, "load", lambda path, warn: found)
    monkeypatch.setattr(stage, "last_checkpoints", lambda place: place)
