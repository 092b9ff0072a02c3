"""Every model is exported and proven, and what must not ship does not."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from flax import linen as nn
from scipy import special

from distill import metrics, models
from distill.errors import InputError
from distill.export import bundle, drafting, exporter, flatbuffer, reference, runtime
from distill.export import proofs as proofs_lib
from distill.training.description import Description

_RESNET = {"blocks": (1, 1, 1), "features": (4, 6, 8), "stem": 4}
_VGG = {"features": (4, 6, 5), "pools": (1, 2)}
_RESNET_IMAGENET = {"blocks": (1, 1, 1, 1), "features": (8, 12, 16, 20), "stem": 4}
_DENSENET = {"stem": 4, "growth": ((3, 2), (2,)), "transitions": (6,)}
_MOBILENET = {"features": (6, 8), "strides": (1, 2), "stem": 4}
NARROW = {  # the same layers, fewer and smaller
    "vgg16": {"features": (4, 6, 5), "pools": (1, 3), "hidden": (7,)},
    "vgg8": _VGG, "vgg13": _VGG, "wrn_16_2": _RESNET, "wrn_40_2": _RESNET,
    "wrn_40_1": _RESNET | {"projection": True}, "resnet32": _RESNET,
    "resnet8": _RESNET, "resnet20": _RESNET, "resnet56": _RESNET, "resnet110": _RESNET,
    "resnet8x4": _RESNET, "resnet32x4": _RESNET,
    "resnet34": _RESNET_IMAGENET, "resnet50": _RESNET_IMAGENET,
    "densenet40": _DENSENET, "densenet_bc100": _DENSENET | {"inner": ((5, 4), (3,))},
    "densenet121": _DENSENET | {"inner": ((5, 4), (3,))},
    "mobilenet_v1": _MOBILENET, "mobilenet_v1_cifar": _MOBILENET,
    "mobilenet_v2": _MOBILENET | {"blocks": (1, 2), "head": 9},
    "mobilenet_v2_cifar": _MOBILENET | {"blocks": (1, 2), "head": 9},
    **{
        f"efficientnet_lite{i}": _MOBILENET | {"blocks": (1, 2), "kernels": (3, 5), "head": 9}
        for i in range(3)
    },
}  # fmt: skip


# Where two are the same when made narrow, one of them will do.
DISTINCT = {
    models.build(name, NARROW.get(name, {}), num_classes=10): name
    for name in sorted(filter(models.classifies, models.MODELS))
}


@pytest.mark.parametrize("name", DISTINCT.values())
def test_every_classifier_is_exported_and_proven(sample, name, tmp_path):
    dataset, trained = sample.part_of_test(100), sample.built(name, NARROW.get(name, {}))
    proofs = sample.export(trained, tmp_path, dataset, formats="float32,int8")
    assert proofs["float32"]["max_error"] <= 1e-5
    for format, proof in proofs.items():
        found = bundle.read(tmp_path / format)
        assert proof["images"] == len(dataset.test)
        runtime.Model(found).check_golden(found)
        assert found.manifest["provenance"]["accuracy"] == proof["accuracy_tflite"]
        assert found.manifest["input"]["dtype"] == ("int8" if format == "int8" else "float32")


def test_by_default_there_are_three_formats_proven_on_the_whole_test_set(exported):
    assert list(exported.proofs) == ["float32", "float16", "int8"]
    assert 1e-6 < exported.proofs["float16"]["max_error"] <= 1e-2
    for format, proof in exported.proofs.items():
        assert proof["images"] == 1000
        found = bundle.read(exported.directory / format)
        runtime.Model(found).check_golden(found)
    size = {format: proof["bytes"] for format, proof in exported.proofs.items()}
    assert size["int8"] < size["float16"] < size["float32"]


def test_a_convolution_of_one_channel_is_no_depthwise_one(exported):
    for proof in exported.proofs.values():
        assert "DEPTHWISE_CONV_2D" not in proof["operators"] and proof["operators"]["CONV_2D"] == 2


def test_overhead_of_the_smallest_is_small(exported):
    overhead = {format: proof["overhead_bytes"] for format, proof in exported.proofs.items()}
    assert overhead["float32"] <= 3 * 1024 and overhead["int8"] <= 4 * 1024
    assert exported.proofs["float32"]["weights_bytes"] == 4 * 3484


class ConvTransposed(nn.Module):
    """The converter makes a file of it that is wrong, without a word."""

    flat: bool = False  # the wrong shape does not fit what follows, and the file does not run

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.ConvTranspose(4, (3, 3), (2, 2), padding="SAME")(x[:, ::4, ::4])
        return nn.Dense(10)(x.reshape(len(x), -1) if self.flat else x.mean((1, 2)))


class AveragedPadding(nn.Module):
    """The converter leaves an operator of StableHLO, which an int8 file cannot have."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.avg_pool(x, (3, 3), (2, 2), padding="SAME")
        return nn.Dense(10)(x.reshape(len(x), -1))


