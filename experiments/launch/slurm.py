"""Submits the shards of a sweep as a Slurm array, or runs them on this machine.

    python -m experiments.launch.slurm --config=configs/thesis_study.py:students \\
        --workdir=/shared/runs/thesis --shards=8 --partition=gpu --gpus=1 --hours=4

Needs `pip install -e '.[slurm]'`. The working directory has to be one that every node sees. A shard
that Slurm preempts or that runs out of time is queued again and goes on where it stopped; a sweep
that was submitted twice trains nothing twice.
"""

import pathlib
import subprocess
import sys

from absl import flags
from ml_collections import config_flags

from distill import cli, main
from distill import config as configs
from distill.errors import InputError, one_line

EXECUTOR = flags.DEFINE_enum(
    "executor",
    "auto",
    ["auto", "slurm", "local"],
    "Where; auto: Slurm if there is srun, else here.",
)
SHARDS = flags.DEFINE_integer("shards", 1, "How many jobs the students are divided among.")
PARALLEL = flags.DEFINE_integer("parallel", 64, "How many of them may run at the same time.")
PARTITION = flags.DEFINE_string("partition", None, "Slurm's partition; by default its own default.")
HOURS = flags.DEFINE_float("hours", 4.0, "Time limit of a job.")
GPUS = flags.DEFINE_integer("gpus", 0, "Accelerators of a job.")
CPUS = flags.DEFINE_integer("cpus", 4, "Processor cores of a job.")
MEMORY_GB = flags.DEFINE_integer("memory_gb", 16, "Memory of a job.")


def launch(argv: list[str]) -> None:
    """Submits the jobs and says where their output is; waits for those on this machine."""
    del argv
    if not configs.is_sweep(main.CONFIG.value):
        raise InputError("the configuration has no sweep; give --config.sweep.seeds or .axes")
    for flag in (SHARDS, PARALLEL):
        if flag.value < 1:
            raise InputError(f"--{flag.name} is {flag.value}; it must be 1 or more")
    try:
        import submitit
    except ImportError as error:
        raise InputError("submitit is missing; pip install -e '.[slurm]'") from error

    logs = pathlib.Path(main.WORKDIR.value or main.default_workdir()) / "launch"
    kind = None if EXECUTOR.value == "auto" else EXECUTOR.value
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=kind)
        executor.update_parameters(
            name="distill",
            timeout_min=max(1, round(60 * HOURS.value)),
            cpus_per_task=CPUS.value,
            gpus_per_node=GPUS.value,
            mem_gb=MEMORY_GB.value,
            slurm_partition=PARTITION.value,
            slurm_array_parallelism=PARALLEL.value,
        )
        jobs = executor.map_array(Job(command()), shards())
    except (OSError, RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise InputError(f"the jobs cannot be submitted: {one_line(error)}") from error
    for shard, job in zip(shards(), jobs, strict=True):
        print(f"shard {shard}: job {job.job_id}, output in {job.paths.stdout}")
    if executor.cluster == "local":
        failed = [job for job in jobs if job.exception() is not None]
        if failed:
            raise InputError(
                f"{len(failed)} of {len(jobs)} shards failed; see {failed[0].paths.stderr}"
            )


def shards() -> list[str]:
    """Returns what `--shard` is for each job."""
    return [f"{i}/{SHARDS.value}" for i in range(SHARDS.value)]


def command() -> list[str]:
    """Returns the command of a job but for its shard, with the flags that were given here."""
    given = flags.FLAGS["config"]
    overrides = config_flags.get_override_values(given)
    return [
        sys.executable, "-m", "distill.sweep",
        f"--config={config_flags.get_config_filename(given)}",
        *(f"--config.{key}={value}" for key, value in overrides.items()),
        f"--workdir={main.WORKDIR.value or main.default_workdir()}",
    ]  # fmt: skip


class Job:
    """What runs a shard on a node, and says how Slurm queues it again when it is stopped."""

    def __init__(self, command: list[str]):
        self._command = command

    def __call__(self, shard: str) -> None:
        subprocess.run([*self._command, f"--shard={shard}"], check=True)

    def checkpoint(self, shard: str):
        """Called by submitit before the job is stopped; the sweep itself has saved what it did."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, shard)


if __name__ == "__main__":
    cli.run(launch, cli.parse_config)
