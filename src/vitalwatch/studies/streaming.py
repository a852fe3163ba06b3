"""What a user would pick instead: detectors from libraries that learn as they go, one per person, without labels.

They see what we see (the vitals, or z against the person's own normal). They learn every row, or the mean of each half
hour, which is six times as quick; either way they are asked every half hour, because they are slow, before they learn
what they are asked of, and their answer holds until the next.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, Protocol

import numpy as np

from vitalwatch.studies import judging
from vitalwatch.studies.costs import Cost
from vitalwatch.studies.detectors import Detectors, strongest
from vitalwatch.studies.judging import HELD
from vitalwatch.studies.people import Roles
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import Doubles

GROUP = "Streaming detectors, one per person"
EVERY = 30  # minutes
DAYS = 7  # that each remembers
TREES = 10


class Streams(Protocol):
    """A detector that learns row by row, as river and aberrant have it."""

    def score_one(self, row: dict[str, float]) -> float:
        """Return a score, high = unusual."""
        ...

    def learn_one(self, row: dict[str, float]) -> None:
        """Learn a row."""
        ...


def half_space_trees(seed: int, window: int) -> Streams:
    """Return river's HalfSpaceTrees behind its MinMaxScaler, as its documentation uses it."""
    from river import anomaly, preprocessing

    model: Any = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(TREES, window_size=window, seed=seed)
    streams: Streams = model
    return streams


def online_isolation_forest(seed: int, window: int) -> Streams:
    """Return aberrant's OnlineIsolationForest, which forgets what is older than its window."""
    from aberrant.model.iforest.online import OnlineIsolationForest

    model: Streams = OnlineIsolationForest(num_trees=TREES, window_size=window, seed=seed)
    return model


def random_cut_forest(seed: int, window: int) -> Streams:
    """Return aberrant's RandomCutForest, which forgets what is older than its window."""
    from aberrant.model.iforest.random_cut import RandomCutForest

    model: Streams = RandomCutForest(n_trees=TREES, sample_size=window, seed=seed)
    return model


Start = Callable[[int, int], Streams]  # seed, rows of a week -> a detector that knows nothing
MODELS: Mapping[str, Start] = {
    "river HalfSpaceTrees": half_space_trees,
    "aberrant OnlineIsolationForest": online_isolation_forest,
    "aberrant RandomCutForest": random_cut_forest,
}
INPUTS = ("vitals", "own z")
HALF_HOURS, ROWS = "means of half hours", "every row"
LEARNT = (HALF_HOURS, ROWS)


def streamed(x: Doubles, model: Streams, every: int = 1) -> tuple[Doubles, float, int]:
    """Return one person's scores (n,), NaN where not asked or nothing measured; processor seconds; the model's bytes.

    Args:
        x: Rows, oldest first, (n, c); NaN takes the value before.
        model: A detector that knows nothing. It learns each row.
        every: It is asked at the last of so many rows.
    """
    names = [f"c{i}" for i in range(x.shape[1])]
    score, last = np.full(len(x), np.nan), np.zeros(x.shape[1])
    begun = time.process_time()
    for i, row in enumerate(x):
        known = np.isfinite(row)
        if not known.any():
            continue
        last = np.where(known, row, last)
        told = dict(zip(names, last.tolist(), strict=True))
        if (i + 1) % every == 0:
            score[i] = model.score_one(told)
        model.learn_one(told)
    return score, time.process_time() - begun, size(model)


def size(model: object) -> int:
    """Return the bytes in memory of an object and of all that it holds, but for code."""
    total, seen, waiting = 0, set[int](), [model]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting.extend(gc.get_referents(one))
    return total


class Streaming:
    """The alternatives of the table.

    Args:
        roles: Fewer people than elsewhere: libraries in Python take milliseconds a row.
        detectors: What params.yaml has, for the same people.
    """

    def __init__(self, roles: Roles, detectors: Detectors) -> None:
        self._roles, self._detectors = roles, detectors

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the table; the first is what params.yaml has."""
        ours = Alternative(GROUP, "forests by organ group, trained on others (default)", "event_f1", self._ours)
        return [
            ours,
            *(
                Alternative(
                    GROUP, f"{name} on {what}, {learnt}", "event_f1", partial(self._judged, start, what, learnt)
                )
                for name, start in MODELS.items()
                for what in INPUTS
                for learnt in LEARNT
            ),
        ]

    def _ours(self) -> tuple[Doubles, Cost]:
        surprise, cost = strongest(self._detectors.surprise("groups"))
        return judging.counts(self._roles, surprise), cost

    def _judged(self, start: Start, what: str, learnt: str) -> tuple[Doubles, Cost]:
        told = {role: self._scores(role, start, what, learnt) for role in HELD}
        rows, seconds = sum(one[1] for one in told.values()), sum(one[2] for one in told.values())
        rare = judging.rarity(self._roles, {role: one[0] for role, one in told.items()})
        cost = Cost(None, max(one[3] for one in told.values()), round(seconds / max(rows, 1) * 1e6, 1), None)
        return judging.counts(self._roles, rare), cost

    def _scores(self, role: str, start: Start, what: str, learnt: str) -> tuple[Doubles, int, float, int]:
        """Return scores of judged rows, rows learnt, processor seconds, and bytes of the largest detector."""
        schema, seed = self._roles.settings.schema, self._roles.settings.params.seed
        every, vitals = max(EVERY // schema.step_minutes, 1), len(schema.vitals)
        stride = every if learnt == HALF_HOURS else 1
        scores, rows, seconds, size = [], 0, 0.0, 0
        for person, known in zip(self._roles.people[role], self._roles.rows(role), strict=True):
            x = (person.grid.values if what == "vitals" else known.z)[:, :vitals].astype(np.float64)
            model = start(seed, DAYS * schema.steps_per_day // stride)
            answer, took, bytes_ = streamed(means(x, stride), model, every // stride)
            scores.append(held(answer, len(x), every, stride))
            rows, seconds, size = rows + len(x) // stride, seconds + took, max(size, bytes_)
        return self._roles.judged_rows(role, scores), rows, seconds, size


def means(x: Doubles, rows: int) -> Doubles:
    """Return the mean of each so many rows, of what was measured, NaN where nothing was, (n // rows, c)."""
    parts = x[: len(x) // rows * rows].reshape(-1, rows, x.shape[1])
    known = np.isfinite(parts)
    count = known.sum(axis=1)
    total = np.where(known, parts, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def held(score: Doubles, rows: int, every: int, stride: int = 1) -> Doubles:
    """Return what was answered at the last of each `every` rows for all rows, each holding until the next, (rows,).

    Args:
        score: Of the mean of each `stride` rows, (rows // stride,).
        rows, every, stride: `stride` divides `every`.
    """
    place = (np.arange(rows) + 1) // every * (every // stride) - 1
    found = np.full(rows, np.nan)
    found[place >= 0] = score[place[place >= 0]]
    return found