@pytest.mark.parametrize(
    ("model", "format", "message"),
    [
        (ConvTransposed(), "float32", "differs from the Flax model .* worst is test image"),
        (ConvTransposed(flat=True), "float32", "LiteRT cannot run the file: XNNPack delegate"),
        (AveragedPadding(), "float32", "has STABLEHLO_REDUCE_WINDOW, which not every runtime"),
        (AveragedPadding(), "int8", "int8 conversion failed"),
    ],
)
def test_traps_do_not_ship(sample, tmp_path, exported, model, format, message):
    earlier = bundle.read(exported.directory / format)
    bundle.write(tmp_path / format, earlier)
    with pytest.raises(InputError, match=message) as error:
        sample.export(sample.untrained(model), tmp_path, sample.part_of_test(100), formats=format)
    assert "\n" not in str(error.value)
    assert not (tmp_path / format).exists()


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=True)(x))
        return nn.Dense(10)(nn.avg_pool(x, (28, 28)).reshape(len(x), -1))


def test_batch_normalisation_disappears_into_the_convolution(sample, tmp_path):
    proofs = sample.export(sample.untrained(Normalized()), tmp_path, sample.part_of_test(100))
    for proof in proofs.values():
        assert not {"MUL", "ADD", "SUB", "RSQRT"} & set(proof["operators"])


