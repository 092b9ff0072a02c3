"""What a compressed network costs, as a file and as a computation."""

import gzip
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from distill import config as configs
from distill import cost
from distill.compress.network import Network
from distill.data import Dataset
from distill.export import drafting, latency, runtime
from distill.training.trained import Trained, quality_of, quality_of_outputs

FORMATS = ("float32", "int8")
FOUR_BITS = "int4"  # the format beside them, of a network that was trained for it
ROUNDS, RUNS = 11, 50  # of the latency


def counts(network: Network) -> dict[str, int]:
    """Returns `num_params`, `nonzeros` and `macs`; see `distill.cost`."""
    layers = cost.layers(network.module, network.input_shape, network.variables["params"])
    fields = ("num_params", "nonzeros", "macs")
    return {field: sum(getattr(layer, field) for layer in layers) for field in fields}


def files(
    trained: Trained,
    dataset: Dataset,
    section: ConfigDict,
    directory: pathlib.Path,
    formats: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes a model as TensorFlow Lite files, and measures them.

    Args:
      trained: one model.
      dataset: int8 is calibrated on its training images, and tried on its whole test set.
      section: `config.export`.
      directory: for `FORMAT.tflite` of each format.
      formats: by default float32 and int8, and int4 of a network that was trained for four bits.

    Returns:
      For each format `FORMAT_bytes` and `FORMAT_gzip_bytes`, and for all but float32
      `FORMAT_accuracy`, or `FORMAT_reconstruction_error` of an autoencoder.
    """
    measured = quality_of(trained.about)
    section = section.copy_and_resolve_references()
    section.batch_size = 1  # microseconds are those of one image
    if measured != "accuracy":
        section.output = "logits"  # nothing but a classifier has probabilities
    labels = [str(i) for i in range(dataset.num_classes)]
    found: dict[str, Any] = {}
    trained_for = [FOUR_BITS] * ("four_bits" in (trained.about.constraints or {}))
    for format in formats or (*FORMATS, *trained_for):
        bundle, _ = drafting.draft(trained, dataset, labels, section, format)
        path(directory, format).write_bytes(bundle.model)
        found[f"{format}_bytes"] = len(bundle.model)
        found[f"{format}_gzip_bytes"] = len(gzip.compress(bundle.model, mtime=0))
        if format != "float32":
            outputs = runtime.Model(bundle).scores(dataset.test.images)
            found[f"{format}_{measured}"] = quality_of_outputs(measured, outputs, dataset.test)
    return found


def identity(section: ConfigDict, directory: pathlib.Path) -> str:
    """Returns a hash of what decides the figures of `files`: its settings, and what it has written.

    Args:
      section: `config.export`.
      directory: as for `files`.
    """
    written = [path(directory, format) for format in FORMATS]
    written += [four] if (four := path(directory, FOUR_BITS)).is_file() else []
    contents = [p.read_bytes() if p.is_file() else b"" for p in written]
    return configs.digest(
        [
            configs.measured(section.to_dict()),
            [hashlib.sha256(content).hexdigest() for content in contents],
        ]
    )


def without_files(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a record without the figures of `files`."""
    formats = (*FORMATS, FOUR_BITS)
    return {key: value for key, value in record.items() if key.partition("_")[0] not in formats}


def path(directory: pathlib.Path, format: str) -> pathlib.Path:
    """Returns where `files` writes a format."""
    return directory / f"{format}.tflite"


def latencies(directories: Sequence[pathlib.Path]) -> list[dict[str, float]]:
    """Returns the median microseconds that the files of models take for an image, on one thread.

    They take turns, so that what else the machine does falls on all of them.

    Args:
      directories: where `files` has written.

    Returns:
      For each of them `FORMAT_latency_us`.
    """
    runners = []
    for directory in directories:
        for format in FORMATS:
            model = path(directory, format).read_bytes()
            tensor, _ = runtime.forms(model)
            runners.append(runtime.runner(model, np.zeros(tensor["shape"], tensor["dtype"])))
    times = iter(latency.alternate(runners, ROUNDS, RUNS))
    return [{f"{f}_latency_us": next(times).p50 for f in FORMATS} for _ in directories]


def describe(counted: Mapping[str, Any]) -> str:
    """Returns in a few words what is left of a network."""
    return f"{counted['nonzeros']:,} of {counted['num_params']:,} weights, {counted['macs']:,} MACs"
