"""Accuracy against bytes: distillation, compression, and both in several orders.

    python -m experiments.pareto             # one seed; --seeds=3 for three
    python -m experiments.pareto --quick     # a minute or two, for a look
    python -m experiments.pareto --notrain   # only collects and measures what is there

The teacher and the five students are trained once for each seed, by the recipes of their
configurations; then the stage `compress` runs chains of methods, each followed by a few epochs of
fine-tuning, from the same weights. Chains that begin alike share their beginning. What is complete
in --workdir is not trained again. At the end all files are timed in turns, and results/pareto.csv,
docs/pareto.md and its picture are written.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from distill import presets
from distill.errors import InputError
from distill.progress import Display
from experiments import driver, options, pages, pareto_page

Step = Mapping[str, Any]

EPOCHS = {pareto_page.TEACHER: 1}  # of the fine-tuning after each step, else 3; not tuned

FILTERS = {"method": "filters", "score": "taylor", "amount": 0.5}
FEW_FILTERS = {**FILTERS, "amount": 0.8, "rounds": 3, "schedule": "polynomial"}
SVD = {"method": "svd", "layers": "hidden", "rank": 32}
MERGE = {"method": "merge", "amount": 0.5}
MAGNITUDE = {"method": "magnitude", "amount": 0.9}
CLUSTER = {"method": "cluster", "num_clusters": 16}
QUANTIZE = {"method": "quantize"}

ONE_FILTER = {**FILTERS, "amount": 0.3, "layers": "conv1"}
SVD_LOGITS = {"method": "svd", "layers": "logits", "rank": 5}
HALF = {**MAGNITUDE, "amount": 0.5}

FROM_TEACHER: dict[str, Sequence[Step]] = {
    "int8": (QUANTIZE,),
    "filters, int8": (FILTERS, QUANTIZE),
    "SVD, int8": (SVD, QUANTIZE),
    "magnitude, clusters": (MAGNITUDE, CLUSTER),
    "clusters": (CLUSTER,),
    "merging, int8": (MERGE, QUANTIZE),
    "few filters, int8": (FEW_FILTERS, QUANTIZE),
    "filters, SVD, int8": (FILTERS, SVD, QUANTIZE),
    "SVD, filters, int8": (SVD, FILTERS, QUANTIZE),
    "filters, magnitude, clusters": (FILTERS, MAGNITUDE, CLUSTER),
    "magnitude, filters, clusters": (MAGNITUDE, FILTERS, CLUSTER),
    "few filters, magnitude, clusters": (FEW_FILTERS, HALF, CLUSTER),
    "few filters, SVD, magnitude, clusters": (FEW_FILTERS, SVD, HALF, CLUSTER),
}
FROM_STUDENT: dict[str, Sequence[Step]] = {
    "int8": (QUANTIZE,),
    "clusters": (CLUSTER,),
    "magnitude, clusters": (HALF, CLUSTER),
}
FROM_V1: dict[str, Sequence[Step]] = {
    **FROM_STUDENT,
    "filters, int8": (ONE_FILTER, QUANTIZE),
    "filters, SVD, int8": (ONE_FILTER, SVD_LOGITS, QUANTIZE),
    "SVD, filters, int8": (SVD_LOGITS, ONE_FILTER, QUANTIZE),
    "magnitude, int8": (HALF, QUANTIZE),
    "filters, magnitude, clusters": (ONE_FILTER, HALF, CLUSTER),
}
FROM_V5: dict[str, Sequence[Step]] = {
    **FROM_STUDENT,
    # Half of its pool0 are 8 weights: fewer than the clusters.
    "magnitude, clusters": (HALF, {**CLUSTER, "layers": "!pool0"}),
}
CHAINS: dict[str, dict[str, Sequence[Step]]] = {
    pareto_page.TEACHER: FROM_TEACHER,
    "simplenet_v1": FROM_V1,
    **{f"simplenet_v{i}": FROM_STUDENT for i in range(2, 5)},
    "simplenet_v5": FROM_V5,
}
QUICK = {pareto_page.TEACHER: 4, "simplenet_v1": 4}  # of the chains of each


class Chain(NamedTuple):
    """A network to begin with, and what is done to it.

    Attributes:
      start: a key of `CHAINS`.
      name: of the steps, a key of what stands there.
      config: of its run.
      directory: of the run, which the chains of a start share.
    """

    start: str
    name: str
    config: ConfigDict
    directory: str


def runs(seeds: Sequence[int], epochs: int | None = None, quick: bool = False) -> Iterator[Chain]:
    """Yields every chain; those of a start and seed follow one another."""
    for start, chains in CHAINS.items():
        number = QUICK.get(start, 0) if quick else len(chains)
        for seed in seeds:
            for name, steps in list(chains.items())[:number]:
                config = _start(start, "quick" if quick else None)
                config.stages, config.seed = "student,compress,evaluate", seed
                if start != pareto_page.TEACHER:
                    config.stages = f"teacher,{config.stages}"
                config.student.epochs = epochs or config.student.epochs
                config.fine_tune.epochs = 1 if quick else EPOCHS.get(start, 3)
                config.compress = steps
                yield Chain(start, name, config, f"{start}-{seed}")


def _start(start: str, arg: str | None) -> ConfigDict:
    if start == pareto_page.TEACHER:
        return presets.teacher_to_compress(arg)
    return presets.simplenet(int(start[-1]), arg)


def row(start: str, name: str, steps: Sequence[Step], record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a record of the stage says of where a chain ends."""
    columns = (
        "accuracy", "int8_accuracy", "num_params", "nonzeros", "macs", "float32_bytes",
        "float32_gzip_bytes", "int8_bytes", "int8_gzip_bytes", "packed_bytes",
    )  # fmt: skip
    return {
        "start": start,
        "chain": name,
        "steps": json.dumps([dict(step) for step in steps]),
        **{column: record[column] for column in columns},
    }


