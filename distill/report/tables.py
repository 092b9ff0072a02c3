"""Results as tables: for the terminal and for Markdown."""

from typing import Any

from rich.table import Table

Rows = list[list[str]]

HEADER = [
    "", "model", "accuracy %", "precision %", "recall %", "F-measure %", "agreement %",
    "weights", "compression %", "MACs", "loss", "T",
]  # fmt: skip

EXPORT_HEADER = [
    "export", "accuracy %", "Flax's accuracy %", "largest error", "test images", "bytes", "gzipped",
    "weights' bytes", "overhead", "overhead %", "operators",
]  # fmt: skip

COMPRESS_HEADER = [
    "step", "round", "accuracy %", "before tuning %", "weights", "non-zero", "MACs",
    "float32 bytes", "gzipped", "float32 µs", "int8 bytes", "gzipped", "int8 µs",
    "int8 accuracy %", "from scratch %",
]  # fmt: skip


def results_rows(results: dict[str, Any]) -> Rows:
    """Returns the cells of `HEADER` for each model of `results.json`."""
    return [
        [
            role,
            m["model"],
            *(_percent(m[k]) for k in ("accuracy", "precision", "recall", "f_measure")),
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
            f"{proof['max_error']:.1e}",
            f"{proof['images']:,}",
            *(f"{proof[k]:,}" for k in ("bytes", "gzip_bytes", "weights_bytes", "overhead_bytes")),
            _percent(proof["overhead_bytes"] / proof["bytes"]),
            f"{sum(proof['operators'].values())}",
        ]
        for format, proof in proofs.items()
    ]


def compress_rows(records: list[dict[str, Any]]) -> Rows:
    """Returns the cells of `COMPRESS_HEADER` for each round of the stage `compress`."""

    def count(record, key):
        return f"{record[key]:,}" if key in record else "–"

    def time(record, key):
        return f"{record[key]:.1f}" if key in record else "–"

    return [
        [
            "–" if r["step"] is None else f"{r['step']} {r['method']}",
            f"{r['round']}",
            _percent(r.get("accuracy")),
            _percent(r.get("untuned_accuracy")),
            *(count(r, key) for key in ("num_params", "nonzeros", "macs")),
            *(count(r, key) for key in ("float32_bytes", "float32_gzip_bytes")),
            time(r, "float32_latency_us"),
            *(count(r, key) for key in ("int8_bytes", "int8_gzip_bytes")),
            time(r, "int8_latency_us"),
            _percent(r.get("int8_accuracy")),
            _percent(r.get("scratch_accuracy")),
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
    found = [_columns(title, [HEADER, *results_rows(results)])]
    if "compress" in results:
        title = "compressed: test set after the fine-tuning of each round"
        found.append(_columns(title, [COMPRESS_HEADER, *compress_rows(results["compress"])]))
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


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.2f}"
