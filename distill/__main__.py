"""The command `distill`, of which each word is a module: `distill train` is `distill.main`."""

import runpy
import sys

import distill
from distill.errors import unknown

COMMANDS = {
    "train": ("distill.main", "trains a teacher, distils a student and reports"),
    "sweep": ("distill.sweep", "trains many students of one configuration"),
    "search": ("distill.search", "looks for small networks by an evolutionary algorithm"),
    "export": ("distill.export", "exports the model of a finished run"),
    "benchmark": ("distill.benchmark", "measures exported bundles on this machine"),
    "serve": ("distill.serve", "serves a page that tries bundles in the browser"),
    "summary": ("distill.summary", "says what a model costs, layer by layer"),
}


def main() -> None:
    """Runs the module that the first word stands for, with the rest of the command line."""
    words = sys.argv[1:]
    if not words or words[0] in ("--help", "-h", "-help"):
        print(usage())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        print(distill.__version__)
        return
    if words[0] not in COMMANDS:
        print(f"error: {unknown('command', words[0], COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"distill {words[0]}", *words[1:]]
    runpy.run_module(COMMANDS[words[0]][0], run_name="__main__", alter_sys=True)


def usage() -> str:
    """Returns the commands, a line for each."""
    lines = [f"  distill {name:<10} {does}" for name, (_, does) in COMMANDS.items()]
    return "\n".join(["Usage: distill COMMAND [FLAGS]; --help says which", "", *lines])


if __name__ == "__main__":
    main()