class Averaged(nn.Module):
    """What is far apart in its classes, so that a wrong mean over the image would show."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Conv(8, (3, 3))(x)).mean((1, 2))
        return nn.Dense(10, kernel_init=nn.initializers.normal(10.0))(x)


def test_a_mean_over_the_image_is_exported_to_int8(sample, tmp_path):
    proofs = sample.export(
        sample.untrained(Averaged()), tmp_path, sample.part_of_test(100), formats="int8"
    )
    assert proofs["int8"]["accuracy_tflite"] == proofs["int8"]["accuracy_flax"]
    found = bundle.read(tmp_path / "int8")
    assert found.manifest["golden"]["tolerance"] <= 4  # of 255


def test_an_accuracy_that_is_lost_leaves_no_bundle(sample, tmp_path, monkeypatch):
    scores = runtime.Model.scores
    monkeypatch.setattr(runtime.Model, "scores", lambda *args: -scores(*args))
    with pytest.raises(exporter.NotProven, match="v3 as int8 failed: .* has an accuracy of"):
        trained = sample.built("simplenet_v3")
        sample.export(
            trained, tmp_path, sample.answered(trained, 200), formats="int8",
            max_accuracy_drop=0.003,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_format_that_fails_leaves_the_others(sample, tmp_path, monkeypatch):
    scores = runtime.Model.scores

    def wrong(model, images):
        sign = -1 if model._manifest["input"]["dtype"] == "int8" else 1
        return sign * scores(model, images)

    monkeypatch.setattr(runtime.Model, "scores", wrong)
    trained = sample.built("simplenet_v3")
    with pytest.raises(exporter.NotProven) as error:
        sample.export(
            trained, tmp_path, sample.answered(trained, 200), formats="int8,float32",
            max_accuracy_drop=0.003, normalize="none",
        )  # fmt: skip
    assert list(error.value.failures) == ["int8"] and list(error.value.proofs) == ["float32"]
    assert "\n" not in str(error.value)
    assert list(proofs_lib.read(tmp_path)) == ["float32"]
    assert {path.name for path in tmp_path.iterdir()} == {"float32", "proofs.json"}


def test_another_bundle_is_not_taken_for_the_proven_one(sample, exported, tmp_path):
    """Not even a whole one, of the same model, as another format or another run has."""
    for format in ("float32", "int8"):
        bundle.write(tmp_path / format, bundle.read(exported.directory / "int8"))
    (tmp_path / "proofs.json").write_text(json.dumps(exported.proofs))
    said = []
    sample.export(
        exported.trained, tmp_path, say=said.append, formats="float32,int8", normalize="none"
    )
    assert "found in" not in said[0] and "found in" in said[1]
    assert bundle.read(tmp_path / "float32") == bundle.read(exported.directory / "float32")


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "7", "[" * 99_999, '{"float32": 1}', '{"float32": {"operators": []}}']
)
def test_damaged_proofs_are_made_again(tmp_path, text):
    (tmp_path / "proofs.json").write_text(text)
    assert proofs_lib.read(tmp_path) == {}


def test_the_accuracy_is_also_measured_behind_a_readers_preprocessing(exported, sample):
    proof = exported.proofs["float32"]
    assert proof["images_read"] == 1000 and proof["accuracy_read"] == proof["accuracy_tflite"]


def test_a_reader_that_shows_the_model_another_image_is_found_out(sample, tmp_path, monkeypatch):
    whole = reference.image_cells

    def shifted(image, color, rows, columns):
        return np.roll(whole(image, color, rows, columns), 9, axis=1)

    trained = sample.built("simplenet_v3")
    monkeypatch.setattr(reference, "image_cells", shifted)
    with pytest.raises(exporter.NotProven, match="a reader, which crops, resizes and inverts"):
        sample.export(
            trained, tmp_path, sample.answered(trained, 300), formats="float32",
            max_accuracy_drop=0.01,
        )  # fmt: skip


def test_images_of_dark_on_light_are_left_as_they_are(sample, float32):
    assert float32.manifest["input"]["polarity"] == "auto"
    digits = sample.embedded().train.images[::20]
    about = Description({}, {}, [0], dataset="mnist5k", input_shape=(28, 28, 1))
    section = sample.settings()
    for images, polarity in ((digits, "auto"), (255 - digits, "as_is")):
        described = drafting.describe_input(about, section, images)
        assert described["polarity"] == polarity
    section.polarity = "invert"
    assert drafting.describe_input(about, section, digits)["polarity"] == "invert"


@pytest.mark.parametrize("format", ["float32", "int8"])
def test_a_batch_is_exported_with_its_proof(sample, tmp_path, format):
    trained, dataset = sample.built("simplenet_v3"), sample.part_of_test(50)
    proof = sample.export(trained, tmp_path, dataset, formats=format, batch_size=4)[format]
    found = bundle.read(tmp_path / format)
    assert found.manifest["input"]["shape"] == [4, 28, 28, 1]
    assert found.manifest["output"]["shape"] == [4, 10] == list(found.golden_output.shape)
    scores = runtime.Model(found).scores(dataset.test.images)
    assert scores.shape == (50, 10) and proof["accuracy_tflite"] == proof["accuracy_flax"]
    single = sample.export(trained, tmp_path / "one", dataset, formats=format)[format]
    assert proof["max_error"] == pytest.approx(single["max_error"], rel=0.5, abs=1e-6)


def test_a_file_of_one_image_takes_no_batch(float32):
    """Nor where a person's own interpreter resizes it: it fails, and computes nothing wrongly."""
    with pytest.raises(InputError, match=r"takes \(1, 28, 28, 1\) at once; .*export.batch_size"):
        runtime.Model(float32)(np.zeros((4, 28, 28, 1), np.float32))
    interpreter = runtime.load().Interpreter(model_content=float32.model)
    interpreter.resize_tensor_input(0, (4, 28, 28, 1))
    with pytest.raises(RuntimeError):
        interpreter.allocate_tensors()


