"""The temperature of CTKD: against the gradient, more and more."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import losses, models, validation
from distill.data import AUGMENTATIONS
from distill.errors import InputError
from distill.training import curriculum, recipe, state, step
from distill.training.description import Description

SHAPE = (8, 8, 1)


def _hyper(temperature=11.0, share=0.5):
    return {"temperature": jnp.float32(temperature), curriculum.SHARE: jnp.float32(share)}


def test_it_begins_where_the_configuration_says():
    parts = curriculum.init(_hyper(15.6))
    assert float(curriculum.temperature(parts)) == pytest.approx(15.6, rel=1e-6)
    assert float(parts[curriculum.SHARE]["logit"]) == pytest.approx(1.0, abs=0.01)  # the paper's
    assert curriculum.init({"temperature": jnp.float32(4.0)}) == {}


def test_its_gradient_is_reversed_by_what_the_curriculum_has_reached():
    def slope(step):
        def objective(parts):
            found = curriculum.current(parts, _hyper(), jnp.int32(step), 100)["temperature"]
            return jnp.square(found)

        return float(jax.grad(objective)(curriculum.init(_hyper()))[curriculum.SHARE]["logit"])

    full = 2 * 11 * 20 / 4  # d/dt of T², with T = 11 in the middle of the sigmoid
    for at, share in ((0, 0.0), (25, 0.5), (50, 1.0), (99, 1.0)):
        assert slope(at) == pytest.approx(-share * full, rel=1e-4, abs=1e-4)


def test_a_step_moves_the_student_down_and_the_temperature_up_the_same_loss():
    config = configs.defaults()
    config.loss.update(name="kl", temperature=11.0, temperature_curriculum=0.01)
    loss = recipe.loss_section(config.loss)
    section = configs.training("simplenet_v1", schedule="constant", optimizer="sgd", momentum=0.0)
    model = models.build("simplenet_v1", {}, num_classes=3, kernels="xla")
    task = step.Task(
        model=model, loss="kl", augmentation=AUGMENTATIONS["none"],
        make_optimizer=state.optimizer(section, 10), total_steps=10,
    )  # fmt: skip
    about = Description({"learning_rate": 0.1}, loss, [0, 1])
    states = state.create(model, task.make_optimizer, recipe.hyper(about), SHAPE, [0, 1])
    np.testing.assert_allclose(curriculum.temperature(states.parts), [11.0, 11.0], rtol=1e-6)
    before = dataclasses.replace(jax.tree.map(lambda leaf: leaf[0], states), step=jnp.int32(1))
    hyper = {k: v[0] for k, v in recipe.hyper(about).items()}
    rng = np.random.default_rng(0)
    data = step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(4, *SHAPE), dtype=np.uint8)),
        labels=jnp.zeros(4, jnp.int32),
        teacher_logits=jnp.asarray(5 * rng.normal(size=(1, 4, 1, 3)), jnp.float32),
    )
    index = jnp.arange(4)
    after, _ = jax.jit(step.train_step, static_argnums=0)(task, before, hyper, data, index)

    def value(params, logit):
        parts = {curriculum.SHARE: {"logit": logit}}
        logits = model.apply({"params": params}, data.images / 255)
        numbers = {"temperature": curriculum.temperature(parts), "alpha": 1.0}
        terms = losses.weighted_terms(
            "kl", logits, data.labels, data.teacher_logits[0].swapaxes(0, 1), numbers
        )
        return sum(term.mean() for term in terms.values())

    logit = before.parts[curriculum.SHARE]["logit"]
    of_params, of_logit = jax.jit(jax.grad(value, argnums=(0, 1)))(before.params, logit)
    moved = after.parts[curriculum.SHARE]["logit"] - logit
    assert float(moved) == pytest.approx(0.1 * float(of_logit), rel=1e-3)
    np.testing.assert_allclose(
        after.params["logits"]["bias"], before.params["logits"]["bias"]
        - 0.1 * of_params["logits"]["bias"], rtol=1e-4, atol=1e-7,
    )  # fmt: skip


@pytest.mark.parametrize(
    "loss, said",
    [
        ({"name": "attention"}, "attention has no temperature that it could move"),
        ({"name": "kl", "temperature": 1.0}, "loss.temperature is 1.0; .* between 1 and 21"),
        ({"terms": {"kl": {}}}, "is of a single loss"),
        ({"name": "kl", "temperature_curriculum": 1.5}, "loss.temperature_curriculum is 1.5"),
    ],
)
def test_what_no_curriculum_can_move_ends_before_any_work(loss, said):
    config = configs.defaults()
    config.loss.update({"temperature_curriculum": 0.1, **loss})
    with pytest.raises(InputError, match=said) as error:
        validation.validate(config)
    assert "\n" not in str(error.value)
