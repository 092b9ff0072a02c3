import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as config_lib
from distill import models
from distill.errors import InputError
from distill.training import recipe as recipe_lib
from distill.training import state as state_lib

SHAPE = (4, 4, 1)
PARAMS = {"kernel": jnp.array([[2.0, -2.0]]), "bias": jnp.array([3.0, 3.0])}


def _shares(name, steps=10, **more):
    schedule = state_lib.schedule(name, steps, **more)
    return np.array([float(schedule(step)) for step in range(steps + 1)])


def test_constant():
    np.testing.assert_array_equal(_shares("constant"), np.ones(11))


def test_cosine_falls_to_zero():
    np.testing.assert_allclose(
        _shares("cosine"), (1 + np.cos(np.pi * np.arange(11) / 10)) / 2, atol=1e-6
    )


def test_step_falls_to_a_tenth_behind_each_share():
    schedule = state_lib.schedule("step", 240, (150 / 240, 180 / 240, 210 / 240))
    shares = [float(schedule(step)) for step in (0, 149, 150, 179, 180, 209, 210, 239)]
    np.testing.assert_allclose(shares, [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3], rtol=1e-5)


@pytest.mark.parametrize("name", config_lib.SCHEDULES)
def test_warmup_rises_to_what_the_schedule_says(name):
    shares, full = _shares(name, warmup_steps=4), _shares(name)
    np.testing.assert_allclose(shares[:4], full[:4] * [0.25, 0.5, 0.75, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(shares[4:], full[4:])


@pytest.mark.parametrize("length", [{"warmup_steps": 5}, {"warmup_epochs": 2.5}])
def test_warmup_in_steps_and_in_epochs(length):
    recipe = config_lib.training("teacher", schedule="constant", epochs=10, **length)
    tx = state_lib.optimizer(recipe, 20)({"learning_rate": 1.0})
    opt_state, sizes = tx.init(PARAMS), []
    for _ in range(6):
        updates, opt_state = tx.update(jax.tree.map(jnp.ones_like, PARAMS), opt_state, PARAMS)
        sizes.append(-float(updates["bias"][0]))
    np.testing.assert_allclose(sizes, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0], rtol=1e-4)


def test_what_is_not_trained_has_an_optimizer_too():
    recipe = config_lib.training("teacher", epochs=0, schedule="step", decay_at=(150, 180))
    assert state_lib.optimizer(recipe, 0)({"learning_rate": 1.0}).init(PARAMS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup_steps": 41}, "warmup_steps of teacher is 41, more than the 40 of the"),
        ({"steps": 6, "warmup_epochs": 2}, "warmup_epochs of teacher is 2.0, more than the 1.5 of"),
        (
            {"steps": 6, "schedule": "step", "decay_at": (1, 2)},
            r"\(1, 2\), and the .* after 1.5 ep",
        ),
    ],
)
def test_a_schedule_longer_than_the_training_is_refused(changes, message):
    section = config_lib.training("teacher", **changes)
    with pytest.raises(InputError, match=message):
        recipe_lib.length(section, 400)


def test_epochs_of_a_training_in_steps_are_those_of_its_images():
    recipe = config_lib.training("teacher", steps=30, epochs=7, warmup_epochs=1, optimizer="sgd")
    recipe.update({"schedule": "step", "decay_at": (2,), "weight_decay": 0.0, "momentum": 0.0})
    tx = state_lib.optimizer(recipe, 30, epochs=3.0)({"learning_rate": 1.0})
    opt_state, sizes = tx.init(PARAMS), []
    for _ in range(30):
        updates, opt_state = tx.update(jax.tree.map(jnp.ones_like, PARAMS), opt_state, PARAMS)
        sizes.append(-float(updates["bias"][0]))
    expected = [*(0.1 * (step + 1) for step in range(10)), *[1.0] * 10, *[0.1] * 10]
    np.testing.assert_allclose(sizes, expected, rtol=1e-5)


