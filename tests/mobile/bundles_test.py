"""The bundles with one fault each, read by the reader in Python; the app's reads the same."""

import base64
import json
import pathlib

import pytest

from distill.errors import InputError
from distill.export import bundle
from experiments import golden

GOLDEN = pathlib.Path(golden.__file__).parents[1] / "mobile" / "golden"
ENTRIES = json.loads((GOLDEN / "bundles.json").read_text())["bundles"]


def write(directory, entry):
    if entry["model.json"] is not None:
        (directory / "model.json").write_text(entry["model.json"])
    if entry["model.tflite"] is not None:
        (directory / "model.tflite").write_bytes(base64.b64decode(entry["model.tflite"]))


def bare(text):
    return "".join(character for character in text if character not in " '\"")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_each_fault_is_named(entry, tmp_path):
    write(tmp_path, entry)
    if entry["kind"] is None:
        assert bundle.read(tmp_path).labels == ["cat", "dog", "owl"]
        return
    with pytest.raises(InputError) as error:
        bundle.read(tmp_path)
    message = str(error.value).replace(f"{tmp_path}/", "")
    assert "\n" not in message
    if entry["kind"] == "syntax":
        assert message.startswith(entry["message"]) and message != entry["message"]
    else:
        assert message == entry["message"]
    assert bare(entry["expected"]) in bare(message) and bare(entry["found"]) in bare(message)
