"""Bundles are written whole, and a bad one is refused in one line, whatever is wrong with it."""

import copy
import json
import pathlib
import random

import jsonschema
import numpy as np
import pytest

from distill.errors import InputError
from distill.export import bundle as bundles
from distill.export import manifest, runtime

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "mobile" / "bundle.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
REMOVED = object()


def changed(contents, path, value):
    """Returns a copy in which the value at `a.b.0` is another, or is gone."""
    contents = copy.deepcopy(contents)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = contents
    for key in parents:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return contents


def test_a_bundle_is_read_as_it_was_written(tmp_path, float32, int8):
    for bundle in (float32, int8):
        bundles.write(tmp_path / "bundle", bundle)
        assert bundles.read(tmp_path / "bundle") == bundle
        assert {path.name for path in tmp_path.rglob("*")} == {
            "bundle", "model.tflite", "model.json",
        }  # fmt: skip
        assert bundle.golden_input.shape == (1, 28, 28, 1)
        assert bundle.golden_output.shape == (1, 10) and bundle.labels == list("0123456789")
    assert int8.golden_input.dtype == int8.golden_output.dtype == np.int8
    assert float32.golden_output.sum() == pytest.approx(1, abs=1e-6)


def test_manifests_follow_the_schema(exported):
    VALIDATOR.check_schema(SCHEMA)
    for format in ("float32", "float16", "int8"):
        VALIDATOR.validate(json.loads((exported.directory / format / "model.json").read_text()))


def test_a_bundle_that_is_not_valid_does_not_appear(tmp_path, float32):
    broken = bundles.Bundle(changed(float32.manifest, "labels", ["one"]), float32.model)
    with pytest.raises(InputError, match="there are 1 labels for 10 outputs"):
        bundles.write(tmp_path / "bundle", broken)
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_overwritten(tmp_path, float32):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds notes.txt, which is no part of a bundle"):
        bundles.write(tmp_path, float32)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_bundle_with_other_files_beside_it_is_not_removed(tmp_path, float32):
    bundles.write(tmp_path / "b", float32)
    (tmp_path / "b" / ".DS_Store").touch()
    with pytest.raises(InputError, match="b holds .DS_Store, which is no part of a bundle; remove"):
        bundles.remove(tmp_path / "b")
    (tmp_path / "b" / ".DS_Store").unlink()
    assert bundles.read(tmp_path / "b").model == float32.model
    bundles.remove(tmp_path / "b")
    bundles.remove(tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "distill-bundle/2", "is 'distill-bundle/2', and this reader knows 'distill-b"),
        ("format", "onnx/1", "format is \"onnx/1\"; expected 'distill-bundle/1'"),
        ("format", REMOVED, "format is null; expected 'distill-bundle/1'"),
        ("model", REMOVED, "model is null; expected an object"),
        ("model.file", "../model.tflite", 'model.file is "../model.tflite"; expected a file name'),
        ("model.sha256", "abc", 'model.sha256 is "abc"; expected 64 hexadecimal digits'),
        ("model.bytes", True, "model.bytes is true; expected a whole number above 0"),
        ("input.shape", [1, 28, 28], r"input.shape is \[1, 28, 28\]; expected \[1, height, width"),
        ("input.shape", [2, 28, 28, 1], r"input.shape is \[2, 28, 28, 1\], of another batch than"),
        ("input.shape", [1, 2049, 2048, 1], "2048, 1\\]; expected at most 4194304 values"),
        ("output.shape", [65, 65535], "output.shape is .*; expected at most 4194304 values"),
        ("name", "\x1b[31mred", r'name is "\\u001b\[31mred"; expected a text of 1 to 1000 charac'),
        ("name", "a\u202eb", r'name is "a\\u202eb"; expected a text of 1 to 1000 characters that'),
        ("name", "x" * 1001, "expected a text of 1 to 1000 characters that can be shown"),
        ("labels.0", "\udc00", "labels is .*; expected a list of texts that can be shown"),
        ("input.shape", [1, 14, 28, 1], "golden.input is 3136 bytes; the input tensor has 1568"),
        ("input.shape.3", 3, "input.shape has 3 channels; the color gray has 1"),
        ("input.dtype", "float64", 'input.dtype is "float64"; expected "float32" or "int8" or'),
        ("input.dtype", "int8", "input.quantization is null; expected an object"),
        ("input.layout", "NCHW", 'input.layout is "NCHW"; expected "NHWC"'),
        ("input.scale", [0.1, 0.1], "input.scale has 2 numbers for 1 channels"),
        ("input.scale", ["0.1"], "expected a list of numbers, one for each channel"),
        ("input.quantization", {"scale": 1, "zero_point": 0}, "is given for float32; expected nul"),
        ("input.polarity", "dark", 'input.polarity is "dark"; expected "as_is" or "invert" or'),
        ("output.kind", "scores", 'output.kind is "scores"; expected "probabilities" or "logits"'),
        ("output.shape", [1, 9], "there are 10 labels for 9 outputs"),
        ("labels.3", "", "labels is .*; expected a list of texts that can be shown, one for each"),
        ("labels", ["0"] * 9, "there are 9 labels for 10 outputs"),
        ("defaults.top_k", 0, "defaults.top_k is 0; expected a whole number above 0"),
        ("defaults.filter.factor", 1.5, "defaults.filter.factor is 1.5; expected a number above 0"),
        ("defaults.filter", REMOVED, "defaults.filter is missing; expected an object"),
        ("golden.input", "?", "golden.input is no base64; the input tensor has 3136 bytes"),
        ("golden.output", [0.5], "golden.output has 1 values; the output tensor has 10"),
        ("golden.tolerance", -1, "golden.tolerance is -1; expected a number, 0 or more"),
        ("provenance.accuracy", 98.2, "provenance.accuracy is 98.2; expected a number from 0 to 1"),
    ],
)
def test_each_mistake_in_a_manifest_has_its_own_line(float32, path, value, message):
    with pytest.raises(InputError, match=message):
        manifest.check(changed(float32.manifest, path, value))