def test_one_cycle_peaks_after_30_percent():
    shares = _shares("one_cycle", 100)
    assert shares.argmax() == 30 and shares[30] == 1.0
    assert shares[0] == pytest.approx(1 / 25)
    assert shares[100] == pytest.approx(1 / 25 / 1e4, rel=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", config_lib.SCHEDULES)
def test_the_shortest_runs_have_a_finite_schedule(name, steps):
    shares = _shares(name, steps)
    assert np.isfinite(shares).all() and (shares[:steps] > 0).all()


def _first_update(gradients, **recipe):
    recipe = config_lib.training("teacher", schedule="constant", **recipe)
    tx = state_lib.optimizer(recipe, 10)({"learning_rate": 0.1})
    return tx.update(gradients, tx.init(PARAMS), PARAMS)[0]


def test_first_update_of_adam_is_the_sign_of_the_gradient():
    gradients = {"kernel": jnp.array([[5.0, -0.01]]), "bias": jnp.array([1.0, -3.0])}
    updates = _first_update(gradients)
    np.testing.assert_allclose(updates["kernel"], [[-0.1, 0.1]], rtol=1e-4)
    np.testing.assert_allclose(updates["bias"], [-0.1, 0.1], rtol=1e-4)


def test_nesterov_looks_ahead_by_the_momentum():
    gradients = {"kernel": jnp.array([[1.0, 2.0]]), "bias": jnp.array([3.0, 0.0])}
    sgd = {"optimizer": "sgd", "momentum": 0.5}
    plain, ahead = (_first_update(gradients, **sgd, nesterov=flag) for flag in (False, True))
    np.testing.assert_allclose(plain["kernel"], [[-0.1, -0.2]], rtol=1e-6)
    np.testing.assert_allclose(ahead["kernel"], [[-0.15, -0.3]], rtol=1e-6)


def test_weight_decay_is_decoupled_and_on_kernels_only():
    updates = _first_update(jax.tree.map(jnp.zeros_like, PARAMS), weight_decay=0.5)
    np.testing.assert_allclose(updates["kernel"], [[-0.1, 0.1]], rtol=1e-6)  # 0.1 · 0.5 · 2
    np.testing.assert_array_equal(updates["bias"], [0, 0])


@pytest.mark.parametrize("nesterov", [False, True])
def test_coupled_decay_is_that_of_pytorchs_sgd(nesterov):
    """On all weights, and through the momentum; after Sutskever et al. as PyTorch writes it."""
    rng, (rate, momentum, decay) = np.random.default_rng(0), (0.1, 0.9, 0.25)
    recipe = config_lib.training(
        "teacher", schedule="constant", optimizer="sgd", momentum=momentum, nesterov=nesterov,
        coupled_decay=decay,
    )  # fmt: skip
    tx = state_lib.optimizer(recipe, 10)({"learning_rate": rate})
    params, opt_state = PARAMS, tx.init(PARAMS)
    expected = {name: np.asarray(leaf) for name, leaf in PARAMS.items()}
    buffers = {name: 0.0 for name in PARAMS}
    for _ in range(3):
        gradients = {name: rng.normal(size=leaf.shape) for name, leaf in expected.items()}
        updates, opt_state = tx.update(jax.tree.map(jnp.float32, gradients), opt_state, params)
        params = jax.tree.map(jnp.add, params, updates)
        for name, gradient in gradients.items():
            gradient = gradient + decay * expected[name]
            buffers[name] = momentum * buffers[name] + gradient
            moved = gradient + momentum * buffers[name] if nesterov else buffers[name]
            expected[name] = expected[name] - rate * moved
    for name, leaf in params.items():
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-5)


def test_clip_norm_bounds_what_adam_remembers():
    recipe = config_lib.training("teacher", schedule="constant", clip_norm=1.0)
    tx = state_lib.optimizer(recipe, 10)({"learning_rate": 0.1})
    gradients = {"kernel": jnp.array([[30.0, 0.0]]), "bias": jnp.array([0.0, 40.0])}
    _, opt_state = tx.update(gradients, tx.init(PARAMS), PARAMS)
    mu = opt_state[1].mu  # a tenth of the gradient after the first update
    np.testing.assert_allclose(mu["kernel"], [[0.06, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(mu["bias"], [0.0, 0.08], rtol=1e-5)


def test_learning_rate_is_scaled_by_the_schedule():
    recipe = config_lib.training("teacher", schedule="cosine")
    tx = state_lib.optimizer(recipe, 2)({"learning_rate": 0.1})
    opt_state, sizes = tx.init(PARAMS), []
    for _ in range(3):
        updates, opt_state = tx.update(jax.tree.map(jnp.ones_like, PARAMS), opt_state, PARAMS)
        sizes.append(-float(updates["bias"][0]))
    np.testing.assert_allclose(sizes, [0.1, 0.05, 0.0], atol=1e-6)


def _create(seeds, rates=None, streams=()):
    model = models.build("simplenet_v3", {}, num_classes=3)
    hyper = {"learning_rate": jnp.array(rates or [0.1] * len(seeds))}
    recipe = config_lib.training("simplenet_v3")
    make = state_lib.optimizer(recipe, 10)
    return state_lib.create(model, make, hyper, SHAPE, seeds, streams=streams)


def _bits(states, i):
    states = dataclasses.replace(states, key=jax.random.key_data(states.key))
    return [np.asarray(leaf)[i] for leaf in jax.tree.leaves(states)]


def test_random_bits_depend_on_the_own_seed_alone():
    alone, among = _create([5]), _create([1, 5, 9], [0.3, 0.2, 0.1], [4, 0, 2])
    for a, b in zip(_bits(alone, 0), _bits(among, 1), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("numbers", [{"seeds": [1, 2]}, {"seeds": [1, 1], "streams": [0, 7]}])
def test_seeds_and_streams_differ(numbers):
    states = _create(**numbers)
    kernels = np.asarray(states.params["conv0"]["kernel"])
    assert (kernels[0] != kernels[1]).any()
    keys = jax.random.key_data(states.key)
    assert (keys[0] != keys[1]).any()


def test_starts_at_step_zero_with_variables_that_apply_takes():
    states = _create([0, 1])
    np.testing.assert_array_equal(states.step, [0, 0])
    assert states.step.dtype == jnp.int32
    assert states.variables({}) == {"params": states.params, "batch_stats": {}}
    assert str(states.key.dtype) == "key<fry>"


def test_what_jax_is_told_of_keys_changes_nothing():
    expected = _create([3, 4])
    with jax.default_prng_impl("rbg"):
        states = _create([3, 4])
    assert states.key.dtype == expected.key.dtype
    for i in range(2):
        for a, b in zip(_bits(states, i), _bits(expected, i), strict=True):
            np.testing.assert_array_equal(a, b)
