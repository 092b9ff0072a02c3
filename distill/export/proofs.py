"""The proofs beside the bundles of a directory: what was compared with Flax, and what came out."""

import json
import pathlib
from typing import Any

from distill.errors import InputError
from distill.export import bundle as bundles

PROOFS = "proofs.json"
NUMBERS = (
    "images", "max_error", "accuracy_flax", "accuracy_tflite", "bytes", "gzip_bytes",
    "weights_bytes", "overhead_bytes",
)  # fmt: skip


def read(directory: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Returns what `export` has left in a directory: the proof of each format."""
    try:
        contents = json.loads((directory / PROOFS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none, or damaged: then they are made again
        return {}
    return whole(contents)


def whole(contents: Any) -> dict[str, dict[str, Any]]:
    """Returns what is whole among the proofs that a file holds; what is not is made again."""
    if not isinstance(contents, dict):
        return {}

    def is_whole(proof: Any) -> bool:
        return (
            isinstance(proof, dict)
            and all(type(proof.get(key)) in (int, float) for key in NUMBERS)
            and isinstance(proof.get("operators"), dict)
            and all(type(count) is int for count in proof["operators"].values())
        )

    return {format: proof for format, proof in contents.items() if is_whole(proof)}


def write(directory: pathlib.Path, proofs: dict[str, dict[str, Any]]) -> None:
    """Replaces the proofs in one step."""
    part = directory / f"{PROOFS}.part"
    try:
        part.write_text(json.dumps(proofs, indent=1) + "\n", encoding="utf-8")
        part.replace(directory / PROOFS)
    except OSError as error:
        raise InputError(f"{directory / PROOFS} cannot be written: {error.strerror}") from error


def is_of(directory: pathlib.Path, proof: dict[str, Any]) -> bool:
    """Whether a directory holds the bundle that was proven, and not another one."""
    try:
        return bundles.digest(bundles.read(directory)) == proof.get("bundle")
    except InputError:
        return False
