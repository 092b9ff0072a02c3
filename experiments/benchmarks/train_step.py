"""Speed of a training step next to PyTorch and Keras, on the same machine in the same run.

    python -m experiments.benchmarks.train_step --csv experiments/results/train_step.csv

The same architecture, batch, optimiser (Adam) and cost (cross-entropy) in each framework, on random
images of MNIST's shape, or CIFAR-10's. They take turns (see `side_by_side`), and the median of the
rounds is reported. PyTorch runs as it is (eager) and through `torch.compile`. It takes about ten
minutes on two cores. PyTorch and Keras are optional: what is not installed is skipped.
"""

import argparse
import functools
import os
from pathlib import Path

import numpy as np

from distill import provenance
from experiments.benchmarks import networks, side_by_side
from experiments.benchmarks.side_by_side import Round

FRAMEWORKS = ("distill", "pytorch", "pytorch_compiled", "keras")
BATCH = 100
EXAMPLES = 6000

# Steps in a round: a second or two.
STEPS = {
    "teacher": 20, "simplenet_v1": 300, "simplenet_v4": 300,
    "resnet20": 5, "vgg16": 2, "mobilenet_v2_cifar": 2, "densenet40": 1,
}  # fmt: skip
SMALL = networks.KERAS  # on 28x28x1; the others on 32x32x3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each framework")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        build = {
            "distill": build_distill, "pytorch": build_pytorch,
            "pytorch_compiled": functools.partial(build_pytorch, compiled=True),
            "keras": build_keras,
        }  # fmt: skip
        side_by_side.serve(args.worker, lambda: build[args.worker](args.models[0]))
        return

    print(f"{provenance.processor()}, batch {BATCH}, Adam; examples per second")
    frameworks = side_by_side.installed(FRAMEWORKS)
    rows = []
    for model in args.models:
        fit = [f for f in frameworks if f != "keras" or model in networks.KERAS]
        found = measure(model, fit, args.rounds)
        print_model(found)
        rows += found
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def measure(model: str, frameworks: list[str], rounds: int) -> list[dict]:
    """Lets the frameworks take turns; one row for each, in their order."""
    commands = {
        framework: ["-m", __spec__.name, "--worker", framework, "--models", model]
        for framework in frameworks
    }
    return [
        {
            "model": model,
            "framework": framework,
            "version": measured.about["version"],
            **measured.speeds(STEPS[model] * BATCH),
            "once_seconds": round(measured.once_seconds, 1),
            "batch": BATCH,
            "device": provenance.processor(),
            "commit": provenance.commit(),
        }
        for framework, measured in side_by_side.take_turns(commands, rounds).items()
    ]


def print_model(rows: list[dict]) -> None:
    """Prints one line per framework; the ratio is how many times faster `distill` is."""
    ours = rows[0]["examples_per_second"]
    for row in rows:
        speed, spread = row["examples_per_second"], f"{row['slowest']:,}–{row['fastest']:,}"
        print(
            f"{row['model']:18} {row['framework']:16} {speed:8,} ({spread:>15})"
            f"  distill is {ours / speed:5.2f} x  {row['version']}",
            flush=True,
        )


def input_shape(model: str) -> tuple[int, int, int]:
    """Returns height, width and channels of the images for a model."""
    return (28, 28, 1) if model in SMALL else (32, 32, 3)


def random_data(model: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `[EXAMPLES, height, width, channels]`, uint8, and labels `[EXAMPLES]`, int32."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, *input_shape(model)), np.uint8)
    return images, rng.integers(0, 10, EXAMPLES, np.int32)


def build_distill(model: str) -> Round:
    """The engine itself: a chunk of steps in one compiled call, on uint8 images on the device."""
    import jax
    import jax.numpy as jnp

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
    states = states_lib.create(module, make_optimizer, hyper, input_shape(model), seeds=[0])
    data = TrainData(*map(jnp.asarray, random_data(model)))
    rng = np.random.default_rng(1)

    def run():
        nonlocal states
        order = jnp.asarray(rng.integers(0, EXAMPLES, (1, STEPS[model], BATCH)))
        states, measured = engine.run_chunk(
            task, engine.Execution(), states, hyper, data, order, jnp.int32(STEPS[model])
        )
        jax.block_until_ready(measured)

    return run


def build_pytorch(model: str, compiled: bool = False) -> Round:
    """The plain loop, channels first, one thread per core; eager, or compiled."""
    import torch

    torch.set_num_threads(provenance.cores())
    net = networks.pytorch_network(model)
    net = torch.compile(net) if compiled else net
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    cross_entropy = torch.nn.CrossEntropyLoss()
    images, labels = random_data(model)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    labels = torch.from_numpy(labels.astype(np.int64))

    def run():
        for step in range(STEPS[model]):
            start = step * BATCH % EXAMPLES
            batch = slice(start, start + BATCH)
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()

    return run


def build_keras(model: str) -> Round:
    """`fit` with the TensorFlow backend."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    net = networks.keras_network(model)
    net.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images, labels = random_data(model)
    repeats = -(-STEPS[model] * BATCH // EXAMPLES)
    images = np.tile(images.astype(np.float32) / 255, (repeats, 1, 1, 1))[: STEPS[model] * BATCH]
    labels = np.tile(labels, repeats)[: STEPS[model] * BATCH]

    def run():
        net.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)

    return run


if __name__ == "__main__":
    main()
