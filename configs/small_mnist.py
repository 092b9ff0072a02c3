"""Small networks for MNIST, from 1,000 to 6,000 weights, trained on labels.

python -m distill.main --config=configs/small_mnist.py:tiny_3k

`python -m experiments.small_networks` trains each with ten seeds. After the training, batch
normalisation is folded into the convolutions (`config.compress`).
"""

from typing import Any

from distill import config as configs
from distill.errors import unknown

_THREE: dict[str, Any] = {"kernels": (3, 3, 3), "separable": (False, False, False), "skip": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "v1": {"model": "simplenet_v1"},
    "tiny_1k": {
        "model": "tiny",
        "args": {
            **_THREE,
            "widths": (6, 12, 16),
            "depths": (1, 2, 1),
            "separable": (False, True, True),
        },
    },
    "tiny_3k": {"model": "tiny", "args": {**_THREE, "widths": (6, 8, 12), "depths": (1, 2, 2)}},
    "tiny_6k": {"model": "tiny", "args": {**_THREE, "widths": (8, 12, 14), "depths": (1, 2, 2)}},
}


def get_config(arg=None):
    words = configs.variants(arg, (*NETWORKS, "quick"))
    names = words - {"quick"} or {"tiny_3k"}
    if len(names) > 1:
        raise unknown("configuration argument", ",".join(sorted(names)), NETWORKS)
    config = configs.defaults()
    config.stages = "student,compress,evaluate,export,report"
    config.loss.name = "cross_entropy"
    config.dataset.fallback = "mnist5k"
    config.student.update(
        {"epochs": 60, "learning_rate": 1e-2, "schedule": "one_cycle", "augmentation": "affine"}
    )
    config.student.update(NETWORKS[names.pop()])
    config.compress = ({"method": "fold"},)
    config.fine_tune.epochs = 0
    if "quick" in words:
        config.dataset.name, config.dataset.fallback = "mnist5k", ""
        config.dataset.train, config.dataset.test = "train[:1000]", "test[:500]"
        config.student.epochs = 1
    return config
