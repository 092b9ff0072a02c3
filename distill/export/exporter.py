"""The stage `export`: a trained model becomes bundles, each proven before it appears."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import distill
from distill import config as configs
from distill import cost, data, metrics, provenance
from distill.data import Dataset, Split
from distill.errors import InputError, unknown
from distill.export import bundle as bundles
from distill.export import checks, convert, drafting, preprocess, reference, runtime
from distill.export import manifest as manifests
from distill.export import proofs as proofs_lib
from distill.export.bundle import Bundle
from distill.export.runtime import Model, input_tensors
from distill.training.trained import Trained

CHANNELS = (1, 3)
MAX_BATCH = 1024
READ_IMAGES = 2000  # of the test set, that go through the whole preprocessing of a reader
# Other kernels round differently; those of dynamic files round activations too, each in its way.
TOLERANCES = {"float32": 1e-4, "float16": 1e-3, "dynamic": 1e-2, "int8": 1, "int4": 1}
MAX_TOLERANCE = 0.1  # of the range of an output
GOLDEN_CANDIDATES = 100  # images
TEMPERATURES = ("none", "fit")


class _Expected(NamedTuple):
    """What the files of all formats are checked against.

    Attributes:
      logits: `[n, classes]`, Flax's, of the whole test set.
      cells: `[m, rows, columns, channels]`, what a reader sees of some of its images.
      layers: what the layers of the model cost.
    """

    logits: np.ndarray
    cells: np.ndarray
    layers: list[cost.LayerCost]


class NotProven(InputError):
    """Some formats were not exported; the others were.

    Attributes:
      proofs: of those that were.
      failures: what was wrong, in one line for each of the others.
    """

    def __init__(self, proofs: dict[str, dict[str, Any]], failures: dict[str, str]):
        super().__init__("; ".join(failures.values()))
        self.proofs, self.failures = proofs, failures


def check(section: ConfigDict) -> tuple[str, ...]:
    """Checks `config.export` before any work.

    Returns:
      The formats that it names.

    Raises:
      InputError: for the first value that cannot be used.
    """
    formats = _formats(section)
    choices = {
        "output": manifests.KINDS,
        "polarity": manifests.POLARITIES,
        "normalize": ("auto", *manifests.NORMALIZATIONS),
        "temperature": TEMPERATURES,
    }
    for key, known in choices.items():
        if section[key] not in known:
            raise unknown(f"export.{key}", section[key], known)
    if section.calibration_images < 1:
        raise InputError(
            f"export.calibration_images is {section.calibration_images}; it must be 1 or more"
        )
    if not 1 <= section.batch_size <= MAX_BATCH:
        raise InputError(
            f"export.batch_size is {section.batch_size}; it must be between 1 and {MAX_BATCH}"
        )
    if not 0 <= section.max_accuracy_drop <= 1:
        raise InputError(
            f"export.max_accuracy_drop is {section.max_accuracy_drop}; it must be between 0 and 1"
        )
    return formats


def check_data(section: ConfigDict, dataset: Dataset, labels: list[str]) -> None:
    """Checks `config.export` against the data, before anything is trained.

    Args:
      section: `config.export`.
      dataset: what is trained on.
      labels: names of the classes.

    Raises:
      InputError: if a bundle cannot hold such images or such labels.
    """
    if len(labels) != dataset.num_classes:
        raise InputError(
            f"export.labels names {len(labels)} of {dataset.num_classes} classes of {dataset.name}"
        )
    for label in labels:
        if not manifests.is_text(label):
            raise InputError(
                f"export.labels has {manifests.shown(label)}; expected {manifests.TEXT}"
            )
    shape = dataset.test.images.shape[1:]
    if shape[-1] not in CHANNELS:
        raise InputError(
            f"images of {dataset.name} have {shape[-1]} channels; a bundle is of 1 or 3: leave "
            "the stage export out"
        )
    if section.temperature == "fit" and dataset.validation is None:
        raise InputError(
            "export.temperature is 'fit', and no images are held out for it: set "
            "dataset.train=train[:90%] and dataset.validation=train[90%:]"
        )
    values = section.batch_size * int(np.prod(shape))
    if values > manifests.MAX_VALUES:
        raise InputError(
            f"an input of {section.batch_size} images of {shape} has {values:,} values; a bundle "
            f"has at most {manifests.MAX_VALUES:,}"
        )


def _formats(section: ConfigDict) -> tuple[str, ...]:
    names = [name.strip() for name in section.formats.split(",") if name.strip()]
    for name in names:
        if name not in convert.FORMATS:
            raise unknown("format", name, convert.FORMATS)
    if not names:
        raise InputError(f"export.formats is empty; name some of {','.join(convert.FORMATS)}")
    return tuple(dict.fromkeys(names))


def export(
    trained: Trained,
    dataset: Dataset,
    labels: list[str],
    section: ConfigDict,
    formats: Sequence[str],
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
      formats: those that it names, from `check`.
      directory: a bundle for each format goes to `directory/FORMAT`.
      say: told in one line about each format.

    Returns:
      The proof of each format: operators, largest error, accuracies, bytes.

    Raises:
      NotProven: if a check fails. There is no bundle of that format then, and the others are there.
      InputError: if nothing can be exported.
    """
    if len(trained.members) != 1:
        raise InputError(f"an ensemble of {len(trained.members)} cannot be exported, one model can")
    check_data(section, dataset, labels)
    proofs, failures = proofs_lib.read(directory), dict[str, str]()
    expected: _Expected | None = None  # computed when it is needed
    for format in formats:
        target, of = directory / format, _identity(trained, labels, section, format)
        if proofs.get(format, {}).get("of") == of and proofs_lib.is_of(target, proofs[format]):
            say(f"export {format}: found in {target}")
            continue
        if expected is None:
            expected = _expect(trained, dataset, section)
        proofs.pop(format, None)
        bundles.remove(target)
        try:
            bundle, proof = _proven(trained, dataset, labels, section, format, expected)
        except InputError as error:
            name = trained.about.model
            failures[format] = f"export of {name} as {format} failed: {error}"
            say(failures[format])
            continue
        bundles.write(target, bundle)
        proofs[format] = {"of": of, "bundle": bundles.digest(bundle), **proof}
        proofs_lib.write(directory, proofs)
        say(f"export {format}: {target}, {proof['bytes']:,} bytes")
    asked = {format: proofs[format] for format in formats if format not in failures}
    if failures:
        raise NotProven(asked, failures)
    return asked


