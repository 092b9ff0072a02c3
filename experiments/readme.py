"""Writes the tables of README.md from the committed CSV files: `python -m experiments.readme`."""

import re

import pandas as pd

from distill.report.tables import markdown
from experiments import PUBLISHED, RESULTS, ROOT

README = ROOT / "README.md"


def mnist_table() -> str:
    """Ours beside the thesis's: the teacher, and each student distilled and trained on labels."""
    ours = pd.read_csv(RESULTS / "mnist.csv")
    distilled = pd.read_csv(PUBLISHED / "table_2_3.csv").set_index("model")
    classic = pd.read_csv(PUBLISHED / "table_2_6.csv").set_index("model")
    header = [
        "model", "weights", "compression", "distilled", "thesis, distilled", "labels only",
        "thesis, labels only", "agreement", "F-measure", "config",
    ]  # fmt: skip
    rows = []
    for name, found in ours.groupby("model", sort=False):
        first = found.iloc[0]
        by_labels = found[found.loss == "cross_entropy"].accuracy.iloc[0]
        if first.role == "teacher":
            cells = ["–", "–", _percent(by_labels), _published(distilled.accuracy[name]), "–"]
            student, config = first, "teacher"
        else:
            student = found[found.loss == "soft_squared_error"].iloc[0]
            cells = [
                _percent(student.accuracy),
                f"{_published(distilled.accuracy[name])} (T={distilled.temperature[name]:.0f})",
                _percent(by_labels),
                _published(classic.classic_training_accuracy[name]),
                _percent(student.agreement),
            ]
            config = student.config
        rate = "–" if pd.isna(student.compression_rate) else _percent(student.compression_rate)
        rows.append(
            [
                name, f"{student.num_params:,}", rate, *cells, _percent(student.f_measure),
                f"[{config}](configs/{config}.py)",
            ]
        )  # fmt: skip
    notes = (
        f"Percent, on {first.dataset}'s 10,000 test images after the last epoch; "
        f"seed {', '.join(str(s) for s in sorted(set(ours.seed)))}; "
        f"{', '.join(sorted(set(ours.device)))}; commit {', '.join(sorted(set(ours.commit)))}. "
        "The thesis's figures are means of ten runs, with T chosen on the test set; ours have T=1."
    )
    return f"{markdown(header, rows)}\n\n{notes}"


def speed_table() -> str:
    """Examples per second of a training step, and ratios."""
    table = pd.read_csv(RESULTS / "train_step.csv")
    speeds = table.pivot(index="model", columns="framework", values="examples_per_second")
    header = ["model", "distill", "PyTorch", "Keras", "against PyTorch", "against Keras"]
    rows = [
        [
            model,
            *(f"{row[framework]:,.0f}" for framework in ("distill", "pytorch", "keras")),
            *(f"{row.distill / row[framework]:.2f} ×" for framework in ("pytorch", "keras")),
        ]
        for model, row in speeds.loc[table.model.unique()].iterrows()
    ]
    versions = "; ".join(table.drop_duplicates("framework").version)
    notes = (
        f"Training examples per second, batch {table.batch[0]}, Adam, medians of "
        f"{table.rounds[0]} alternated rounds; {table.device[0]}; {versions}."
    )
    return f"{markdown(header, rows)}\n\n{notes}"


def export_table() -> str:
    """Every exported file: accuracy, size and latency."""
    table = pd.read_csv(RESULTS / "export.csv")
    ours = table[table.framework == "distill"]
    header = [
        "model", "format", "Flax", "TFLite", "bytes", "gzipped", "overhead", "median µs", "p90 µs",
    ]  # fmt: skip
    rows = [
        [
            row.model,
            row.format,
            _percent(row.accuracy_flax),
            _percent(row.accuracy_tflite),
            *(f"{int(n):,}" for n in (row.bytes, row.gzip_bytes, row.overhead_bytes)),
            f"{row.latency_us_p50_1:.1f}",
            f"{row.latency_us_p90_1:.1f}",
        ]
        for row in ours.itertuples()
    ]
    median = table.set_index(["framework", "model", "format"]).latency_us_p50_1
    v1 = median["distill", "simplenet_v1", "float32"]
    keras = median["keras", "simplenet_v1"]
    ratio = median["distill", "teacher", "float32"] / v1
    notes = (
        f"Accuracy in percent on the whole test set of {', '.join(ours.dataset.unique())}. "
        "Overhead is what a file holds besides its weights. Latency of one image with one thread, "
        f"{ours.runs.iloc[0]:,} alternated runs; {ours.device.iloc[0]}; commit "
        f"{', '.join(ours.commit.unique())}. In the same run SimpLeNet v1 built in Keras and "
        f"converted by the same converter took {keras.float32:.1f} µs, {keras.int8:.1f} µs in "
        f"int8, and the teacher {ratio:.0f} times as long as v1."
    )
    return f"{markdown(header, rows)}\n\n{notes}"


TABLES = {"mnist": mnist_table, "speed": speed_table}


def render(text: str) -> str:
    """Replaces what stands between the markers of each table."""
    for name, table in TABLES.items():
        start, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        content = f"{start}\n{table()}\n{end}"
        text, count = pattern.subn(lambda match, content=content: content, text)
        if count != 1:
            raise ValueError(f"README.md has {count} places for the table {name}; it needs one")
    return text


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


def _published(percent: float) -> str:
    return f"{percent:.2f}"


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