def test_what_a_bundle_cannot_hold_is_known_before_training(sample):
    dataset, section = sample.embedded(), sample.settings()
    exporter.check_data(section, dataset, sample.LABELS)
    for labels, message in (
        (["a", "b"], "export.labels names 2 of 10 classes of mnist5k"),
        (["a\x1b[31m"] * 10, r'export.labels has "a\\u001b\[31m"; expected a text of 1 to 1000'),
        (["\ud800"] * 10, r'export.labels has "\\ud800"; expected a text'),
    ):
        with pytest.raises(InputError, match=message):
            exporter.check_data(section, dataset, labels)
    section.batch_size = 1024
    large = np.zeros((1, 128, 128, 1), np.uint8)
    for images, message in (
        (np.zeros((1, 8, 8, 4), np.uint8), "of mnist5k have 4 channels; a bundle is of 1 or 3"),
        (large, "1024 images of .* has 16,777,216 values; a bundle has at most 4,194,304"),
    ):
        test = dataclasses.replace(dataset.test, images=images)
        with pytest.raises(InputError, match=message):
            exporter.check_data(section, dataset._replace(test=test), sample.LABELS)


def test_what_is_there_is_not_exported_again(sample, exported, monkeypatch, tmp_path):
    said = []
    before = (exported.directory / "int8" / "model.json").stat().st_mtime_ns
    again = functools.partial(sample.export, exported.trained, say=said.append, normalize="none")
    assert again(exported.directory) == exported.proofs
    assert (exported.directory / "int8" / "model.json").stat().st_mtime_ns == before
    assert [line.split(":")[1][:9] for line in said] == [" found in"] * 3
    directory = tmp_path / "copied"
    for format in ("float32", "int8"):
        bundle.write(directory / format, bundle.read(exported.directory / format))
    (directory / "proofs.json").write_text(json.dumps(exported.proofs))
    (directory / "int8" / "model.tflite").write_bytes(b"damaged")
    said.clear()
    again(directory, formats="float32,int8")
    assert "found in" in said[0] and "found in" not in said[1]
    assert bundle.read(directory / "int8").model == bundle.read(exported.directory / "int8").model


def test_logits_can_be_exported_instead(sample, tmp_path, exported):
    for format, atol in (("float32", 1e-4), ("int8", 0.05)):
        sample.export(
            exported.trained, tmp_path, sample.part_of_test(50), formats=format, output="logits"
        )
        found = bundle.read(tmp_path / format)
        assert found.manifest["output"]["kind"] == "logits"
        images = sample.embedded().test.images[:50]
        scores = runtime.Model(found).scores(images)
        np.testing.assert_allclose(scores, exported.trained.logits(images), atol=atol)


def test_large_kernels_of_a_dynamic_file_are_int8_and_nothing_else_is(sample, tmp_path):
    trained = sample.built("teacher", {"filters": (4, 8), "hidden": 32})
    proofs = sample.export(
        trained,
        tmp_path,
        sample.part_of_test(200),
        formats="float32,dynamic",
        max_accuracy_drop=0.1,
    )
    found = bundle.read(tmp_path / "dynamic")
    whole, small = (flatbuffer.tensor_types(bundle.read(tmp_path / f).model) for f in proofs)
    assert small["INT8"] == 1  # of 392·32; the convolutions have 800 weights and less
    assert small["FLOAT32"] == whole["FLOAT32"] - 1
    saved = proofs["float32"]["bytes"] - proofs["dynamic"]["bytes"]
    assert abs(saved - 3 * 392 * 32) < 512
    assert proofs["dynamic"]["weights_bytes"] == proofs["float32"]["weights_bytes"] - 3 * 392 * 32
    assert 1e-6 < proofs["dynamic"]["max_error"] < 1e-2
    for tensor in (found.manifest["input"], found.manifest["output"]):
        assert (tensor["dtype"], tensor["quantization"]) == ("float32", None)
    runtime.Model(found).check_golden(found)


def _on_a_grid(trained, levels=7):
    """The same with kernels that are whole multiples of a step of their output channel."""

    def rounded(leaf):
        if np.ndim(leaf) < 2:
            return leaf
        leaf = np.asarray(leaf)
        step = np.abs(leaf).max(tuple(range(leaf.ndim - 1))) / levels
        return (np.round(leaf / step) * step).astype(np.float32)

    members = [{"params": jax.tree.map(rounded, trained.members[0]["params"])}]
    return dataclasses.replace(trained, members=members)


