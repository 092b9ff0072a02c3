"""Programs that are measured in turns on the same machine, in the same run.

Each lives in a process of its own, which sleeps while another is measured. Rounds alternate, so
that what else the machine does falls on all of them.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from distill import provenance

# The modules that each needs, the most important first.
FRAMEWORKS = {
    "distill": ("jax", "flax", "optax"),
    "pytorch": ("torch",),
    "pytorch_compiled": ("torch",),
    "keras": ("keras", "tensorflow"),
    "litert": ("ai_edge_litert",),
}

Key = TypeVar("Key", bound=Hashable)
Round = Callable[[], None]  # does the work of a round and waits for its end

# Several processes share an accelerator only if none of them takes all of its memory beforehand.
_SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


class Measured(NamedTuple):
    """What a program said and how long its rounds took.

    Attributes:
      about: of the program: `version`, `device`.
      first_seconds: of the first round, with everything that is done only once.
      seconds: of each of the others.
    """

    about: dict[str, str]
    first_seconds: float
    seconds: list[float]

    @property
    def once_seconds(self) -> float:
        """What the first round took longer than the others: compiling, above all."""
        return max(0.0, self.first_seconds - statistics.median(self.seconds))

    def speeds(self, examples: int) -> dict[str, int]:
        """Returns examples per second, the median of the rounds and their range.

        Args:
          examples: of a round.
        """
        speeds = [examples / seconds for seconds in self.seconds]
        return {
            "examples_per_second": round(statistics.median(speeds)),
            "slowest": round(min(speeds)),
            "fastest": round(max(speeds)),
            "rounds": len(speeds),
        }


def installed(frameworks: Iterable[str]) -> list[str]:
    """Returns those of `FRAMEWORKS` that are installed, and says which are not."""
    found = []
    for framework in frameworks:
        module = FRAMEWORKS[framework][0]
        if importlib.util.find_spec(module):
            found.append(framework)
        else:
            print(f"{framework} is skipped: the module {module} is not installed")
    return found


def take_turns(commands: Mapping[Key, Sequence[str]], rounds: int) -> dict[Key, Measured]:
    """Measures programs in turns.

    Args:
      commands: for each program, the arguments of `python` that start a process that calls `serve`.
      rounds: measured ones of each.
    """
    workers, measured = {}, {}
    try:
        for key, command in commands.items():
            workers[key] = subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **_SHARED}, text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            measured[key] = Measured(**json.loads(_answer(workers[key], key)), seconds=[])
        for _ in range(rounds):
            for key, worker in workers.items():
                worker.stdin.write("go\n")
                measured[key].seconds.append(float(_answer(worker, key)))
    finally:
        for worker in workers.values():
            worker.communicate()  # which closes its input, and so ends it
    return measured


def _answer(worker: subprocess.Popen, key: Hashable) -> str:
    line = worker.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"the worker {key} stopped with code {worker.wait()}; see above")
    return line


def serve(framework: str, build: Callable[[], Round]) -> None:
    """The life of a worker: says what it is, then how long a round takes for each line it reads.

    Args:
      framework: of `FRAMEWORKS`.
      build: imports it and prepares everything.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints is not an answer
    run = build()
    start = time.perf_counter()
    run()  # compiles, and fills the caches
    seconds = time.perf_counter() - start
    versions = [f"{name} {_version(name)}" for name in FRAMEWORKS[framework]]
    about = {"version": ", ".join(versions), "device": _device(framework)}
    answers.write(json.dumps({"about": about, "first_seconds": seconds}) + "\n")
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        answers.write(f"{time.perf_counter() - start}\n")


def _version(module: str) -> str:
    return getattr(sys.modules[module], "__version__", None) or importlib.metadata.version(module)


def _device(framework: str) -> str:
    """Returns what a framework computes on."""
    if framework == "distill":
        return provenance.device()
    if framework == "litert":
        return provenance.processor()
    if framework.startswith("pytorch"):
        cuda = sys.modules["torch"].cuda
        return cuda.get_device_name() if cuda.is_available() else provenance.processor()
    config = sys.modules["tensorflow"].config
    for device in config.list_physical_devices("GPU"):
        return config.experimental.get_device_details(device)["device_name"]
    return provenance.processor()


def compare(
    module: str,
    doc: str,
    what: str,
    build: Mapping[str, Callable[[str], Round]],
    examples: Mapping[str, int],
    columns: Mapping[str, Any],
    fits: Callable[[str, str], bool] = lambda framework, model: True,
) -> None:
    """The command of a benchmark in which frameworks take turns at each of some models.

    Args:
      module: whose command it is.
      doc: its docstring, for the help.
      what: is measured, with its unit.
      build: for each of `FRAMEWORKS`, `distill` first, makes what a round of a model does.
      examples: of a round, by model.
      columns: of every row.
      fits: whether a framework has a model.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    parser.add_argument("--models", nargs="+", default=list(examples), choices=examples)
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each framework")
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", choices=build, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        serve(args.worker, lambda: build[args.worker](args.models[0]))
        return
    print(f"{provenance.processor()}, {what}")
    frameworks = installed(build)
    rows: list[dict[str, Any]] = []
    for model in args.models:
        commands = {
            framework: ["-m", module, "--worker", framework, "--models", model]
            for framework in frameworks
            if fits(framework, model)
        }
        of_model = [
            {
                "model": model,
                "framework": framework,
                "version": measured.about["version"],
                **measured.speeds(examples[model]),
                "once_seconds": round(measured.once_seconds, 1),
                **columns,
                "device": provenance.processor(),
                "commit": provenance.commit(),
            }
            for framework, measured in take_turns(commands, args.rounds).items()
        ]
        _print(of_model)
        rows += of_model
    if args.csv:
        write_csv(args.csv, rows)


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a line per framework; the ratio is how many times faster `distill` is."""
    ours = rows[0]["examples_per_second"]
    for row in rows:
        speed, spread = row["examples_per_second"], f"{row['slowest']:,}–{row['fastest']:,}"
        print(
            f"{row['model']:18} {row['framework']:16} {speed:8,} ({spread:>15})"
            f"  distill is {ours / speed:5.2f} x  {row['version']}",
            flush=True,
        )


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of the same columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)