def test_quantised_numbers_are_in_their_range(int8):
    for path, value, message in (
        ("golden.output.0", 128, "golden.output has 128; expected whole numbers from -128 to 127"),
        ("golden.output.0", 0.5, "golden.output has 0.5; expected whole numbers"),
        ("output.quantization.scale", 0, "output.quantization.scale is 0; expected a number abov"),
        ("input.quantization.zero_point", 128, "zero_point is 128; expected a whole number from"),
    ):
        with pytest.raises(InputError, match=message):
            manifest.check(changed(int8.manifest, path, value))


def test_colours_have_their_channels(float32):
    rgb = changed(float32.manifest, "input.color", "rgb")
    with pytest.raises(InputError, match="input.shape has 1 channels; the color rgb has 3"):
        manifest.check(rgb)
    rgb["input"].update(shape=[1, 28, 28, 3], scale=[1.0] * 3, offset=[0.0] * 3)
    with pytest.raises(InputError, match="input.polarity is 'auto' for rgb; expected 'as_is' or"):
        manifest.check(rgb)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:-100], r"has \d+ bytes, model.json says \d+: it is truncated"),
        (lambda m: m + b"0", r"has \d+ bytes, model.json says \d+: it is another file"),
        (lambda m: m[:99] + b"\xff" + m[100:], "has the sha256 .* says .*: it was changed"),
    ],
)
def test_a_damaged_model_is_named(tmp_path, float32, change, message):
    bundles.write(tmp_path / "b", float32)
    (tmp_path / "b" / "model.tflite").write_bytes(change(float32.model))
    with pytest.raises(InputError, match=message):
        bundles.read(tmp_path / "b")


