"""What is frozen does not move, bit for bit; a head alone is trained as in the whole network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill.data import AUGMENTATIONS, Split
from distill.errors import InputError
from distill.progress import Display
from distill.training import freezing, head, recipe, step

SHAPE = (8, 8, 1)
ARGS = {"blocks": (1, 1), "features": (4, 6), "strides": (1, 2), "stem": 4, "head": 8}
LENGTH = recipe.Length(10, 100)
LAYERS = [
    "stem", "stem_norm", "stage0_block0/depthwise", "stage0_block0/depthwise_norm",
    "stage0_block0/project", "stage0_block0/project_norm", "stage1_block0/expand",
    "stage1_block0/expand_norm", "stage1_block0/depthwise", "stage1_block0/depthwise_norm",
    "stage1_block0/project", "stage1_block0/project_norm", "head", "head_norm", "logits",
]  # fmt: skip


def about(**changes):
    section = configs.training(
        "mobilenet_v2", args=ARGS, augmentation="shift", learning_rate=0.1, **changes
    )
    described = {
        "dataset": "made up", "splits": {}, "transfer": None, "fingerprint": "",
        "input_shape": SHAPE, "num_classes": 3,
    }  # fmt: skip
    dataset = configs.defaults().dataset
    return recipe.describe(section, {"name": "cross_entropy"}, [0], dataset, described, None)


@pytest.fixture
def split(rng):
    images = rng.integers(256, size=(12, *SHAPE), dtype=np.uint8)
    return Split(images, rng.integers(3, size=12).astype(np.int32))


def update(of, split, head_inputs=None):
    """Makes two updates; returns what they started from, what they led to, and the last loss."""
    task = recipe.task(of, LENGTH, kernels="xla")
    begin = jax.tree.map(lambda leaf: leaf[0], recipe.create(of, task))
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
    data = step.TrainData(images, labels, head_inputs=head_inputs)
    hyper = {name: value[0] for name, value in recipe.hyper(of).items()}
    state = begin
    for index in (jnp.array([3, 1, 7, 0]), jnp.array([5, 2, 8, 0])):
        state, measured = jax.jit(step.train_step, static_argnums=0)(
            task, state, hyper, data, index
        )
    return begin, state, float(measured["loss"])


def moved(before, after):
    """Returns the layers of which any bit is another."""
    found = set()
    for tree in ("params", "batch_stats"):
        old, new = (
            jax.tree_util.tree_leaves_with_path(getattr(state, tree)) for state in (before, after)
        )
        for (path, a), (_, b) in zip(old, new, strict=True):
            if (np.asarray(a).view(np.uint32) != np.asarray(b).view(np.uint32)).any():
                found.add("/".join(key.key for key in path[:-1]))
    return found


def test_layers_come_in_the_order_in_which_they_run():
    task = recipe.task(about(), LENGTH, kernels="xla")
    assert freezing.layers(task.model, SHAPE) == LAYERS


@pytest.mark.parametrize("patterns, expected", [
    ("", []),
    ("!logits", LAYERS[:-1]),
    ("stem", LAYERS[:2]),
    ("stage0_block0", LAYERS[2:6]),
    ("st*,!stage1_block0", LAYERS[:6]),
    ("*/project,head", [*LAYERS[4:6], *LAYERS[10:14]]),
])  # fmt: skip
def test_patterns_are_of_layers_and_of_blocks(patterns, expected):
    assert freezing.frozen(patterns, LAYERS) == frozenset(expected)


def test_patterns_that_fit_nothing_or_everything_are_refused():
    with pytest.raises(InputError, match="freeze='conv0' matches nothing; there are stem, "):
        freezing.frozen("conv0", LAYERS)
    with pytest.raises(InputError, match="leaves nothing to train; !logits leaves the head"):
        freezing.frozen("*", LAYERS)


def test_the_rate_falls_from_block_to_block():
    found = freezing.rates(0.5, LAYERS)
    assert (found["logits"], found["head"], found["head_norm"]) == (1, 0.5, 0.5)
    assert {found[name] for name in LAYERS[6:12]} == {0.25} and found["stem_norm"] == 0.5**4


def test_updates_of_deeper_layers_are_smaller_by_the_decay():
    sgd = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}
    changes = []
    for decay in (0.0, 0.5):
        task = recipe.task(about(layer_decay=decay, **sgd), LENGTH, kernels="xla")
        shapes = recipe.shapes(about(), task).params
        params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape[1:]), shapes)
        tx = task.make_optimizer({"learning_rate": jnp.float32(0.1)})
        changes.append(tx.update(params, tx.init(params), params)[0])
    whole, less = changes
    for layer, share in {"logits": 1, "head": 0.5, "stage0_block0": 0.125, "stem": 0.0625}.items():
        jax.tree.map(
            lambda a, b, share=share: np.testing.assert_allclose(b, share * a, rtol=1e-6),
            whole[layer], less[layer],
        )  # fmt: skip


@pytest.mark.parametrize("patterns", ["st*", "!logits"])
def test_frozen_weights_and_statistics_stay_bit_for_bit(patterns, split):
    of = about(freeze=patterns, weight_decay=0.1)
    before, after, _ = update(of, split)
    assert moved(before, after) == set(LAYERS) - freezing.frozen(patterns, LAYERS)
    frozen_adam = [key for key, _ in jax.tree_util.tree_leaves_with_path(after.opt_state)]
    assert not any("stem" in jax.tree_util.keystr(key) for key in frozen_adam)


def test_nothing_frozen_moves_everything(split):
    before, after, _ = update(about(), split)
    assert moved(before, after) == set(LAYERS)


def test_a_head_alone_is_trained_as_in_the_whole_network(split):
    of = about(freeze="!logits")
    task = recipe.task(of, LENGTH, kernels="xla")
    before, whole, loss = update(of, split)
    assert head.tabulates(task, SHAPE, 12, epochs=10, limit=9 * 12 * 8 * 4)
    assert not head.tabulates(task, SHAPE, 12, epochs=8, limit=10**6)  # 9 variants
    assert not head.tabulates(task, SHAPE, 13, epochs=10, limit=9 * 12 * 8 * 4)
    for changed in (
        dataclasses.replace(task, frozen=task.frozen - {"stem"}),
        dataclasses.replace(task, augmentation=AUGMENTATIONS["crop_flip"]),
    ):
        assert not head.tabulates(changed, SHAPE, 12, epochs=10, limit=10**6)
    table = head.inputs(task, before.variables({}), split, Display(), task.augmentation)
    assert table.shape == (9, 12, 8)
    _, alone, same = update(of, split, jnp.asarray(table))
    assert same == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(
        alone.params["logits"]["kernel"], whole.params["logits"]["kernel"], rtol=1e-4, atol=1e-6
    )
    assert moved(before, alone) == {"logits"}
