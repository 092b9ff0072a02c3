"""A trained model becomes a bundle, of which nothing is proven yet."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from distill.data import Dataset
from distill.export import bundle as bundles
from distill.export import checks, convert, flatbuffer, graph, metadata, reference, runtime
from distill.export import manifest as manifests
from distill.export.bundle import Bundle
from distill.export.runtime import input_tensors
from distill.training.description import Description
from distill.training.trained import Trained

TURNED_OVER = 0.01  # share of the training images that `auto` may invert and still be taken
DIGITS = ("mnist", "mnist5k")  # what their authors have normalised
TOP_K = 3
FILTER = {"stages": 3, "factor": 0.4}  # Rusu (2018), chapter 3


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
    typical = typical_images(dataset, section)
    image = describe_input(trained.about, section, typical)
    model = convert.to_tflite(
        graph.inference(trained.model, variables, section.output, pack=section.pack_columns),
        (section.batch_size, *trained.about.input_shape),
        format,
        calibration=input_tensors({**image, "dtype": "float32"}, typical),
    )
    operators = checks.operators(model, format)
    model = flatbuffer.strip(model, section.output)  # all further checks are of what ships
    found_input, found_output = runtime.forms(model)
    name = f"{trained.about.model} {dataset.name} {format}"
    if image["color"] == "rgb":  # those who read it take no other images
        model = metadata.attach(model, name, image, labels)
    manifest = {
        "format": manifests.FORMAT,
        "name": name,
        "model": bundles.describe_model(model),
        "input": {**found_input, **image},
        "output": {**found_output, "kind": section.output},
        "labels": labels,
        "defaults": {"top_k": min(TOP_K, len(labels)), "filter": FILTER},
    }
    return Bundle(manifest, model), operators


def typical_images(dataset: Dataset, section: ConfigDict) -> np.ndarray:
    """Returns training images from all parts of the set, as many as int8 is calibrated on."""
    step = max(1, len(dataset.train) // section.calibration_images)
    return np.asarray(dataset.train.images[::step][: section.calibration_images])


def describe_input(about: Description, section: ConfigDict, typical: np.ndarray) -> dict[str, Any]:
    """Returns how pixels become the input, for the section `input` of a manifest.

    The polarity `auto` is for images that are light on dark. Where the rule would turn over
    training images, `typical`, they are not, and readers take images as they are.

    The normalisation stays outside of the graph. An image is padded with zeros after it, so that
    inside it would need operators of its own, and pixels between 0 and 1 fill the range of an int8
    tensor as well as normalised ones do.
    """
    gray = about.input_shape[-1] == 1
    channels = about.input_shape[-1]
    mean = np.broadcast_to(about.mean, channels)
    std = np.broadcast_to(about.std, channels)
    polarity = section.polarity
    if polarity == "auto" and not (gray and _is_light_on_dark(typical)):
        polarity = "as_is"
    rows, columns = about.input_shape[:2]
    is_digits = about.dataset in DIGITS and [1, *about.input_shape] == manifests.DIGIT
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


def _is_light_on_dark(images: np.ndarray) -> bool:
    """Whether readers, asked to find out, would leave nearly all of these gray images alone."""
    inverted = sum(reference.is_inverted(image.astype(np.float64), "auto") for image in images)
    return inverted <= TURNED_OVER * len(images)
