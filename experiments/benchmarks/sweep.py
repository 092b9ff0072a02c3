"""Ten students distilled at once, next to PyTorch and Keras, which loop over them.

    python -m experiments.benchmarks.sweep --csv experiments/results/sweep.csv
    python -m experiments.benchmarks.sweep --csv experiments/results/sweep_growth.csv \\
        --frameworks distill --students 1 2 5 10 20

Students of one shape and ten seeds learn from a table of logits by the thesis's squared error, with
Adam, in batches of 100 random images. `distill` trains them in one program, in the way that it
chooses for the device (`distill.training.engine.execution`); PyTorch and Keras train one after the
other, PyTorch in the plain eager loop on soft targets that are computed beforehand, Keras by `fit`.
Each student makes 100 updates in a round, the length of a compiled call in a real training. They
take turns (see `side_by_side`). Speeds are summed over the students, and the median of the rounds
is reported; what the first round took longer, compiling above all, is reported by itself. The first
command takes about five minutes on two cores. On a machine with a GPU all of them use it.
`experiments.benchmarks.growth` draws what the second one writes.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill import provenance
from experiments.benchmarks import networks, side_by_side
from experiments.benchmarks.side_by_side import Measured, Round

FRAMEWORKS = ("distill", "pytorch", "keras")
MODELS = ("simplenet_v1", "simplenet_v4")
BATCH, STEPS = 100, 100  # of a student in a round
EXAMPLES = 60_000
LEARNING_RATE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--frameworks", nargs="+", default=list(FRAMEWORKS), choices=FRAMEWORKS)
    parser.add_argument("--students", nargs="+", type=int, default=[10], help="at the same time")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        build = {"distill": build_distill, "pytorch": build_pytorch, "keras": build_keras}
        arguments = (args.models[0], args.students[0])
        side_by_side.serve(args.worker, lambda: build[args.worker](*arguments))
        return

    frameworks = side_by_side.installed(args.frameworks)
    rows = []
    for model in args.models:
        found = measure(model, frameworks, args.students, args.rounds)
        print_model(found)
        rows += found
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def measure(
    model: str, frameworks: Sequence[str], students: Sequence[int], rounds: int
) -> list[dict]:
    """Lets the frameworks take turns; a row for each of them and each number of students."""
    commands = {
        (framework, count): [
            "-m", __spec__.name, "--worker", framework, "--models", model,
            "--students", str(count),
        ]
        for count in students
        for framework in frameworks
    }  # fmt: skip
    measured = side_by_side.take_turns(commands, rounds)
    return [_row(model, framework, count, found) for (framework, count), found in measured.items()]


def _row(model: str, framework: str, students: int, measured: Measured) -> dict:
    return {
        "model": model,
        "framework": framework,
        "version": measured.about["version"],
        "students": students,
        **measured.speeds(students * STEPS * BATCH),
        "compile_seconds": round(measured.once_seconds, 2),
        "batch": BATCH,
        "device": measured.about["device"],
        "commit": provenance.commit(),
    }


def print_model(rows: list[dict]) -> None:
    """Prints one line per row; the ratio is how many times faster `distill` is than a loop."""
    ours = {r["students"]: r["examples_per_second"] for r in rows if r["framework"] == "distill"}
    print(f"{rows[0]['model']}, batch {BATCH}, Adam; student-examples per second")
    for row in rows:
        speed, spread = row["examples_per_second"], f"{row['slowest']:,}–{row['fastest']:,}"
        ratio = ours.get(row["students"], 0) / speed
        print(
            f"  {row['students']:4} students  {row['framework']:8} {speed:10,} ({spread:>19})"
            f"{f'  distill is {ratio:5.2f} x' if row['framework'] != 'distill' else '':20}"
            f"  compiled in {row['compile_seconds']:5.1f} s  {row['device']}, {row['version']}",
            flush=True,
        )


def random_data() -> tuple[np.ndarray, np.ndarray]:
    """Images `[EXAMPLES, 28, 28, 1]` uint8, and a teacher's logits `[EXAMPLES, 10]` float32."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, 28, 28, 1), np.uint8)
    return images, 3 * rng.standard_normal((EXAMPLES, 10), np.float32)


def soft_targets() -> np.ndarray:
    """What the logits say at a temperature of 1, `[EXAMPLES, 10]` float32."""
    exp = np.exp(random_data()[1])
    return exp / exp.sum(-1, keepdims=True)


def build_distill(model: str, students: int) -> Round:
    """The engine as a sweep uses it: all students in one compiled call."""
    provenance.make_a_device_of_each_core()
    import jax
    import jax.numpy as jnp

    from distill import config, models
    from distill.data import AUGMENTATIONS
    from distill.training import engine
    from distill.training import state as states_lib
    from distill.training.step import Task, TrainData

    recipe = config.training(model, schedule="constant", learning_rate=LEARNING_RATE)
    make_optimizer = states_lib.optimizer(recipe, total_steps=1)
    module = models.build(model, {}, num_classes=10)
    task = Task(module, "soft_squared_error", AUGMENTATIONS["none"], make_optimizer)
    numbers = {"learning_rate": LEARNING_RATE, "temperature": 1.0, "alpha": 1.0}
    hyper = {name: jnp.full(students, value) for name, value in numbers.items()}
    hyper["gradient_correction"] = jnp.zeros(students, bool)
    plan = engine.execution(students)
    states = states_lib.create(module, make_optimizer, hyper, (28, 28, 1), seeds=range(students))
    images, logits = random_data()
    unlabelled = np.full(EXAMPLES, -1, np.int32)
    data = plan.place(TrainData(images, unlabelled, logits[None, :, None]))
    rng = np.random.default_rng(1)

    def run():
        nonlocal states
        order = rng.integers(0, EXAMPLES, (students, STEPS, BATCH), np.int32)
        states, measured = engine.run_chunk(
            task, plan, states, hyper, data, plan.place_order(order), np.int32(STEPS)
        )
        jax.block_until_ready(measured)

    return run


def build_pytorch(model: str, students: int) -> Round:
    """One student after the other in the plain eager loop."""
    import torch

    torch.set_num_threads(provenance.cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trained = []
    for seed in range(students):
        torch.manual_seed(seed)
        net = networks.pytorch_network(model).to(device)
        trained.append((net, torch.optim.Adam(net.parameters(), LEARNING_RATE)))
    images = torch.from_numpy(random_data()[0].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    images, targets = images.to(device), torch.from_numpy(soft_targets()).to(device)

    def run():
        for net, optimizer in trained:
            order = torch.randint(EXAMPLES, (STEPS, BATCH), device=device)
            for index in order:
                optimizer.zero_grad()
                error = torch.softmax(net(images[index]), -1) - targets[index]
                error.square().sum(-1).mean().backward()
                optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def build_keras(model: str, students: int) -> Round:
    """One student after the other by `fit`, with the TensorFlow backend."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    def error(targets, logits):
        return keras.ops.sum(keras.ops.square(keras.ops.softmax(logits) - targets), axis=-1)

    trained = []
    for seed in range(students):
        keras.utils.set_random_seed(seed)
        net = networks.keras_network(model)
        net.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss=error)
        trained.append(net)
    images = random_data()[0][: STEPS * BATCH].astype(np.float32) / 255
    targets = soft_targets()[: STEPS * BATCH]

    def run():
        for net in trained:
            net.fit(images, targets, batch_size=BATCH, epochs=1, verbose=0)

    return run


if __name__ == "__main__":
    main()