def outcome(
    chain: Chain, workdir: pathlib.Path, train: bool, display: Display
) -> tuple[dict[str, Any], pathlib.Path]:
    """Runs a chain, or reads what it left; all chains of a start write into one directory.

    Returns:
      The contents of its `results.json`, and the directory of its last files.

    Raises:
      InputError: if it was not run and is not to be, or what it left is damaged.
    """
    from distill import run  # imports JAX, which --help can do without
    from distill.compress import rounds, stage

    path = workdir / "chains" / f"{chain.name.replace(', ', '-').replace(' ', '_')}.json"
    if train:
        found = pages.results(chain.config, workdir, True, display)
        last = stage.last_checkpoints(workdir).relative_to(workdir)
        path.parent.mkdir(exist_ok=True)
        run.write(path, rounds.sealed({"results": found, "last": str(last)}))
    if not path.exists():
        raise InputError(f"{path} is missing; leave out --notrain")
    kept = rounds.read_record(path)
    return kept["results"], workdir / kept["last"]


def collect(
    chains: Iterator[Chain], workdir: pathlib.Path, train: bool, display: Display
) -> tuple[list[dict[str, Any]], list[pathlib.Path]]:
    """Returns a row for each start and each chain, without times, and where their files lie."""
    from distill.compress import rounds

    rows: list[dict[str, Any]] = []
    directories: list[pathlib.Path] = []
    before = None
    for chain in chains:
        place = workdir / chain.directory
        found, last = outcome(chain, place, train, display)
        model = found["models"]["student"]
        shared = {
            "test_images": sum(map(sum, model["confusion_matrix"])),
            "fine_tune_epochs": chain.config.fine_tune.epochs,
            **pages.columns(chain.config, place, found),
        }
        if before != place:
            rows.append({**row(chain.start, "", (), found["compress"][0]), **shared})
            directories.append(place / rounds.DIRECTORY / "original")
        before = place
        steps = chain.config.compress
        rows.append({**row(chain.start, chain.name, steps, found["compress"][-1]), **shared})
        directories.append(last)
    return rows, directories


PAGE = pages.Page("pareto", pareto_page.TABLES, pareto_page.draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains, compresses and measures; returns the rows."""
    from distill.compress import measure  # imports JAX, which --help can do without

    chains = runs(options.seeds(1), options.EPOCHS.value, call.quick)
    rows, directories = collect(chains, call.workdir, call.train, call.display)
    for found, times in zip(rows, measure.latencies(directories), strict=True):
        found.update({name: round(time, 2) for name, time in times.items()})
    return rows


if __name__ == "__main__":
    driver.run(PAGE, measured)
