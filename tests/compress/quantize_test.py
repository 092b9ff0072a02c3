"""The rounding that training feels is that of the file which TensorFlow's converter writes."""

import types

import numpy as np
import pytest

from distill import constraints
from distill.compress import methods, quantize
from distill.errors import InputError
from distill.export import convert, flatbuffer, graph

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture
def context(rng):
    images = rng.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    return types.SimpleNamespace(images=images, mean=MEAN, std=STD)


def _converted(network, images):
    """Returns of each layer of an int8 file: input, weights and output tensors, and the weights."""
    normalized = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    function = graph.inference(network.module, network.variables, "logits")
    parsed = flatbuffer.parse(
        convert.to_tflite(function, (1, *network.input_shape), "int8", normalized)
    )
    (tensors,) = (part.tensors for part in parsed.subgraphs)
    for operator in parsed.subgraphs[0].operators:
        if len(operator.inputs) == 3:  # input, weights and bias
            image, weights = (tensors[i] for i in operator.inputs[:2])
            data = np.asarray(parsed.buffers[weights.buffer].data).view(np.int8)
            yield (
                image.quantization,
                weights.quantization,
                tensors[operator.outputs[0]].quantization,
                data.reshape(weights.shape),
            )


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("mobilenet_v1", "stem,block0/depthwise,block0/pointwise,block1/depthwise"),
        ("vgg16", "conv0,conv1,conv2,hidden0,logits"),
    ],
)
def test_scales_and_rounded_weights_are_those_of_the_file(name, order, network, context):
    found = quantize.quantize(network(name), context, calibration=20)
    layers, held = order.split(","), found.held["quantize"]
    converted = list(_converted(found, context.images[::2]))
    for layer, (image, weights, _, steps) in zip(layers, converted, strict=False):
        scale, zero_point = constraints.activation_scale(*held[layer])
        np.testing.assert_allclose(image.scale, [scale], rtol=1e-5)
        assert image.zeroPoint.tolist() == [zero_point]
        kernel = found.params[f"{layer}/kernel"]
        scales = np.ravel(constraints.weight_scale(kernel))
        np.testing.assert_allclose(weights.scale, scales, rtol=1e-6)
        assert not weights.zeroPoint.any()
        # TensorFlow Lite has [outputs, height, width, inputs], but depthwise [1, h, w, outputs].
        depthwise = layer.endswith("depthwise")
        assert weights.quantizedDimension == (3 if depthwise else 0)
        ours = np.asarray(constraints.round_weights(kernel))
        ours = ours.transpose(2, 0, 1, 3) if depthwise else np.moveaxis(ours, -1, 0)
        theirs = steps * scales if depthwise else steps * scales.reshape(-1, *[1] * (ours.ndim - 1))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    *_, (_, _, output, _) = converted
    scale, zero_point = constraints.activation_scale(*held["logits:output"])
    np.testing.assert_allclose(output.scale, [scale], rtol=1e-5)
    assert output.zeroPoint.tolist() == [zero_point]


def test_norms_are_folded_and_every_layer_is_constrained(network, context):
    found = quantize.quantize(network("vgg16"), context)
    assert found.args["folded"] and not found.stats
    assert set(found.constraints["quantize"]) == {
        "conv0", "conv1", "conv2", "hidden0", "logits", "logits:output",
    }  # fmt: skip
    least, greatest = found.held["quantize"]["conv0"]
    pixels = context.images / 255
    assert least == pytest.approx(((pixels - MEAN) / STD).min(), rel=1e-5)
    assert greatest == pytest.approx(((pixels - MEAN) / STD).max(), rel=1e-5)


def test_factors_are_layers_of_their_own(network, context, rng):
    found = network("teacher", factors={"hidden": ("channels", 3)})
    gray = types.SimpleNamespace(images=context.images[..., :1], mean=(0.0,), std=(1.0,))
    held = quantize.quantize(found, gray).held["quantize"]
    assert {"hidden/first", "hidden/second"} < set(held) and "hidden" not in held


def test_without_images_it_is_refused(network, context):
    with pytest.raises(InputError, match="calibration is 0; it must be 1 image or more"):
        quantize.quantize(network("vgg16"), context, calibration=0)
    assert methods.known("quantize") == {"calibration": 500, "bits": 8}


def test_kernels_trained_for_four_bits_are_those_of_the_file(network, context):
    found = quantize.quantize(network("vgg16"), context, calibration=20, bits=4)
    layers = [path for path in found.constraints["quantize"] if path != "logits:output"]
    assert found.constraints["four_bits"] == layers
    params = constraints.flat(
        constraints.effective(found.constraints, found.held, found.variables["params"])
    )
    for path in layers:
        kernel = np.asarray(params[f"{path}/kernel"])
        steps = kernel / constraints.weight_scale(found.params[f"{path}/kernel"], 4)
        assert len(np.unique(np.round(steps, 3))) <= 15
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
