"""The engine's programs for accelerators, compiled as far as that goes without one."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from distill import config as config_lib
from distill import models, ops
from distill.data import AUGMENTATIONS
from distill.ops.split import BATCH
from distill.training import engine, predict, state, step

SHAPE, N, EXAMPLES = (28, 28, 1), 128, 6000
PLATFORMS = pytest.mark.parametrize("platform", ["cuda", "tpu"])


def _arguments(students, plan, model="simplenet_v4", augmentation="shift", **fields):
    """Returns what `run_chunk` takes, arrays as shapes, of a student as an accelerator has it."""
    recipe = config_lib.training(model, schedule="one_cycle")
    module = models.MODELS[model](num_classes=10, conv=ops.conv_for("gpu"))
    optimizer = state.optimizer(recipe, 60)
    task = step.Task(module, "kl", AUGMENTATIONS[augmentation], optimizer, **fields)
    floats = jax.ShapeDtypeStruct((students,), jnp.float32)
    hyper = {"learning_rate": floats, "temperature": floats, "alpha": floats}
    states = state.shapes(
        module, task.make_optimizer, hyper, SHAPE, [0] * students, averaged=task.ema_decay > 0
    )
    data = step.TrainData(
        images=jax.ShapeDtypeStruct((EXAMPLES, *SHAPE), jnp.uint8),
        labels=jax.ShapeDtypeStruct((EXAMPLES,), jnp.int32),
        teacher_logits=jax.ShapeDtypeStruct((9, EXAMPLES, 1, 10), jnp.float32),
    )
    order = jax.ShapeDtypeStruct((students, 60, N), jnp.int32)
    return task, plan, states, hyper, data, order, jax.ShapeDtypeStruct((), jnp.int32)


def _lower(jitted, platform, *arguments):
    return jitted.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def _only_the_device_computes(program):
    """Whether a program calls nothing: no kernel of a CPU, and nothing of the host."""
    return "custom_call" not in program and "callback" not in program


def _convolutions(program, dtype="f32"):
    """Returns the shapes of what a program's convolutions give, with their groups."""
    lines = [line for line in program.splitlines() if "stablehlo.convolution" in line]
    shapes = (re.search(rf"-> tensor<([\dx]+)x{dtype}>", line)[1] for line in lines)
    groups = (re.search(r"feature_group_count = (\d+)", line)[1] for line in lines)
    return [
        (tuple(map(int, shape.split("x"))), int(count))
        for shape, count in zip(shapes, groups, strict=True)
    ]


@PLATFORMS
@pytest.mark.parametrize("students", [1, 10, 600])
def test_students_share_each_convolution(platform, students):
    arguments = _arguments(students, engine.Execution("vmap"))
    program = _lower(engine.run_chunk, platform, *arguments)
    assert _only_the_device_computes(program)
    forward = [(N, 28, 28, 3 * students), (N, 14, 14, 3 * students)]
    backward = [(2, 2, 3, 3 * students), (N, 28, 28, 3 * students), (5, 5, 1, 3 * students)]
    assert _convolutions(program) == [(shape, students) for shape in forward + backward]


@PLATFORMS
def test_mixtures_an_average_and_bfloat16_are_of_the_device_too(platform):
    """What the optimiser, the average and the loss do is of float32."""
    fields = {"mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.999, "dtype": "bfloat16"}
    arguments = _arguments(10, engine.Execution("vmap"), **fields)
    program = _lower(engine.run_chunk, platform, *arguments)
    assert _only_the_device_computes(program)
    forward = [(N, 28, 28, 30), (N, 14, 14, 30)]
    assert _convolutions(program, "bf16")[:2] == [(shape, 10) for shape in forward]
    assert len(_convolutions(program, "bf16")) == 5
    states, _ = jax.eval_shape(engine.run_chunk, *arguments)
    assert {leaf.dtype for leaf in jax.tree.leaves((states.params, states.average))} == {
        jnp.dtype(jnp.float32)
    }


@PLATFORMS
def test_a_batch_is_split_over_eight_devices(platform):
    mesh = AbstractMesh((8,), (BATCH,), axis_types=(AxisType.Auto,))
    *arguments, order, count = _arguments(1, engine.Execution("map", mesh))
    split = NamedSharding(mesh, PartitionSpec(None, None, BATCH))
    order = jax.ShapeDtypeStruct(order.shape, order.dtype, sharding=split)
    program = _lower(engine.run_chunk, platform, *arguments, order, count)
    assert _only_the_device_computes(program)
    assert 'sdy.mesh @mesh = <["batch"=8]>' in program
    assert (
        'tensor<1x60x128xi32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {}, {"batch"}]>}' in program
    )
    # What comes out is whole on every device; what it is computed of has the size of all batches.
    assert len(_convolutions(program)) == 5
    assert _convolutions(program)[0] == ((N, 28, 28, 3), 1)


@PLATFORMS
def test_prediction(platform):
    module = models.MODELS["teacher"](num_classes=10, conv=ops.conv_for("gpu"))
    image = jax.ShapeDtypeStruct((N, *SHAPE), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    images = jax.ShapeDtypeStruct((N, *SHAPE), jnp.uint8)
    variant = jax.ShapeDtypeStruct((), jnp.int32)
    program = _lower(
        predict._logits, platform, module, (0.5,), (0.5,), AUGMENTATIONS["shift"].apply, None,
        variables, images, variant,
    )  # fmt: skip
    assert _only_the_device_computes(program)
    assert [shape[0] for shape, _ in _convolutions(program)] == [N, N]
