"""How long a bundle takes for an image, and how much memory, measured on this machine."""

import concurrent.futures
import gc
import multiprocessing
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from distill.export import bundle as bundles
from distill.export import flatbuffer, runtime
from distill.export.bundle import Bundle

WARM_UP_S = 0.2  # until clocks and caches have settled
SETTLE_RUNS = 20  # at the start of a turn, after others have had the caches


class Latency(NamedTuple):
    """Microseconds for one image, and how many runs these are the median and 90th percentile of."""

    p50: float
    p90: float
    runs: int


def measure(models: Mapping[str, Bundle], threads: int, rounds: int, runs: int) -> list[Latency]:
    """Measures how long bundles take; see `alternate`.

    Measured is the run of the interpreter alone, on the golden input; not what comes before.

    Args:
      models: bundles by name.
      threads: of each interpreter.
      rounds, runs: as for `alternate`.

    Returns:
      One for each bundle, in their order.
    """
    return alternate(
        [runtime.runner(b.model, b.golden_input, threads) for b in models.values()], rounds, runs
    )


def profile(bundle: Bundle, rounds: int, runs: int) -> list[tuple[str, float]]:
    """Returns the operators of a file, in order, and what each adds to the median in microseconds.

    The runtime does not tell from Python. So the file is cut behind each operator, and the
    differences between the times of the pieces are taken; the first has that of a call.

    Args:
      bundle: what to measure, with one thread.
      rounds, runs: as for `alternate`.
    """
    pieces = flatbuffer.prefixes(bundle.model)
    runners = [runtime.runner(model, bundle.golden_input) for _, model in pieces]
    until = [latency.p50 for latency in alternate(runners, rounds, runs)]
    return [(name, t) for (name, _), t in zip(pieces, np.diff(until, prepend=0.0), strict=True)]


def alternate(runners: list[Callable[[], None]], rounds: int, runs: int) -> list[Latency]:
    """Times functions in alternated rounds, so that all of them meet the same machine.

    Args:
      runners: what to time.
      rounds: how many turns each of them has.
      runs: how many times it runs in a turn.
    """
    times = np.empty((len(runners), rounds, runs), np.int64)
    for run in runners:
        end = time.perf_counter() + WARM_UP_S
        while time.perf_counter() < end:
            run()
    gc.disable()
    try:
        for turn in range(rounds):
            for i, run in enumerate(runners):
                times[i, turn] = _turn(run, runs)
    finally:
        gc.enable()
    p50, p90 = np.percentile(times.reshape(len(runners), -1), (50, 90), axis=1) / 1000
    return [Latency(float(a), float(b), rounds * runs) for a, b in zip(p50, p90, strict=True)]


def _turn(run: Callable[[], None], runs: int) -> list[int]:
    for _ in range(SETTLE_RUNS):
        run()
    clock, times = time.perf_counter_ns, []
    for _ in range(runs):
        start = clock()
        run()
        times.append(clock() - start)
    return times


def peak_memory(directory: pathlib.Path) -> int | None:
    """Returns by how many bytes a fresh process grows at most as it opens and runs a bundle.

    None where the system does not tell: this is read from Linux's `/proc`.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_memory, directory).result()


def _peak_memory(directory: pathlib.Path) -> int | None:
    bundle = bundles.read(directory)
    runtime.load()  # the library's own memory is not the model's
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        before = _peak()
        runtime.runner(bundle.model, bundle.golden_input)()
        return _peak() - before
    except OSError:
        return None


def _peak() -> int:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("VmHWM:"))
    return int(found.split()[1]) * 1024
