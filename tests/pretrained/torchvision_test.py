"""The networks of torchvision, with their own names written out in PyTorch's operations.

Where PyTorch is installed the logits are computed anew; everywhere they are compared with what it
has computed, so that nothing but NumPy's random weights is needed.
"""

import pathlib
import re

import jax
import numpy as np
import pytest
from flax import traverse_util

from distill import models, pretrained
from distill.errors import InputError
from distill.pretrained import names

SHAPE = (36, 36, 3)
CLASSES = 3
NARROW = {
    "resnet34": {
        "blocks": (2, 1, 2), "features": (6, 8, 10), "stem": 6, "symmetric": True,
    },
    "resnet50": {
        "blocks": (1, 2), "features": (8, 12), "stem": 4, "symmetric": True,
    },
    "mobilenet_v2": {
        "blocks": (1, 2, 2), "features": (4, 6, 8), "strides": (1, 2, 2), "stem": 5, "head": 12,
        "symmetric": True,
    },
    "densenet121": {
        "stem": 6, "growth": ((3, 3), (3,)), "inner": ((8, 8), (8,)), "transitions": (6,),
        "symmetric": True,
    },
    "vgg16": {
        "features": (4, 5, 6), "pools": (1, 3), "hidden": (8, 7), "folded": True,
    },
}  # fmt: skip
LOGITS = {
    "resnet34": [[2.26477, -0.48415, -0.29632], [2.27199, -0.65657, -0.23421]],
    "resnet50": [[-0.56493, 0.30255, 0.39152], [-0.73602, 0.30849, 0.47499]],
    "mobilenet_v2": [[-0.24681, -2.18415, 2.59539], [-0.25498, -2.16452, 2.58385]],
    "densenet121": [[0.57948, 1.7575, -0.6151], [0.52785, 1.83428, -0.65154]],
    "vgg16": [[-0.09808, 1.03363, -1.00103], [-0.16373, 1.10004, -1.00277]],
}
TORCH = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def build(name):
    return models.build(name, NARROW[name], num_classes=CLASSES, kernels="xla")


def weights(name):
    """Returns random weights as PyTorch names and lays them out."""
    model, rng = build(name), np.random.default_rng(7)
    layers, found = names.table(name, model).layers, {}
    shapes = traverse_util.flatten_dict(pretrained.shapes(model, SHAPE), sep="/")
    for path in sorted(shapes):
        layer, _, kind = path.partition("/")[2].rpartition("/")
        shape = shapes[path].shape
        low, high = (0.5, 1.5) if kind in ("scale", "var") else (-1, 1)
        array = rng.uniform(low, high, shape)
        if kind == "kernel":
            array /= np.sqrt(np.prod(shape[:-1]) / 3)
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        found[f"{layers[layer]}.{TORCH.get(kind, kind)}"] = array.astype(np.float32)
    return found


def images():
    return np.random.default_rng(8).normal(size=(2, *SHAPE)).astype(np.float32)


