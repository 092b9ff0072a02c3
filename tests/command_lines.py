"""Answers command lines up to where data would be read; run by a test.

Standard input: JSON, a list of lists: `main` or `search`, and arguments. Standard output: JSON, for
each its exit code and what it wrote. Each is answered by a fork, since flags are parsed once in a
process, and importing JAX takes longer than all else.
"""

import json
import os
import sys
import tempfile
import warnings


def answer(command: str, *arguments: str) -> list:
    """Returns exit code and text of one command line."""
    from distill import cli, main, search  # here, since tests share a process with other flags

    with tempfile.TemporaryFile() as text:
        child = os.fork()
        if not child:
            os.dup2(text.fileno(), 2)
            os.dup2(text.fileno(), 1)
            code = 70
            try:
                sys.argv = ["main", *arguments]
                run = {"main": main.main, "search": search.search}[command]
                cli.run(run, cli.parse_config)
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                sys.stdout.flush()
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        text.seek(0)
        return [os.waitstatus_to_exitcode(status), text.read().decode()]


def check(config, workdir, display, *_):
    """Does what comes before the data are read, in the place of the pipeline."""
    from distill import pipeline, study

    for point in study.expand(config):
        pipeline.find(pipeline.validate(point), display.warn)
    sys.exit(0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of a fork beside threads, of which none is needed
    from distill import candidates, data, pipeline, study

    pipeline.run = check
    study.run = check
    candidates.run = lambda config, *_: candidates.check(config)
    data.sources.network_reachable = lambda: False
    print(json.dumps([answer(*line) for line in json.load(sys.stdin)]))
