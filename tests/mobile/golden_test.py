"""The golden files are what the reference computes today, and hold what the readers need."""

import json
import pathlib

import pytest

from experiments import golden, golden_bundles

COMMITTED = pathlib.Path(golden.__file__).parents[1] / "mobile" / "golden"
NAMES = (
    "bundles.json",
    "digits.bin.gz",
    "digits.json",
    "frames.bin",
    "frames.json",
    "images.bin",
    "images.json",
    "scores.bin",
    "scores.json",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("golden")
    golden.write(out)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_files_are_up_to_date(written, name):
    same = (written / name).read_bytes() == (COMMITTED / name).read_bytes()
    assert same, f"{name} differs; run python -m experiments.golden"


def test_no_other_files_and_not_much(written):
    assert {path.name for path in COMMITTED.iterdir()} == set(NAMES)
    assert {path.name for path in written.iterdir()} == set(NAMES)
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 1_300_000


def test_every_case_is_covered():
    frames = json.loads((COMMITTED / "frames.json").read_text())
    cases = frames["cases"]
    assert {case["rotation"] for case in cases} == {0, 90, 180, 270}
    assert {case["input"] for case in cases} == set(range(len(frames["inputs"])))
    auto = [c["inverted"] for c in cases if frames["inputs"][c["input"]]["polarity"] == "auto"]
    assert set(auto) == {True, False}


def test_every_bundle_has_its_own_fault():
    names = [entry["name"] for entry in golden_bundles.entries()]
    assert len(names) == len(set(names)) > 130
    kinds = {entry["kind"] for entry in golden_bundles.entries()}
    assert kinds - {None} == {
        *("missing_file", "syntax", "format", "missing_field", "type", "value", "bytes", "hash"),
        *("content", "shape", "labels", "quantization", "golden"),
    }
