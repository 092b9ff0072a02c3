import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from distill.cost import cost
from distill.models import build

COUNTS = {  # parameters, and MACs per layer
    "teacher": (3_274_634, 28**2 * 32 * 25 + 14**2 * 64 * 25 * 32 + 7**2 * 64 * 1024 + 1024 * 10),
    "simplenet_v1": (3_484, 28**2 * 3 * 25 + 14**2 * 6 * 25 * 3 + 7**2 * 6 * 10),
    "simplenet_v2": (5_968, 28**2 * 3 * 25 + 14**2 * 3 * 10),
    "simplenet_v3": (3_982, 28**2 * 2 * 25 + 14**2 * 2 * 10),
    "simplenet_v4": (6_007, 28**2 * 3 * 25 + 14**2 * 3 * 4 * 3 + 14**2 * 3 * 10),
    "simplenet_v5": (4_000, 28**2 * 2 * 25 + 14**2 * 2 * 4 * 2 + 14**2 * 2 * 10),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_by_hand(name):
    assert cost(build(name, {}, num_classes=10), (28, 28, 1)) == COUNTS[name]


def test_colour_images():
    # Convolutions 3·5·5·3 + 3 and 3·5·5·6 + 6, dense 8·8·6·10 + 10.
    macs = 32**2 * 3 * 75 + 16**2 * 6 * 75 + 384 * 10
    assert cost(build("simplenet_v1", {}, num_classes=10), (32, 32, 3)) == (4_534, macs)


def test_parameters_are_those_of_the_initialised_model(key):
    model = build("simplenet_v4", {}, num_classes=7)
    params = jax.jit(model.init)(key, jnp.zeros((1, 28, 28, 1)))["params"]
    assert cost(model, (28, 28, 1)).num_params == sum(p.size for p in jax.tree.leaves(params))


class _Grouped(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Conv(8, (3, 3), feature_group_count=4, use_bias=False, padding="VALID")(x)
        return nn.Dense(2, use_bias=False)(x.mean((1, 2)))


def test_groups_padding_and_running_statistics():
    # Statistics are not trainable weights; a group of 4 sees one channel of four.
    assert cost(_Grouped(), (6, 6, 4)) == (4 + 4 + 9 * 8 + 8 * 2, 4 * 4 * 8 * 9 + 16)
