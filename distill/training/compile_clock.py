"""How long this process has spent compiling, so that it is reported apart from training."""

from typing import Any

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"
_durations: list[float] = []


def seconds() -> float:
    """Returns the seconds spent in the compiler since this module was imported."""
    return sum(_durations)


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    if event == _EVENT:
        _durations.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)
