"""Where what is compiled once per machine is kept, and when a process lets go of it."""

import os
import pathlib

import jax

SWITCH = "DISTILL_CACHE_DIR"
MAPPINGS = pathlib.Path("/proc/self/maps")  # of the memory of this process, a line each
MOST_MAPPINGS = pathlib.Path("/proc/sys/vm/max_map_count")


def directory() -> pathlib.Path:
    """Returns the folder: `DISTILL_CACHE_DIR`, or `distill` where the system keeps caches."""
    if os.environ.get(SWITCH):
        return pathlib.Path(os.environ[SWITCH]).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(root).expanduser() / "distill"


def keep_programs() -> pathlib.Path | None:
    """Has JAX keep the programs that it compiles, for the next run of the same on this machine.

    Returns:
      The folder, or None where JAX has been told another one, or this one cannot be written.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return None
    folder = directory() / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder


def let_go() -> None:
    """Drops the compiled programs of this process before Linux lets it map no more memory.

    Each program is a thousand mappings, of which a process may have 65,530: a sweep of sixty
    networks would end with a fault of the compiler. What is needed again comes from the folder.
    """
    try:
        most, lines = int(MOST_MAPPINGS.read_text()), MAPPINGS.read_text().count("\n")
    except (OSError, ValueError):  # another system
        return
    if lines > most / 2:
        jax.clear_caches()
