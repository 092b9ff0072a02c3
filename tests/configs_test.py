"""Every configuration loads, is valid, and one step of it can be traced."""

import importlib
import pathlib

import jax
import jax.numpy as jnp
import pytest

from configs import common
from distill import pipeline
from distill.training import recipe
from distill.training.step import TrainData, train_step

FILES = sorted(
    path.stem
    for path in (pathlib.Path(__file__).parents[1] / "configs").glob("*.py")
    if path.stem not in ("__init__", "common")
)


@pytest.mark.parametrize("arg", [None, *common.VARIANTS])
@pytest.mark.parametrize("name", FILES)
def test_a_step_of_each_configuration_can_be_traced(name, arg):
    config = importlib.import_module(f"configs.{name}").get_config(arg)
    pipeline.validate(config)
    shape = (32, 32, 3) if "cifar" in config.dataset.name else (28, 28, 1)
    described = {"dataset": config.dataset.name, "input_shape": shape, "num_classes": 10}
    loss = recipe.loss_section(config.loss)
    about = recipe.describe(config.student, loss, [0], config.dataset, described, None)
    teacher = recipe.task(about, 100).model  # the student's own kind is as good as any
    task = recipe.task(about, 100, teacher)
    states = jax.eval_shape(lambda: recipe.create(about, task))
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), states)
    hyper = {name: value[0] for name, value in recipe.hyper(about).items()}
    n = 200
    data = TrainData(
        jax.ShapeDtypeStruct((n, *shape), jnp.uint8),
        jax.ShapeDtypeStruct((n,), jnp.int32),
        None if task.teacher else jax.ShapeDtypeStruct((9, n, 1, 10), jnp.float32),
        states.variables if task.teacher else None,
    )
    index = jnp.arange(config.student.batch_size)
    traced, metrics = jax.eval_shape(
        lambda *arguments: train_step(task, *arguments), one, hyper, data, index
    )
    assert jax.tree.map(jnp.shape, traced) == jax.tree.map(jnp.shape, one)
    assert metrics["loss"].shape == ()


@pytest.mark.parametrize("name", FILES)
def test_each_file_says_how_it_is_run(name):
    module = importlib.import_module(f"configs.{name}")
    assert f"python -m distill.main --config=configs/{name}.py" in module.__doc__
