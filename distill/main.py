"""Trains a teacher, distils a student and reports: `python -m distill.main --config=FILE`."""

import os
import pathlib

from absl import flags, logging
from ml_collections import ConfigDict, config_flags
from rich.console import Console

from distill import cli, paths, provenance, shards
from distill import config as configs
from distill.errors import InputError
from distill.progress import Display
from distill.report import tables

CONFIG = cli.define_config()
SHARD = flags.DEFINE_string(
    "shard", None, "Part i/n of a sweep, counted from 0; by default what a scheduler says, or all."
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the run; by default runs/ and the name of the configuration."
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "One of several processes that make one training together. What the next "
    "three flags do not say is asked of Slurm, Open MPI, a TPU pod or Kubernetes.",
)  # fmt: skip
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of the first process.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")


def main(argv: list[str]) -> None:
    """Runs the pipeline and ends with the table of results and the paths; or runs a sweep."""
    del argv
    config, display = CONFIG.value, Display()
    if "search" in config:  # which nothing here would look at
        raise InputError("the configuration is of a search: use python -m distill.search")
    workdir = given_workdir()
    paths.require_writable(workdir, "--workdir")
    check_teachers(config.teacher.directory)
    logging.set_verbosity(logging.WARNING)
    distributed = (COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    together = DISTRIBUTED.value or any(value is not None for value in distributed)
    if configs.is_sweep(config):
        if together:
            raise InputError("a sweep is divided by --shard=i/n; --distributed is of one training")
        sweep(config, workdir, display, shards.shard(SHARD.value, os.environ))
        return
    if SHARD.value:
        raise InputError(f"--shard={SHARD.value} is of a sweep; give --config.sweep.seeds or .axes")
    from distill import evaluation, pipeline, processes  # import JAX, which --help can do without
    from distill.export import exporter

    if together:
        processes.start(*distributed)
        display = display if processes.is_first() else Display(Console(quiet=True))
    failed = None
    try:
        results = pipeline.run(config, workdir, display)
    except exporter.NotProven as error:  # of a format of the export; the results are there
        results, failed = evaluation.read_results(workdir), error
    if results:
        display.console.print(*tables.terminal(results), sep="\n")
    for path in sorted(workdir.glob("[!.]*")):
        display.say(str(path))
    if failed:
        raise failed


def sweep(
    config: ConfigDict, workdir: pathlib.Path, display: Display, part: tuple[int, int]
) -> None:
    """Trains the students of a sweep, on a CPU with one device per core."""
    provenance.make_a_device_of_each_core()
    from distill import study

    display.say(str(study.run(config, workdir, display, part)))


def given_workdir() -> pathlib.Path:
    """Returns the directory that `--workdir` names, or the default one.

    Raises:
      InputError: if nothing can be trained in a directory of this name.
    """
    return paths.trained(WORKDIR.value or default_workdir(), "--workdir")


def check_teachers(directory: str) -> None:
    """Raises `InputError` if the directory of teachers can neither be made nor be one."""
    if directory:
        path = paths.trained(directory, "teacher.directory")
        if not os.path.isdir(path):  # one that cannot be written may hold what is needed
            paths.require_writable(path, "teacher.directory")


def default_workdir() -> str:
    """Returns `runs/NAME`, or `runs/NAME-ARGUMENT` for `NAME.py:ARGUMENT`."""
    path, _, argument = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    name = pathlib.Path(path).stem
    return f"runs/{name}-{argument.replace(',', '-')}" if argument else f"runs/{name}"


if __name__ == "__main__":
    cli.run(main, cli.parse_config)
