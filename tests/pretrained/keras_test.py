"""Networks of Keras: its own outputs, on random weights, of all the kinds of files it writes."""

import os
import re

import jax
import numpy as np
import pytest

from distill import models, pretrained
from distill.errors import InputError

# Of TensorFlow's own arrays.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHAPE, CLASSES = (32, 32, 3), 5
ARGS = {
    "mobilenet_v1": {"width": 0.25, "relu6": True},
    "mobilenet_v2": {"width": 0.35},
}


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import keras

    return keras


@pytest.fixture(scope="module", params=ARGS)
def network(request, keras):
    """A name here, the network there, and two of its weights' files."""
    builder = {
        "mobilenet_v1": keras.applications.MobileNet,
        "mobilenet_v2": keras.applications.MobileNetV2,
    }[request.param]
    made = builder(
        SHAPE, alpha=ARGS[request.param]["width"], weights=None, classes=CLASSES,
        classifier_activation=None,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for layer in made.layers:
        for variable in layer.variables:
            shape, kind = variable.shape, variable.path.rpartition("/")[2]
            if "kernel" in kind:
                value = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
            else:
                value = rng.uniform(*((0.5, 1.5) if kind in ("gamma", "moving_variance")
                                      else (-0.5, 0.5)), shape)  # fmt: skip
            variable.assign(value)
    return request.param, made


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_the_outputs_are_those_of_keras(network, ending, tmp_path):
    name, theirs = network
    path = tmp_path / f"network{ending}"
    if ending == ".keras":
        theirs.save(path)
    elif ending == ".weights.h5":
        theirs.save_weights(path)
    else:
        _write_old(path, theirs)
    ours = models.build(name, ARGS[name], num_classes=CLASSES, kernels="xla")
    variables = pretrained.load(path, name, ours, SHAPE)
    images = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    expected = np.asarray(theirs(images, training=False))
    assert np.ptp(expected) > 0.5
    found = jax.jit(ours.apply)(variables, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def _write_old(path, model):
    """Writes weights as Keras 2 did, and as the files of `keras.applications` are."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            stored = [v for v in layer.variables if "seed" not in v.path]
            names = [f"{layer.name}/{v.path.rpartition('/')[2]}:0" for v in stored]
            if "Depthwise" in type(layer).__name__:
                names = [name.replace("/kernel", "/depthwise_kernel") for name in names]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, stored, strict=True):
                group[name] = np.asarray(variable)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        (
            "mobilenet_v1",
            {},
            "Keras has relu6 where the paper has relu; set args.relu6=True",
        ),
        ("mobilenet_v2", {"symmetric": True}, "Keras pads as TensorFlow does; leave out args.sym"),
        ("resnet20", {}, "the names that Keras gives the layers of resnet20 are not known here"),
    ],
)
def test_networks_that_compute_something_else_are_refused(name, args, message, tmp_path):
    model = models.build(name, args, num_classes=CLASSES)
    with pytest.raises(InputError, match=re.escape(message)):
        pretrained.load(tmp_path / "some.h5", name, model, SHAPE)


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "some.keras"
    path.write_bytes(b"no archive")
    model = models.build("mobilenet_v2", {}, num_classes=CLASSES)
    with pytest.raises(InputError, match=r"some.keras cannot be read as weights: ") as caught:
        pretrained.load(path, "mobilenet_v2", model, SHAPE)
    assert "\n" not in str(caught.value)
