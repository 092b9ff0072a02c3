"""How long everyone's first command takes, and what comes of it.

    python -m experiments.benchmarks.first_run --csv experiments/results/first_run.csv

`python -m distill.main --config=configs/simplenet_v4.py`, in a process of its own, with nothing
left of earlier runs: no teacher, no compiled program, no kernels. Once on the embedded sample, and
for each seed on the whole of MNIST, which has to be prepared (`TFDS_DATA_DIR`). It takes about six
minutes for each seed on two cores.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from distill import cache, provenance
from experiments.benchmarks import side_by_side

CONFIG = "configs/simplenet_v4.py"
SAMPLE = "mnist5k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--csv", type=pathlib.Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = []
    for dataset, seed in [(SAMPLE, 0), *(("mnist", seed) for seed in args.seeds)]:
        rows.append(measure(dataset, seed))
        print(rows[-1], flush=True)
        if args.csv:
            side_by_side.write_csv(args.csv, rows)


def measure(dataset: str, seed: int) -> dict:
    """Runs the command and returns a row: seconds from its start to its end, and accuracies."""
    with tempfile.TemporaryDirectory() as scratch:
        workdir = pathlib.Path(scratch) / "runs" / "simplenet_v4"
        command = [
            sys.executable, "-m", "distill.main", f"--config={CONFIG}", f"--workdir={workdir}",
            f"--config.dataset.name={dataset}", f"--config.seed={seed}",
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, cache.SWITCH: f"{scratch}/cache"},
        )  # fmt: skip
        seconds = time.perf_counter() - start
        results = json.loads((workdir / "results.json").read_text())
    models = results["models"]
    return {
        "config": CONFIG,
        "dataset": results["dataset"],
        "seed": seed,
        "seconds": round(seconds, 1),
        **{f"{role}_accuracy": round(models[role]["accuracy"], 6) for role in models},
        "device": provenance.processor(),
        "commit": provenance.commit(),
    }


if __name__ == "__main__":
    main()
