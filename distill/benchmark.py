"""Measures exported bundles on this machine: `python -m distill.benchmark BUNDLE...`."""

import json
import pathlib
import re
from typing import Any

from absl import flags
from rich.table import Table

from distill import cli, paths
from distill.errors import InputError
from distill.progress import Display

THREADS = flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads to measure with.")
ROUNDS = flags.DEFINE_integer("rounds", 10, "Turns of each bundle.", lower_bound=1)
RUNS = flags.DEFINE_integer("runs", 500, "Runs of a bundle in a turn.", lower_bound=1)
PROFILE = flags.DEFINE_bool("profile", True, "Whether to measure operator by operator too.")
JSON = flags.DEFINE_string("json", None, "File to write everything to.")


def main(argv: list[str]) -> None:
    """Prints a table of the bundles, and one of operators for each."""
    if len(argv) < 2:
        raise InputError("name one or more bundles, for example runs/simplenet_v4/export/int8")
    if not all(re.fullmatch("[1-9][0-9]{0,2}", text) for text in THREADS.value):
        raise InputError(
            f"--threads is {','.join(THREADS.value)}; it must be numbers from 1 to 999, like 1,2"
        )
    if JSON.value:
        paths.require_writable_file(paths.local(JSON.value, "--json"), "--json")
    display = Display()
    bundles = [paths.local(word, "a bundle") for word in argv[1:]]
    found = measure(bundles, list(map(int, THREADS.value)))
    display.say(f"{found['device']}; {ROUNDS.value} alternated rounds of {RUNS.value} runs")
    display.console.print(overview(found["bundles"]))
    for bundle in found["bundles"]:
        if "operators" in bundle:
            display.console.print(operators(bundle))
    if JSON.value:
        text = json.dumps(found, indent=1) + "\n"
        paths.local(JSON.value, "--json").write_text(text, encoding="utf-8")


def measure(paths: list[pathlib.Path], threads: list[int]) -> dict[str, Any]:
    """Reads, tests and measures bundles; returns what `--json` writes."""
    from distill import provenance
    from distill.export import bundle as bundles
    from distill.export import latency
    from distill.export.runtime import Model

    models = {str(path): bundles.read(path) for path in paths}
    for bundle in models.values():
        Model(bundle).check_golden(bundle)
    measured = {n: latency.measure(models, n, ROUNDS.value, RUNS.value) for n in threads}
    rows = []
    for i, (path, bundle) in enumerate(models.items()):
        row: dict[str, Any] = {
            "path": path,
            "name": bundle.manifest["name"],
            "bytes": len(bundle.model),
            "latency_us": {str(n): measured[n][i]._asdict() for n in threads},
            "peak_memory_bytes": latency.peak_memory(pathlib.Path(path)),
        }
        if PROFILE.value:
            profile = latency.profile(bundle, ROUNDS.value, RUNS.value)
            row["operators"] = [{"operator": name, "us": us} for name, us in profile]
        rows.append(row)
    return {"device": provenance.processor(), "commit": provenance.commit(), "bundles": rows}


def overview(rows: list[dict[str, Any]]) -> Table:
    """Lays out a line for each bundle."""
    table = Table()
    for name in ("bundle", "bytes", "threads", "median us", "p90 us", "peak memory"):
        table.add_column(name, justify="left" if name == "bundle" else "right")
    for row in rows:
        memory = row["peak_memory_bytes"]
        table.add_row(
            row["name"],
            f"{row['bytes']:,}",
            "\n".join(row["latency_us"]),
            "\n".join(f"{found['p50']:.1f}" for found in row["latency_us"].values()),
            "\n".join(f"{found['p90']:.1f}" for found in row["latency_us"].values()),
            "–" if memory is None else f"{memory / 1024:,.0f} KiB",
        )
    return table


def operators(row: dict[str, Any]) -> Table:
    """Lays out what each operator of a bundle adds to the median."""
    table = Table("operator", title=row["name"], title_justify="left")
    table.add_column("us", justify="right")
    for operator in row["operators"]:
        table.add_row(operator["operator"], f"{operator['us']:.1f}")
    return table


if __name__ == "__main__":
    cli.run(main, cli.parse_words)
