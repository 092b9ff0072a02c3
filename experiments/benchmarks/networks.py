"""The networks of this project in other frameworks, to compare with."""

import functools
from typing import Any

KERAS = ("teacher", "simplenet_v1", "simplenet_v4")


def keras_network(model: str) -> Any:
    """Returns one of `KERAS` as a `keras.Sequential` that gives logits."""
    import keras
    from keras import layers

    conv = functools.partial(layers.Conv2D, padding="same")
    stack = {
        "teacher": [
            *(conv(32, 5, activation="relu"), layers.MaxPooling2D()),
            *(conv(64, 5, activation="relu"), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dense(1024, activation="relu"), layers.Dropout(0.5)),
        ],
        "simplenet_v1": [
            *(conv(3, 5, activation="relu"), layers.MaxPooling2D()),
            *(conv(6, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten()),
        ],
        "simplenet_v4": [conv(3, 5, activation="relu"), conv(3, 2, strides=2), layers.Flatten()],
    }[model]
    return keras.Sequential([keras.Input((28, 28, 1)), *stack, layers.Dense(10)])


def pytorch_network(model: str) -> Any:
    """Returns a network as a `torch.nn.Module` that gives logits, channels first."""
    from torch import nn

    from experiments.benchmarks import pytorch_networks

    if model not in KERAS:
        return getattr(pytorch_networks, model)()
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
    return nn.Sequential(*layers)
