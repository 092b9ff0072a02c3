"""The loss of CONTRIBUTING.md, as a newcomer copies it: written, named, tested, run."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import losses, models, presets, validation
from distill.losses import features
from distill.training import pairing, recipe, step
from distill.training.description import Description

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def blocks():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Add a loss in four steps")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_loss_of_the_page_runs_as_it_is_copied(blocks, monkeypatch):
    function, entry, tests = blocks
    copied = dict(vars(features))
    exec(function, copied)  # at the end of distill/losses/features.py
    monkeypatch.setattr(features, "cka", copied["cka"], raising=False)
    for name, loss in eval(f"{{{entry}}}", {"features": features}).items():
        monkeypatch.setitem(losses.LOSSES, name, loss)
    others = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    known = {"losses": losses, "np": np, "jnp": jnp, "RNG": np.random.default_rng(1)}
    known["OTHERS"] = others
    exec(tests, known)
    named = [name for name in known if name.startswith("test_")]
    assert len(named) == 2
    for name in named:
        known[name]()

    config = presets.simplenet(4, "quick")  # as the command of the fourth step has it
    config.loss.terms = {"cka": {"weight": 0.5}, "kl": {"temperature": 4.0}}
    validation.validate(config)
    loss = recipe.loss_section(config.loss)
    of = {"input_shape": (8, 8, 1), "num_classes": 3}
    taught_by = Description({"model": "simplenet_v1", "args": {}}, {"name": "cross_entropy"}, [0])
    about = Description(config.student.to_dict(), loss, [0], teacher=taught_by, **of)
    teacher = models.build("simplenet_v1", {}, num_classes=3, kernels="xla")
    task = recipe.task(about, recipe.Length(10, 10), teacher, kernels="xla")
    assert task.taps == pairing.pairs(loss, task.model, teacher, (8, 8, 1))
    states = recipe.shapes(about, task)
    state, hyper = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (states, recipe.hyper(about))
    )
    data = step.TrainData(
        images=jax.ShapeDtypeStruct((12, 8, 8, 1), jnp.uint8),
        labels=jax.ShapeDtypeStruct((12,), jnp.int32),
        teacher_variables=jax.eval_shape(
            jax.vmap(lambda key: teacher.init(key, jnp.zeros((1, 8, 8, 1)))),
            jax.ShapeDtypeStruct((1, 2), jnp.uint32),
        ),
    )
    index = jax.ShapeDtypeStruct((4,), jnp.int32)
    _, measured = jax.eval_shape(
        lambda *args: step.train_step(task, *args), state, hyper, data, index
    )
    assert {"cka", "kl", "loss"} <= set(measured)
