"""The two stages of FitNets: what is trained in each, and at what rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import validation
from distill.errors import InputError
from distill.training import hint_stage, recipe, state
from distill.training.description import Description

TERMS = {"fitnets": {"weight": 5.0}, "kl": {"weight": 0.9}, "cross_entropy": {"weight": 0.1}}
NAME = "cross_entropy+fitnets+kl"


def _config(**loss):
    config = configs.defaults()
    config.loss.update({"terms": TERMS, "hint_stage": 0.25, **loss})
    return config


def test_each_stage_has_its_terms_alone():
    section = recipe.loss_section(_config().loss)
    assert section["hint_stage"] == 0.25
    about = Description({"learning_rate": 0.1}, section, [0])
    hyper = {k: float(v[0]) for k, v in recipe.hyper(about).items()}
    for step, expected in ((0, (0, 5, 0)), (4, (0, 5, 0)), (5, (0.1, 0, 0.9)), (19, (0.1, 0, 0.9))):
        found = hint_stage.current(NAME, hyper, jnp.int32(step), 20)
        weights = [found[f"{method}.weight"] for method in NAME.split("+")]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
    together = {k: v for k, v in hyper.items() if k != "hint_stage"}
    assert hint_stage.current(NAME, together, jnp.int32(0), 20) is together


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "constant"])
def test_the_schedule_runs_through_in_each_stage(name):
    section = configs.training("teacher", schedule=name, optimizer="sgd", momentum=0.0)
    make = state.optimizer(section, 100)
    shape = state.schedule(name, 100)

    @jax.jit
    def rates(share):
        optimizer = make({"learning_rate": 2.0, "hint_stage": share})
        start = optimizer.init(jnp.ones(1))

        def one(opt_state, _):
            update, opt_state = optimizer.update(jnp.ones(1), opt_state)
            return opt_state, -update[0]

        return jax.lax.scan(one, start, None, 100)[1]

    found = rates(0.2)
    np.testing.assert_allclose(found[10], 2 * shape(50), rtol=1e-4)
    np.testing.assert_allclose(found[20], 2 * shape(0), rtol=1e-4)
    np.testing.assert_allclose(found[60], 2 * shape(50), rtol=1e-4)
    np.testing.assert_allclose(rates(0.5)[75], 2 * shape(50), rtol=1e-4)  # a number of a student


@pytest.mark.parametrize(
    "loss, said",
    [
        ({"terms": {"kl": {}, "cross_entropy": {}}}, "cross_entropy.kl has no terms for both"),
        ({"terms": {"fitnets": {}}}, "fitnets has no terms for both stages"),
        ({"terms": {}, "name": "fitnets"}, "fitnets has no terms for both stages"),
        ({"hint_stage": 1.0}, "loss.hint_stage is 1, which leaves nothing"),
        ({"hint_stage": 1.5}, "loss.hint_stage is 1.5; it must be a number from 0 to 1"),
    ],
)
def test_stages_that_cannot_be_end_before_any_work(loss, said):
    validation.validate(_config())
    with pytest.raises(InputError, match=said) as error:
        validation.validate(_config(**loss))
    assert "\n" not in str(error.value)
