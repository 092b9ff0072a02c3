"""Your own images: EfficientNet-Lite0 as trained on ImageNet, with a new head for your classes.

python -m distill.main --config=configs/your_images.py --config.dataset.folder=PHOTOS --config.student.init=WEIGHTS
python -m distill.main --config=configs/your_images.py:tune --config.dataset.folder=PHOTOS --config.student.init=RUN

docs/your_images.md goes from the folder to the browser, and says where the weights come from. With
`tune` the network of a run goes on learning, by less the further from the head, but for its batch
normalisation.
"""  # noqa: E501

from distill import config as configs
from distill import presets


def get_config(arg=None):
    words = configs.variants(arg, ("quick", "tune"))
    config = configs.defaults()
    config.stages = "student,compress,evaluate,export,report"
    config.loss.name = "cross_entropy"
    config.dataset.name = ""  # it is the folder's
    config.dataset.image_size = 224
    config.dataset.mean, config.dataset.std = presets.IMAGENET_MEAN, presets.IMAGENET_STD
    config.export.formats = "float32,int8"
    config.student.update(
        {
            "model": "efficientnet_lite0", "batch_size": 16, "epochs": 30, "learning_rate": 3e-3,
            "augmentation": "flip", "freeze": "!logits",
        }
    )  # fmt: skip
    if "tune" in words:
        config.student.update(
            {
                "epochs": 5, "learning_rate": 1e-4, "schedule": "one_cycle",
                "augmentation": "crop_flip", "freeze": "*_norm", "layer_decay": 0.8,
            }
        )  # fmt: skip
    if "quick" in words:
        config.dataset.image_size = 64
        config.student.epochs = 2
    return config
