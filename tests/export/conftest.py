"""A model that nobody trained, the embedded images, and the bundles made of them."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import data, models
from distill.export import bundle, exporter
from distill.training.description import Description
from distill.training.trained import Trained

LABELS = [str(i) for i in range(10)]


@pytest.fixture(scope="session")
def sample() -> types.SimpleNamespace:
    """The functions of this file."""
    functions = (embedded, untrained, built, settings, export, part_of_test, answered)
    return types.SimpleNamespace(LABELS=LABELS, **{f.__name__: f for f in functions})


@functools.cache
def embedded():
    """5,000 images of MNIST, of which 1,000 to test on."""
    config = configs.defaults()
    config.dataset.name = "mnist5k"
    return data.load(config, *data.find(config, print))


def untrained(model, name="untrained"):
    """As from the checkpoints of a training that did nothing."""
    images = embedded().test.images
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *images.shape[1:])))
    rng = np.random.default_rng(0)  # biases start at zero, and would be one constant
    variables = jax.tree.map(
        lambda leaf: leaf + np.float32(0.02) * rng.standard_normal(leaf.shape, np.float32),
        variables,
    )
    about = Description(
        {"model": name}, {"name": "cross_entropy"}, [0], dataset="mnist5k",
        input_shape=images.shape[1:], mean=(0.2,), std=(0.5,),
    )  # fmt: skip
    return Trained(model, [variables], about, None)


def built(name, args=None):
    return untrained(models.build(name, args or {}, num_classes=10), name)


def settings(**overrides):
    """The section `config.export`, in which the accuracy of an untrained model does not count."""
    section = configs.defaults().export
    section.max_accuracy_drop = 1.0
    section.update(overrides)
    return section


def export(trained, directory, dataset=None, say=print, **overrides):
    dataset = dataset or embedded()
    section = settings(**overrides)
    formats = exporter.check(section)
    return exporter.export(trained, dataset, LABELS, section, formats, directory, say)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """An exported model: `directory`, with a bundle for each format, `proofs` and `trained`."""
    directory, trained = tmp_path_factory.mktemp("export"), built("simplenet_v1")
    return types.SimpleNamespace(
        directory=directory, proofs=export(trained, directory, normalize="none"), trained=trained
    )


@pytest.fixture
def float32(exported) -> bundle.Bundle:
    return bundle.read(exported.directory / "float32")


@pytest.fixture
def int8(exported) -> bundle.Bundle:
    return bundle.read(exported.directory / "int8")


def part_of_test(n):
    """The embedded images with only the first `n` of the test set."""
    whole = embedded()
    test = dataclasses.replace(
        whole.test, images=whole.test.images[:n], labels=whole.test.labels[:n]
    )
    return whole._replace(test=test)


def answered(trained, n):
    """The first `n` test images, each with the label that a model gives it: it is always right."""
    dataset = part_of_test(n)
    labels = trained.logits(dataset.test.images).argmax(-1).astype(np.int32)
    return dataset._replace(test=dataclasses.replace(dataset.test, labels=labels))
