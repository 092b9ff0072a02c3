"""Scores: literal numbers on a network of three neurons, and what they mean on every model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import losses
from distill.compress import network as networks
from distill.compress import scores
from distill.compress.scores import SCORES
from distill.constraints import nested
from distill.errors import InputError
from distill.models.channels import Part

FROM_DATA = ("mean", "apoz", "activations", "rank", "taylor")


@pytest.fixture
def score(context):
    """Scores all groups of a network."""
    return lambda name, found, images: SCORES[name](
        found, context(found, images), found.channels().groups
    )


@pytest.fixture
def tiny():
    """A convolution with the filters 1, -1 and 2 on a 4×4 image, pooled to 2×2, and logits."""
    args = {"filters": [3], "kernel_size": 1}
    params = {
        "conv0/kernel": np.array([[[[1.0, -1.0, 2.0]]]], np.float32),
        "conv0/bias": np.array([0.0, 0.0, -1.0], np.float32),
        "logits/kernel": np.ones((12, 2), np.float32) * [1, 0],
        "logits/bias": np.zeros(2, np.float32),
    }
    return networks.Network("simplenet_v1", args, 2, (4, 4, 1), params)


@pytest.fixture
def images():
    """Of 0 and 1: the pools of the first are 1 0 / 0 1, those of the second all 0."""
    first = np.zeros((4, 4, 1), np.uint8)
    first[0, 0] = first[3, 3] = 255
    return np.stack([first, np.zeros_like(first)])


def test_scores_of_weights_are_sums_over_what_writes_a_channel(tiny, network, score):
    assert score("l1", tiny, np.zeros((1, 4, 4, 1)))["conv0"].tolist() == [1, 1, 2]
    assert score("l2", tiny, np.zeros((1, 4, 4, 1)))["conv0"].tolist() == [1, 1, 2]
    found = network("resnet20")
    found.params["stem_norm/scale"][:] = [1, -2, 3, 0]
    found.params["stage0_block0/conv1_norm/scale"][:] = [1, 1, 1, 1]
    for other in ("stage1_block0", "stage1_block1", "stage2_block0"):
        found.params[f"{other}/conv1_norm/scale"][:4] = 0
    images = np.zeros((1, 8, 8, 3), np.uint8)
    assert score("bn_scale", found, images)["stem"].tolist() == [2, 3, 4, 1]
    kernel = found.params["stage0_block0/conv0/kernel"]
    np.testing.assert_allclose(
        score("l2", found, images)["stage0_block0/conv0"],
        np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0), rtol=1e-6,
    )  # fmt: skip


def test_without_batch_normalisation_there_is_no_scale(tiny, score):
    with pytest.raises(InputError, match="needs batch normalisation, and conv0 of simplenet_v1"):
        score("bn_scale", tiny, np.zeros((1, 4, 4, 1)))


def test_scores_of_data_are_literal(tiny, images, score):
    """The channels are relu(x), relu(-x) and relu(2x - 1): the second is dead, and 1 - 0 - 1."""
    found = {name: score(name, tiny, images)["conv0"].tolist() for name in FROM_DATA}
    assert found["activations"] == [2, 0, 2]
    assert found["apoz"] == [0.25, 0, 0.25]
    assert found["mean"] == [0.25, 0, 0.25]
    assert found["rank"] == [1, 0, 1]  # of the identity 2×2, and of zeros
    # dL/da is softmax - onehot of the first class for the first logit: s(4) - 1 in the first image.
    slope = 1 - 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(found["taylor"], [slope, 0, slope], rtol=1e-5)


@pytest.mark.parametrize("name", ["densenet_bc100", "mobilenet_v2"])
def test_a_reader_that_is_normalised_first_is_looked_at_behind_that(name, rng, network, score):
    found = network(name)
    images = rng.integers(0, 255, (2, *found.input_shape)).astype(np.uint8)
    shares = score("apoz", found, images)
    assert {n: v.shape for n, v in shares.items()} == {
        group.name: (group.size,) for group in found.channels().groups
    }
    assert all(np.all((values >= 0) & (values <= 1)) for values in shares.values())


def test_taylor_is_the_slope_of_the_loss(rng, network, score):
    """Making a channel a little weaker is making the weights of its many readers so."""
    found = network("resnet20")
    image = rng.integers(0, 255, (1, *found.input_shape)).astype(np.uint8)
    (group,) = [group for group in found.channels().groups if group.name == "stem"]
    assert len(group.readers) > 3

    @jax.jit
    def loss(gate):
        params = dict(found.params)
        for part in group.readers:
            path = f"{part.layer}/kernel"
            params[path] = jnp.asarray(params[path]).at[..., part.start + 1, :].multiply(gate)
        variables = {"params": nested(params), "batch_stats": nested(found.stats)}
        logits = found.module.apply(variables, image.astype(np.float32) / 255)
        return losses.cross_entropy(logits, jnp.zeros(1, int))[0]

    slope = (loss(1.01) - loss(0.99)) / 0.02
    np.testing.assert_allclose(score("taylor", found, image)["stem"][1], abs(slope), rtol=0.02)


def test_rank_is_that_of_the_feature_map(rng):
    wanted = np.array([[0, 1, 3, 5], [2, 4, 5, 1]])
    maps = [rng.normal(size=(6, rank)) @ rng.normal(size=(rank, 5)) for rank in wanted.reshape(-1)]
    x = np.array(maps, np.float32).reshape(2, 4, 30).swapaxes(1, 2)
    np.testing.assert_array_equal(jax.jit(scores._rank, static_argnums=1)(x, (6, 5)), wanted)


def test_the_last_batch_may_be_short(tiny, rng, context, score):
    many = rng.integers(0, 2, (7, 4, 4, 1)).astype(np.uint8) * 255
    groups = tiny.channels().groups
    parts = SCORES["activations"](tiny, context(tiny, many), groups, 3)
    np.testing.assert_array_equal(parts["conv0"], score("activations", tiny, many)["conv0"])


def test_what_is_read_may_be_flattened(tiny):
    """The logits read four positions of three channels, which are told apart."""
    (group,) = tiny.channels().groups
    assert group.readers == (Part("logits", of=3),)