class Network:
    """PyTorch's operations on weights by name."""

    def __init__(self, arrays):
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional
        self.weights = {name: self.torch.from_numpy(np.array(a)) for name, a in arrays.items()}
        self.used = set()

    def get(self, name):
        self.used.add(name)
        return self.weights.get(name)

    def has(self, name):
        return any(key.startswith(f"{name}.") for key in self.weights)

    def conv(self, x, name, stride=1, depthwise=False):
        kernel = self.get(f"{name}.weight")
        return self.f.conv2d(
            x, kernel, self.get(f"{name}.bias"), stride, kernel.shape[-1] // 2,
            groups=x.shape[1] if depthwise else 1,
        )  # fmt: skip

    def norm(self, x, name):
        of = (self.get(f"{name}.{k}") for k in ("running_mean", "running_var", "weight", "bias"))
        return self.f.batch_norm(x, *of, eps=1e-5)

    def dense(self, x, name):
        return self.f.linear(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def stem_pool(self, x):
        return self.f.max_pool2d(self.f.relu(x), 3, 2, 1)


def resnet(net, x):
    x = net.stem_pool(net.norm(net.conv(x, "conv1", 2), "bn1"))
    layer = 1
    while net.has(f"layer{layer}"):
        block = 0
        while net.has(name := f"layer{layer}.{block}"):
            stride, y = (2 if layer > 1 and not block else 1), x
            bottleneck = net.has(f"{name}.conv3")
            strides = (1, stride, 1) if bottleneck else (stride, 1)
            for j, s in enumerate(strides, 1):
                y = net.norm(net.conv(y, f"{name}.conv{j}", s), f"{name}.bn{j}")
                y = net.f.relu(y) if j < len(strides) else y
            if net.has(f"{name}.downsample"):
                x = net.conv(x, f"{name}.downsample.0", stride)
                x = net.norm(x, f"{name}.downsample.1")
            x, block = net.f.relu(x + y), block + 1
        layer += 1
    return net.dense(x.mean((2, 3)), "fc")


def mobilenet_v2(net, x):
    x = net.f.relu6(net.norm(net.conv(x, "features.0.0", 2), "features.0.1"))
    for i, (stride, expands) in enumerate([(1, 0), (2, 1), (1, 1), (2, 1), (1, 1)], 1):
        y, name = x, f"features.{i}.conv"
        for j in range(1 + expands):
            depthwise = j == expands
            y = net.conv(y, f"{name}.{j}.0", stride if depthwise else 1, depthwise)
            y = net.f.relu6(net.norm(y, f"{name}.{j}.1"))
        y = net.norm(net.conv(y, f"{name}.{expands + 1}"), f"{name}.{expands + 2}")
        x = x + y if x.shape == y.shape else y
    x = net.f.relu6(net.norm(net.conv(x, "features.6.0"), "features.6.1"))
    return net.dense(x.mean((2, 3)), "classifier.1")


def densenet(net, x):
    x = net.stem_pool(net.norm(net.conv(x, "features.conv0", 2), "features.norm0"))
    for i, layers in enumerate((2, 1), 1):
        for j in range(1, layers + 1):
            name, y = f"features.denseblock{i}.denselayer{j}", x
            for k in (1, 2):
                y = net.conv(net.f.relu(net.norm(y, f"{name}.norm{k}")), f"{name}.conv{k}")
            x = net.torch.cat([x, y], 1)
        if i == 1:
            x = net.f.relu(net.norm(x, "features.transition1.norm"))
            x = net.f.avg_pool2d(net.conv(x, "features.transition1.conv"), 2)
    return net.dense(net.f.relu(net.norm(x, "features.norm5")).mean((2, 3)), "classifier")


def vgg(net, x):
    x = net.f.max_pool2d(net.f.relu(net.conv(x, "features.0")), 2)
    x = net.f.relu(net.conv(x, "features.3"))
    x = net.f.max_pool2d(net.f.relu(net.conv(x, "features.5")), 2).flatten(1)
    for i in (0, 3):
        x = net.f.relu(net.dense(x, f"classifier.{i}"))
    return net.dense(x, "classifier.6")


NETWORKS = {
    "resnet34": resnet, "resnet50": resnet, "mobilenet_v2": mobilenet_v2, "densenet121": densenet,
    "vgg16": vgg,
}  # fmt: skip


@pytest.mark.parametrize("name", NARROW)
def test_logits_are_those_of_pytorch(name, tmp_path):
    np.savez(tmp_path / "weights.npz", **weights(name))
    model = build(name)
    variables = pretrained.load(tmp_path / "weights.npz", name, model, SHAPE)
    found = jax.jit(model.apply)(variables, images())
    np.testing.assert_allclose(found, LOGITS[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NARROW)
def test_pytorch_computes_these_logits(name):
    arrays = weights(name)
    net = Network(arrays)
    with net.torch.no_grad():
        x = net.torch.from_numpy(images().transpose(0, 3, 1, 2).copy())
        found = NETWORKS[name](net, x).numpy()
    assert net.used >= arrays.keys()
    np.testing.assert_allclose(found, LOGITS[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, missing, message", [
    ("resnet34", "symmetric", "pads both sides alike; set args.symmetric=True"),
    ("vgg16", "folded", "set args.folded=True and args.hidden=(4096, 4096)"),
])  # fmt: skip
def test_a_network_that_computes_something_else_is_refused(name, missing, message):
    args = {k: v for k, v in NARROW[name].items() if k != missing}
    with pytest.raises(InputError, match=re.escape(message)):
        pretrained.load(
            pathlib.Path("none.npz"), name, models.build(name, args, num_classes=3), SHAPE
        )
