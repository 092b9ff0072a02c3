"""Looks for small networks for MNIST: accuracy on held-out images against bytes and weights.

python -m distill.search --config=configs/search_mnist.py

Each candidate is a `tiny` network with a learning rate. They are compared after a few epochs on a
third of the training images; what they are worth, a longer training says. `quick` is a search of a
minute on few images.
"""

from distill import config as configs

SPACE = {
    "student.args.widths[0]": (3, 4, 6, 8),
    "student.args.widths[1]": (4, 6, 8, 10, 12),
    "student.args.widths[2]": (0, 8, 10, 12, 14, 16),
    "student.args.depths[0]": (1, 2),
    "student.args.depths[1]": (1, 2, 3),
    "student.args.depths[2]": (1, 2, 3),
    "student.args.kernels[0]": (3, 5),
    "student.args.kernels[1]": (3, 5),
    "student.args.kernels[2]": (3,),
    "student.args.separable[1]": (False, True),
    "student.args.separable[2]": (False, True),
    "student.args.shared_weights": (False, True),
    "student.args.skip": (False, True),
    "student.args.downsample": ("max_pool", "strided_conv"),
    "student.args.head": ("mean", "dense"),
    "student.learning_rate": (0.005, 0.01, 0.02),
}


def get_config(arg=None):
    words = configs.variants(arg, ("quick",))
    config = configs.defaults()
    config.loss.name = "cross_entropy"
    config.dataset.train, config.dataset.validation = "train[:20000]", "train[45000:]"
    config.student.update({"model": "tiny", "schedule": "one_cycle"})
    config.student.augmentation = "affine_or_shift"
    config.export.pack_columns = False  # small files rather than fast ones
    config.student.args.update(
        {"widths": (8, 8, 8), "depths": (1, 1, 1), "kernels": (3, 3, 3), "separable": (False,) * 3}
    )
    config.search = configs.search(
        SPACE,
        objectives=("int8_accuracy", "int8_bytes", "num_params"),
        generations=50,
        epochs=(3, 12),
    )
    if "quick" in words:
        config.dataset.name = "mnist5k"
        config.dataset.train, config.dataset.validation = "train[:1000]", "train[3500:]"
        config.search.update({"population": 4, "generations": 2, "epochs": (1, 2), "keep": 0.5})
    return config
