"""The stage `export`: a trained model becomes bundles, each proven before it appears."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import distill
from distill import config as configs
from distill import cost, data, provenance
from distill.data import Dataset
from distill.errors import InputError, unknown
from distill.export import bundle as bundles
from distill.export import checks, convert, flatbuffer, graph, runtime
from distill.export import manifest as manifests
from distill.export.bundle import Bundle
from distill.export.runtime import Model, input_tensors
from distill.training.trained import Trained

PROOFS = "proofs.json"
# Other kernels round differently; those of dynamic files round activations too, each in its way.
TOLERANCES = {"float32": 1e-4, "float16": 1e-3, "dynamic": 1e-2, "int8": 1}
MAX_TOLERANCE = 0.1  # of the range of an output
GOLDEN_CANDIDATES = 100  # images
TOP_K = 3
DIGITS = ("mnist", "mnist5k")  # what their authors have normalised
FILTER = {"stages": 3, "factor": 0.4}  # Rusu (2018), chapter 3


def check(section: ConfigDict) -> None:
    """Checks `config.export` before any work.

    Raises:
      InputError: for the first value that cannot be used.
    """
    formats(section)
    choices = {
        "output": manifests.KINDS,
        "polarity": manifests.POLARITIES,
        "normalize": ("auto", *manifests.NORMALIZATIONS),
    }
    for key, known in choices.items():
        if section[key] not in known:
            raise unknown(f"export.{key}", section[key], known)
    if section.calibration_images < 1:
        raise InputError(
            f"export.calibration_images is {section.calibration_images}; it must be 1 or more"
        )
    if not 0 <= section.max_accuracy_drop <= 1:
        raise InputError(
            f"export.max_accuracy_drop is {section.max_accuracy_drop}; it must be between 0 and 1"
        )


def formats(section: ConfigDict) -> list[str]:
    """Returns the formats that `config.export.formats` names."""
    names = [name.strip() for name in section.formats.split(",") if name.strip()]
    for name in names:
        if name not in convert.FORMATS:
            raise unknown("format", name, convert.FORMATS)
    if not names:
        raise InputError(f"export.formats is empty; name some of {','.join(convert.FORMATS)}")
    return names


def export(
    trained: Trained,
    dataset: Dataset,
    labels: list[str],
    section: ConfigDict,
    directory: pathlib.Path,
    say: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Exports a model in each format, unless the same model is there already.

    Args:
      trained: one model, not an ensemble.
      dataset: what it was trained on; int8 is calibrated on its training images, and everything is
        checked on its whole test set.
      labels: names of the classes.
      section: `config.export`.
      directory: a bundle for each format goes to `directory/FORMAT`.
      say: told in one line about each format.

    Returns:
      The proof of each format: operators, largest error, accuracies, bytes.

    Raises:
      InputError: if a check fails. There is no bundle of that format then.
    """
    if len(trained.members) != 1:
        raise InputError(f"an ensemble of {len(trained.members)} cannot be exported, one model can")
    if len(labels) != dataset.num_classes:
        raise InputError(f"export.labels names {len(labels)} of {dataset.num_classes} classes")
    path = directory / PROOFS
    proofs = read_proofs(directory)
    expected = None  # computed when it is needed
    for format in formats(section):
        target, of = directory / format, _identity(trained, labels, section, format)
        if proofs.get(format, {}).get("of") == of and _is_whole(target):
            say(f"export {format}: found in {target}")
            continue
        if expected is None:
            logits = trained.logits(dataset.test.images)
            expected = np.asarray(jax.nn.softmax(logits))
        proofs.pop(format, None)
        bundles.remove(target)
        try:
            bundle, proof = _proven(trained, dataset, labels, section, format, expected)
        except InputError as error:
            name = trained.about["recipe"]["model"]
            raise InputError(f"export of {name} as {format} failed: {error}") from error
        bundles.write(target, bundle)
        proofs[format] = {"of": of, **proof}
        path.write_text(json.dumps(proofs, indent=1) + "\n")
        say(f"export {format}: {target}, {proof['bytes']:,} bytes")
    return {format: proofs[format] for format in formats(section)}


def _proven(
    trained: Trained,
    dataset: Dataset,
    labels: list[str],
    section: ConfigDict,
    format: str,
    expected: np.ndarray,
) -> tuple[Bundle, dict[str, Any]]:
    """Converts and checks; returns the bundle and its proof."""
    variables, test = trained.members[0], dataset.test
    bundle, operators = draft(trained, dataset, labels, section, format)
    scores = Model(bundle).scores(test.images)
    if section.output == "logits":
        scores = np.asarray(jax.nn.softmax(scores))
    error = checks.parity(expected, scores, format)
    flax, tflite = checks.accuracy(test.labels, expected, scores, format, section.max_accuracy_drop)
    manifest = bundle.manifest
    manifest["golden"] = _golden(bundle, test.images, format)
    manifest["provenance"] = _provenance(trained, tflite, flax)
    proof = {
        "output": section.output,
        "operators": operators,
        "images": len(test),
        "max_error": error,
        "accuracy_flax": flax,
        "accuracy_tflite": tflite,
        **checks.sizes(bundle.model, variables, format),
    }
    return bundle, proof


