"""Exported files: accuracy, size and latency, next to the same networks built in Keras.

    python -m distill.export --workdir=runs/simplenet_v1
    python -m distill.export --workdir=runs/simplenet_v1 --role=teacher
    python -m experiments.benchmarks.export --csv experiments/results/export.csv \\
        runs/simplenet_v1/export runs/simplenet_v1/export/teacher

Each argument is a folder of bundles that `distill.export` has made, with their proofs. The networks
of Keras are converted by the same converter, as it leaves them; their weights are random, which
decides nothing about speed. Everything is measured in one run, in alternated rounds. Keras is
optional.
"""

import argparse
import contextlib
import csv
import importlib.util
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from distill import provenance
from distill.export import bundle as bundles
from distill.export import convert, latency, proofs, runtime
from experiments.benchmarks import networks

THREADS = (1, 2)
KERAS_FORMATS = ("float32", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=Path, help="folders of bundles")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each file")
    parser.add_argument("--runs", type=int, default=250, help="runs of a file in a turn")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    args = parser.parse_args()

    files = [file for folder in args.folders for file in exported(folder)]
    files += built_in_keras({row["model"] for row, _, _ in files})
    for threads in THREADS:
        runners = [runtime.runner(model, tensor, threads) for _, model, tensor in files]
        found = latency.alternate(runners, args.rounds, args.runs)
        for (row, _, _), times in zip(files, found, strict=True):
            row[f"latency_us_p50_{threads}"] = round(times.p50, 2)
            row[f"latency_us_p90_{threads}"] = round(times.p90, 2)
    rows = [row for row, _, _ in files]
    for row in rows:
        row.update(runs=args.rounds * args.runs, device=provenance.processor())
        row.update(commit=provenance.commit(), config_hash=row.pop("config_hash"))
    print_rows(rows)
    if args.csv:
        with args.csv.open("w", newline="") as f:
            writer = csv.DictWriter(f, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def exported(folder: Path) -> list[tuple[dict[str, Any], bytes, np.ndarray]]:
    """Returns a row, the file and an input tensor for each bundle of a folder."""
    found = []
    for format, proof in proofs.read(folder).items():
        bundle = bundles.read(folder / format)
        about = bundle.manifest["provenance"]
        row = {
            "model": about["model"],
            "framework": "distill",
            "format": format,
            "dataset": about["dataset"],
            **{key: proof[key] for key in ("accuracy_flax", "accuracy_tflite")},
            **{key: proof[key] for key in ("bytes", "gzip_bytes")},
            **{key: proof[key] for key in ("weights_bytes", "overhead_bytes")},
            "config_hash": about["config_hash"],
        }
        found.append((row, bundle.model, bundle.golden_input))
    return found


def built_in_keras(models: set[str]) -> list[tuple[dict[str, Any], bytes, np.ndarray]]:
    """Returns the same for the networks that are also built in Keras."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tf = convert.tensorflow()
    if not importlib.util.find_spec("keras"):
        print("keras is skipped: it is not installed")
        return []
    import keras

    images = np.random.default_rng(0).random((100, 28, 28, 1), np.float32)
    found = []
    for model in sorted(models & set(networks.KERAS)):
        network = networks.keras_network(model)
        network.add(keras.layers.Softmax())
        for format in KERAS_FORMATS:
            converter = tf.lite.TFLiteConverter.from_keras_model(network)
            with contextlib.redirect_stdout(io.StringIO()):  # Keras describes what it saves
                file = convert.run(converter, format, images[:, None])
            dtype = runtime.forms(file)[0]["dtype"]
            empty = dict.fromkeys(("accuracy_flax", "accuracy_tflite"))
            row = {
                "model": model, "framework": "keras", "format": format, "dataset": "", **empty,
                "bytes": len(file), "gzip_bytes": None, "weights_bytes": None,
                "overhead_bytes": None, "config_hash": "",
            }  # fmt: skip
            found.append((row, file, (images[:1] * 100).astype(dtype)))
    return found


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Prints a line for each file; the ratios are against Keras, the teacher and float32."""
    medians = {(r["framework"], r["model"], r["format"]): r["latency_us_p50_1"] for r in rows}
    for row in rows:
        framework, model, format = (row[key] for key in ("framework", "model", "format"))
        others = {
            "Keras": ("keras", model, format),
            "the teacher": (framework, "teacher", format),
            "float32": (framework, model, "float32"),
        }
        own = (framework, model, format)
        ratios = [
            f"{medians[other] / medians[own]:.2f} x {name}"
            for name, other in others.items()
            if other in medians and other != own
        ]
        print(
            f"{framework:8} {model:13} {format:8} {row['bytes']:10,} bytes"
            f" {medians[own]:8.1f} us  {', '.join(ratios)}"
        )


if __name__ == "__main__":
    main()
