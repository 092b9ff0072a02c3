"""Teacher and student see the same mixture, and the labels' side is right."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import losses, validation
from distill.data import AUGMENTATIONS, mixing
from distill.errors import InputError
from distill.training import recipe, state, step
from distill.training.description import Description

CLASSES, INDEX = 3, jnp.array([3, 1, 7, 0])
HYPER = {"learning_rate": 1.0, "temperature": 2.0, "alpha": 0.7}


class Tiny(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(CLASSES)(x.reshape(len(x), -1))


@pytest.fixture
def data(rng):
    variables = jax.jit(Tiny().init)(jax.random.key(9), jnp.zeros((1, 4, 4, 1)))
    return step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(12, 4, 4, 1), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(CLASSES, size=12), jnp.int32).at[1].set(-1),
        teacher_variables=jax.tree.map(lambda leaf: leaf[None], variables),
    )


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_a_step_on_a_mixture(alphas, data):
    section = configs.training("teacher", schedule="constant", optimizer="sgd", momentum=0.0)
    make_optimizer = state.optimizer(section, 10)
    task = step.Task(Tiny(), "kl", AUGMENTATIONS["none"], make_optimizer, teacher=Tiny(), **alphas)
    hyper = {name: jnp.array([value]) for name, value in HYPER.items()}
    before = state.create(task.model, make_optimizer, hyper, (4, 4, 1), [0])
    before = jax.tree.map(lambda leaf: leaf[0], before)
    _, measured = jax.jit(step.train_step, static_argnums=0)(task, before, HYPER, data, INDEX)
    key = jax.random.fold_in(jax.random.fold_in(before.key, 0), 3)
    mixture = mixing.draw(key, 4, (4, 4), **alphas)
    share, images = float(mixture.share), mixture.apply(data.images[INDEX] / 255)
    apply = jax.jit(Tiny().apply)
    logits = apply(before.variables({}), images)
    of_teacher = apply(jax.tree.map(lambda leaf: leaf[0], data.teacher_variables), images)
    soft = losses.log_soft_targets(of_teacher[None], temperature=2.0)
    expected = 0.7 * losses.kl(logits, soft, temperature=2.0).mean()
    np.testing.assert_allclose(measured["kl"], expected, rtol=1e-4)
    own, others = data.labels[INDEX], data.labels[INDEX][mixture.partner]
    hard = [losses.cross_entropy(logits, labels).sum() / 3 for labels in (own, others)]
    expected = 0.3 * (share * hard[0] + (1 - share) * hard[1])
    np.testing.assert_allclose(measured["hard_loss"], expected, rtol=1e-4)
    right = [int((logits.argmax(-1) == labels).sum()) for labels in (own, others)]
    assert float(measured["correct"]) == pytest.approx(share * right[0] + (1 - share) * right[1])
    assert int(measured["visible"]) == 3


def test_mixed_labels_are_those_of_soft_ones():
    """The mixture of two cross-entropies is that with the mixture of the labels, smoothed too."""
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(4, CLASSES)), jnp.float32)
    a, b = jnp.array([0, 1, 2, 0]), jnp.array([2, 1, 0, 1])
    share, smoothing = 0.3, 0.1
    terms = losses.weighted_terms(
        "cross_entropy", logits, a, None, {"label_smoothing": smoothing}, mixed_with=(b, share)
    )
    soft = share * jax.nn.one_hot(a, CLASSES) + (1 - share) * jax.nn.one_hot(b, CLASSES)
    soft = (1 - smoothing) * soft + smoothing / CLASSES
    expected = -(soft * jax.nn.log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(terms["cross_entropy"], expected, rtol=1e-5)


def test_a_mixture_cannot_be_looked_up():
    section = configs.training("simplenet_v4", mixup=0.2)
    about = Description(
        recipe.deciding(section.to_dict()), {"name": "kl", "temperature": 1.0, "alpha": 1.0}, [0],
        input_shape=(8, 8, 1), num_classes=CLASSES,
    )  # fmt: skip
    task = recipe.task(about, recipe.Length(10, 1000), Tiny())
    assert task.mixup == 0.2 and task.augmentation.num_variants is None
    assert task.teacher is not None
    del about.recipe["mixup"]
    plain = recipe.task(about, recipe.Length(10, 1000), Tiny())
    assert plain.teacher is None and plain.augmentation.num_variants == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"student.mixup": 0.2, "loss.name": "dkd"},
            "student.mixup is 0.2, and a mixture of images has no label that loss dkd could take",
        ),
        (
            {"student.cutmix": 1.0, "loss.name": "teacher_free"},
            "student.cutmix is 1.0, and a mixture of images has no label that loss teacher_free",
        ),
        (
            {"assistants": ({"mixup": 0.1},), "loss.name": "nkd"},
            "assistants[0].mixup is 0.1, and a mixture",
        ),
        (
            {
                "compress": (
                    {"method": "fold", "fine_tune": {"mixup": 0.1, "loss": {"name": "rld"}}},
                )
            },
            "compress[0].fine_tune.mixup is 0.1, and a mixture",
        ),
    ],
)
def test_methods_that_need_hard_labels_are_refused(changes, said):
    config = configs.defaults()
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError) as caught:
        validation.validate(config)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_methods_without_labels_take_mixtures():
    config = configs.defaults()
    config.student.update({"mixup": 0.2, "cutmix": 1.0})
    for name in ("kl", "attention", "cross_entropy"):
        config.loss.name = name
        validation.validate(config)