def test_missing_files_and_torn_texts_are_named(tmp_path, float32):
    with pytest.raises(InputError, match="nowhere/model.json cannot be read: No such file"):
        bundles.read(tmp_path / "nowhere")
    bundles.write(tmp_path / "b", float32)
    (tmp_path / "b" / "model.tflite").unlink()
    with pytest.raises(InputError, match="b/model.tflite cannot be read: No such file"):
        bundles.read(tmp_path / "b")
    for text in (b"{", b"\xff", b'{"format": NaN}', b"[" * 100_000):
        with pytest.raises(InputError, match="model.json is no JSON: "):
            manifest.parse(text, "model.json")
    with pytest.raises(InputError, match=r"it holds \[\] where an object is expected"):
        manifest.parse(b"[]", "model.json")


def described(contents, model):
    """Another model with a manifest that names it rightly."""
    return bundles.Bundle({**contents, "model": bundles.describe_model(model)}, model)


def test_a_file_of_another_kind_is_refused(tmp_path, float32):
    with pytest.raises(InputError, match='is no TensorFlow Lite file: its identifier is "2345"'):
        bundles.write(tmp_path / "b", described(float32.manifest, b"0123" + b"2345" * 100))


def test_tensors_have_to_be_those_of_the_manifest(float32, int8):
    with pytest.raises(InputError, match="tensor of dtype int8; expected float32"):
        runtime.Model(described(float32.manifest, int8.model))
    other = changed(int8.manifest, "input.quantization.zero_point", 0)
    with pytest.raises(
        InputError, match=r"tensor of quantization {.*}; expected {.*'zero_point': 0"
    ):
        runtime.Model(bundles.Bundle(other, int8.model))


def test_the_self_test_finds_a_changed_weight(int8):
    runtime.Model(int8).check_golden(int8)
    output = [(value + 60 + 128) % 256 - 128 for value in int8.manifest["golden"]["output"]]
    lying = bundles.Bundle(changed(int8.manifest, "golden.output", output), int8.model)
    with pytest.raises(InputError, match="fails its self-test: the output differs by"):
        runtime.Model(lying).check_golden(lying)


STRANGE = [
    None, True, False, 0, 1, -1, 2**31, 10**400, 1e308, -0.5, 0.5, "", "0", "int8", "NaN", "\ud800",
    [], [1], [[]], [None], {}, {"scale": 1.0, "zero_point": 0}, "x" * 10_000, [1, 28, 28, 1],
]  # fmt: skip


def places(contents, path=()):
    """Yields where each value of nested JSON is."""
    items = contents.items() if isinstance(contents, dict) else enumerate(contents)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def test_thousands_of_mutations_of_a_manifest_end_in_one_line_or_none(float32, int8):
    """And what the schema refuses, the reader does; it refuses more, but never less."""
    random.seed(0)
    refused = 0
    for bundle in (float32, int8):
        everywhere = list(places(bundle.manifest))
        for _ in range(1000):
            contents = copy.deepcopy(bundle.manifest)
            for _ in range(random.choice((1, 1, 1, 2, 5))):
                *parents, last = random.choice(everywhere)
                try:
                    place = contents
                    for key in parents:
                        place = place[key]
                    if random.random() < 0.2:
                        del place[last]
                    else:
                        place[last] = random.choice(STRANGE)
                except (KeyError, IndexError, TypeError):
                    pass  # an earlier mutation took the place away
            try:
                manifest.check(contents)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 400
                refused += 1
            else:
                VALIDATOR.validate(contents)
    assert refused > 1500


def test_thousands_of_mutations_of_the_bytes_end_in_one_line_or_none(int8):
    random.seed(0)
    text = json.dumps(int8.manifest).encode()
    refused = 0
    for _ in range(3000):
        mutated = bytearray(text)
        for _ in range(random.choice((1, 3, 10))):
            at = random.randrange(len(mutated))
            mutated[at : at + random.choice((0, 1, 1, 40))] = random.randbytes(
                random.choice((0, 1, 4))
            )
        try:
            manifest.parse(bytes(mutated), "model.json")
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 1000
    for _ in range(1000):
        mutated = bytearray(int8.model)
        mutated[random.randrange(len(mutated))] ^= 1 << random.randrange(8)
        with pytest.raises(InputError, match="it was changed"):
            bundles.check_model(bytes(mutated), int8.manifest, "model.tflite")
