"""Looks for small networks: `python -m distill.search --config=FILE [--shard=i/n]`."""

import os

from absl import logging

from distill import cli, main, paths, shards
from distill.progress import Display


def search(argv: list[str]) -> None:
    """Runs the search that a configuration describes, or a shard of it; see `candidates`."""
    del argv
    config, workdir = main.CONFIG.value, main.given_workdir()
    paths.require_writable(workdir, "--workdir")
    main.check_teachers(config.teacher.directory)
    logging.set_verbosity(logging.WARNING)
    part = shards.shard(main.SHARD.value, os.environ)
    from distill import candidates  # imports JAX, which --help can do without

    display = Display()
    display.say(str(candidates.run(config, workdir, display, part)))


if __name__ == "__main__":
    cli.run(search, cli.parse_config)
