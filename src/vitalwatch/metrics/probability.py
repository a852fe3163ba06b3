"""Probabilities beside what came true: Brier score, mean told, reliability; a row may stand for more or fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.metrics.bootstrap import Estimate, estimate, ratio
from vitalwatch.tables import Bools, Doubles


@dataclass(frozen=True)
class Told:
    """Probabilities beside what came true; rows without a probability are left out.

    Attributes:
        labels: Rows in an episode, (n,).
        probability: That was told of each, (n,).
        person: Index of each row's person, (n,).
        weight: How many rows each stands for, (n,).
    """

    labels: Bools
    probability: Doubles
    person: NDArray[np.intp]
    weight: Doubles

    @staticmethod
    def of(
        labels: Bools, probability: NDArray[np.floating], person: NDArray[np.intp], weight_inside: float = 1.0
    ) -> Told:
        """Return the rows that have a probability; those in episodes stand for `weight_inside` rows each."""
        known = np.isfinite(probability)
        inside = labels[known]
        weight = np.where(inside, weight_inside, 1.0)
        return Told(inside, probability[known].astype(np.float64), person[known], weight)

    def instead(self, probability: NDArray[np.floating] | float) -> Told:
        """Return the same rows with another probability."""
        return replace(self, probability=np.broadcast_to(np.asarray(probability, np.float64), self.labels.shape))

    def mean(self, values: NDArray[np.floating | np.bool_], draws: Doubles, confidence: float) -> Estimate:
        """Return the weighted mean of a value a row, with its interval by person."""
        people = draws.shape[1]
        parts = (self.weight, self.weight * values)
        sums = np.stack([np.bincount(self.person, part, people) for part in parts], axis=1).astype(np.float64)
        return estimate(lambda total: ratio(total[..., 1], total[..., 0]), sums, draws, confidence)

    def brier(self, draws: Doubles, confidence: float) -> Estimate:
        """Return the mean squared error of the probabilities, with its interval by person."""
        return self.mean((self.probability - self.labels) ** 2, draws, confidence)

    def reliability(self, edges: Sequence[float], draws: Doubles, confidence: float) -> list[dict[str, Any]]:
        """Return, for bins of the probability that occur: edges, rows, share of weight, mean told, what came true.

        The share that came true has its interval by person.
        """
        bins, people = len(edges) - 1, draws.shape[1]
        which = np.clip(np.searchsorted(edges, self.probability, side="right") - 1, 0, bins - 1)
        cell, size = self.person * bins + which, people * bins
        parts = (self.weight, self.weight * self.probability, self.weight * self.labels)
        sums = np.stack([np.bincount(cell, part, size) for part in parts], axis=1).astype(np.float64)
        sums = sums.reshape(people, bins, 3)
        rows, total = np.bincount(which, minlength=bins), sums.sum(axis=0)
        return [
            {
                "from": float(edges[i]),
                "to": float(edges[i + 1]),
                "rows": int(rows[i]),
                "share": float(total[i, 0] / total[:, 0].sum()),
                "told": float(total[i, 1] / total[i, 0]),
                "true": estimate(lambda t: ratio(t[..., 2], t[..., 0]), sums[:, i], draws, confidence).table(),
            }
            for i in np.flatnonzero(rows).tolist()
        ]