def _proven(
    trained: Trained,
    dataset: Dataset,
    labels: list[str],
    section: ConfigDict,
    format: str,
    expected: _Expected,
) -> tuple[Bundle, dict[str, Any]]:
    """Converts and checks; returns the bundle and its proof."""
    variables, test = trained.members[0], dataset.test
    probabilities = np.asarray(jax.nn.softmax(expected.logits))
    bundle, operators = drafting.draft(trained, dataset, labels, section, format)
    model = Model(bundle)
    raw = scores = model.scores(test.images)
    some = _some(test)
    read = _read(model, bundle, expected.cells, np.asarray(test.images[some]), scores[some])
    if section.output == "logits":
        scores, read = (np.asarray(jax.nn.softmax(s)) for s in (scores, read))
    rounded = checks.rounding(expected.logits, sum(layer.macs > 0 for layer in expected.layers))
    error = checks.parity(probabilities, scores, format, rounded)
    flax, tflite = checks.accuracy(
        test.labels, probabilities, scores, format, section.max_accuracy_drop
    )
    checks.reading(test.labels[some], scores[some], read, section.max_accuracy_drop)
    manifest = bundle.manifest
    if section.temperature == "fit":
        manifest["output"]["temperature"] = _temperature(model, dataset.validation, section.output)
        scores = np.stack([reference.probabilities(s, manifest["output"]) for s in raw])
    manifest["golden"] = _golden(bundle, test.images, format)
    manifest["provenance"] = _provenance(trained, expected.layers, tflite, flax)
    proof = {
        "output": section.output,
        "operators": operators,
        "images": len(test),
        "max_error": error,
        "accuracy_flax": flax,
        "accuracy_tflite": tflite,
        "images_read": len(read),
        **metrics.summary(test.labels, scores),
        "accuracy_read": float((read.argmax(axis=1) == test.labels[some]).mean()),
        **checks.sizes(bundle.model, variables, format),
    }
    return bundle, proof


