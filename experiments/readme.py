"""Writes the tables of two READMEs and of pages of docs from the committed CSV files.

python -m experiments.readme
"""

import pathlib
from collections.abc import Mapping

import pandas as pd

from distill.report.tables import markdown
from experiments import RESULTS, ROOT, in_hand_page, pages, pareto_page
from experiments.thesis import beyond, rows, text
from experiments.thesis.comparisons import judge
from experiments.thesis.rows import LABELS, Group, Study

README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs" / "performance.md"
MOBILE = ROOT / "mobile" / "README.md"
YOUR_IMAGES = ROOT / "docs" / "your_images.md"


def study_table() -> str:
    """Each student, distilled and trained on labels only, beside the thesis's."""
    study = rows.read(RESULTS)
    published = study.published["2_6"].set_index("model")
    groups = {model: (group, Group(model, LABELS)) for model, group in study.chosen.items()}
    verdicts = judge(study, list(groups.values()))
    teacher = study.teacher.iloc[0]
    header = [
        "model", "weights", "compression", "T", "distilled", "thesis, distilled", "labels only",
        "thesis, labels only", "distilled − labels",
    ]  # fmt: skip
    lines = [
        [
            f"[teacher](configs/teacher.py), {text.plural(len(study.teacher), 'run')}",
            f"{teacher.num_params:,}", "–", "–", "–", "–",
            pages.accuracy(study.teacher.accuracy, 0) if len(study.teacher) > 1
            else _percent(teacher.accuracy),
            _published(study.published["2_3"].set_index("model").accuracy["teacher"]), "–",
        ]
    ]  # fmt: skip
    for (model, (distilled, labels)), verdict in zip(groups.items(), verdicts, strict=True):
        first = study.of(distilled).iloc[0]
        lines.append(
            [
                f"[{text.short(model)}](configs/{model}.py)",
                f"{first.num_params:,}",
                _percent(first.compression_rate),
                f"{distilled.temperature:g}",
                *_with_thesis(study, distilled, published.distillation_accuracy[model]),
                *_with_thesis(study, labels, published.classic_training_accuracy[model]),
                f"{text.points(verdict.difference.mean)}, {text.said(verdict)}",
            ]
        )
    runs = pd.concat([study.of(group) for pair in groups.values() for group in pair])
    notes = (
        f"Accuracy in percent on {first.dataset}'s 10,000 test images after the last of "
        f"{first.epochs} epochs, mean ± 95 % of Student's t over seeds "
        f"{text.listed([str(seed) for seed in sorted(runs.seed.unique())])}; "
        f"{', '.join(runs.device.unique())}; commit {', '.join(runs.commit.unique())}, the "
        f"teacher's {teacher.commit}. T is chosen on held-out training images; the thesis chose on "
        "the test set. A difference is better or worse where it would show both with other images "
        "and with other seeds; in brackets, the one that the test over so many seeds would find "
        "four times in five."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def unlabelled_table() -> str:
    """Each student with a tenth of the labels, distilled and trained on labels only."""
    study = rows.read(RESULTS)
    verdicts = beyond.few_labels(study, 0.1)
    if not verdicts:
        return "These were not trained yet."
    header = ["model", "a tenth of the labels", "and the other images, distilled", "difference"]
    lines = [
        [
            text.short(verdict.a.model),
            *(f"{_percent(m.mean)} ± {_percent(m.t_half_width)}"
              for m in map(study.mean, (verdict.b, verdict.a))),
            f"{text.points(verdict.difference.mean)}, {text.said(verdict)}",
        ]
        for verdict in verdicts
    ]  # fmt: skip
    runs = pd.concat([study.of(verdict.a) for verdict in verdicts])
    notes = (
        "As above; the teacher too has a tenth of the labels, and both students make the same "
        f"number of steps. Commit {', '.join(runs.commit.unique())}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def _with_thesis(study: Study, group: Group, published: float) -> list[str]:
    mean = study.mean(group)
    return [f"{_percent(mean.mean)} ± {_percent(mean.t_half_width)}", _published(published)]


def speed_table() -> str:
    """Examples per second of a training step, and ratios."""
    table = pages.read_csv(RESULTS / "train_step.csv")
    others = {"pytorch": "PyTorch", "pytorch_compiled": "PyTorch, compiled", "keras": "Keras"}
    what = f"Training examples per second, batch {table.batch[0]}, Adam"
    return f"{_against(table, others)}\n\n{what}, {_rounds(table)}"


def _against(table: pd.DataFrame, others: Mapping[str, str]) -> str:
    """Returns the speeds of each model, and how many times that of each other framework ours is.

    Where they were measured, also the seconds that ours does once.
    """
    speeds = table.pivot(index="model", columns="framework", values="examples_per_second")
    header = ["model", "distill", *others.values(), *(f"against {n}" for n in others.values())]
    rows = [
        [
            str(model),
            *(_or_dash(row[framework], "{:,.0f}") for framework in ("distill", *others)),
            *(_or_dash(row.distill / row[framework], "{:.2f} ×") for framework in others),
        ]
        for model, row in speeds.loc[table.model.unique()].iterrows()
    ]
    if "once_seconds" in table:
        header.append("compiled in")
        once = table[table.framework == "distill"].set_index("model").once_seconds
        rows = [[*row, f"{once[row[0]]:.1f} s"] for row in rows]
    return markdown(header, rows)


def _rounds(table: pd.DataFrame) -> str:
    versions = "; ".join(table.drop_duplicates("framework").version)
    commits = ", ".join(table.commit.unique())
    return (
        f"medians of {table.rounds[0]} alternated rounds; {table.device[0]}; {versions}; commit "
        f"{commits}."
    )


def first_run_table() -> str:
    """How long everyone's first command takes, and what comes of it."""
    table = pages.read_csv(RESULTS / "first_run.csv")
    header = ["data set", "runs", "minutes", "teacher", "v4"]
    lines = []
    for dataset, runs in table.groupby("dataset", sort=False):
        minutes = runs.seconds / 60
        lines.append(
            [
                str(dataset), str(len(runs)), f"{minutes.median():.1f}",
                *(_percent(runs[f"{role}_accuracy"].mean()) for role in ("teacher", "student")),
            ]
        )  # fmt: skip
    notes = (
        "From the start of the command to its end; nothing is left of earlier runs, no kernels and "
        "no compiled programs. Accuracies in percent of the whole test set; of several seeds, the "
        f"median and the means; {table.device[0]}; commit {', '.join(table.commit.unique())}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def forward_table() -> str:
    """Images per second of a forward pass, and ratios."""
    table = pages.read_csv(RESULTS / "forward.csv")
    others = {"pytorch": "PyTorch", "pytorch_compiled": "PyTorch, compiled", "litert": "LiteRT"}
    what = f"Images per second, uint8 on the host to logits on the host, batch {table.batch[0]}"
    return f"{_against(table, others)}\n\n{what}, {_rounds(table)}"


def export_table() -> str:
    """Every exported file: accuracy, size and latency."""
    table = pages.read_csv(RESULTS / "export.csv")
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


def sweep_table() -> str:
    """Student-examples per second of ten students at once, and ratios."""
    table = pages.read_csv(RESULTS / "sweep.csv")
    header = [
        "model", "distill", "PyTorch, one by one", "Keras, one by one", "against PyTorch",
        "against Keras", "compiled in",
    ]  # fmt: skip
    lines = []
    for model, found in table.groupby("model", sort=False):
        found = found.set_index("framework")
        speeds = found.examples_per_second
        lines.append(
            [
                str(model),
                *(f"{speeds[framework]:,.0f}" for framework in ("distill", "pytorch", "keras")),
                *(f"{speeds.distill / speeds[other]:.2f} ×" for other in ("pytorch", "keras")),
                f"{found.compile_seconds.distill:.1f} s",
            ]
        )
    versions = "; ".join(table.drop_duplicates("framework").version)
    notes = (
        f"Training examples per second, summed over {table.students[0]} students that learn from a "
        f"table of a teacher's logits; batch {table.batch[0]}, Adam, medians of "
        f"{table.rounds[0]} alternated rounds; {table.device[0]}; {versions}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def kernels_table() -> str:
    """Each convolution of a training step, its time and its floor."""
    table = pages.read_csv(RESULTS / "kernels.csv")
    header = [
        "model", "×", "images", "kernel", "stride", "direction", "GFLOP", "MB", "floor, ms",
        "measured, ms", "of the floor", "GFLOP/s", "GB/s",
    ]  # fmt: skip
    lines = [
        [
            row.model, str(row.count), row.image, row.kernel, str(row.stride), row.direction,
            f"{row.mflop / 1000:.3f}", f"{row.mb:.1f}", f"{row.floor_ms:.2f}, {row.bound}",
            f"{row.ms:.2f}", f"{row.floor_ms / row.ms:.0%}", f"{row.gflops:.0f}", f"{row.gbs:.0f}",
        ]
        for row in table.itertuples()
    ]  # fmt: skip
    whole = table.assign(floor=table.floor_ms * table["count"], spent=table.ms * table["count"])
    sums = whole.groupby("model", sort=False)[["floor", "spent"]].sum()
    steps = "; ".join(
        f"{name} {row.spent:.1f} ms of convolutions in a step, floor {row.floor:.1f} ms"
        for name, row in sums.iterrows()
    )
    notes = (
        f"Batch {table.batch[0]}, float32, medians. {steps}. The machine's best: "
        f"{table.peak_gflops[0]} GFLOP/s in products of matrices, {table.peak_gbs[0]} GB/s in "
        f"passes over memory; {table.device[0]}; commit {', '.join(table.commit.unique())}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def on_paper_table() -> str:
    """What a training step needs, and what data sheets of accelerators make of it."""
    table = pages.read_csv(RESULTS / "on_paper.csv")
    names = table.accelerator.unique()
    header = ["model", "GFLOP", "MB", *(f"{name}, at most" for name in names)]
    lines = []
    for model, found in table.groupby("model", sort=False):
        best = found.set_index("accelerator")
        cells = (f"{row.examples_per_second:,}, {row.bound}" for _, row in best.iterrows())
        lines.append([str(model), f"{found.gflop.iloc[0]:.2f}", f"{found.mb.iloc[0]:.1f}", *cells])
    notes = (
        f"On paper: training examples per second, batch {table.batch[0]}, float32, and what bounds "
        f"them; nothing was measured. Commit {', '.join(table.commit.unique())}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def pareto_table() -> str:
    """The files that no other beats in bytes and accuracy."""
    table = pages.read_csv(RESULTS / "pareto.csv").fillna({"chain": ""})
    found = pareto_page.points(table)
    best = pareto_page.front(found[found.form != pareto_page.PACKED])
    return f"{pareto_page.front_table(table, best)}\n\n{pages.extent(table)}"


def streaming_table(path: pathlib.Path = RESULTS / "streaming.csv") -> str:
    """How fast images come that are more than memory, beside the steps that they are for."""
    if not path.exists():
        return f"`python -m experiments.benchmarks.streaming --csv experiments/results/{path.name}`"
    table = pages.read_csv(path)
    header = [
        "files", "images", "pixels", "on the disk", "memory, reading", "and with the network",
        "until the first batch", "decoded", "steps alone", "steps, streamed",
    ]  # fmt: skip
    lines = [
        [
            row.files, f"{row.images:,}", *(f"{gb:,.1f} GB" for gb in (
                row.decoded_gb, row.file_gb, row.reading_gb, row.peak_gb
            )),
            f"{row.seconds_to_first_batch:.0f} s", *(f"{rate:,.1f}/s" for rate in (
                row.decoded_per_second, row.step_images_per_second, row.streamed_images_per_second
            )),
        ]
        for row in table.itertuples()
    ]  # fmt: skip
    notes = (
        f"EfficientNet-Lite0 at {table.side[0]} pixels, batch {table.batch[0]}, `resized_crop`; "
        f"images per second, decoded by {table.threads[0]} threads; {table.device[0]}; commit "
        f"{', '.join(table.commit.unique())}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


TABLES = {
    README: {
        "study": study_table, "unlabelled": unlabelled_table, "pareto": pareto_table,
        "export": export_table, "first_run": first_run_table, "speed": speed_table,
        "forward": forward_table, "sweep": sweep_table,
    },
    PERFORMANCE: {"kernels": kernels_table, "on_paper": on_paper_table},
    MOBILE: {
        "in_hand": in_hand_page.in_hand_table,
        "training": in_hand_page.training_table,
        "outliers": in_hand_page.outliers_table,
    },
    YOUR_IMAGES: {"streaming": streaming_table},
}  # fmt: skip


def render(page: pathlib.Path) -> str:
    """Returns a page with what stands between the markers of each of its tables made anew."""
    text = page.read_text()
    for name, table in TABLES[page].items():
        text = pages.between(text, name, table())
    return text


def _or_dash(number: float, form: str) -> str:
    return "–" if pd.isna(number) else form.format(number)


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


def _published(percent: float) -> str:
    return f"{percent:.2f}"


if __name__ == "__main__":
    for page in TABLES:
        page.write_text(render(page))
