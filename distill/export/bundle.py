"""The bundle: a directory with `model.tflite` and `model.json`, which says how to use and test it.

The form of `model.json` is `mobile/bundle.schema.json`; apps in other languages read the same
directory. What a schema cannot say is checked here too: that the file is the one that is described,
and that the numbers fit one another.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from distill import paths
from distill.errors import InputError
from distill.export import manifest as manifests
from distill.export import sound
from distill.export.structure import UnsoundError

MODEL = "model.tflite"
MANIFEST = "model.json"
PART = ".part"  # of a file that is being written
FILES = (MANIFEST, MODEL, f"{MANIFEST}{PART}", f"{MODEL}{PART}")


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A model and what is known of it.

    Attributes:
      manifest: the contents of `model.json`, checked.
      model: the bytes of the `.tflite` file.
    """

    manifest: dict[str, Any]
    model: bytes

    @property
    def labels(self) -> list[str]:
        return self.manifest["labels"]

    @property
    def golden_input(self) -> np.ndarray:
        """The input of the self-test, of the shape and dtype of the input tensor."""
        tensor = self.manifest["input"]
        data = base64.b64decode(self.manifest["golden"]["input"])
        return np.frombuffer(data, _little(tensor["dtype"])).reshape(tensor["shape"])

    @property
    def golden_output(self) -> np.ndarray:
        """What the model gives for it, of the shape and dtype of the output tensor."""
        tensor = self.manifest["output"]
        values = np.array(self.manifest["golden"]["output"], tensor["dtype"])
        return values.reshape(tensor["shape"])


def read(directory: str | os.PathLike) -> Bundle:
    """Reads a bundle and checks everything that can be checked without running the model.

    Raises:
      InputError: for the first thing that is missing or wrong, in one line.
    """
    directory = pathlib.Path(directory)
    path = directory / MANIFEST
    manifest = manifests.parse(_bytes(path), str(path))
    described = manifest["model"]
    model = _bytes(directory / described["file"])
    check_model(model, manifest, str(directory / described["file"]))
    return Bundle(manifest, model)


def check_model(model: bytes, manifest: dict[str, Any], name: str) -> None:
    """Checks that the bytes of a model are those that a manifest describes, and sound.

    Raises:
      InputError: for the first thing that is wrong; see `sound`.
    """
    described = manifest["model"]
    if len(model) != described["bytes"]:
        how = "truncated" if len(model) < described["bytes"] else "another file"
        raise InputError(
            f"{name} has {len(model)} bytes, {MANIFEST} says {described['bytes']}: it is {how}"
        )
    digest = hashlib.sha256(model).hexdigest()
    if digest != described["sha256"]:
        raise InputError(
            f"{name} has the sha256 {digest}, {MANIFEST} says {described['sha256']}: it was changed"
        )
    if model[4:8] != b"TFL3":
        identifier = manifests.shown(model[4:8].decode("latin-1"))
        raise InputError(f"{name} is no TensorFlow Lite file: its identifier is {identifier}")
    try:
        sound.check(model, manifest["input"], manifest["output"])
    except UnsoundError as error:
        raise InputError(f"{name} is no sound model: {error}") from error


def encode(tensor: np.ndarray) -> str:
    """Returns the bytes of an array in base64, little-endian and row-major."""
    return base64.b64encode(tensor.astype(_little(tensor.dtype.name)).tobytes()).decode()


def describe_model(model: bytes) -> dict[str, Any]:
    """Returns the section `model` of a manifest."""
    return {"file": MODEL, "sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}


def digest(bundle: Bundle) -> str:
    """Returns a hash of everything in a bundle; the manifest has that of the model."""
    text = json.dumps(bundle.manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write(directory: str | os.PathLike, bundle: Bundle) -> None:
    """Writes a bundle, or replaces the one that is there.

    Both files are written whole beside those that are there, and named at the end, `model.json`
    last: without it there is no bundle. So a kill leaves the old bundle, the new one, or none.

    Raises:
      InputError: if the bundle is not valid, or the directory holds something else.
    """
    directory = pathlib.Path(directory)
    check_replaceable(directory)
    text = json.dumps(bundle.manifest, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    manifest = manifests.parse(text.encode("utf-8", "surrogatepass"), str(directory / MANIFEST))
    check_model(bundle.model, manifest, str(directory / MODEL))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{MODEL}{PART}").write_bytes(bundle.model)
        (directory / f"{MANIFEST}{PART}").write_text(text, encoding="utf-8")
        (directory / MANIFEST).unlink(missing_ok=True)
        for name in (MODEL, MANIFEST):
            (directory / f"{name}{PART}").replace(directory / name)
    except OSError as error:
        _discard_parts(directory)
        raise InputError(f"bundle {directory} cannot be written: {error.strerror}") from error


def remove(directory: str | os.PathLike) -> None:
    """Removes a bundle if there is one; `model.json` goes first, and without it there is none.

    Raises:
      InputError: if the directory holds something else; nothing is removed then.
    """
    directory = pathlib.Path(directory)
    check_replaceable(directory)
    if directory.is_dir():
        for name in FILES:
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()


def _discard_parts(directory: pathlib.Path) -> None:
    """Removes what could not be written whole, and the directory if nothing else is in it."""
    with contextlib.suppress(OSError):
        for name in (MODEL, MANIFEST):
            (directory / f"{name}{PART}").unlink(missing_ok=True)
        directory.rmdir()


def check_replaceable(directory: pathlib.Path) -> None:
    """Raises `InputError` if a directory holds what is no part of a bundle."""
    found = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    if others := sorted(found.difference(FILES)):
        raise InputError(
            f"{directory} holds {others[0]}, which is no part of a bundle; remove it or choose "
            "another directory"
        )


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return paths.read_bytes(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _little(dtype: str) -> np.dtype:
    return np.dtype(dtype).newbyteorder("<")
