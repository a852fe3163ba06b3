"""The line of boosted trees for the expected heart rate: activity, sleep, age and clock, nothing of the person's own.

What the served regressor gains beside it is what knowing the person is worth.
"""

from __future__ import annotations

import numpy as np

from vitalwatch.models.boosting import steady
from vitalwatch.tables import Doubles, Floats

ROUNDS, RATE, LEAVES, LEAST_ROWS = 70, 0.08, 31, 50  # as the served one's, with fewer rows a leaf as it sees fewer rows
SEED = 0


class PlainTrees:
    """Trees on rows without an own level; `predict` says the mean where there was nothing to learn from."""

    def __init__(self, x: Doubles, rate: Doubles, threads: int) -> None:
        """Fit; x is (n, k), rate (n,) in bpm, without NaN."""
        import lightgbm

        self._mean, self._trees = float(np.mean(rate)) if len(rate) else float("nan"), None
        if len(rate) < 2 * LEAST_ROWS:
            return
        chosen = {"learning_rate": RATE, "num_leaves": LEAVES, "min_data_in_leaf": LEAST_ROWS}
        data = lightgbm.Dataset(x, rate, free_raw_data=True)
        self._trees = lightgbm.train(chosen | steady(SEED, threads), data, ROUNDS)

    def predict(self, x: Doubles) -> Floats:
        """Return bpm, float32 (n,)."""
        if self._trees is None or not len(x):
            return np.full(len(x), self._mean, np.float32)
        return np.asarray(self._trees.predict(x), np.float32)
