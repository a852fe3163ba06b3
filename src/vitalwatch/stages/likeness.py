"""Can a classifier tell real wearers from synthetic ones, by windows of heart rate and steps?

Boosted trees learn on some people of either kind and are asked about others; no person is on both sides. 0.5 is what a
perfect simulation would leave. Levels are left to the trees, too: a rate that few real people have is a giveaway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.synthetic.realism import Course
from vitalwatch.tables import Doubles, Floats

HOURS = 4  # of a window
KNOWN = 0.95  # share of a window's steps of time with a heart rate and a count of steps, at least
FOLDS = 4
LAGS = (1, 2, 3, 6, 12)  # steps
LATE = (0, 1, 2, 5)  # steps that the heart rate is behind the steps
DRAWS = 1000
TREES = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.4,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
ROUNDS = 120


def told_apart(
    real: Sequence[Course], made: Sequence[Course], seed: int, threads: int, confidence: float = 0.95
) -> dict[str, Any]:
    """Return how well windows of real and of synthetic people are told apart.

    Args:
        real: Courses of real wearers, at least as many as there are folds; on the grid of `made`.
        made: Courses of synthetic people, at least as many.
        seed: Of trees and draws.
        threads: Cores to use.
        confidence: Of the interval.

    Returns:
        auroc (value, low, high; every person counts alike, draws over people of both kinds), windows and people by
        kind, and giveaways: the features that the trees used most, with their share of the gain.
    """
    import lightgbm

    tables = [[windows(one) for one in kind] for kind in (made, real)]
    people = [(kind, number, table) for kind in (0, 1) for number, table in enumerate(tables[kind]) if len(table)]
    won = np.full((len(tables[1]), len(tables[0])), np.nan)
    gain = np.zeros(len(NAMES))
    for fold in range(FOLDS):
        learners = [one for one in people if one[1] % FOLDS != fold]
        x = np.concatenate([table for _, _, table in learners])
        kind = np.repeat([one[0] for one in learners], [len(one[2]) for one in learners])
        data = lightgbm.Dataset(x, kind, weight=_alike(learners))
        trees = lightgbm.train(TREES | {"seed": seed, "num_threads": threads}, data, ROUNDS)
        gain += trees.feature_importance("gain")
        asked = [
            (kind, number, np.sort(trees.predict(table))) for kind, number, table in people if number % FOLDS == fold
        ]
        for kind_a, number_a, score_a in asked:
            for kind_b, number_b, score_b in asked:
                if (kind_a, kind_b) == (1, 0):
                    won[number_a, number_b] = _wins(score_a, score_b)
    top = np.argsort(-gain)[:6]
    return {
        "auroc": _interval(won, np.random.default_rng(seed), confidence),
        "people": {
            "real": int(np.isfinite(won).any(axis=1).sum()),
            "synthetic": int(np.isfinite(won).any(axis=0).sum()),
        },
        "windows": {"real": sum(map(len, tables[1])), "synthetic": sum(map(len, tables[0]))},
        "giveaways": {NAMES[i]: float(gain[i] / gain.sum()) for i in top},
    }


NAMES = (
    "heart_rate_median",
    *(f"heart_rate_q{q}" for q in (5, 25, 75, 95)),
    "heart_rate_sd",
    "change_median",
    "change_largest",
    "change_skew",
    "change_kurtosis",
    "change_reverted",
    "repeated",
    "unknown",
    *(f"change_{lag}" for lag in LAGS),
    *(f"autocorrelation_{lag}" for lag in LAGS),
    "heart_rate_sd_still",
    "change_still",
    "steps",
    "steps_share",
    "steps_largest",
    "steps_sd",
    "steps_usual",
    "bouts",
    *(f"heart_rate_to_steps_{late}" for late in LATE),
)


def windows(one: Course) -> Floats:
    """Return a row of features a window of a person's course, windows side by side; shape (windows, features)."""
    size = HOURS * 60 // one.step
    still, known = one.still, np.isfinite(one.heart) & np.isfinite(one.steps)
    starts = range(0, len(one.heart) - size + 1, size)
    spans = [slice(start, start + size) for start in starts]
    rows = [
        _features(one.heart[span], np.nan_to_num(one.steps[span]), still[span])
        for span in spans
        if known[span].mean() >= KNOWN and np.nanstd(one.heart[span]) > 0
    ]
    return np.asarray(rows, np.float32).reshape(-1, len(NAMES))


