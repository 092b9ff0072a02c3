"""Small networks for MNIST, from 750 to 10,600 weights.

python -m distill.main --config=configs/small_mnist.py:tiny_3k
python -m distill.main --config=configs/small_mnist.py:tiny_3k,distilled  # from three teachers

`python -m experiments.small_networks` trains each with ten seeds. After the training, batch
normalisation is folded into the convolutions (`config.compress`). With `recipe` it is a sweep of
augmentations and learning rates, to be judged by images that are held back:

python -m distill.sweep --config=configs/small_mnist.py:v1,recipe
"""

from typing import Any

from distill import config as configs
from distill.errors import unknown

_PLAIN: dict[str, Any] = {"kernels": (3, 3, 3), "separable": (False, False, False)}
_SKIPPING: dict[str, Any] = {**_PLAIN, "skip": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "v1": {"model": "simplenet_v1"},
    "tiny_1k": {
        "model": "tiny",
        "args": {
            **_SKIPPING,
            "widths": (6, 12, 16),
            "depths": (1, 2, 1),
            "separable": (False, True, True),
        },
    },
    "tiny_3k": {"model": "tiny", "args": {**_SKIPPING, "widths": (6, 8, 12), "depths": (1, 2, 2)}},
    "tiny_6k": {"model": "tiny", "args": {**_SKIPPING, "widths": (8, 12, 14), "depths": (1, 2, 2)}},
    "found_750": {
        "model": "tiny",
        "learning_rate": 2e-2,
        "args": {
            **_PLAIN, "widths": (6, 4, 8), "depths": (1, 1, 3), "separable": (False, False, True),
        },
    },
    "found_2700": {
        "model": "tiny",
        "learning_rate": 2e-2,
        "args": {**_PLAIN, "widths": (6, 4, 10), "depths": (1, 1, 3), "kernels": (5, 3, 3)},
    },
    "found_5900": {
        "model": "tiny",
        "learning_rate": 2e-2,
        "args": {**_PLAIN, "widths": (6, 12, 8), "depths": (2, 1, 1), "head": "dense"},
    },
    "found_10600": {
        "model": "tiny",
        "learning_rate": 2e-2,
        "args": {**_PLAIN, "widths": (6, 12, 10), "depths": (2, 3, 2), "head": "dense"},
    },
}  # fmt: skip


AUGMENTATION = "affine_or_shift"
RECIPES = (  # to choose from
    ("shift", 1e-2), ("affine", 1e-2), *((AUGMENTATION, rate) for rate in (5e-3, 1e-2, 2e-2)),
)  # fmt: skip
TEACHER = {  # each of three; built as the students are, of 70,000 weights
    "model": "tiny",
    "args": {**_SKIPPING, "widths": (16, 32, 64), "depths": (1, 2, 2)},
    "members": 3,
    "epochs": 20,
}


def get_config(arg=None):
    others = ("distilled", "quick", "recipe")
    words = configs.variants(arg, (*NETWORKS, *others))
    names = words - set(others) or {"tiny_3k"}
    if len(names) > 1:
        raise unknown("configuration argument", ",".join(sorted(names)), NETWORKS)
    config = configs.defaults()
    recipe = {"learning_rate": 1e-2, "schedule": "one_cycle", "augmentation": AUGMENTATION}
    config.student.update({"epochs": 60, **recipe, **NETWORKS[names.pop()]})
    config.dataset.fallback = "mnist5k"
    config.compress = ({"method": "fold"},)
    config.fine_tune.epochs = 0
    config.export.pack_columns = False  # small files rather than fast ones
    if "distilled" in words:
        config.loss.update({"name": "kl", "temperature": 4.0, "alpha": 0.9})
        config.student.augmentation = "affine_fixed"
        config.teacher.update({**recipe, "augmentation": "affine_fixed", **TEACHER})
    else:
        config.stages = "student,compress,evaluate,export,report"
        config.loss.name = "cross_entropy"
    if "recipe" in words:
        config.compress, config.student.epochs = (), 30
        config.dataset.train, config.dataset.validation = "train[:55000]", "train[55000:]"
        config.sweep.seeds = tuple(range(3))
        augmentations, rates = zip(*RECIPES, strict=True)
        config.sweep.axes = (
            {"student.augmentation": augmentations, "student.learning_rate": rates},
        )
    if "quick" in words:
        config.dataset.name, config.dataset.fallback = "mnist5k", ""
        config.dataset.train, config.dataset.test = "train[:1000]", "test[:500]"
        config.dataset.validation = "train[3000:]" if "recipe" in words else ""
        config.student.epochs = config.teacher.epochs = 1
        config.teacher.members = 1
        if "distilled" in words:
            config.teacher.args.update({"widths": (4, 4, 4), "depths": (1, 1, 1)})
    return config
