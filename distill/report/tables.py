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
    """Returns the table that ends a run: a column for each model, so that it fits any terminal."""
    table = Table(
        title=f"{results['dataset']}: test set after the last epoch", title_justify="left"
    )
    columns = [HEADER, *results_rows(results)]
    for i, column in enumerate(columns):
        table.add_column(column[0], justify="right" if i else "left")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    return table


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.2f}"
