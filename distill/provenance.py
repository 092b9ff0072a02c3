"""Where something was measured or made, and with which code."""

import functools
import os
import pathlib
import platform
import subprocess

import distill


def device() -> str:
    """Returns the accelerator's name, or the processor's with the number of cores it may use."""
    import jax

    kinds = [device.device_kind for device in jax.devices()]
    if jax.default_backend() != "cpu":
        return kinds[0] if len(kinds) == 1 else f"{len(kinds)} x {kinds[0]}"
    return processor()


def processor() -> str:
    """Returns the processor's name and the number of cores that this process may run on."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def cores() -> int:
    """Returns how many cores this process may run on: fewer than the machine's under `taskset`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def commit() -> str:
    """Returns the commit of the code, marked where the working tree differs from it.

    It is looked up once, as the code is read once: commands that run for long ask at their
    beginning. Where the code is installed without its history, the version of the package: also
    where it is installed below the checkout of another project, whose commit says nothing of it.
    """
    checkout = pathlib.Path(distill.__file__).resolve().parents[1]
    try:
        if pathlib.Path(_git(checkout, "rev-parse", "--show-toplevel")).resolve() == checkout:
            return _git(checkout, "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"version {distill.__version__}"


def _git(folder: pathlib.Path, *arguments: str) -> str:
    command = ["git", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    return found.stdout.strip()


def make_a_device_of_each_core() -> None:
    """Has JAX see a CPU as one device for each core; it has to be said before JAX is imported."""
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(cores()))