def draft(
    trained: Trained, dataset: Dataset, labels: list[str], section: ConfigDict, format: str
) -> tuple[Bundle, dict[str, int]]:
    """Converts a model; nothing but its operators is checked yet, and nothing is proven.

    Args:
      trained, dataset, labels, section: as for `export`.
      format: an entry of `convert.FORMATS`.

    Returns:
      The bundle, without golden pair and provenance, and how often each operator occurs in it.

    Raises:
      InputError: if it cannot be converted, or needs an operator that is not allowed.
    """
    variables = trained.members[0]
    image = _describe_input(trained.about, section)
    step = max(1, len(dataset.train) // section.calibration_images)
    typical = dataset.train.images[::step][: section.calibration_images]
    model = convert.to_tflite(
        graph.inference(trained.model, variables, section.output),
        (1, *trained.about["input_shape"]),
        format,
        calibration=input_tensors({**image, "dtype": "float32"}, typical),
    )
    operators = checks.operators(model, format)
    model = flatbuffer.strip(model, section.output)  # all further checks are of what ships
    found_input, found_output = runtime.forms(model)
    manifest = {
        "format": manifests.FORMAT,
        "name": f"{trained.about['recipe']['model']} {dataset.name} {format}",
        "model": bundles.describe_model(model),
        "input": {**found_input, **image},
        "output": {**found_output, "kind": section.output},
        "labels": labels,
        "defaults": {"top_k": min(TOP_K, len(labels)), "filter": FILTER},
    }
    return Bundle(manifest, model), operators


def _describe_input(about: dict[str, Any], section: ConfigDict) -> dict[str, Any]:
    """Returns how pixels become the input, for the section `input` of a manifest.

    The normalisation stays outside of the graph. An image is padded with zeros after it, so that
    inside it would need operators of its own, and pixels between 0 and 1 fill the range of an int8
    tensor as well as normalised ones do.
    """
    gray = about["input_shape"][-1] == 1
    channels = about["input_shape"][-1]
    mean = np.broadcast_to(about["mean"], channels)
    std = np.broadcast_to(about["std"], channels)
    polarity = section.polarity if gray or section.polarity != "auto" else "as_is"
    rows, columns = about["input_shape"][:2]
    is_digits = about["dataset"] in DIGITS and [1, *about["input_shape"]] == manifests.DIGIT
    automatic = "mnist" if is_digits else "none"
    return {
        "layout": "NHWC",
        "color": "gray" if gray else "rgb",
        "scale": [1 / (255 * float(s)) for s in std],
        "offset": [(0.0 - float(m)) / float(s) for m, s in zip(mean, std, strict=True)],
        "crop": "center_square" if rows == columns else "center",
        "resize": "area",
        "polarity": polarity,
        "normalize": automatic if section.normalize == "auto" else section.normalize,
    }


def _golden(bundle: Bundle, images: np.ndarray, format: str) -> dict[str, Any]:
    """Returns the self-test: the test image on which other kernels differ the least.

    The kernels of a phone are not those of this machine. Where a quantised value lies between two
    steps they may round it differently, a deep network carries that on, and the softmax
    exponentiates it. What this machine's two sets of kernels, XNNPACK's and LiteRT's, differ by is
    therefore accepted twice. (LiteRT has a third set, for reference, whose int8 SUM, the mean over
    an image, is wrong: https://github.com/google-ai-edge/LiteRT/issues/4079.)

    Raises:
      InputError: if the two have little in common on every image.
    """
    tolerance = TOLERANCES[format]
    usual, own = Model(bundle), Model(bundle, delegate=False)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for tensor in input_tensors(bundle.manifest["input"], images[:GOLDEN_CANDIDATES])[:, None]:
        output, other = usual(tensor), own(tensor)
        difference = float(np.abs(output.astype(np.float64) - other).max())
        if best is None or difference < best[0]:
            best = difference, tensor, output
        if difference <= tolerance / 2:
            break
    assert best is not None
    difference, tensor, output = best
    accepted = max(tolerance, 2 * difference)
    if accepted > MAX_TOLERANCE * (255 if format == "int8" else 1):
        raise InputError(
            f"LiteRT's kernels and XNNPACK's differ by {difference:.3g} in an output on every test "
            "image, so nothing can be said of another device's"
        )
    return {
        "input": bundles.encode(tensor),
        "output": output.ravel().tolist(),
        "tolerance": int(accepted) if format == "int8" else accepted,
    }


def _provenance(trained: Trained, accuracy: float, accuracy_flax: float) -> dict[str, Any]:
    counted = cost.cost(trained.model, tuple(trained.about["input_shape"]))
    return {
        "exporter": f"distill {distill.__version__}",
        "config_hash": configs.digest(trained.about),
        "commit": provenance.commit(),
        "dataset": trained.about["dataset"],
        "model": trained.about["recipe"]["model"],
        "num_params": counted.num_params,
        "accuracy": accuracy,
        "accuracy_flax": accuracy_flax,
    }


def _identity(trained: Trained, labels: list[str], section: ConfigDict, format: str) -> str:
    """Returns a hash of everything that decides what a bundle holds."""
    settings = {k: v for k, v in section.to_dict().items() if k not in ("formats", "labels")}
    weights = data.fingerprint(*map(np.atleast_1d, jax.tree.leaves(trained.members)))
    return configs.digest(
        [trained.about, weights, labels, settings, format, manifests.FORMAT, distill.__version__]
    )


def read_proofs(directory: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Returns what `export` has left in a directory: the proof of each format."""
    try:
        return json.loads((directory / PROOFS).read_text())
    except (OSError, ValueError):  # none, or damaged: then they are made again
        return {}


def _is_whole(directory: pathlib.Path) -> bool:
    try:
        bundles.read(directory)
    except InputError:
        return False
    return True