def test_a_file_of_four_bits_has_half_the_bytes_and_loses_nothing_of_a_grid(sample, tmp_path):
    trained = _on_a_grid(sample.built("simplenet_v1"))
    proofs = sample.export(
        trained, tmp_path, sample.part_of_test(200), formats="int8,int4", max_accuracy_drop=0.1
    )
    small = bundle.read(tmp_path / "int4")
    types = flatbuffer.tensor_types(small.model)
    assert types["INT4"] == 3 and proofs["int4"]["operators"] == proofs["int8"]["operators"]
    assert proofs["int8"]["bytes"] - proofs["int4"]["bytes"] > 3_400 / 2
    assert proofs["int4"]["weights_bytes"] == proofs["int8"]["weights_bytes"] - 3_465 + 1_733
    (dense,) = [
        t for t in flatbuffer.parse(small.model).subgraphs[0].tensors if list(t.shape) == [10, 294]
    ]
    scale = np.abs(np.asarray(trained.members[0]["params"]["logits"]["kernel"])).max(0) / 7
    np.testing.assert_allclose(dense.quantization.scale, scale, rtol=1e-6)
    for format in ("int8", "int4"):
        found = bundle.read(tmp_path / format)
        assert found.manifest["input"]["dtype"] == "int8"
        runtime.Model(found).check_golden(found)
    images = sample.embedded().test.images[:200]
    exact = special.softmax(trained.logits(images), axis=1)
    errors = [
        np.abs(runtime.Model(bundle.read(tmp_path / f)).scores(images) - exact).mean()
        for f in ("int8", "int4")
    ]
    assert errors[1] < 1.05 * errors[0]


def test_kernels_that_layers_share_stay_one_in_four_bits(sample, tmp_path):
    args = {
        "widths": (4,), "depths": (3,), "kernels": (3,), "separable": (False,),
        "shared_weights": True,
    }  # fmt: skip
    trained = sample.built("tiny", args)
    trained = sample.untrained(trained.model, "tiny")
    sample.export(trained, tmp_path, sample.part_of_test(50), formats="int8,int4")
    whole, small = (flatbuffer.parse(bundle.read(tmp_path / f).model) for f in ("int8", "int4"))
    assert len(small.buffers) == len(whole.buffers)


def test_manifest_says_what_is_fed(float32, int8):
    image = float32.manifest["input"]
    assert image["scale"] == [1 / (255 * 0.5)] and image["offset"] == [-0.4]
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1)
    fed = runtime.input_tensors(image, pixels)
    np.testing.assert_allclose(fed.ravel(), [-0.4, 0.0, 1.6], atol=1e-6)
    quantized = runtime.input_tensors(int8.manifest["input"], pixels).ravel()
    assert quantized.tolist() == [-128, -77, 127]  # the pixels themselves, less 128


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"formats": "float32,in8"}, "format 'in8'; did you mean 'int8'"),
        ({"formats": " "}, "export.formats is empty"),
        ({"output": "softmax"}, "export.output 'softmax'; known: logits, probabilities"),
        ({"polarity": "inverted"}, "export.polarity 'inverted'; did you mean 'invert'"),
        ({"calibration_images": 0}, "calibration_images is 0; it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; it must be between 1 and 1024"),
        ({"max_accuracy_drop": 2.0}, "max_accuracy_drop is 2.0; it must be between 0 and 1"),
    ],
)
def test_settings_are_checked(sample, overrides, message):
    with pytest.raises(InputError, match=message):
        exporter.check(sample.settings(**overrides))


def test_a_temperature_is_fitted_on_what_is_held_out(sample, tmp_path):
    dataset = sample.part_of_test(200)
    trained = sample.built("simplenet_v1")
    with pytest.raises(InputError, match="no images are held out.*dataset.validation=train"):
        sample.export(trained, tmp_path, dataset, formats="int8", temperature="fit")
    held_out = dataset._replace(validation=sample.part_of_test(100).test)
    proofs = sample.export(trained, tmp_path, held_out, formats="int8", temperature="fit")
    found = bundle.read(tmp_path / "int8")
    output, model = found.manifest["output"], runtime.Model(found)

    def shown(split):
        return np.stack([reference.probabilities(s, output) for s in model.scores(split.images)])

    error = metrics.calibration(dataset.test.labels, shown(dataset.test)).error
    assert error == pytest.approx(proofs["int8"]["calibration_error"])
    labels = held_out.validation.labels
    raw, tempered = (
        -np.log(scores[np.arange(100), labels]).mean()
        for scores in (model.scores(held_out.validation.images), shown(held_out.validation))
    )
    assert output["temperature"] != 1 and tempered < raw
