"""Factors of full rank are the layer, those of a lower one the nearest to it."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from distill.compress import factorise, methods
from distill.cost import cost
from distill.errors import InputError


@pytest.fixture
def said():
    return []


@pytest.fixture
def svd(said):
    context = types.SimpleNamespace(say=said.append)
    return lambda network, **options: factorise.svd(network, context, **options)


def _applied(network, images):
    return jax.jit(network.module.apply)(network.variables, images)


@pytest.mark.parametrize(
    ("name", "layer", "kind", "full"),
    [
        ("teacher", "hidden", "channels", 7),
        ("teacher", "hidden", "spatial", 7),  # which means convolutions only
        ("teacher", "conv1", "channels", 5),
        ("teacher", "conv1", "spatial", 20),
        ("simplenet_v4", "pool0", "spatial", 8),  # strided
        ("resnet20", "stage1_block0/conv0", "channels", 6),  # strided, without a bias, and a norm
        ("resnet20", "stage1_block0/conv0", "spatial", 12),
    ],
)
def test_full_rank_is_the_layer(name, layer, kind, full, svd, network, rng):
    found = network(name)
    whole = svd(found, layers=layer, kind=kind, rank=full, only_cheaper=False)
    assert whole.args["factors"] == {
        layer: ["channels" if layer == "hidden" else kind, full]
    }  # fmt: skip
    images = rng.normal(size=(2, *found.input_shape)).astype(np.float32)
    wanted = jax.eval_shape(whole.module.init, jax.random.key(0), images)
    assert jax.tree.map(np.shape, whole.variables["params"]) == jax.tree.map(
        np.shape, wanted["params"]
    )
    np.testing.assert_allclose(
        _applied(whole, images), _applied(found, images), rtol=1e-3, atol=1e-4
    )
    message = f"rank={full + 1} is more than the {full} of {layer}"
    with pytest.raises(InputError, match=message):
        svd(found, layers=layer, kind=kind, rank=full + 1)


def _with_hidden(network, values):
    """The teacher with known singular values in its dense layer of 20 inputs and 7 outputs."""
    found = network("teacher")
    kernel = np.zeros((20, 7), np.float32)
    kernel[range(7), range(7)] = values
    return dataclasses.replace(found, params={**found.params, "hidden/kernel": kernel})


@pytest.mark.parametrize(
    ("energy", "rank"), [(0.64, 1), (0.65, 2), (13 / 14, 2), (0.93, 3), (1.0, 3), (1e-9, 1)]
)
def test_energy_is_of_squared_singular_values(energy, rank, svd, network):
    found = _with_hidden(network, [1, 3, 0, 2, 0, 0, 0])  # 9, 4 and 1 of 14
    found = svd(found, layers="hidden", energy=energy)
    assert found.args["factors"]["hidden"] == ["channels", rank]
    first, second = (found.params[f"hidden/{end}/kernel"] for end in ("first", "second"))
    assert first.shape == (20, rank) and second.shape == (rank, 7)
    product = np.zeros((20, 7))
    for i, value in [(1, 3), (3, 2), (0, 1)][:rank]:
        product[i, i] = value
    np.testing.assert_allclose(first @ second, product, atol=1e-6)
    np.testing.assert_allclose(np.abs(first).max(0), np.sqrt([3, 2, 1])[:rank], atol=1e-6)
    np.testing.assert_allclose(np.abs(second).max(1), np.sqrt([3, 2, 1])[:rank], atol=1e-6)


def test_without_rank_or_energy_it_is_the_largest_that_saves_macs(svd, said, network):
    found = network("teacher")
    less = svd(found, layers="hidden,logits,conv1")
    # 20·7 = 140 against 27·5 = 135; 7·3 = 21 against 10·2 = 20; 25·4·5 = 500 against 105·4 = 420,
    # at each of 4·4 positions.
    assert less.args["factors"] == {
        "conv1": ["channels", 4], "hidden": ["channels", 5], "logits": ["channels", 2],
    }  # fmt: skip
    saved = 16 * (500 - 420) + (140 - 135) + (21 - 20)
    before, after = (cost(n.module, n.input_shape).macs for n in (found, less))
    assert before - after == saved
    assert said[1] == (
        "hidden at rank 5 of 7 keeps "
        f"{100 * _kept(found.params['hidden/kernel'], 5):.1f} % of its energy; "
        "140 MACs become 135"
    )


def _kept(kernel, rank):
    values = np.linalg.svd(kernel.astype(np.float64), compute_uv=False) ** 2
    return values[:rank].sum() / values.sum()


def test_layers_that_would_not_get_cheaper_stay(svd, said, network):
    found = network("teacher")
    less = svd(found, layers="hidden,logits", rank=3)
    assert list(less.args["factors"]) == ["hidden"]
    assert said[1] == "logits stays; rank 3 would not save MACs (21)"
    assert list(svd(found, layers="logits", rank=3, only_cheaper=False).args["factors"]) == [
        "logits"
    ]


def test_what_is_factorised_stays_and_more_can_be(svd, network):
    found = svd(svd(network("teacher"), layers="hidden", rank=2), layers="conv1", rank=3)
    assert found.args["factors"] == {"hidden": ["channels", 2], "conv1": ["channels", 3]}
    assert svd(found, rank=1).args["factors"].keys() == {"hidden", "conv0", "conv1", "logits"}


def test_all_that_can_be_factorised_of_a_network_with_depthwise_convolutions(svd, network):
    found = svd(network("mobilenet_v1"), energy=0.5)
    assert found.args["factors"] and not [p for p in found.args["factors"] if "depthwise" in p]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("teacher", {"rank": 2, "energy": 0.5}, "rank=2 and energy=0.5 are given; give one"),
        ("teacher", {"rank": -1}, "rank is -1; it must be 1 or more"),
        ("teacher", {"energy": 1.5}, "energy is 1.5; it must be above 0 and at most 1"),
        ("teacher", {"kind": "rows"}, "unknown kind 'rows'; known: channels, spatial"),
        ("teacher", {"layers": "dense*", "rank": 1}, r"layers='dense\*' matches nothing; there"),
        (
            "mobilenet_v1", {"layers": "block0/*", "rank": 1},
            r"names block0/depthwise, which is a depthwise conv 3×3 and cannot be factorised; leave"
            r" it out, as with ',!block0/depthwise'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(name, options, message, svd, network):
    with pytest.raises(InputError, match=message) as error:
        svd(network(name), **options)
    assert "\n" not in str(error.value)


def test_transposed_convolutions_are_refused_and_left_out(svd, network):
    found = network("autoencoder")
    assert svd(found, energy=0.1).args["factors"].keys() <= {"encoder0", "encoder1"}
    with pytest.raises(InputError, match="decoder1, which is a transposed conv 3×3 and cannot be"):
        svd(found, layers="decoder1", rank=1)


def test_factorised_and_constrained_layers_are_refused(svd, network):
    found = svd(network("teacher"), layers="hidden", rank=2)
    with pytest.raises(InputError, match="names hidden, which is factorised already"):
        svd(found, layers="hidden", rank=1)
    masked = dataclasses.replace(network("teacher"), constraints={"mask": ["hidden/kernel"]})
    with pytest.raises(InputError, match="names hidden, which is constrained already"):
        svd(masked, layers="hidden", rank=1)
    paths = [f"{name}/kernel" for name in masked.kernels]
    masked = dataclasses.replace(masked, constraints={"mask": paths})
    with pytest.raises(InputError, match="each layer of teacher is constrained already; put"):
        svd(masked, rank=1)


def test_it_is_a_method_with_these_options():
    assert methods.known("svd") == {
        "layers": "*", "kind": "channels", "rank": 0, "energy": 0.0, "only_cheaper": True,
    }  # fmt: skip
