"""Speed of a training step next to PyTorch and Keras, on the same machine in the same run.

    python -m experiments.benchmarks.train_step --csv experiments/results/train_step.csv

The same architecture, batch, optimiser (Adam) and cost (cross-entropy) in each framework, on random
images of MNIST's shape, or CIFAR-10's. They take turns (see `side_by_side`), and the median of the
rounds is reported. PyTorch runs as it is (eager) and through `torch.compile`. It takes about ten
minutes on two cores. PyTorch and Keras are optional: what is not installed is skipped.
"""

import functools
import os

import numpy as np

from distill import provenance
from experiments.benchmarks import networks, side_by_side
from experiments.benchmarks.side_by_side import Round

BATCH = 100
EXAMPLES = 6000

# Steps in a round: a second or two.
STEPS = {
    "teacher": 20, "simplenet_v1": 300, "simplenet_v4": 300,
    "resnet20": 5, "vgg16": 2, "mobilenet_v2_cifar": 2, "densenet40": 1,
}  # fmt: skip
SMALL = networks.KERAS  # on 28x28x1; the others on 32x32x3


def main() -> None:
    build = {
        "distill": build_distill, "pytorch": build_pytorch,
        "pytorch_compiled": functools.partial(build_pytorch, compiled=True),
        "keras": build_keras,
    }  # fmt: skip
    side_by_side.compare(
        __spec__.name, __doc__, f"batch {BATCH}, Adam; examples per second", build,
        {model: steps * BATCH for model, steps in STEPS.items()}, {"batch": BATCH},
        fits=lambda framework, model: framework != "keras" or model in networks.KERAS,
    )  # fmt: skip


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
