"""What a compressed network costs, as a file and as a computation."""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from distill import cost
from distill.compress.network import Network
from distill.data import Dataset
from distill.export import exporter, latency, runtime
from distill.training.trained import Trained

ROUNDS, RUNS = 11, 50  # of the latency


def counts(network: Network) -> dict[str, int]:
    """Returns `num_params`, `nonzeros` and `macs`; see `distill.cost`."""
    layers = cost.layers(network.module, network.input_shape, network.variables["params"])
    fields = ("num_params", "nonzeros", "macs")
    return {field: sum(getattr(layer, field) for layer in layers) for field in fields}


def files(
    trained: Trained, dataset: Dataset, section: ConfigDict, formats: Sequence[str]
) -> dict[str, bytes]:
    """Returns the TensorFlow Lite file of a model in each format.

    Args:
      trained: one model.
      dataset: int8 is calibrated on its training images.
      section: `config.export`.
      formats: entries of `export.convert.FORMATS`.
    """
    labels = [str(i) for i in range(dataset.num_classes)]
    return {f: exporter.draft(trained, dataset, labels, section, f)[0].model for f in formats}


def sizes(files: Mapping[str, bytes]) -> dict[str, int]:
    """Returns the bytes of each file, as it is and compressed by gzip."""
    found = {}
    for format, model in files.items():
        found[f"{format}_bytes"] = len(model)
        found[f"{format}_gzip_bytes"] = len(gzip.compress(model, mtime=0))
    return found


def latencies(models: Sequence[bytes]) -> list[float]:
    """Returns the median microseconds that each file takes for an image, with one thread.

    They take turns, so that what else the machine does falls on all of them.
    """
    runners = []
    for model in models:
        tensor, _ = runtime.forms(model)
        runners.append(runtime.runner(model, np.zeros(tensor["shape"], tensor["dtype"])))
    return [found.p50 for found in latency.alternate(runners, ROUNDS, RUNS)]


def describe(counted: Mapping[str, Any]) -> str:
    """Returns in a few words what is left of a network."""
    return f"{counted['nonzeros']:,} of {counted['num_params']:,} weights, {counted['macs']:,} MACs"
