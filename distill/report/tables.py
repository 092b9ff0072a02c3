"""Results as tables: for the terminal and for Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from distill import metrics

Rows = list[list[str]]

HEADER = [
    "", "model", "accuracy %", "top-5 accuracy %", "precision %", "recall %", "F-measure %",
    "calibration error %", "agreement %", "weights", "compression %", "MACs", "loss", "T",
]  # fmt: skip

EXPORT_HEADER = [
    "export", "accuracy %", "Flax's accuracy %", "a reader's accuracy %", "top-5 accuracy %",
    "calibration error %", "largest error",
    "test images", "bytes", "gzipped", "weights' bytes", "overhead", "overhead %", "operators",
]  # fmt: skip

INT4_HEADER = ["int4 bytes", "int4 accuracy %"]  # where a network was trained for it
COMPRESS_HEADER = [
    "step", "round", "accuracy %", "before tuning %", "weights", "non-zero", "MACs",
    "float32 bytes", "gzipped", "float32 µs", "int8 bytes", "gzipped", "int8 µs",
    "int8 accuracy %", "from scratch %",
]  # fmt: skip

CONFUSION_HEADER = ["label", "prediction", "images", "of the label's %"]
CONFUSIONS = 20  # that are listed
CLASS_HEADER = ["class", "precision %", "recall %", "F-measure %", "images"]
CLASSES = 50  # that are all listed; of more, those of the lowest F-measure
WORST = 20  # of these

ERROR_HEADER = ["", "model", "reconstruction error", "weights", "MACs", "loss"]


def results_table(results: dict[str, Any]) -> tuple[list[str], Rows]:
    """Returns the header, and the cells for each model of `results.json`."""
    if not _reconstruct(results["models"].values()):
        return HEADER, results_rows(results)
    return ERROR_HEADER, [
        [
            role,
            m["model"],
            f"{m['reconstruction_error']:.5f}",
            f"{m['num_params']:,}",
            f"{m['macs']:,}",
            m["loss"],
        ]
        for role, m in results["models"].items()
    ]


def results_rows(results: dict[str, Any]) -> Rows:
    """Returns the cells of `HEADER` for each model of `results.json`, all classifiers."""
    return [
        [
            role,
            m["model"],
            _percent(m["accuracy"]),
            _percent(m.get("top5_accuracy")),
            *(_percent(m[k]) for k in ("precision", "recall", "f_measure")),
            _percent(m.get("calibration_error")),
            _percent(m["agreement"]),
            f"{m['num_params']:,}",
            _percent(m["compression_rate"]),
            f"{m['macs']:,}",
            m["loss"],
            "–" if m["temperature"] is None else f"{m['temperature']:g}",
        ]
        for role, m in results["models"].items()
    ]


def export_rows(proofs: dict[str, Any]) -> Rows:
    """Returns the cells of `EXPORT_HEADER` for each format of `results.json`."""
    return [
        [
            format,
            _percent(proof["accuracy_tflite"]),
            _percent(proof["accuracy_flax"]),
            _percent(proof.get("accuracy_read")),
            _percent(proof.get("top5_accuracy")),
            _percent(proof.get("calibration_error")),
            f"{proof['max_error']:.1e}",
            f"{proof['images']:,}",
            *(f"{proof[k]:,}" for k in ("bytes", "gzip_bytes", "weights_bytes", "overhead_bytes")),
            _percent(proof["overhead_bytes"] / proof["bytes"]),
            f"{sum(proof['operators'].values())}",
        ]
        for format, proof in proofs.items()
    ]


def class_rows(matrix: np.ndarray, names: Sequence[str]) -> Rows:
    """Returns the cells of `CLASS_HEADER` for the classes that occur, or the worst of many."""
    found = [(name, m) for name, m in zip(names, metrics.by_class(matrix), strict=True)]
    if len(found) > CLASSES:
        found = sorted((f for f in found if f[1].support), key=lambda f: f[1].f_measure)[:WORST]
    return [
        [cell(name), *map(_percent, measured[:3]), f"{measured.support:,}"]
        for name, measured in found
    ]


def cell(text: str) -> str:
    """Returns text that a folder or a person has named something by, for a cell of Markdown."""
    return text.replace("|", "\\|")


def confusion_rows(matrix: np.ndarray, names: Sequence[str]) -> Rows:
    """Returns the cells of `CONFUSION_HEADER` for the most frequent confusions."""
    examples = matrix.sum(1)
    return [
        [
            cell(names[label]),
            cell(names[prediction]),
            f"{count:,}",
            _percent(count / examples[label]),
        ]
        for label, prediction, count in metrics.confusions(matrix, CONFUSIONS)
    ]


def compress_header(records: list[dict[str, Any]]) -> list[str]:
    """Returns `COMPRESS_HEADER`, or what it is for models that reconstruct images."""
    header = COMPRESS_HEADER + INT4_HEADER * _four_bits(records)
    if not _reconstruct(records):
        return header
    errors = {
        "accuracy %": "error", "before tuning %": "error before tuning",
        "int8 accuracy %": "int8 error", "int4 accuracy %": "int4 error",
        "from scratch %": "error from scratch",
    }  # fmt: skip
    return [errors.get(name, name) for name in header]


def _four_bits(records: list[dict[str, Any]]) -> bool:
    """Whether a network was trained for four bits."""
    return any("int4_bytes" in record for record in records)


def compress_rows(records: list[dict[str, Any]]) -> Rows:
    """Returns the cells of `COMPRESS_HEADER` for each round of the stage `compress`."""

    def count(record, key):
        return f"{record[key]:,}" if key in record else "–"

    def time(record, key):
        return f"{record[key]:.1f}" if key in record else "–"

    def quality(record, prefix=""):
        error = record.get(f"{prefix}reconstruction_error")
        return _percent(record.get(f"{prefix}accuracy")) if error is None else f"{error:.5f}"

    return [
        [
            "–" if r["step"] is None else f"{r['step']} {r['method']}",
            f"{r['round']}",
            quality(r),
            quality(r, "untuned_"),
            *(count(r, key) for key in ("num_params", "nonzeros", "macs")),
            *(count(r, key) for key in ("float32_bytes", "float32_gzip_bytes")),
            time(r, "float32_latency_us"),
            *(count(r, key) for key in ("int8_bytes", "int8_gzip_bytes")),
            time(r, "int8_latency_us"),
            quality(r, "int8_"),
            quality(r, "scratch_"),
            *((count(r, "int4_bytes"), quality(r, "int4_")) if _four_bits(records) else ()),
        ]
        for r in records
    ]


def markdown(header: list[str], rows: Rows) -> str:
    """Lays out a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def terminal(results: dict[str, Any]) -> list[Table]:
    """Returns the tables that end a run."""
    title = f"{results['dataset']}: test set after the last epoch"
    header, rows = results_table(results)
    found = [_columns(title, [header, *rows])]
    if "compress" in results:
        title = "compressed: test set after the fine-tuning of each round"
        records = results["compress"]
        found.append(_columns(title, [compress_header(records), *compress_rows(records)]))
    return [*found, exported(results["export"])] if "export" in results else found


def exported(proofs: dict[str, Any]) -> Table:
    """Returns the table of what was exported."""
    title = "exported, and run with LiteRT on the whole test set"
    return _columns(title, [EXPORT_HEADER, *export_rows(proofs)])


def _columns(title: str, columns: Rows) -> Table:
    """Lays out a table whose first column is the header, so that it fits any terminal."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column[0], justify="right" if i else "left")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    return table


def _reconstruct(measured: Iterable[dict[str, Any]]) -> bool:
    """Whether models or rounds are of images that are reconstructed, and not classified."""
    return any("reconstruction_error" in m for m in measured)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.2f}"
