"""What a model costs, layer by layer: `python -m distill.summary --config=FILE [--json]`."""

import json
from typing import Any

from absl import flags, logging

from distill import cli, paths
from distill.errors import InputError

CONFIG = cli.define_config()
ROLE = flags.DEFINE_enum(
    "role", None, ["teacher", "student"], "Which of its models; by default the student, if any."
)
CHECKPOINTS = flags.DEFINE_string(
    "checkpoints",
    None,
    "Instead of --config: a directory of trained weights, such as "
    "runs/simplenet_v4/checkpoints/student; those that are zero are counted too.",
)
JSON = flags.DEFINE_bool("json", False, "Print one line of JSON instead of a table.")

HEADER = ("layer", "kind", "output", "parameters", "non-zero", "MACs", "activation bytes")
NOTE = (
    "For one example. MACs: convolutions and dense layers, taps on padding included; batch "
    "normalisation has none, being folded into them. Parameters: trainable weights."
)


def main(argv: list[str]) -> None:
    """Prints the table, or the line of JSON."""
    del argv
    logging.set_verbosity(logging.WARNING)
    described = trained(CHECKPOINTS.value) if CHECKPOINTS.value else configured(CONFIG.value)
    print(json.dumps(described) if JSON.value else table(described))


def configured(config: Any) -> dict[str, Any]:
    """Counts a model of a configuration, for images of the configured data set."""
    from distill import data, evaluation, models, validation

    settings = validation.validate(config)
    trained = [role for role in evaluation.roles(settings) if role != "compressed"]
    section = config[ROLE.value or trained[-1]]
    shape, num_classes = data.shape(config)
    model = models.build(section.model, section.args, num_classes=num_classes)
    return _describe(section.model, model, shape)


def trained(directory: str) -> dict[str, Any]:
    """Counts a trained model, or the first member of an ensemble."""
    import sys

    from distill.training import trained as training

    path = paths.trained(directory, "--checkpoints")
    path = path / "steps" if (path / "steps").is_dir() else path
    found = training.load(path, lambda line: print(line, file=sys.stderr))
    shape, name = found.about.input_shape, found.about.model
    return _describe(name, found.model, shape, found.members[0]["params"])


def table(described: dict[str, Any]) -> str:
    """Lays out what `configured` or `trained` returns."""
    total = {"name": "total", "kind": "", "output": None, **described}
    rows = [HEADER, *map(_cells, [*described["layers"], total])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    title = f"{described['model']}, input {_product(described['input_shape'])}"
    return "\n".join([title, "", *lines, "", NOTE])


def _describe(name, model, shape, params=None) -> dict[str, Any]:
    from distill import cost

    layers = cost.layers(model, shape, params)
    sums = {
        field: sum(getattr(layer, field) for layer in layers)
        for field in ("num_params", "macs", "activation_bytes")
    }
    nonzeros = None if params is None else sum(layer.nonzeros or 0 for layer in layers)
    return {
        "model": name,
        "input_shape": shape,
        **sums,
        "nonzeros": nonzeros,
        "layers": [layer._asdict() for layer in layers],
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = (row[key] for key in ("num_params", "nonzeros", "macs", "activation_bytes"))
    counts = ["–" if number is None else f"{number:,}" for number in numbers]
    return (row["name"], row["kind"], _product(row["output"] or ()), *counts)


def _product(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def parse(argv: list[str]) -> list[str]:
    """Parses flags of which one says where the model comes from."""
    rest = cli.parse(argv)
    if CHECKPOINTS.value and flags.FLAGS["config"].present:
        raise InputError("--config and --checkpoints are both given; choose one")
    if not CHECKPOINTS.value:
        cli.require_config()
    return rest


if __name__ == "__main__":
    cli.run(main, parse)
