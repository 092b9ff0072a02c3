"""What a step of each method costs beside labels only, in the same run.

    python -m experiments.benchmarks.methods --csv experiments/results/methods_cost.csv

A SimpLeNet, Adam, batches of 100 random images; what the teacher says of them, and its features
where a method compares them, is looked up in tables, as in a real training. The methods are those
of `experiments.methods`. They take turns, round by round, all in one process; medians of the
rounds, and ratios to labels only of the same round. It takes about four minutes on two cores. The
table in docs/methods.md is written from the file by `python -m experiments.methods_page`.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from distill import provenance
from experiments import methods, methods_page
from experiments.benchmarks import side_by_side
from experiments.benchmarks.side_by_side import Round

BATCH, STEPS, EXAMPLES, CLASSES = 100, 100, 1000, 10
SHAPE = (28, 28, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="simplenet_v1", choices=methods.MODELS)
    parser.add_argument("--methods", nargs="+", default=list(methods.METHODS))
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = measure(args.model, args.methods, args.rounds)
    for row in rows:
        print(f"{row['method']:24} {row['ms']:7.3f} ms  {row['ratio']:5.2f} x labels only")
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def measure(model: str, names: list[str], rounds: int) -> list[dict[str, Any]]:
    """Lets the methods take turns; one row for each, in their order, the first with labels only."""
    names = [methods_page.LABELS, *(name for name in names if name != methods_page.LABELS)]
    runs = {name: build(model, methods.METHODS[name]) for name in names}
    for run in runs.values():
        run()  # compiles
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start) / STEPS)
    alone = times[methods_page.LABELS]
    return [
        {
            "model": model,
            "method": name,
            "ms": round(statistics.median(found), 3),
            "fastest_ms": round(min(found), 3),
            "slowest_ms": round(max(found), 3),
            "ratio": round(statistics.median(a / b for a, b in zip(found, alone, strict=True)), 3),
            "rounds": rounds,
            "batch": BATCH,
            "device": provenance.processor(),
            "commit": provenance.commit(),
        }
        for name, found in times.items()
    ]


def build(model: str, loss: methods.Loss) -> Round:
    """Returns a round of `STEPS` updates of one student, in one compiled call."""
    import jax
    import jax.numpy as jnp

    from distill import config as configs
    from distill import losses, models
    from distill.models import taps
    from distill.training import engine, recipe
    from distill.training.step import TrainData

    config = configs.defaults()
    config.student.model, config.student.schedule = model, "constant"
    config.loss.update(loss)
    section = recipe.loss_section(config.loss)
    data = {
        "dataset": "noise", "splits": {}, "transfer": None, "fingerprint": "",
        "input_shape": SHAPE, "num_classes": CLASSES, "examples": EXAMPLES,
    }  # fmt: skip
    teacher_about = recipe.describe(
        config.teacher, {"name": "cross_entropy"}, [0], config.dataset, data, None
    )
    about = recipe.describe(config.student, section, [0], config.dataset, data, teacher_about)
    taught = losses.needs_teacher(section["name"])
    teacher = models.build(config.teacher.model, {}, num_classes=CLASSES) if taught else None
    task = recipe.task(about, recipe.Length(STEPS, 100 * STEPS), teacher)
    states, hyper = recipe.create(about, task), recipe.hyper(about)
    rng = np.random.default_rng(0)

    def table(*shape):
        return jnp.asarray(rng.standard_normal(shape, np.float32))

    data = TrainData(
        images=jnp.asarray(rng.integers(0, 256, (EXAMPLES, *SHAPE), np.uint8)),
        labels=jnp.asarray(rng.integers(0, CLASSES, EXAMPLES, np.int32)),
    )
    if teacher is not None:
        shapes = taps.shapes(teacher, SHAPE)
        wanted = {theirs for pairs in task.taps.values() for _, theirs in pairs}
        data = dataclasses.replace(
            data,
            teacher_logits=table(1, EXAMPLES, 1, CLASSES),
            teacher_features={name: table(1, EXAMPLES, *shapes[name]) for name in sorted(wanted)},
            teacher_classifier=(table(*shapes[taps.PENULTIMATE], CLASSES), table(CLASSES)),
        )
    task = dataclasses.replace(task, teacher=None)  # whose place the tables take

    def run():
        nonlocal states
        order = jnp.asarray(rng.integers(0, EXAMPLES, (1, STEPS, BATCH)))
        states, measured = engine.run_chunk(
            task, engine.Execution(), states, hyper, data, order, jnp.int32(STEPS)
        )
        jax.block_until_ready(measured)

    return run


if __name__ == "__main__":
    main()
