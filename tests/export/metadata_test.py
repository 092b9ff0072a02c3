"""The metadata of a `.tflite` file, and what MediaPipe makes of a model by it alone."""

import io
import types
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import models
from distill.data import Split
from distill.export import drafting, flatbuffer, metadata
from distill.export.runtime import Model
from distill.training.description import Description
from distill.training.trained import Trained

LABELS = ["red deer", "blå val", "猫", "a\nb"]
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.5, 0.2)


@pytest.fixture(scope="module")
def colored(sample):
    return _colored(sample, MEAN, STD)


def _colored(sample, mean, std):
    """A bundle of a model that nobody trained, of 16×16 images in colour, and such images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 16, 16, 3), np.uint8)
    model = models.build("simplenet_v1", {}, num_classes=len(LABELS))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    about = Description(
        {"model": "simplenet_v1"}, {"name": "cross_entropy"}, [0], dataset="colors",
        input_shape=(16, 16, 3), mean=tuple(mean), std=tuple(std),
    )  # fmt: skip
    trained = Trained(model, [variables], about, None)
    train = Split(images, np.zeros(len(images), np.int32))
    dataset = types.SimpleNamespace(train=train, name="colors")
    bundle, _ = drafting.draft(trained, dataset, LABELS, sample.settings(), "float32")
    return bundle, images


def test_a_model_of_images_in_colour_carries_labels_and_normalisation(colored):
    model = colored[0].model
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode() == "red deer\nblå val\n猫\na b\n"
    parsed = flatbuffer.parse(model)
    (entry,) = parsed.metadata
    described = bytes(parsed.buffers[entry.buffer].data)
    assert (entry.name, described[4:8]) == (b"TFLITE_METADATA", b"M001")
    # Of pixels from 0 to 255, where the data sets' are of pixels from 0 to 1.
    for numbers in (MEAN, STD):
        assert (255 * np.array(numbers)).astype(np.float32).tobytes() in described
    assert b"simplenet_v1 colors float32" in described and b"probabilities" in described


def test_the_same_model_has_the_same_bytes_and_can_be_stripped(colored):
    bundle, _ = colored
    bare = flatbuffer.strip(bundle.model, "probabilities")
    name, image = bundle.manifest["name"], bundle.manifest["input"]
    assert metadata.attach(bare, name, image, LABELS) == bundle.model
    assert 0 < len(bundle.model) - len(bare) < 1000


def test_gray_images_are_read_by_nobody_who_reads_metadata(float32):
    assert flatbuffer.parse(float32.model).metadata is None


def test_mediapipe_gives_the_same_scores_and_labels(sample):
    mediapipe = pytest.importorskip("mediapipe")
    from mediapipe.tasks.python import BaseOptions, vision

    bundle, images = _colored(sample, (0.5,), (0.25,))  # it takes one of each for all channels
    options = vision.ImageClassifierOptions(BaseOptions(model_asset_buffer=bundle.model))
    expected = Model(bundle).scores(images)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image, scores in zip(images, expected, strict=True):
            seen = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            (found,) = classifier.classify(seen).classifications
            assert {c.category_name for c in found.categories} == {*LABELS[:3], "a b"}
            of_class = {c.index: c.score for c in found.categories}
            np.testing.assert_allclose([of_class[i] for i in range(4)], scores, atol=1e-5)
