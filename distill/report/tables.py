"""Results as tables: for the terminal and for Markdown."""

from typing import Any

from rich.table import Table

Rows = list[list[str]]

HEADER = [
    "", "model", "accuracy %", "precision %", "recall %", "F-measure %", "agreement %",
    "weights", "compression %", "MACs", "loss", "T",
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


def markdown(header: list[str], rows: Rows) -> str:
    """Lays out a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def terminal(results: dict[str, Any]) -> Table:
    """Returns the table that ends a run."""
    table = Table(title=f"{results['dataset']}: test set after the last epoch")
    for name in HEADER:
        table.add_column(name, justify="left" if name in ("", "model", "loss") else "right")
    for row in results_rows(results):
        table.add_row(*row)
    return table


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.2f}"