def _temperature(model: Model, held_out: Split | None, kind: str) -> float:
    """Returns what the probabilities of a file are calibrated with, on images held out."""
    assert held_out is not None  # see `check_data`
    scores = model.scores(held_out.images)
    logits = np.log(np.maximum(scores, reference.LEAST)) if kind == "probabilities" else scores
    return metrics.temperature(held_out.labels, logits)


def _expect(trained: Trained, dataset: Dataset, section: ConfigDict) -> _Expected:
    """Computes what the files of all formats are checked against."""
    test, about = dataset.test, trained.about
    logits = trained.logits(test.images)
    spec = {
        **drafting.describe_input(about, section, drafting.typical_images(dataset, section)),
        "shape": (1, *about.input_shape),
        "dtype": "float32",
    }
    seen = [preprocess.see_image(_pixels(image), spec) for image in test.images[_some(test)]]
    layers = cost.layers(trained.model, about.input_shape)
    return _Expected(logits, np.stack([one.cells for one in seen]), layers)


def _some(test: Split) -> slice:
    """Returns which test images go through the whole preprocessing of a reader."""
    return slice(None, None, -(-len(test) // READ_IMAGES))


def _read(
    model: Model, bundle: Bundle, cells: np.ndarray, images: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Returns the scores that a reader gets, which crops, resizes and inverts images itself.

    What it makes of an image that is of the tensor's size already has to be what the model was
    given; where it is not, the model runs again.

    Args:
      model: the bundle, opened.
      bundle: of which the section `input` is read.
      cells: `[n, rows, columns, channels]`, what a reader has made of the images.
      images: `[n, h, w, c]` uint8.
      scores: `[n, classes]`, of the images as they are.
    """
    spec = bundle.manifest["input"]
    answers = scores.copy()
    for start in range(0, len(images), runtime.CHUNK):
        part = slice(start, start + runtime.CHUNK)
        read = np.concatenate(
            [reference.to_tensor(image, {**spec, "polarity": "as_is"}) for image in cells[part]]
        )
        other = (read != input_tensors(spec, images[part])).any(axis=(1, 2, 3))
        if other.any():
            answers[part][other] = model.run(read[other])
    return answers


def _pixels(image: np.ndarray) -> np.ndarray:
    """Returns an image as readers get it, without an axis of a single channel."""
    return image[..., 0] if image.shape[-1] == 1 else image


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
    for tensor in usual.batches(
        input_tensors(bundle.manifest["input"], np.asarray(images[:GOLDEN_CANDIDATES]))
    ):
        output, other = usual(tensor), own(tensor)
        difference = float(np.abs(output.astype(np.float64) - other).max())
        if best is None or difference < best[0]:
            best = difference, tensor, output
        if difference <= tolerance / 2:
            break
    assert best is not None
    difference, tensor, output = best
    accepted = max(tolerance, 2 * difference)
    if accepted > MAX_TOLERANCE * (255 if format in convert.INTEGERS else 1):
        raise InputError(
            f"LiteRT's kernels and XNNPACK's differ by {difference:.3g} in an output on every test "
            "image, so nothing can be said of another device's"
        )
    return {
        "input": bundles.encode(tensor),
        "output": output.ravel().tolist(),
        "tolerance": int(accepted) if format in convert.INTEGERS else accepted,
    }


def _provenance(
    trained: Trained, layers: list[cost.LayerCost], accuracy: float, accuracy_flax: float
) -> dict[str, Any]:
    return {
        "exporter": f"distill {distill.__version__}",
        "config_hash": trained.about.digest,
        "commit": provenance.commit(),
        "dataset": trained.about.dataset,
        "model": trained.about.model,
        "num_params": sum(layer.num_params for layer in layers),
        "accuracy": accuracy,
        "accuracy_flax": accuracy_flax,
    }


def _identity(trained: Trained, labels: list[str], section: ConfigDict, format: str) -> str:
    """Returns a hash of everything that decides what a bundle holds."""
    settings = {k: v for k, v in section.to_dict().items() if k not in ("formats", "labels")}
    weights = data.fingerprint(*map(np.atleast_1d, jax.tree.leaves(trained.members)))
    return configs.digest(
        [
            trained.about.json(),
            weights,
            labels,
            settings,
            format,
            manifests.FORMAT,
            distill.__version__,
        ]
    )
