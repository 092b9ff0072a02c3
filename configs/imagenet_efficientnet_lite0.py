"""EfficientNet-Lite0 as trained on ImageNet, measured on your photos and exported: 1,000 classes.

python -m distill.main --config=configs/imagenet_efficientnet_lite0.py --config.dataset.folder=PHOTOS --config.student.init=WEIGHTS

Nothing is trained. docs/your_images.md says where the weights come from. The subfolders of PHOTOS are
named as the classes are: `espresso`, `tabby`, …, any of them.
"""  # noqa: E501

import importlib.util
import pathlib
import runpy

from distill import config as configs
from distill import presets
from distill.errors import InputError

NAMES = "datasets/siscore/labels.py"  # of TensorFlow Datasets, under the Apache License 2.0


def class_names():
    """Returns what ImageNet's 1,000 classes are called, each by the first of its names.

    Where that is another's too, as of the crane that is a bird and the one that is none, by all.
    """
    found = importlib.util.find_spec("tensorflow_datasets")
    path = pathlib.Path(found.origin).parent / NAMES
    if not path.exists():
        raise InputError(
            f"there are no names of classes in {path}; install TensorFlow Datasets 4.9"
        )
    given = runpy.run_path(str(path))["IMAGENET_LABELS_LIST"]
    first = [name.partition(",")[0] for name in given]
    return tuple(f if first.count(f) == 1 else g for f, g in zip(first, given, strict=True))


def get_config(arg=None):
    words = configs.variants(arg, ("quick",))
    config = configs.defaults()
    config.stages = "student,evaluate,export,report"
    config.loss.name = "cross_entropy"
    config.dataset.name = ""  # it is the folder's
    config.dataset.classes = class_names()
    config.dataset.image_size = 64 if "quick" in words else 224
    config.dataset.mean, config.dataset.std = presets.IMAGENET_MEAN, presets.IMAGENET_STD
    config.export.formats = "float32,int8"
    config.student.update({"model": "efficientnet_lite0", "epochs": 0, "batch_size": 1})
    return config
