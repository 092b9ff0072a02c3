"""What a run leaves to read: records, tables, plots, `report.md`."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill import records
from distill.report import tables

RESULTS = "results.json"
REPORT = "report.md"
PLOTS = "plots"


CLASSES = """\
Precision and recall are means over the classes that occur among labels or predictions, the
F-measure is the harmonic mean of the two. The calibration error is the mean difference between the
probability of a prediction and how often such predictions are right. Agreement is the share of
images on which student and teacher predict the same class."""
PIXELS = """\
The error of a reconstruction is the mean squared difference of its pixels, between 0 and 1, from
the image's."""


MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def check(results: Any) -> None:
    """Lays out the contents of `results.json`, and raises one of `MALFORMED` if that fails."""
    tables.terminal(results)
    if not results["models"] or not isinstance(results["dataset"], str):
        raise ValueError("it names no model or no data set")
    for model in results["models"].values():
        matrix = np.asarray(model.get("confusion_matrix", [[0]]))
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind != "i":
            raise ValueError("a confusion matrix is none")


def write(
    workdir: pathlib.Path,
    results: dict[str, Any],
    config: dict[str, Any],
    names: Sequence[str] = (),
    images: np.ndarray | None = None,
) -> list[str]:
    """Writes `report.md` and the plots it shows.

    Args:
      workdir: of the run.
      results: as in `results.json`.
      config: as in `config.json`.
      names: of the classes; empty: their numbers.
      images: of the test set, `[n, height, width, channels]` uint8, to show mistakes; None: none.

    Returns:
      The files written, relative to `workdir`.
    """
    from distill.report import pictures, plots  # matplotlib takes a while to import

    folder = workdir / PLOTS
    folder.mkdir(exist_ok=True)
    files, classes = [], ""
    history = records.read(workdir)
    if history:  # nothing was trained where weights were only read
        files.append(f"{PLOTS}/learning_curves.png")
        plots.learning_curves(history, workdir / files[-1])
    for role, model in results["models"].items():
        if "confusion_matrix" not in model:
            continue
        title = f"{role} {model['model']}, {results['dataset']} test set"
        matrix = np.array(model["confusion_matrix"])
        shown = names if len(names) == len(matrix) else list(map(str, range(len(matrix))))
        files.append(f"{PLOTS}/confusion_{role}.png")
        plots.confusion(matrix, shown, title, workdir / files[-1])
        if "calibration" in model:
            files.append(f"{PLOTS}/reliability_{role}.png")
            error, bins = model["calibration_error"], model["calibration"]
            pictures.reliability(error, bins, title, workdir / files[-1])
        if model.get("mistakes") and images is not None:
            files.append(f"{PLOTS}/mistakes_{role}.png")
            pictures.mistakes(model["mistakes"], images, shown, title, workdir / files[-1])
        classes += _classes(role, matrix, shown)
    reconstructs = any("reconstruction_error" in m for m in results["models"].values())
    shown_files = "\n\n".join(f"![{pathlib.Path(name).stem}]({name})" for name in files)
    text = f"""# {", ".join(m["model"] for m in results["models"].values())} on {results["dataset"]}

Measured on the whole test set after the last epoch; no epoch was chosen.
{PIXELS if reconstructs else CLASSES}

{tables.markdown(*tables.results_table(results))}
{_compressed(results.get("compress", []))}{_exported(results.get("export", {}))}\
{_failed(results.get("export_failed", {}))}{classes}
{shown_files}

## Configuration

```json
{json.dumps(config, indent=2)}
```
"""
    (workdir / REPORT).write_text(text, encoding="utf-8")
    return [REPORT, *files]


def _classes(role: str, matrix: np.ndarray, names: Sequence[str]) -> str:
    many = len(matrix) > tables.CLASSES
    text = f"""
## Classes of the {role}{", the worst" if many else ""}

{tables.markdown(tables.CLASS_HEADER, tables.class_rows(matrix, names))}
"""
    rows = tables.confusion_rows(matrix, names)
    if rows:
        text += f"""
Its most frequent confusions:

{tables.markdown(tables.CONFUSION_HEADER, rows)}
"""
    return text


def _compressed(records: list[dict[str, Any]]) -> str:
    if not records:
        return ""
    return f"""
## Compressed

Each round applies a method and fine-tunes. Files are those of TensorFlow Lite, a
classifier's with softmax; their microseconds are medians for one image on one thread, measured in
turns.

{tables.markdown(tables.compress_header(records), tables.compress_rows(records))}
"""


def _exported(proofs: dict[str, Any]) -> str:
    if not proofs:
        return ""
    operators = "\n".join(
        f"- {format}: " + ", ".join(f"{name} × {n}" for name, n in proof["operators"].items())
        for format, proof in proofs.items()
    )
    counts = {proof["images_read"] for proof in proofs.values() if "images_read" in proof}
    read = " or ".join(f"{count:,}" for count in sorted(counts)) or "the"
    return f"""
## Exported

Each file was run with LiteRT on every test image, one at a time, and compared with the Flax model.
The largest error is that of a probability. A reader crops, resizes and inverts images itself; its
accuracy is that of the file behind all of this, on {read} test images. Overhead
is what a file holds besides the weights.

{tables.markdown(tables.EXPORT_HEADER, tables.export_rows(proofs))}

Operators, all of TensorFlow Lite's own:

{operators}
"""


def _failed(failures: dict[str, str]) -> str:
    if not failures:
        return ""
    lines = "\n".join(f"- {format}: {message}" for format, message in failures.items())
    return f"""
## Not exported

{lines}
"""
