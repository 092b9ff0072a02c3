"""Flags that the experiments share; each says at its top what they are by default."""

import pathlib

from absl import flags

from distill.errors import InputError

SEEDS = flags.DEFINE_integer("seeds", None, "How many seeds.")
EPOCHS = flags.DEFINE_integer("epochs", None, "By default those of the recipe.")
NETWORKS = flags.DEFINE_list("networks", None, "Some of them; by default all.")
INIT = flags.DEFINE_string("init", None, "Weights to begin with: a file, or a run.")
QUICK = flags.DEFINE_bool("quick", False, "Seconds, on few images; results stay in --workdir.")
TRAIN = flags.DEFINE_bool("train", True, "Train what is missing, or only collect what is there.")
WORKDIR = flags.DEFINE_string("workdir", None, "By default in runs, named by the experiment.")


def workdir(name: str) -> pathlib.Path:
    """Returns the directory for the runs of an experiment."""
    return pathlib.Path(WORKDIR.value or f"runs/{name}{'-quick' if QUICK.value else ''}")


def seeds(default: int) -> range:
    """Returns the seeds to train with.

    Raises:
      InputError: if there are none.
    """
    number = default if SEEDS.value is None else SEEDS.value
    if number < 1:
        raise InputError(f"--seeds is {number}; it must be 1 or more")
    return range(number)
