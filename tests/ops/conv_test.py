"""The convolutions of `distill.ops` against `jax.lax.conv_general_dilated`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from distill import ops
from distill.ops import direct, native
from distill.ops.native import build

NHWC = ("NHWC", "HWIO", "NHWC")

# image [height, width, c_in], kernel [kh, kw, c_out], strides, padding
CASES = [
    ((28, 28, 1), (5, 5, 3), (1, 1), "SAME"),
    ((14, 14, 3), (5, 5, 6), (1, 1), "SAME"),
    ((28, 28, 3), (2, 2, 3), (2, 2), "SAME"),
    ((32, 32, 3), (3, 3, 8), (1, 1), "SAME"),
    ((14, 14, 32), (5, 5, 64), (1, 1), "SAME"),
    ((12, 12, 32), (5, 5, 32), (1, 1), "VALID"),
    ((8, 8, 16), (1, 1, 32), (1, 1), "SAME"),
    ((8, 8, 16), (1, 1, 32), (2, 2), "SAME"),
    ((9, 11, 4), (3, 3, 5), (1, 1), "VALID"),
    ((9, 11, 8), (3, 3, 5), (1, 1), "SAME"),
    ((9, 7, 12), (3, 2, 4), (1, 1), ((2, -1), (-1, 3))),
    ((9, 11, 20), (4, 3, 4), (1, 1), "VALID"),
    ((9, 11, 16), (5, 3, 16), (1, 1), "VALID"),
    ((9, 7, 16), (3, 5, 16), (1, 1), ((2, -1), (-1, 3))),
    ((9, 11, 4), (2, 2, 5), (2, 2), "SAME"),
    ((9, 11, 4), (2, 2, 5), (2, 2), "VALID"),
    ((9, 7, 4), (3, 5, 5), (2, 3), "SAME"),
    ((8, 9, 3), (3, 3, 5), (2, 2), "SAME"),
    ((8, 9, 3), (7, 3, 2), (2, 2), ((-1, 3), (2, -1))),
    ((7, 9, 2), (4, 3, 5), (1, 2), ((3, 0), (1, 2))),
    ((7, 9, 2), (3, 3, 5), (1, 1), ((-1, 1), (2, -2))),
]


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def _arrays(image, kernel):
    kh, kw, c_out = kernel
    return _normal(4, *image), _normal(kh, kw, image[-1], c_out, seed=1)


def _assert_close(actual, desired):
    """Equal to float32 rounding, relative to the largest entry."""
    for a, d in zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True):
        np.testing.assert_allclose(a, d, rtol=0, atol=1e-5 * np.abs(d).max())


@pytest.fixture(params=["xla", "native"])
def conv(request):
    if request.param == "native" and native.library() is None:
        pytest.skip("there is no C++ compiler")
    return ops.conv_for("cpu", request.param)


def _assert_equals_lax(conv, x, kernel, **args):
    """Compares a convolution with `lax`: the value, and both gradients."""

    def value_and_gradients(convolve):
        def both(x, kernel):
            y, pullback = jax.vjp(functools.partial(convolve, **args), x, kernel)
            return y, *pullback(_normal(*y.shape, seed=2))

        return jax.jit(both)(x, kernel)

    _assert_close(value_and_gradients(conv), value_and_gradients(lax.conv_general_dilated))


@pytest.mark.parametrize(("image", "kernel", "strides", "padding"), CASES)
def test_equals_lax(conv, image, kernel, strides, padding):
    x, k = _arrays(image, kernel)
    args = {"window_strides": strides, "padding": padding, "dimension_numbers": NHWC}
    _assert_equals_lax(conv, x, k, **args)


@pytest.mark.parametrize(
    ("image", "kernel", "groups", "strides", "padding"),
    [
        ((9, 8, 6), (3, 3, 6), 6, (1, 1), "SAME"),  # depthwise
        ((9, 8, 6), (3, 3, 6), 6, (2, 2), "SAME"),
        ((9, 8, 3), (5, 2, 12), 3, (2, 1), "VALID"),  # four filters for each channel
        ((7, 9, 4), (3, 3, 4), 4, (1, 2), ((2, -1), (-1, 3))),
        ((5, 5, 2), (1, 1, 4), 2, (1, 1), "SAME"),
        ((9, 8, 6), (3, 3, 4), 2, (1, 1), "SAME"),  # groups of 3 channels
        ((8, 8, 48), (3, 3, 48), 3, (1, 1), "SAME"),
    ],
)
def test_groups_equal_lax(conv, image, kernel, groups, strides, padding):
    x, k = _arrays(image, kernel)
    k = k[:, :, : image[-1] // groups]
    args = {
        "window_strides": strides, "padding": padding, "dimension_numbers": NHWC,
        "feature_group_count": groups,
    }  # fmt: skip
    _assert_equals_lax(conv, x, k, **args)


@pytest.mark.parametrize(
    "options",
    [
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (2, 1)},
        {"dimension_numbers": ("NHWC", "OIHW", "NHWC")},
    ],
)
def test_the_rest_is_left_to_lax(conv, options):
    x, k = _arrays((8, 8, 4), (3, 3, 4))
    if options.get("dimension_numbers"):
        k = jnp.transpose(k, (3, 2, 0, 1))
    options = {"dimension_numbers": NHWC, **options}
    actual = conv(x, k, (1, 1), ((1, 1), (1, 1)), **options)
    desired = lax.conv_general_dilated(x, k, (1, 1), ((1, 1), (1, 1)), **options)
    np.testing.assert_array_equal(actual, desired)


def test_conv_for_platform():
    assert ops.conv_for("cpu", "xla") is ops.conv_cpu
    assert ops.conv_for("cpu") is (ops.conv_native if native.library() else ops.conv_cpu)
    assert ops.conv_for("gpu") is lax.conv_general_dilated
    assert ops.conv_for("tpu") is lax.conv_general_dilated


class _Net(nn.Module):
    conv: object

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(3, (5, 5), conv_general_dilated=self.conv)(x)
        x = nn.Conv(3, (2, 2), (2, 2), conv_general_dilated=self.conv)(nn.relu(x))
        x = nn.Conv(16, (5, 5), conv_general_dilated=self.conv)(x)
        x = nn.Conv(16, (3, 3), feature_group_count=16, conv_general_dilated=self.conv)(x)
        x = nn.Conv(16, (3, 3), conv_general_dilated=self.conv)(x)
        return nn.Dense(10)(ops.max_pool(x).reshape(x.shape[0], -1))


def _descend(conv, params, images):
    """Gradient descent on the squared logits, one step per batch of `images`."""

    def step(params, x):
        loss, grads = jax.value_and_grad(lambda p: jnp.mean(_Net(conv).apply(p, x) ** 2))(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss

    return lax.scan(step, params, images)


def _params():
    """Parameters of the network, `[3, ...]`: one set for each of three students."""
    x = jnp.zeros((1, 12, 12, 1))
    shapes = jax.eval_shape(_Net(ops.conv_cpu).init, jax.random.key(0), x)
    assert shapes == jax.eval_shape(_Net(lax.conv_general_dilated).init, jax.random.key(0), x)
    return jax.tree.map(lambda s: 0.1 * _normal(3, *s.shape), shapes)


@pytest.mark.parametrize("students", [jax.vmap, lambda f: functools.partial(lax.map, f)])
def test_training_in_a_scan_equals_lax(conv, students):
    images = _normal(4, 20, 12, 12, 1)
    actual, desired = (
        jax.jit(students(lambda p, conv=conv: _descend(conv, p, images)))(_params())
        for conv in (conv, lax.conv_general_dilated)
    )
    _assert_close(actual, desired)


def test_no_convolution_is_left_to_xla(conv):
    params = jax.tree.map(lambda p: p[0], _params())
    train = jax.jit(functools.partial(_descend, conv))
    assert "convolution(" not in train.lower(params, _normal(4, 20, 12, 12, 1)).compile().as_text()


# As CASES, with 33 examples, so that a vector of them is cut at the end, and with more channels.
FEW_CHANNELS = [
    ((12, 9, 1), (5, 5, 3), (1, 1), "SAME"),
    ((12, 9, 3), (3, 7, 5), (1, 1), "VALID"),
    ((8, 8, 3), (2, 2, 3), (2, 2), "VALID"),
    ((9, 7, 2), (3, 3, 1), (3, 2), ((2, -1), (-1, 3))),
    ((6, 6, 4), (1, 1, 2), (2, 2), "SAME"),
    ((44, 40, 8), (3, 3, 7), (1, 1), "SAME"),  # rows in several bands
    ((9, 15, 3), (7, 7, 15), (1, 1), "SAME"),
    ((7, 28, 1), (2, 6, 11), (1, 1), "VALID"),
]


@pytest.mark.parametrize(("image", "kernel", "strides", "padding"), FEW_CHANNELS)
def test_batch_last_equals_lax(image, kernel, strides, padding):
    if native.library() is None:
        pytest.skip("there is no C++ compiler")
    x, k = _normal(33, *image), _normal(*kernel[:2], image[-1], kernel[2], seed=1)
    assert direct.layout(x.shape, k.shape) == direct.BATCH_LAST
    args = {"window_strides": strides, "padding": padding, "dimension_numbers": NHWC}
    _assert_equals_lax(ops.conv_native, x, k, **args)


@pytest.mark.parametrize(
    ("image", "size"), [((3, 9, 8, 37), 3), ((33, 9, 8, 3), 3), ((16, 7, 16, 2), 7)]
)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_depthwise_equals_lax(image, size, strides):
    args = {"padding": "SAME", "dimension_numbers": NHWC, "feature_group_count": image[-1]}
    x, k = _normal(*image), _normal(size, size, 1, image[-1], seed=1)
    _assert_equals_lax(ops.conv_native, x, k, window_strides=strides, **args)


@pytest.mark.parametrize(
    ("channels", "examples", "expected"),
    [
        ((1, 15), 16, direct.BATCH_LAST),
        ((31, 12), 16, direct.BATCH_LAST),
        ((32, 12), 16, direct.CHANNELS_LAST),  # whose products are what takes the time
        ((1, 16), 16, direct.CHANNELS_LAST),
        ((3, 15), 3, direct.CHANNELS_LAST),  # fewer than a vector has lanes
        ((3, 1), 3, None),
    ],
)
def test_layouts(channels, examples, expected):
    if native.library() is None:
        pytest.skip("there is no C++ compiler")
    assert direct.layout((examples, 8, 8, channels[0]), (3, 3, *channels)) == expected


def test_second_derivatives_equal_lax():
    x, k = _normal(2, 6, 5, 16), _normal(3, 3, 16, 16, seed=1)

    def curvature(convolve):
        def loss(x, k):
            y = convolve(x, k, (1, 1), "SAME", dimension_numbers=NHWC)
            return jnp.sum(jnp.tanh(y / 10))

        return jax.grad(lambda x, k: jnp.sum(jax.grad(loss)(x, k) ** 2), argnums=(0, 1))(x, k)

    _assert_close(curvature(ops.conv_native), curvature(lax.conv_general_dilated))


@pytest.mark.parametrize("channels", [1, 32])  # examples last, and channels last
def test_gradients_of_a_convolution_without_outputs_are_zero(channels):
    if native.library() is None:
        pytest.skip("there is no C++ compiler")
    x, kernel = _normal(16, 2, 2, channels), _normal(3, 3, channels, channels)
    layout = direct.layout(x.shape, kernel.shape)

    def total(x, kernel):
        return direct.direct_conv(x, kernel, (1, 1), ((0, 0), (0, 0)), layout).sum()

    for gradient in jax.grad(total, (0, 1))(x, kernel):
        assert not np.asarray(gradient).any()


def test_without_a_compiler_there_are_no_kernels_and_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "prepare", build.prepare.__wrapped__)
    assert native.library.__wrapped__() is None
    monkeypatch.setattr(native, "library", lambda: None)
    assert ops.conv_for("cpu") is ops.conv_cpu
