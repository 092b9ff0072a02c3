import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import models
from distill.cost import cost
from distill.errors import InputError
from distill.models.teacher import Teacher


def _shapes(name, **args):
    model = models.build(name, args, num_classes=10)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    return {
        f"{layer}.{leaf}": value.shape
        for layer, leaves in variables["params"].items()
        for leaf, value in leaves.items()
    }


def test_layers_of_v1():
    assert _shapes("simplenet_v1") == {
        "conv0.kernel": (5, 5, 1, 3),
        "conv0.bias": (3,),
        "conv1.kernel": (5, 5, 3, 6),
        "conv1.bias": (6,),
        "logits.kernel": (7 * 7 * 6, 10),
        "logits.bias": (10,),
    }


def test_strided_variant_of_v1_by_one_argument():
    strided = _shapes("simplenet_v1", downsample="strided_conv")
    extra = strided.keys() - _shapes("simplenet_v1").keys()
    assert {name: strided[name] for name in extra} == {
        "pool0.kernel": (2, 2, 3, 3),
        "pool0.bias": (3,),
        "pool1.kernel": (2, 2, 6, 6),
        "pool1.bias": (6,),
    }
    model = models.build("simplenet_v1", {"downsample": "strided_conv"}, num_classes=10)
    assert cost(model, (28, 28, 1)).num_params == 3_484 + (36 + 3) + (144 + 6)


@pytest.mark.parametrize("name", [name for name in models.MODELS if models.classifies(name)])
@pytest.mark.parametrize("num_classes", [10, 3])
def test_maps_colour_images_to_logits(name, num_classes, key):
    model = models.build(name, {}, num_classes=num_classes)
    images = jnp.zeros((2, 32, 32, 3))
    logits, _ = jax.eval_shape(model.init_with_output, key, images)
    assert logits.shape == (2, num_classes) and logits.dtype == jnp.float32


@pytest.mark.parametrize("activation, expected", [(False, -4.0), (True, 0.0)])
def test_activation_after_the_strided_convolution(activation, expected, key):
    args = {"filters": (1,), "downsample": "strided_conv", "downsample_activation": activation}
    model = models.build("simplenet_v4", args | {"kernel_size": 1}, num_classes=1)
    images = jnp.ones((1, 2, 2, 1))
    params = jax.tree.map(jnp.ones_like, jax.jit(model.init)(key, images)["params"])
    params = jax.tree.map(lambda p: jnp.zeros_like(p) if p.ndim == 1 else p, params)
    params["pool0"]["kernel"] = -params["pool0"]["kernel"]
    np.testing.assert_array_equal(model.apply({"params": params}, images), [[expected]])


def test_dropout_only_in_training(key):
    model = Teacher(filters=(1, 1), hidden=64, num_classes=4)
    images = jax.random.uniform(key, (2, 8, 8, 1))
    variables = jax.jit(model.init)(key, images)
    rngs = [{"dropout": jax.random.key(i)} for i in range(2)]
    still = [model.apply(variables, images, rngs=r) for r in rngs]
    moving = [model.apply(variables, images, train=True, rngs=r) for r in rngs]
    np.testing.assert_array_equal(*still)
    assert np.abs(moving[0] - moving[1]).max() > 1e-3


def test_dropout_keeps_the_mean(key):
    model = Teacher(filters=(1, 1), hidden=64, num_classes=4)
    images = jax.random.uniform(key, (1, 8, 8, 1))
    variables = jax.jit(model.init)(key, images)

    def once(key):
        return model.apply(variables, images, train=True, rngs={"dropout": key})

    mean = jax.jit(jax.vmap(once))(jax.random.split(key, 2000)).mean(0)
    np.testing.assert_allclose(mean, model.apply(variables, images), atol=0.05)


@pytest.mark.parametrize(
    "name, args, message",
    [
        ("simplenet_v9", {}, "unknown model 'simplenet_v9'; did you mean 'simplenet_v"),
        ("teacher", {"hiden": 3}, "unknown argument of teacher 'hiden'; did you mean 'hidden'?"),
        ("teacher", {"conv": None}, "unknown argument of teacher 'conv'"),
        ("simplenet_v1", {"downsample": "maxpool"}, "did you mean 'max_pool'?"),
        ("teacher", {"num_classes": 3}, "unknown argument of teacher 'num_classes'; known: "),
    ],
)
def test_unknown_names(name, args, message):
    with pytest.raises(InputError) as caught:
        models.build(name, args, num_classes=10)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, args, shape, message",
    [
        ("vgg16", {}, (28, 28, 1), "vgg16 with {} does not fit images of (28, 28, 1): division"),
        ("calli", {}, (8, 8, 1), "calli with {} does not fit images of (8, 8, 1): a kernel of"),
        ("simplenet_v4", {"filters": 3}, (28, 28, 1), "filters of simplenet_v4 is 3; it must be"),
        ("simplenet_v4", {"kernel_size": (3,)}, (28, 28, 1), "of simplenet_v4 is (3,); it must be"),
        ("resnet20", {"features": (3,)}, (32, 32, 3), "features has 1 entries; it must have 3"),
        (
            "autoencoder", {}, (28, 28, 3),
            "autoencoder with {} does not fit images of (28, 28, 3): its output is (28, 28, 1) "
            "and has to be (28, 28, 3)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_images(name, args, shape, message):
    with pytest.raises(InputError) as caught:
        models.check_images(name, args, input_shape=shape, num_classes=10)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, shape", [("vgg16", (32, 32, 3)), ("autoencoder", (28, 28, 1)), ("teacher", (8, 8, 1))]
)
def test_what_fits_the_images(name, shape):
    models.check_images(name, {}, input_shape=shape, num_classes=10)


def test_a_model_is_hashable_also_when_its_arguments_come_from_json():
    a, b = (models.build("teacher", {"filters": f}, num_classes=10) for f in ([1, 2], (1, 2)))
    assert hash(a) == hash(b) and a == b
