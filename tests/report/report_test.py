"""A report of many classes stays small; one of an export that failed says so."""

import json
import resource
import time

import matplotlib.image
import numpy as np

from distill import run
from distill.report import plots, tables, write


def results(matrix, **more):
    model = {
        "model": "tiny", "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f_measure": 0.5,
        "agreement": None, "num_params": 1, "compression_rate": None, "macs": 1,
        "loss": "cross_entropy", "temperature": None, "confusion_matrix": matrix.tolist(),
    }  # fmt: skip
    return {"dataset": "many", "models": {"student": model}, **more}


def many(classes):
    matrix = np.diag(np.full(classes, 9))
    matrix[3, 7], matrix[classes - 1, 0] = 5, 1
    return matrix


def test_a_thousand_classes_are_reported_in_seconds_and_little_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    write(tmp_path, results(many(1000)), {})
    assert time.monotonic() - start < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB
    picture = matplotlib.image.imread(tmp_path / "plots/confusion_student.png")
    assert max(picture.shape) < 1500
    text = (tmp_path / "report.md").read_text()
    assert "| 3 | 7 | 5 | 35.71 |\n| 999 | 0 | 1 | 10.00 |" in text and len(text) < 4000
    assert "Classes of the student, the worst" in text
    assert "| 3 | 100.00 | 64.29 | 78.26 | 14 |\n| 7 | 64.29 | 100.00 | 78.26 | 9 |" in text


def test_a_single_confusion_stays_visible_among_a_thousand_classes():
    share = np.zeros((1000, 1000))
    share[3, 7], share[999, 0] = 0.4, 0.1
    blocks = plots.largest(share)
    assert blocks.shape == (500, 500) and blocks[1, 3] == 0.4 and blocks[499, 0] == 0.1
    assert plots.largest(share[:500, :500]).shape == (500, 500)
    assert plots.largest(share[:999, :999]).shape == (500, 500)


def test_classes_go_by_their_names(tmp_path):
    names = ["Kätzchen", "猫", "$a|b$", *"defghij"]
    contents = results(many(10))
    contents["models"]["student"] |= {
        "calibration_error": 0.25,
        "calibration": [[0.3, 0.5, 2], [0.95, 0.7, 100]],
        "mistakes": [{"image": 1, "label": 2, "prediction": 1, "probability": 0.99}],
    }
    images = np.zeros((2, 4, 4, 3), np.uint8)
    files = write(tmp_path, contents, {}, names, images)
    text = (tmp_path / "report.md").read_text()
    assert "| d | h | 5 | 35.71 |" in text and "| $a\\|b$ | 100.00 | 100.00 | 100.00 | 9 |" in text
    assert [name for name in files if "/" in name] == [
        f"plots/{kind}_student.png" for kind in ("confusion", "reliability", "mistakes")
    ]
    assert all((tmp_path / name).exists() and (name == files[0] or name in text) for name in files)


def test_where_nothing_is_confused_nothing_is_listed(tmp_path):
    write(tmp_path, results(np.eye(3, dtype=int)), {})
    assert "confusions" not in (tmp_path / "report.md").read_text()
    assert tables.confusion_rows(np.eye(3, dtype=int), ["a", "b", "c"]) == []


def test_a_matrix_has_a_line_for_each_label(tmp_path):
    contents = {"models": {"a": {"matrix": np.eye(50, dtype=int).tolist(), "empty": []}},
                "text": "[\n 1, 2]", "rates": [0.5, -1e-7]}  # fmt: skip
    run.write(tmp_path / "results.json", contents)
    text = (tmp_path / "results.json").read_text()
    assert json.loads(text) == contents
    assert text.count("\n") < 70 and "[0.5, -1e-07]" in text


def test_what_could_not_be_exported_is_said(tmp_path):
    write(tmp_path, results(many(10), export_failed={"int8": "export failed: lost 9"}), {})
    assert (
        "## Not exported\n\n- int8: export failed: lost 9" in (tmp_path / "report.md").read_text()
    )
