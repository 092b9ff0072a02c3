"""What JAX is told from outside changes no training."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def train(workdir, epochs, **environment):
    command = [
        sys.executable, "-m", "distill.main", "--config=configs/simplenet_v3.py:quick,baseline",
        "--config.dataset.train=train[:200]", "--config.dataset.test=test[:50]",
        "--config.student.batch_size=50", f"--config.student.epochs={epochs}",
        "--config.stages=student", f"--workdir={workdir}",
    ]  # fmt: skip
    subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, **environment}
    )
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_precision_and_random_numbers_are_pinned(tmp_path):
    usual = train(tmp_path / "usual", 2)
    told = {"JAX_ENABLE_X64": "1", "JAX_THREEFRY_PARTITIONABLE": "0"}
    assert train(tmp_path / "told", 2, **told) == usual
    assert train(tmp_path / "usual", 2, **told) == usual  # found, and not of other shapes
