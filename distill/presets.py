"""The recipes that the configurations share."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from distill import config as configs

VARIANTS = ("baseline", "thesis", "quick")

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CIFAR100_MEAN, CIFAR100_STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def simplenet(version: int, arg: str | None, dataset: str = "mnist") -> ConfigDict:
    """Returns the configuration of one SimpLeNet and its teacher.

    The recipe was chosen on the last 5,000 training images of MNIST. The teacher had 12 epochs
    then; on MNIST it has 8 at twice the rate, to be done sooner, and is right on five fewer of
    these images (results/recipe.csv).

    Args:
      version: 1 to 5.
      arg: words separated by commas. `baseline` trains on labels with cross-entropy and without a
        teacher; `thesis` takes what Rusu (2018) shows of the recipe, Adam at 1e-4 in batches of 50
        (figure 3.8; the dropout of 0.5 is the teacher's own), with epochs of our choice; `quick` is
        a run of seconds on few images, with MNIST those of the embedded sample.
      dataset: `mnist`, `fashion_mnist` or `cifar10`.
    """
    words = configs.variants(arg, VARIANTS)
    config = configs.defaults()
    config.dataset.name = dataset
    shared: dict[str, Any] = {"schedule": "one_cycle", "augmentation": "shift"}
    config.teacher.update({"epochs": 12, "learning_rate": 1e-3, **shared})
    config.student.update(
        {"model": f"simplenet_v{version}", "epochs": 20, "learning_rate": 1e-2, **shared}
    )
    config.student.args.downsample = "max_pool" if version < 4 else "strided_conv"
    config.student.args.downsample_activation = False
    if dataset == "mnist":
        config.dataset.fallback = "mnist5k"
        config.export.max_accuracy_drop = 0.003
        config.teacher.update({"epochs": 8, "learning_rate": 2e-3})
    if dataset == "cifar10":
        config.dataset.mean, config.dataset.std = CIFAR10_MEAN, CIFAR10_STD
        config.teacher.augmentation = config.student.augmentation = "crop_flip"
    if "thesis" in words:
        shared = {
            "batch_size": 50, "learning_rate": 1e-4, "schedule": "constant", "augmentation": "none",
        }  # fmt: skip
        config.teacher.update({"epochs": 20, **shared})
        config.student.update({"epochs": 50, **shared})
    if "baseline" in words:
        config.loss.name = "cross_entropy"
        config.stages = "student,compress,evaluate,export,report"
    if "quick" in words:
        if dataset == "mnist":
            config.dataset.name, config.dataset.fallback = "mnist5k", ""
        else:
            config.dataset.train, config.dataset.test = "train[:4000]", "test[:1000]"
        config.teacher.epochs, config.student.epochs = 1, 2
        config.teacher.augmentation = config.student.augmentation = "none"
    return config


def teacher_to_compress(arg: str | None) -> ConfigDict:
    """Returns a configuration that trains the teacher in the student's place, to be compressed.

    Args:
      arg: nothing, or `quick`, a run of seconds with a narrow network.
    """
    config = simplenet(4, ",".join(filter(None, ["baseline", arg])))
    config.stages = "student,compress,evaluate"
    section = config.teacher.copy_and_resolve_references()
    with section.unlocked():
        del section.members, section.directory
        if arg:
            section.args.update({"filters": (8, 16), "hidden": 64})
    config.student = section
    return config


FROM_LABELS = {  # not tuned
    "mnist": {"epochs": 12, "augmentation": "shift"},
    "cifar10": {
        "epochs": 100, "learning_rate": 2e-3, "weight_decay": 0.02, "augmentation": "crop_flip",
    },
    "imagenet2012": {
        "epochs": 90, "batch_size": 256, "learning_rate": 2e-3, "weight_decay": 0.02,
        "augmentation": "crop_flip",
    },
}  # fmt: skip


def from_labels(
    model: str, dataset: str, arg: str | None, *, quick_args: Mapping[str, Any]
) -> ConfigDict:
    """Returns the configuration of one network that is trained on labels, without a teacher.

    Args:
      model: an entry of `distill.models.MODELS`.
      dataset: a key of `FROM_LABELS`.
      arg: nothing, or `quick`, a run on few images with a narrow network.
      quick_args: arguments of the model that make it narrow.
    """
    words = configs.variants(arg, ("quick",))
    config = configs.defaults()
    config.stages = "student,compress,evaluate,report"
    config.loss.name = "cross_entropy"
    config.dataset.name = dataset
    config.student.update({"model": model, "schedule": "one_cycle", **FROM_LABELS[dataset]})
    if dataset == "mnist":
        config.dataset.fallback = "mnist5k"
    elif dataset == "cifar10":
        config.dataset.fallback = "cifar10_jpeg"  # where somebody has prepared it
        config.dataset.mean, config.dataset.std = CIFAR10_MEAN, CIFAR10_STD
    else:
        config.dataset.mean, config.dataset.std = IMAGENET_MEAN, IMAGENET_STD
        config.dataset.test = "validation"  # the labels of its test set are not public
        config.dataset.image_size = 224
    if "quick" in words:
        config.dataset.train = "train[:1000]"
        config.dataset.test = f"{config.dataset.test}[:500]"
        config.student.update({"epochs": 1, "batch_size": 50, "args": dict(quick_args)})
        if dataset == "mnist":
            config.dataset.name, config.dataset.fallback = "mnist5k", ""
        if dataset == "imagenet2012":
            config.dataset.image_size = 64
    return config


# As Tian et al. (2020), arXiv:1910.10699, and Zhao et al. (2022), arXiv:2203.08679, train all of
# their networks for CIFAR-100 (in their repositories RepDistiller and mdistiller).
COMPARED = {
    "epochs": 240, "batch_size": 64, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05,
    "coupled_decay": 5e-4, "schedule": "step", "decay_at": (150, 180, 210),
    "augmentation": "crop_flip",
}  # fmt: skip
_NARROW = {  # by the beginning of a name; what makes the networks small
    "resnet": {"blocks": (1, 1, 1), "features": (8, 12, 16), "stem": 4},
    "wrn": {"blocks": (1, 1, 1), "features": (4, 8, 12), "stem": 4},
    "vgg13": {"features": (4, 4, 4, 4, 8, 8, 8, 8, 8, 8)},
    "vgg8": {"features": (4, 4, 8, 8, 8)},
}


def compared(teacher: str, student: str, arg: str | None) -> ConfigDict:
    """Returns the configuration of a pair on CIFAR-100 by which methods are compared.

    By default it is Hinton's `kl` with T = 4, and a tenth of cross-entropy.

    Args:
      teacher, student: entries of `distill.models.MODELS`.
      arg: words separated by commas. `baseline` trains the student on labels; `quick` is a run of
        seconds with narrow networks on few images, those of the embedded sample where CIFAR-100
        is not at hand.
    """
    words = configs.variants(arg, ("baseline", "quick"))
    config = configs.defaults()
    config.dataset.name = "cifar100"
    config.dataset.mean, config.dataset.std = CIFAR100_MEAN, CIFAR100_STD
    config.loss.update({"name": "kl", "temperature": 4.0, "alpha": 0.9})
    for section, model in ((config.teacher, teacher), (config.student, student)):
        section.update({"model": model, **COMPARED})
        if model.startswith("resnet"):
            section.args.projection = True  # as those that are compared have it
    if "baseline" in words:
        config.loss.name = "cross_entropy"
        config.stages = "student,compress,evaluate,export,report"
    if "quick" in words:
        config.dataset.update({"fallback": "mnist5k", "mean": (0.5,), "std": (0.25,)})
        config.dataset.train, config.dataset.test = "train[:1000]", "test[:500]"
        config.export.formats = "float32"
        for section in (config.teacher, config.student):
            section.update({"epochs": 2, "decay_at": (1,)})
            for family, args in _NARROW.items():
                if section.model.startswith(family):
                    section.args.update(args)
    return config
