"""The exported function against the model, and the packed convolution against the plain one."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from distill import models
from distill.errors import InputError
from distill.export import graph


@pytest.mark.parametrize("size", [(5, 5), (3, 3), (2, 2), (1, 7), (4, 1)])
@pytest.mark.parametrize("width", [6, 10])
def test_packing_columns_changes_nothing(rng, size, width):
    x = rng.standard_normal((1, 7, width, 1), np.float32)
    layer = nn.Conv(3, size)
    variables = jax.jit(layer.init)(jax.random.key(0), x)
    variables["params"]["bias"] = np.array([1.0, -2.0, 3.0], np.float32)
    packed = graph.inference(layer, variables, "logits")
    np.testing.assert_allclose(packed(x), layer.apply(variables, x), rtol=1e-5, atol=1e-5)
    shapes = _kernels(packed, x)
    assert [shape[2:] for shape in shapes] == [(2, 6)]
    plain = graph.inference(layer, variables, "logits", pack=False)
    assert [shape[2:] for shape in _kernels(plain, x)] == [(1, 3)]


def test_the_packed_kernel_holds_the_original_once_for_each_column():
    kernel = np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 3, 1, 1)
    packed, padding = graph.pack_columns(kernel)
    assert padding == ((0, 0), (1, 1))
    np.testing.assert_array_equal(
        packed.reshape(6, 2), [[0, 0], [1, 0], [2, 1], [3, 2], [0, 3], [0, 0]]
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv(3, (5, 5)), (1, 8, 8, 2)),  # two channels
        (nn.Conv(3, (5, 5)), (1, 8, 7, 1)),  # an odd width
        (nn.Conv(3, (5, 5), 2), (1, 8, 8, 1)),
        (nn.Conv(3, (5, 5), padding="VALID"), (1, 8, 8, 1)),
        (nn.Conv(3, (5, 5), kernel_dilation=2), (1, 8, 8, 1)),
        (nn.Conv(3, (5, 5), use_bias=False), (1, 8, 8, 1)),
        (nn.Conv(3, 5), (1, 8, 1)),  # one-dimensional
    ],
)
def test_other_convolutions_are_left_alone(rng, layer, shape):
    x = rng.standard_normal(shape, np.float32)
    variables = jax.jit(layer.init)(jax.random.key(0), x)
    exported = graph.inference(layer, variables, "logits")
    np.testing.assert_array_equal(exported(x), layer.apply(variables, x))
    assert _kernels(exported, x) == [variables["params"]["kernel"].shape]


def test_the_convolution_of_training_is_replaced(rng):
    model = models.build("simplenet_v4", {}, num_classes=10)
    x = rng.standard_normal((1, 28, 28, 1), np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    logits = graph.inference(model, variables, "logits")
    np.testing.assert_allclose(logits(x), model.apply(variables, x), rtol=1e-4, atol=1e-5)
    assert len(_kernels(logits, x)) == 2  # conv0 and pool0, and no matrices in their place
    probabilities = graph.inference(model, variables, "probabilities")
    np.testing.assert_allclose(probabilities(x), jax.nn.softmax(logits(x)), rtol=1e-6)


def test_an_unknown_output_is_refused():
    with pytest.raises(InputError, match="output 'logit'; did you mean 'logits'"):
        graph.inference(nn.Dense(2), {}, "logit")


def _kernels(function, x):
    equations = jax.make_jaxpr(function)(x).eqns
    convolutions = [e for e in equations if e.primitive.name == "conv_general_dilated"]
    return [e.invars[1].aval.shape for e in convolutions]
