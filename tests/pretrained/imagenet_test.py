"""EfficientNet-Lite0 with ImageNet's real weights, where their package is installed."""

import numpy as np
import pytest

from configs import imagenet_efficientnet_lite0
from distill import models, presets, pretrained
from distill.data import folders
from distill.errors import InputError
from distill.training.predict import predict
from experiments import imagenet

SHAPE = (224, 224, 3)


def inside(package, pattern):
    """Returns a file that a package brings along, or skips the test where there is no such."""
    try:
        return imagenet.inside(package, pattern)
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def samples():
    return [inside("skimage", file) for file in imagenet.SAMPLES.values()]


@pytest.fixture(scope="module")
def logits(samples):
    """Those of the cat and of the cup."""
    pytest.importorskip("torch")
    model = models.build("efficientnet_lite0", {}, num_classes=1000)
    weights = inside(imagenet.PACKAGE, "*.pth")
    variables = pretrained.load(weights, "efficientnet_lite0", model, SHAPE)
    images = np.stack([folders.decode(file, SHAPE[0], "rgb") for file in samples])
    return predict(model, variables, images, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)


def test_a_cat_and_a_cup_are_recognised(logits):
    names = imagenet_efficientnet_lite0.class_names()
    cat, cup = (np.argsort(-row)[:3] for row in logits)
    assert {names[i] for i in cat} == {"tabby", "Egyptian cat", "tiger cat"}
    assert names[cup[0]] == "espresso"
    probabilities = np.exp(logits[1] - np.logaddexp.reduce(logits[1]))
    assert probabilities[967] > 0.6


def test_a_package_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"there is no \*.pth of no-such here; pip"):
        imagenet.inside("no_such", "*.pth")


@pytest.mark.usefixtures("samples")
def test_parts_of_the_photos_are_to_calibrate_on(tmp_path):
    found = folders.find(
        str(imagenet.photos(tmp_path)), 0, print, imagenet_efficientnet_lite0.class_names()
    )
    assert found.sizes == {"train": 2 * imagenet.PARTS, "test": 2}
    assert {found.classes[label] for _, label in found.splits["test"]} == set(imagenet.SAMPLES)
