"""An evolutionary algorithm with several objectives: NSGA-II (Deb et al. 2002).

Which candidates are looked at follows from a seed and from what the earlier ones were found to be,
and from nothing else. So a search that was killed goes the same way again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill.errors import InputError

Genes = dict[str, Any]


class Evolution:
    """Generations of candidates, each bred from the best of those before; Optuna's NSGA-II."""

    def __init__(self, space: Mapping[str, Sequence[Any]], objectives: int, size: int, seed: int):
        """Begins at random.

        Args:
          space: the values that each gene may have.
          objectives: how many numbers a candidate is judged by; all are to be low.
          size: of a generation.
          seed: of all choices.

        Raises:
          InputError: if Optuna is not installed.
        """
        try:
            import optuna
        except ImportError as error:
            raise InputError("a search needs optuna: pip install 'distill[search]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        categorical = optuna.distributions.CategoricalDistribution
        self._genes: dict[str, Any] = {key: categorical(choices) for key, choices in space.items()}
        self._size = size
        self._study = optuna.create_study(
            directions=["minimize"] * objectives,
            sampler=optuna.samplers.NSGAIISampler(population_size=size, seed=seed),
        )
        self._asked: list[Any] = []

    def ask(self) -> list[Genes]:
        """Returns the candidates of the next generation; some may have been in an earlier one."""
        self._asked = [self._study.ask(self._genes) for _ in range(self._size)]
        return [dict(trial.params) for trial in self._asked]

    def tell(self, values: Sequence[Sequence[float]]) -> None:
        """Says how the candidates that were asked for last are judged.

        Args:
          values: for each of them its objectives.
        """
        for trial, found in zip(self._asked, values, strict=True):
            self._study.tell(trial, list(found))


def ranks(values: np.ndarray) -> np.ndarray:
    """Returns on which front each candidate is: 0 if none beats it, 1 if none but those does, …

    One beats another if it is nowhere worse and somewhere better.

    Args:
      values: `[candidates, objectives]`, all to be low.

    Returns:
      `[candidates]` int.
    """
    a, b = values[:, None], values[None]
    beats = (a <= b).all(-1) & (a < b).any(-1)
    found, left = np.zeros(len(values), int), np.ones(len(values), bool)
    rank = 0
    while left.any():
        front = left & ~(beats & left[:, None]).any(0)
        found[front], left = rank, left & ~front
        rank += 1
    return found


def crowding(values: np.ndarray) -> np.ndarray:
    """Returns how far apart the neighbours of each candidate are; those at an end are far from all.

    The crowding distance of Deb et al. (2002), section III B.

    Args:
      values: `[candidates, objectives]`, of one front.

    Returns:
      `[candidates]` float, infinite at the ends.
    """
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = np.ptp(column) or 1.0
        found[order[[0, -1]]] = np.inf
        found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return found


def best(values: np.ndarray, count: int) -> list[int]:
    """Returns the indices of the best: by their front, and within one by how alone they are."""
    rank, alone = ranks(values), np.zeros(len(values))
    for front in np.unique(rank):
        alone[rank == front] = crowding(values[rank == front])
    return sorted(np.lexsort((np.arange(len(values)), -alone, rank))[:count].tolist())
