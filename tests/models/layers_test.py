"""What configuration can do to a layer of any network: factorise it, fold its normalisation."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill import models, ops
from distill.cost import cost, layers
from distill.errors import InputError
from distill.models.layers import Factorised, Structure
from distill.ops import native


def _names(model, shape):
    return {layer.name: layer for layer in layers(model, shape)}


def test_factorised_layers_of_the_teacher():
    factors = {"hidden": ["channels", 20], "conv1": ["spatial", 7], "conv0": ["channels", 3]}
    model = models.build("teacher", {"factors": factors}, num_classes=10)
    counted = _names(model, (28, 28, 1))
    assert {name: layer.num_params for name, layer in counted.items()} == {
        "conv0/first": 25 * 3,
        "conv0/second": 3 * 32 + 32,
        "conv1/first": 5 * 32 * 7,
        "conv1/second": 5 * 7 * 64 + 64,
        "hidden/first": 7 * 7 * 64 * 20,
        "hidden/second": 20 * 1024 + 1024,
        "logits": 10_250,
    }
    assert counted["conv1/first"].kind == "conv 1×5"
    assert counted["conv1/first"].macs == 14**2 * 5 * 32 * 7


def test_factors_reach_the_layers_of_a_block():
    factors = {"stage1_block0/conv0": ("spatial", 5), "stage1_block0/conv1": ("channels", 6)}
    plain, factorised = (
        _names(models.build("resnet20", {"factors": f}, num_classes=10), (32, 32, 3))
        for f in ({}, factors)
    )
    assert plain.keys() - factorised.keys() == factors.keys()
    assert factorised["stage1_block0/conv0/first"].output == (32, 16, 5)  # halved one by one
    assert factorised["stage1_block0/conv0/second"].output == (16, 16, 32)
    assert factorised["stage1_block0/conv1/second"].num_params == 6 * 32


@pytest.mark.parametrize("kind", ["channels", "spatial"])
@pytest.mark.parametrize("strides", [1, 2])
def test_the_product_of_the_factors_is_the_layer(kind, strides, rng):
    """Factors made of a kernel that has such a rank compute what the kernel computes."""
    x = rng.normal(size=(2, 7, 8, 3)).astype(np.float32)
    first, second = (
        (rng.normal(size=(3, 5, 3, 2)), rng.normal(size=(1, 1, 2, 4))) if kind == "channels"
        else (rng.normal(size=(1, 5, 3, 2)), rng.normal(size=(3, 1, 2, 4)))
    )  # fmt: skip
    kernel = np.einsum("hwir,yxro->hywxio", first, second).reshape(3, 5, 3, 4)
    layer = Factorised(4, 2, kind, (3, 5), (strides, strides), use_bias=False)
    actual = layer.apply({"params": {"first": {"kernel": first}, "second": {"kernel": second}}}, x)
    desired = jax.lax.conv_general_dilated(
        x, kernel.astype(np.float32), (strides, strides), "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-4)


SMALL = {
    "vgg16": {"features": (4, 6, 5), "pools": (1, 3), "hidden": (7,)},
    "resnet20": {"blocks": (1, 1), "features": (4, 6), "stem": 4},
    "resnet50": {"blocks": (1, 1), "features": (8, 12), "stem": 4},
    "densenet_bc100": {
        "stem": 4, "growth": ((3, 2), (2,)), "inner": ((5, 4), (3,)), "transitions": (6,),
    },
    "mobilenet_v1": {"features": (6, 8), "strides": (1, 2), "stem": 4},
    "mobilenet_v2": {
        "blocks": (1, 2), "features": (4, 6), "strides": (1, 2), "stem": 4, "head": 9,
    },
}  # fmt: skip


PRUNED = {
    "vgg16": {"features": (2, 4, 3), "hidden": (6,)},
    "resnet20": {"features": (3, 5), "stem": 3, "inner": ((2,), (3,))},
    "resnet50": {"inner": ((1, 2), (2, 3))},
    "densenet_bc100": {"growth": ((3, 1), (2,)), "transitions": (5,)},
    "mobilenet_v1": {"features": (5, 8), "stem": 3},
    "mobilenet_v2": {"expanded": (0, 20, 30)},
}


@pytest.mark.parametrize("name", PRUNED)
def test_a_pruned_network_is_the_same_module_with_other_numbers(name):
    """And lists, as JSON has them, are as good as tuples."""
    args = SMALL[name] | PRUNED[name]
    pruned = models.build(name, args, num_classes=10)
    from_json = models.build(name, json.loads(json.dumps(args)), num_classes=10)
    assert pruned == from_json and hash(pruned) == hash(from_json)
    whole = cost(models.build(name, SMALL[name], num_classes=10), (8, 8, 3))
    assert all(a < b for a, b in zip(cost(pruned, (8, 8, 3)), whole, strict=True))


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("teacher", {"factors": {"hidden": ("svd", 3)}}, "unknown factorisation 'svd'"),
        ("teacher", {"factors": {"hidden": ("channels", 0)}}, "rank 0; it must be 1 or more"),
        ("teacher", {"factors": {"hidden": 3}}, "factors.hidden is 3; it must be like"),
        ("resnet20", {"features": (16, 32)}, "features has 2 entries; it must have 3"),
        ("resnet20", {"inner": ((16,),)}, "inner has 1 entries; it must have 9"),
        ("resnet50", {"inner": ((16,),) * 16}, "inner[0] has 1 entries; it must have 2"),
        ("densenet40", {"transitions": (16,)}, "transitions has 1 entries; it must have 2"),
        ("densenet_bc100", {"inner": ((3,) * 16,) * 2}, "inner has 2 entries; it must have 3"),
        ("mobilenet_v1", {"features": (8,)}, "strides has 13 entries; it must have 1"),
        ("efficientnet_lite0", {"kernels": (3,)}, "kernels has 1 entries; it must have 7"),
        ("mobilenet_v2", {"expanded": (8,)}, "expanded has 1 entries; it must have 17"),
        ("calli", {"inner": (8,)}, "inner has 1 entries; it must have 3"),
        ("calli", {"block": "residuals"}, "unknown block 'residuals'; did you mean 'residual'"),
        ("calli", {"block": "residual", "inner": (1, 1, 1)}, "conv1 is a residual block, and inn"),
    ],
)
def test_widths_that_do_not_fit(name, args, message):
    with pytest.raises(InputError) as caught:
        models.check(name, args)
    assert message in str(caught.value)


def test_a_grouped_convolution_cannot_be_factorised():
    factors = {"block0/depthwise": ("spatial", 2)}
    model = models.build("mobilenet_v1", {"factors": factors}, num_classes=10)
    with pytest.raises(InputError, match="factors name depthwise, a grouped convolution"):
        cost(model, (32, 32, 3))


@pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
@pytest.mark.parametrize("examples", [20, 1])
def test_maxima_before_or_after_bias_and_relu_are_the_same(examples, rng):
    x = jnp.asarray(rng.normal(size=(examples, 7, 6, 2)), jnp.float32)

    class Stage(Structure):
        @nn.compact
        def __call__(self, x):
            return self.conv_relu_pool(x, 3, 5, name="conv0")

    def results(conv):
        stage = Stage(conv=conv)
        variables = stage.init(jax.random.key(0), x)
        variables["params"]["conv0"]["bias"] = jnp.asarray([0.5, -0.5, 0.0])

        def loss(variables, x):
            y = stage.apply(variables, x)
            return (y**3).sum(), y

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(variables, x)

    ours, theirs = results(ops.conv_native), results(jax.lax.conv_general_dilated)
    assert 0.1 < float((ours[1] == 0).mean()) < 0.9
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)
