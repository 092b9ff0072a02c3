"""Small networks of every family."""

import jax
import numpy as np
import pytest

from distill import models
from distill.compress import network as networks
from distill.compress.context import Context

SMALL = {
    "simplenet_v1": ({"filters": (4, 5)}, (12, 12, 1)),
    "simplenet_v4": ({"filters": (4,)}, (8, 8, 1)),
    "teacher": ({"filters": (4, 5), "hidden": 7}, (8, 8, 1)),
    "calli": ({"features": (4, 5, 6)}, (28, 28, 1)),
    "calli_1d": ({"features": (4, 5, 6), "inner": (3, 4, 5)}, (28, 28, 1)),
    "vgg16": ({"features": (4, 6, 5), "pools": (1, 3), "hidden": (7,)}, (8, 8, 3)),
    "resnet20": ({"blocks": (1, 2, 1), "features": (4, 6, 9), "stem": 4}, (8, 8, 3)),
    "resnet34": ({"blocks": (2, 1), "features": (4, 8), "stem": 4}, (32, 32, 3)),
    "resnet50": ({"blocks": (1, 2), "features": (8, 12), "stem": 4}, (32, 32, 3)),
    "densenet40": (
        {"stem": 4, "growth": ((3, 2), (2, 3)), "transitions": (6,)}, (8, 8, 3)
    ),
    "densenet_bc100": (
        {"stem": 4, "growth": ((3, 2), (2,)), "inner": ((5, 4), (3,)), "transitions": (6,)},
        (8, 8, 3),
    ),
    "autoencoder": ({"encoder": (4, 6), "decoder": (5, 1)}, (8, 8, 1)),
    "mobilenet_v1": ({"features": (16, 24), "strides": (1, 2), "stem": 8, "width": 0.5}, (8, 8, 3)),
    "mobilenet_v2": (
        {"blocks": (1, 2, 1), "features": (4, 6, 5), "strides": (1, 2, 1), "stem": 4, "head": 9},
        (8, 8, 3),
    ),
    "efficientnet_lite0": (
        {"blocks": (1, 2, 1), "features": (4, 6, 5), "strides": (1, 2, 1), "kernels": (3, 5, 3),
         "stem": 4, "head": 9},
        (8, 8, 3),
    ),
}  # fmt: skip


@pytest.fixture
def network(rng, key):
    """Makes a small network of random weights, by its name and further arguments."""
    return lambda name, **more: _random(name, rng, key, more)


@pytest.fixture
def context():
    """Makes what a method may look at beside the network; all labels are 0."""
    return lambda found, images=(), say=print: Context(
        images, np.zeros(len(images), np.int32), (0.0,), (1.0,), "cross_entropy", found, 0, say
    )


def _random(name, rng, key, more):
    args, shape = SMALL[name]
    module = models.build(name, {**args, **more}, num_classes=3)
    shapes = jax.eval_shape(module.init, key, np.zeros((1, *shape), np.float32))
    variables = jax.tree.map(
        lambda v: rng.uniform(0.1, 1, v.shape).astype(np.float32) - (v.ndim > 1) * 0.5, shapes
    )
    return networks.of(name, {**args, **more}, 3, shape, variables)
