"""Answers command lines of Python by forks of this process, which has imported what takes seconds.

Standard input: for each a line of JSON, `[arguments, environment]`, as of `python ARGUMENTS`.
Standard output: for each a line of JSON, `[exit code, stdout, stderr, imported modules]`. What a
library reads from the environment when it is imported, as JAX does with `JAX_PLATFORMS`, is that of
this process.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
import warnings

import distill.candidates  # noqa: F401 # and with it JAX, Flax, Orbax and Optuna


def answer(arguments: list[str], environment: dict[str, str]) -> list:
    """Runs a command line to its end; returns exit code, texts and the modules it had imported."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryFile() as modules:  # fmt: skip
        child = _fork()
        if not child:
            for fd, file in enumerate((open(os.devnull), out, err)):  # noqa: SIM115
                os.dup2(file.fileno(), fd)
            os.environ.clear()
            os.environ.update(environment)
            code = _run(*arguments)
            modules.write("\n".join(sys.modules).encode())
            for file in (modules, sys.stdout, sys.stderr):
                file.flush()
            os._exit(code)
        status = os.waitpid(child, 0)[1]
        texts = []
        for file in (out, err, modules):
            file.seek(0)
            texts.append(file.read().decode())
        return [os.waitstatus_to_exitcode(status), *texts[:2], texts[2].split("\n")]


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fork beside threads, of which none is needed
        return os.fork()


def _run(how: str, what: str, *arguments: str) -> int:
    """Does what `python -m MODULE` or `python -c CODE` does, and returns the exit code."""
    sys.argv = [how, *arguments]
    try:
        if how == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as error:
        if isinstance(error.code, int | None):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)
