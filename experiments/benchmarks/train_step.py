"""Speed of a training step next to PyTorch and Keras, on the same machine in the same run.

    python -m experiments.benchmarks.train_step --csv experiments/results/train_step.csv

The same architecture, batch, optimiser (Adam) and cost (cross-entropy) in each framework, on random
images of MNIST's shape. Every framework lives in a process of its own, which sleeps while another
is measured; they take turns, and the median over the rounds is reported. It takes about three
minutes on two cores. PyTorch and Keras are optional: what is not installed is skipped.
"""

import argparse
import csv
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distill import provenance

BATCH = 100
EXAMPLES = 6000

# Steps in a round: a second or two.
STEPS = {"teacher": 20, "simplenet_v1": 300, "simplenet_v4": 300}

FRAMEWORKS = {"distill": "jax", "pytorch": "torch", "keras": "keras"}  # -> module it needs

Round = Callable[[], None]  # takes the steps of a round and waits for the last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each framework")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.models[0])
        return

    print(f"{provenance.processor()}, batch {BATCH}, Adam; examples per second")
    frameworks = []
    for framework, module in FRAMEWORKS.items():
        if importlib.util.find_spec(module):
            frameworks.append(framework)
        else:
            print(f"{framework} is skipped: the module {module} is not installed")
    rows = []
    for model in args.models:
        rows += measure(model, frameworks, args.rounds)
        print_model(rows[-len(frameworks) :])
    if args.csv:
        write_csv(args.csv, rows)


def measure(model: str, frameworks: list[str], rounds: int) -> list[dict]:
    """Lets the frameworks take turns; one row for each, in their order."""
    workers, versions, speeds = {}, {}, {}
    for framework in frameworks:
        command = [sys.executable, "-m", __spec__.name, "--worker", framework, "--models", model]
        workers[framework] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        versions[framework] = _answer(workers[framework], framework)  # when it has compiled
        speeds[framework] = []
    for _ in range(rounds):
        for framework, worker in workers.items():
            worker.stdin.write("go\n")
            speeds[framework].append(float(_answer(worker, framework)))
    for worker in workers.values():
        worker.communicate()
    return [
        {
            "model": model,
            "framework": framework,
            "version": versions[framework],
            "examples_per_second": round(statistics.median(speeds[framework])),
            "slowest": round(min(speeds[framework])),
            "fastest": round(max(speeds[framework])),
            "rounds": rounds,
            "batch": BATCH,
            "device": provenance.processor(),
            "commit": provenance.commit(),
        }
        for framework in frameworks
    ]


def _answer(worker: subprocess.Popen, framework: str) -> str:
    line = worker.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"the {framework} worker stopped with code {worker.wait()}; see above")
    return line


def print_model(rows: list[dict]) -> None:
    """Prints one line per framework; the ratio is how many times faster `distill` is."""
    ours = rows[0]["examples_per_second"]
    for row in rows:
        speed, spread = row["examples_per_second"], f"{row['slowest']:,}–{row['fastest']:,}"
        print(
            f"{row['model']:13} {row['framework']:8} {speed:8,} ({spread:>15})"
            f"  distill is {ours / speed:5.2f} x  {row['version']}",
            flush=True,
        )


def write_csv(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def work(framework: str, model: str) -> None:
    """The life of a worker: prints its versions, then one speed for each line that it reads."""
    build = {"distill": build_distill, "pytorch": build_pytorch, "keras": build_keras}[framework]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints is not an answer
    version, run = build(model)
    run()  # compiles, and fills the caches
    answers.write(version + "\n")
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        answers.write(f"{STEPS[model] * BATCH / (time.perf_counter() - start)}\n")


def random_data() -> tuple[np.ndarray, np.ndarray]:
    """Images `[EXAMPLES, 28, 28, 1]`, uint8, and labels `[EXAMPLES]`, int32."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, 28, 28, 1), np.uint8)
    return images, rng.integers(0, 10, EXAMPLES, np.int32)


def build_distill(model: str) -> tuple[str, Round]:
    """The engine itself: a chunk of steps in one compiled call, on uint8 images on the device."""
    import flax
    import jax
    import jax.numpy as jnp
    import optax

    from distill import config, models
    from distill.data import AUGMENTATIONS
    from distill.training import engine
    from distill.training import state as states_lib
    from distill.training.step import Task, TrainData

    recipe = config.training(model, schedule="constant")
    make_optimizer = states_lib.optimizer(recipe, total_steps=1)
    module = models.build(model, {}, num_classes=10)
    task = Task(module, "cross_entropy", AUGMENTATIONS["none"], make_optimizer)
    hyper = {"learning_rate": jnp.full(1, recipe.learning_rate)}
    states = states_lib.create(module, make_optimizer, hyper, (28, 28, 1), seeds=[0])
    data = TrainData(*map(jnp.asarray, random_data()))
    rng = np.random.default_rng(1)

    def run():
        nonlocal states
        order = jnp.asarray(rng.integers(0, EXAMPLES, (1, STEPS[model], BATCH)))
        states, measured = engine.run_chunk(
            task, states, hyper, data, order, jnp.int32(STEPS[model])
        )
        jax.block_until_ready(measured)

    return f"jax {jax.__version__}, flax {flax.__version__}, optax {optax.__version__}", run


def build_pytorch(model: str) -> tuple[str, Round]:
    """The plain eager loop, channels first, one thread per core."""
    import torch
    from torch import nn

    torch.set_num_threads(provenance.cores())
    layers = {
        "teacher": [
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(1024, 10),
        ],
        "simplenet_v1": [
            *(nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(294, 10)),
        ],
        "simplenet_v4": [
            *(nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.Conv2d(3, 3, 2, stride=2)),
            *(nn.Flatten(), nn.Linear(588, 10)),
        ],
    }[model]
    net = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    cross_entropy = nn.CrossEntropyLoss()
    images, labels = random_data()
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    labels = torch.from_numpy(labels.astype(np.int64))

    def run():
        for step in range(STEPS[model]):
            start = step * BATCH % EXAMPLES
            batch = slice(start, start + BATCH)
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()

    return f"torch {torch.__version__}", run


def build_keras(model: str) -> tuple[str, Round]:
    """`fit` with the TensorFlow backend."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    from experiments.benchmarks import networks

    net = networks.keras_network(model)
    net.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images, labels = random_data()
    repeats = -(-STEPS[model] * BATCH // EXAMPLES)
    images = np.tile(images.astype(np.float32) / 255, (repeats, 1, 1, 1))[: STEPS[model] * BATCH]
    labels = np.tile(labels, repeats)[: STEPS[model] * BATCH]

    def run():
        net.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)

    return f"keras {keras.__version__}, tensorflow {tf.__version__}", run


if __name__ == "__main__":
    main()
