"""Files of named arrays, read without running what they hold."""

import hashlib
import pathlib
import zipfile
from typing import Any

import numpy as np

from distill.errors import InputError, one_line, unknown
from distill.pretrained import keras

SUFFIXES = (".npz", ".safetensors", ".pth", ".pt", *keras.SUFFIXES)


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal.

    Raises:
      InputError: if there is none.
    """
    _require(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a file by their names.

    Args:
      path: of NumPy's `.npz`, `.safetensors`, a PyTorch state dict, `.pth` or `.pt`, or what Keras
        writes, `.h5` or `.keras`, with PyTorch's names of arrays and their layouts.

    Raises:
      InputError: if there is no such file, it is of another kind or damaged, holds something other
        than arrays of numbers, or the package that reads it is not installed.
    """
    _require(path)
    if path.suffix not in SUFFIXES:
        raise unknown(f"kind of weights, of {path}:", path.suffix, SUFFIXES)
    readers = {".npz": _npz, ".safetensors": _safetensors} | dict.fromkeys(
        keras.SUFFIXES, keras.read
    )
    try:
        arrays = readers.get(path.suffix, _torch)(path)
    except InputError:
        raise
    except Exception as error:  # whatever a package makes of a damaged file
        raise InputError(f"{path} cannot be read as weights: {one_line(error)}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise InputError(f"{path} has {name} of {array.dtype}; weights must be numbers")
    return arrays


def _require(path: pathlib.Path) -> None:
    if not path.is_file():
        raise InputError(f"there are no weights in {path}; give the path of a file")


def _npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no .npz file; write it by numpy.savez")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise _missing(path, "safetensors") from error
    return load_file(path)


def _torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise _missing(path, "torch") from error
    # Only arrays and containers of them: never code.
    found: Any = torch.load(path, map_location="cpu", weights_only=True)
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not (isinstance(found, dict) and all(isinstance(v, torch.Tensor) for v in found.values())):
        raise InputError(f"{path} is no state dict; write it by torch.save(model.state_dict(), …)")
    return {
        name: value.float().numpy() if value.is_floating_point() else value.numpy()
        for name, value in found.items()
    }


def _missing(path: pathlib.Path, package: str) -> InputError:
    return InputError(f"{path} needs the package {package}: pip install 'distill[{package}]'")
