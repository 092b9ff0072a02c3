"""Runs a sweep, or a shard of it: `python -m distill.sweep --config=FILE --shard=i/n`."""

from distill import cli, main
from distill import config as configs
from distill.errors import InputError


def sweep(argv: list[str]) -> None:
    """Does what `distill.main` does, and refuses a configuration that is of a single student."""
    if not configs.is_sweep(main.CONFIG.value):
        raise InputError("the configuration has no sweep; give --config.sweep.seeds or .axes")
    main.main(argv)


if __name__ == "__main__":
    cli.run(sweep, cli.parse_config)
