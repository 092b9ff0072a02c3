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
    data = {"dataset": config.dataset.name, "input_shape": shape, "num_classes": 10}
    loss = recipe.loss_section(config.loss)
    about = recipe.describe(config.student, loss, [0], config.dataset, data, None)
    task = recipe.task(about, 100)
    hyper = recipe.hyper(about)
    states = recipe.create(about, task)
    state, hyper = jax.tree.map(lambda leaf: leaf[0], (states, hyper))
    n = 200
    examples = TrainData(
        jnp.zeros((n, *shape), jnp.uint8),
        jnp.zeros(n, jnp.int32),
        jnp.zeros((9, n, 1, 10)),
    )
    index = jnp.arange(config.student.batch_size)
    traced, metrics = jax.eval_shape(
        lambda *arguments: train_step(task, *arguments), state, hyper, examples, index
    )
    assert jax.tree.map(jnp.shape, traced) == jax.tree.map(jnp.shape, state)
    assert metrics["loss"].shape == ()


@pytest.mark.parametrize("name", FILES)
def test_each_file_says_how_it_is_run(name):
    module = importlib.import_module(f"configs.{name}")
    assert f"python -m distill.main --config=configs/{name}.py" in module.__doc__
