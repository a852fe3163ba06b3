"""Does what is learnt from synthetic people hold for real ones? Train on synthetic, test on real.

The heart rate from 8 to 22 o'clock is told from activity and clock by boosted trees, once learnt from synthetic people
and once from the other real wearers. Both know the asked wearer's own still level and nothing else of them. Where the
simulation lacks something that real hearts do, the first is worse; fewer real people speak for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitalwatch.metrics.bootstrap import plain
from vitalwatch.models.boosting import steady
from vitalwatch.synthetic.realism import WAKING, Course, drivers
from vitalwatch.tables import Doubles

ROUNDS = 80
LEAST = 3  # real wearers, so that at least two others teach
OPTIONS = {"objective": "regression_l1", "learning_rate": 0.08, "num_leaves": 15, "min_data_in_leaf": 200}


def from_synthetic_to_real(
    real: Sequence[Course], made: Sequence[Course], seed: int, threads: int
) -> dict[str, Any] | None:
    """Return mean absolute errors on real wearers, bpm, means over them; None with fewer than three.

    Args:
        real: Courses of real wearers, on the grid of `made`.
        made: Courses of synthetic people.
        seed: Of the trees.
        threads: Cores to use.

    Returns:
        learnt_from_synthetic, learnt_from_other_wearers, own_mean (of the asked wearer, so it has seen the answers),
        each bpm, by_wearer (rows of the three) and wearers (how many).
    """
    tables = [table for table in map(_rows, real) if len(table[1])]
    if len(tables) < LEAST:
        return None
    synthetic = _learnt([_rows(one) for one in made], seed, threads)
    rows = []
    for number, (x, y) in enumerate(tables):
        others = _learnt(tables[:number] + tables[number + 1 :], seed, threads)
        errors = (synthetic.predict(x) - y, others.predict(x) - y, y.mean() - y)
        rows.append([float(np.abs(error).mean()) for error in errors])
    means = np.mean(rows, axis=0).tolist()
    names = ("learnt_from_synthetic", "learnt_from_other_wearers", "own_mean")
    by_wearer = [[plain(value) for value in row] for row in rows]
    return {name: plain(value) for name, value in zip(names, means, strict=True)} | {
        "by_wearer": by_wearer,
        "wearers": len(rows),
    }


def _rows(one: Course) -> tuple[Doubles, Doubles]:
    """Return drivers and heart rate above the person's own still level, where both are known."""
    used = one.within(WAKING) & np.isfinite(one.heart) & np.isfinite(one.steps)
    still = one.heart[used & one.still]
    level = float(np.median(still)) if len(still) else float("nan")
    used &= np.isfinite(level)
    return drivers(one)[used], one.heart[used] - level


def _learnt(tables: Sequence[tuple[Doubles, Doubles]], seed: int, threads: int) -> Any:
    """Train on people, each of the same weight."""
    import lightgbm

    x, y = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    weight = np.concatenate([np.full(len(table[1]), len(y) / max(len(table[1]), 1)) for table in tables])
    data = lightgbm.Dataset(x, y, weight=weight / weight.mean())
    return lightgbm.train(OPTIONS | steady(seed, threads), data, ROUNDS)
