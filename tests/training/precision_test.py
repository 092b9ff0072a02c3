"""Networks in bfloat16: what is narrow, and what stays float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import ops
from distill.data import AUGMENTATIONS
from distill.errors import InputError
from distill.models.taps import TAPS
from distill.models.vgg import VGG
from distill.run import _deciding
from distill.training import precision, state, step

SHAPE, CLASSES = (8, 8, 16), 3


def _model(conv=jax.lax.conv_general_dilated):
    sizes = {"features": (16, 16), "pools": (1,), "hidden": (), "average": True}
    return VGG(**sizes, num_classes=CLASSES, conv=conv)


CONVS = [jax.lax.conv_general_dilated, ops.conv_for("cpu")]


@pytest.mark.parametrize("conv", CONVS)
def test_the_same_within_rounding(conv, rng):
    model, x = _model(conv), jnp.asarray(rng.normal(size=(16, *SHAPE)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)

    def apply(v, x):
        return model.apply(v, x, train=True, mutable=["batch_stats", TAPS])

    exact, narrow = (
        jax.jit(lambda v, x, d=dtype: precision.apply(d, apply, v, x))(variables, x)
        for dtype in configs.DTYPES
    )
    for a, b in zip(*map(jax.tree.leaves, (exact, narrow)), strict=True):
        assert a.dtype == b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=0.05 * float(jnp.abs(a).max()))
    assert bool((exact[0] != narrow[0]).any())


def test_every_convolution_and_product_is_narrow():
    model, x = _model(), jax.ShapeDtypeStruct((16, *SHAPE), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    apply = jax.jit(lambda v, x: precision.apply("bfloat16", model.apply, v, x))
    program = apply.lower(variables, x).as_text().splitlines()
    products = [line for line in program if "convolution(" in line or "dot_general" in line]
    assert len(products) == 3 and not any("xf32" in line for line in products)


def _step(dtype, rng):
    section = configs.training("vgg8", schedule="constant", optimizer="sgd", momentum=0.0)
    make = state.optimizer(section, 10)
    task = step.Task(_model(), "kl", AUGMENTATIONS["none"], make, teacher=_model(), dtype=dtype)
    hyper = {"learning_rate": 0.1, "temperature": 4.0, "alpha": 0.9}
    each = {name: jnp.array([value]) for name, value in hyper.items()}
    before = jax.tree.map(lambda x: x[0], state.create(task.model, make, each, SHAPE, [0]))
    teacher = jax.jit(task.model.init)(jax.random.key(1), jnp.zeros((1, *SHAPE)))
    data = step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(16, *SHAPE), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(CLASSES, size=16), jnp.int32),
        teacher_variables=jax.tree.map(lambda leaf: leaf[None], teacher),
    )
    train_step = jax.jit(step.train_step, static_argnums=0)
    return before, *train_step(task, before, hyper, data, jnp.arange(16))


def test_a_step_keeps_weights_statistics_and_losses_in_float32():
    found = {dtype: _step(dtype, np.random.default_rng(0)) for dtype in configs.DTYPES}
    before, after, measured = found["bfloat16"]
    assert jax.tree.map(jax.typeof, before) == jax.tree.map(jax.typeof, after)
    for name, value in found["float32"][2].items():
        if name not in ("correct", "visible"):
            np.testing.assert_allclose(measured[name], value, rtol=0.02, err_msg=name)
    moved, wide = (
        np.concatenate([
            np.ravel(b - a) for a, b in zip(*map(jax.tree.leaves, pair), strict=True)
        ])
        for pair in ((before.params, after.params), (before.params, found["float32"][1].params))
    )  # fmt: skip
    cosine = moved @ wide / np.linalg.norm(moved) / np.linalg.norm(wide)
    assert cosine > 0.99


def test_an_unknown_type_is_refused():
    config = configs.defaults()
    config.engine.dtype = "bfloat"
    with pytest.raises(InputError, match="unknown engine.dtype 'bfloat'; did you mean 'bfloat16'"):
        configs.check_values(config)


def test_a_directory_is_of_one_type_and_of_float32_as_it_was():
    config = configs.to_dict(configs.defaults())
    whole = _deciding(config)
    assert "engine" not in whole
    config["engine"]["dtype"] = "bfloat16"
    assert configs.first_difference(whole, _deciding(config))[0] == "engine"
