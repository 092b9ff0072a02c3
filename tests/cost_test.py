import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill.cost import LayerCost, cost, layers
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


class _EveryKind(nn.Module):
    """Without padding and biases, where XLA counts what papers count."""

    @nn.compact
    def __call__(self, x, *, train=False):
        conv = {"padding": "VALID", "use_bias": False}
        x = nn.Conv(8, (3, 3), **conv)(x)
        x = nn.Conv(8, (3, 3), feature_group_count=8, **conv)(x)
        x = nn.Conv(8, (3, 2), (2, 2), feature_group_count=4, **conv)(x)
        x = nn.ConvTranspose(4, (3, 3), (2, 2), **conv)(x)
        return nn.Dense(3, use_bias=False)(x.reshape(x.shape[0], -1))


def test_every_kind_of_layer_by_hand():
    assert layers(_EveryKind(), (15, 14, 4)) == [
        LayerCost("Conv_0", "conv 3×3", (13, 12, 8), 288, None, 156 * 288, 156 * 8 * 4),
        LayerCost("Conv_1", "depthwise conv 3×3", (11, 10, 8), 72, None, 110 * 72, 110 * 8 * 4),
        LayerCost("Conv_2", "grouped conv 3×2", (5, 5, 8), 96, None, 25 * 96, 25 * 8 * 4),
        LayerCost(
            "ConvTranspose_0", "transposed conv 3×3", (11, 11, 4), 288, None, 25 * 288, 121 * 4 * 4
        ),
        LayerCost("Dense_0", "dense", (3,), 1452, None, 1452, 12),
    ]


def test_macs_are_half_the_operations_that_xla_counts():
    model, image = _EveryKind(), jnp.zeros((1, 15, 14, 4))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    flops = jax.jit(model.apply).lower(variables, image).cost_analysis()["flops"]
    assert flops == 2 * cost(model, (15, 14, 4)).macs


def test_padded_taps_count_for_us_and_not_for_xla():
    model, image = nn.Conv(1, (3, 3), use_bias=False), jnp.zeros((1, 4, 4, 1))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    assert cost(model, (4, 4, 1)).macs == 16 * 9
    # A corner has 4 of the 9 taps on the image, the rest of an edge 6.
    flops = jax.jit(model.apply).lower(variables, image).cost_analysis()["flops"]
    assert flops == 2 * (4 * 4 + 8 * 6 + 4 * 9)


class _Shared(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        layer = nn.Dense(4, name="shared")
        return layer(layer(x.mean((1, 2))))


def test_a_layer_that_is_called_twice_has_its_weights_once():
    (layer,) = layers(_Shared(), (2, 2, 4))
    assert (layer.num_params, layer.macs, layer.activation_bytes) == (20, 32, 32)


def test_weights_that_are_not_zero(key):
    model = build("simplenet_v2", {"filters": (2,)}, num_classes=3)
    params = jax.jit(model.init)(key, jnp.zeros((1, 8, 8, 1)))["params"]
    params["conv0"]["kernel"] = np.zeros((5, 5, 1, 2)) + np.eye(5)[:, :, None, None]
    counted = layers(model, (8, 8, 1), params)
    # New biases are zero.
    assert [(layer.name, layer.num_params, layer.nonzeros) for layer in counted] == [
        ("conv0", 52, 10), ("logits", 4 * 4 * 2 * 3 + 3, 96),
    ]  # fmt: skip


def test_what_cannot_be_counted_is_an_error(key):
    with pytest.raises(ValueError, match="LayerNorm_0 is not known"):
        cost(nn.Sequential([lambda x: x, nn.Dense(2), _Normed()]), (2, 2, 1))
    model = build("simplenet_v2", {}, num_classes=3)
    with pytest.raises(ValueError, match="not those of the model"):
        layers(model, (8, 8, 1), {"conv0": {"kernel": np.zeros((5, 5, 1, 2))}})


class _Normed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.LayerNorm()(x)
