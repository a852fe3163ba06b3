"""What `tune` may change of each model: keys of its block in params.yaml and the range of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Values that a key may take: whole or real numbers between two, or one of a few.

    Attributes:
        low, high: Ends, both allowed.
        log: Whether it is drawn on a logarithmic scale.
        choices: Instead of a range, in rising order.
    """

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[int, ...] = ()

    def reaching(self, now: float) -> Range:
        """Return the range widened to hold today's value."""
        if self.choices:
            return Range(choices=tuple(sorted({*self.choices, int(now)})))
        return Range(min(self.low, now), max(self.high, now), self.log)

    def suggest(self, trial: Any, name: str) -> float | int:
        """Return a value that Optuna suggests."""
        if self.choices:
            value: int = trial.suggest_categorical(name, self.choices)
            return value
        if isinstance(self.low, int) and isinstance(self.high, int):
            whole: int = trial.suggest_int(name, self.low, self.high, log=self.log)
            return whole
        real: float = trial.suggest_float(name, self.low, self.high, log=self.log)
        return real


Space = Mapping[str, Range]

SPACES: Mapping[str, Space] = {
    "detector": {
        "trees": Range(25, 100),
        "sample": Range(choices=(128, 256, 512, 1024)),
        "max_rows": Range(choices=(20_000, 40_000, 80_000)),
    },
    "supervised": {
        "rounds": Range(50, 200),
        "learning_rate": Range(0.03, 0.2, log=True),
        "leaves": Range(4, 31, log=True),
        "min_rows_a_leaf": Range(20, 400, log=True),
        "columns_a_tree": Range(0.15, 0.8),
        "l2": Range(0.5, 100.0, log=True),
    },
    "regressor": {
        "rounds": Range(60, 300),
        "learning_rate": Range(0.03, 0.2, log=True),
        "leaves": Range(8, 63, log=True),
        "min_rows_a_leaf": Range(50, 1000, log=True),
    },
    "forecaster": {
        "units": Range(16, 64),
        "epochs": Range(2, 5),
        "batch": Range(choices=(128, 256, 512)),
        "learning_rate": Range(0.002, 0.02, log=True),
        "tree_rounds": Range(40, 150),
        "tree_leaves": Range(8, 31, log=True),
        "tree_learning_rate": Range(0.03, 0.2, log=True),
        "tree_min_rows_a_leaf": Range(50, 400, log=True),
    },
}


def space_of(model: str, block: Any) -> Space:
    """Return a model's space, widened where today's params.yaml lies outside it.

    Args:
        model: Key of SPACES.
        block: Its block of params.yaml.
    """
    return {key: within.reaching(getattr(block, key)) for key, within in SPACES[model].items()}
