"""Exports the model of a finished run: `python -m distill.export --workdir=DIR`."""

from absl import flags, logging

from distill import cli, paths
from distill.errors import InputError
from distill.progress import Display
from distill.report import tables

WORKDIR = flags.DEFINE_string("workdir", None, "Directory of a finished run.")
ROLE = flags.DEFINE_enum("role", "student", ["student", "teacher"], "Which of its models.")
FORMATS = flags.DEFINE_string(
    "formats", None, "Some of float32,float16,dynamic,int8,int4; by default, as set."
)
OUTPUT = flags.DEFINE_string("output", None, "probabilities or logits; by default, as set.")
LABELS = flags.DEFINE_list("labels", None, "Names of the classes; by default, the data set's.")
TO = flags.DEFINE_string("to", None, "Directory for a copy of the bundle; needs a single format.")


def main(argv: list[str]) -> None:
    """Exports, and ends with the proofs as a table."""
    del argv
    from distill import (  # import JAX, which --help can do without
        data,
        numerics,
        pipeline,
        validation,
    )
    from distill.export import bundle
    from distill.run import Run, alone, configuration

    logging.set_verbosity(logging.WARNING)
    if not WORKDIR.value:
        raise InputError("--workdir is missing; it is the directory of a finished run")
    workdir, display = paths.trained(WORKDIR.value, "--workdir"), Display()
    to = paths.local(TO.value, "--to") if TO.value else None
    if to:
        paths.require_writable(to, "--to")
        bundle.check_replaceable(to)
    config = configuration(workdir)
    given = {"formats": FORMATS.value, "output": OUTPUT.value, "labels": LABELS.value}
    config.export.update({k: v for k, v in given.items() if v is not None})
    settings = validation.validate(config)
    numerics.pin()
    if to and len(settings.formats) != 1:
        of = ",".join(settings.formats)
        raise InputError(f"--to takes one bundle; name one of {of} as --formats")
    sources = data.find(config, display.warn)
    dataset = data.load(config, *sources, display.warn, display.work)
    run = Run(settings, workdir, dataset, display)
    with alone(workdir):
        proofs = pipeline.export(run, ROLE.value)
    display.console.print(tables.exported(proofs))
    if to:
        bundle.write(to, bundle.read(pipeline.exported(run, ROLE.value) / settings.formats[0]))
        display.say(str(to))


if __name__ == "__main__":
    cli.run(main, cli.parse)
