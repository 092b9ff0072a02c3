"""Where what is compiled once per machine is kept."""

import os
import pathlib

SWITCH = "DISTILL_CACHE_DIR"


def directory() -> pathlib.Path:
    """Returns the folder: `DISTILL_CACHE_DIR`, or `distill` where the system keeps caches."""
    if os.environ.get(SWITCH):
        return pathlib.Path(os.environ[SWITCH]).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(root).expanduser() / "distill"
