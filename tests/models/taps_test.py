import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import models
from distill.models import taps

SIZES = {
    "teacher": (
        (28, 28, 1),
        {"stage0": (14, 14, 32), "stage1": (7, 7, 64), "penultimate": (1024,)},
    ),
    "simplenet_v1": (
        (28, 28, 1),
        {"stage0": (14, 14, 3), "stage1": (7, 7, 6), "penultimate": (294,)},
    ),
    "calli": (
        (28, 28, 1),
        {"stage0": (14, 14, 32), "stage1": (7, 7, 64), "penultimate": (128,)},
    ),
    "resnet20": (
        (32, 32, 3),
        {
            "stage0": (32, 32, 16),
            "stage1": (16, 16, 32),
            "stage2": (8, 8, 64),
            "penultimate": (64,),
        },
    ),
    "vgg16": (
        (32, 32, 3),
        {f"stage{i}": (32 >> (i + 1), 32 >> (i + 1), min(64 << i, 512)) for i in range(5)}
        | {"penultimate": (512,)},
    ),
    "vgg8": (
        (32, 32, 3),
        {f"stage{i}": (32 >> (i + 1), 32 >> (i + 1), 64 << i) for i in range(4)}
        | {"stage4": (2, 2, 512), "penultimate": (512,)},
    ),
    "wrn_16_2": (
        (32, 32, 3),
        {f"stage{i}": (32 >> i, 32 >> i, 32 << i) for i in range(3)} | {"penultimate": (128,)},
    ),
    "densenet40": (
        (32, 32, 3),
        {
            "stage0": (32, 32, 160),
            "stage1": (16, 16, 304),
            "stage2": (8, 8, 448),
            "penultimate": (448,),
        },
    ),
    "mobilenet_v1_cifar": (
        (32, 32, 3),
        {
            "stage0": (32, 32, 64),
            "stage1": (16, 16, 128),
            "stage2": (8, 8, 256),
            "stage3": (4, 4, 512),
            "stage4": (2, 2, 1024),
            "penultimate": (1024,),
        },
    ),
    "mobilenet_v2_cifar": (
        (32, 32, 3),
        {"stage0": (32, 32, 16), "stage3": (8, 8, 64), "stage6": (4, 4, 320)}
        | {"penultimate": (1280,)},
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_each_family_names_its_stages(name):
    shape, expected = SIZES[name]
    found = taps.shapes(models.build(name, {}, num_classes=10, kernels="xla"), shape)
    assert expected.items() <= found.items()
    assert list(found)[-1] == "penultimate"


@pytest.mark.parametrize("name", ["simplenet_v4", "teacher"])
def test_taps_are_what_the_network_computes_and_cost_nothing(name):
    model = models.build(name, {}, num_classes=10, kernels="xla")
    images = jax.random.normal(jax.random.key(1), (2, *SIZES.get(name, SIZES["teacher"])[0]))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    assert taps.TAPS not in variables
    logits, found = jax.jit(lambda v: model.apply(v, images, mutable=[taps.TAPS]))(variables)
    found = taps.tapped(found)
    last = variables["params"]["logits"]
    np.testing.assert_allclose(
        found["penultimate"] @ last["kernel"] + last["bias"][None], logits, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(jax.jit(model.apply)(variables, images), logits)


def test_what_is_not_tapped_is_not_in_the_program(monkeypatch):
    model = models.build("simplenet_v1", {}, num_classes=10, kernels="xla")
    images = jnp.zeros((2, 28, 28, 1))
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    programs = [str(jax.make_jaxpr(model.apply)(variables, images))]
    monkeypatch.setattr(type(model), "sow", lambda *_: None)
    programs.append(str(jax.make_jaxpr(model.apply)(variables, images)))
    assert programs[0] == programs[1]


def test_stages_are_paired_by_the_size_of_the_image():
    sized = {"stage0": (14, 14, 3), "penultimate": (588,)}
    teacher = SIZES["teacher"][1]
    assert taps.stages_in_common(sized, teacher) == (("stage0", "stage0"),)
    assert taps.stages_in_common({"stage0": (9, 9, 3)}, teacher) == (("stage0", "stage1"),)
    assert taps.stages_in_common({"penultimate": (9,)}, teacher) == ()