def _features(heart: Doubles, steps: Doubles, still: NDArray[np.bool_]) -> list[float]:
    middle = float(np.nanmedian(heart))
    change = np.diff(heart)
    jumps = change[np.isfinite(change)]
    size = np.sqrt(np.mean(jumps**2)) + 1e-9
    about = heart - np.nanmean(heart)
    calm, calm_change = heart[still], change[still[1:] & still[:-1]]
    quantiles = (float(q) - middle for q in np.nanquantile(heart, (0.05, 0.25, 0.75, 0.95)))
    return [
        middle,
        *quantiles,
        float(np.nanstd(heart)),
        float(np.median(np.abs(jumps))),
        float(np.abs(jumps).max()),
        float(np.mean(jumps**3) / size**3),
        float(np.mean(jumps**4) / size**4),
        float(np.nanmean(change[1:] * change[:-1]) / size**2),
        float((jumps == 0).mean()),
        float(np.isnan(heart).mean()),
        *(float(np.nanmean(np.abs(heart[lag:] - heart[:-lag]))) for lag in LAGS),
        *(float(np.nanmean(about[lag:] * about[:-lag]) / np.nanmean(about**2)) for lag in LAGS),
        _if_many(calm, np.std),
        _if_many(np.abs(calm_change), np.mean),
        float(steps.sum()),
        float((steps > 0).mean()),
        float(steps.max()),
        float(steps.std()),
        float(np.median(steps[steps > 0])) if steps.any() else float("nan"),
        float(((steps[1:] > 0) & (steps[:-1] == 0)).sum()),
        *(_correlation(steps[: len(steps) - late], heart[late:]) for late in LATE),
    ]


def _if_many(x: Doubles, what: Any) -> float:
    known = x[np.isfinite(x)]
    return float(what(known)) if len(known) > 8 else float("nan")


def _correlation(a: Doubles, b: Doubles) -> float:
    known = np.isfinite(b)
    a, b = a[known], b[known]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 8 and a.std() > 0 and b.std() > 0 else float("nan")


def _alike(people: Sequence[tuple[int, int, Floats]]) -> Doubles:
    """Return weights of rows: both kinds weigh the same, and every person within a kind."""
    count = np.bincount([kind for kind, _, _ in people], minlength=2)
    total = sum(len(table) for _, _, table in people)
    return np.concatenate([np.full(len(table), total / (2 * count[kind] * len(table))) for kind, _, table in people])


def _wins(real: Doubles, made: Doubles) -> float:
    """Return the share of pairs in which the real window looks more real; both sorted."""
    below = np.searchsorted(made, real, "left") + np.searchsorted(made, real, "right")
    return float(below.sum() / (2 * len(real) * len(made)))


def _interval(won: Doubles, rng: np.random.Generator, confidence: float) -> dict[str, float]:
    """Return the mean over real people of the mean over the synthetic ones they were held against, and its interval."""

    def mean(table: Doubles) -> float:
        rows = [row[np.isfinite(row)].mean() for row in table if np.isfinite(row).any()]
        return float(np.mean(rows))

    n, folds = len(won), [np.flatnonzero(np.arange(won.shape[1]) % FOLDS == fold) for fold in range(FOLDS)]
    drawn = []
    for _ in range(DRAWS):  # within folds, so that nobody is left without people to be held against
        columns = np.concatenate([rng.choice(fold, len(fold)) for fold in folds])
        drawn.append(mean(won[rng.integers(n, size=n)][:, columns]))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return {"value": mean(won), "low": float(low), "high": float(high)}
