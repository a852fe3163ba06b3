"""A line beside the LSTM: ridge regression on lags, when they were measured, activity, clock and own normal.

An LSTM of this size rounds off what a cuff once an hour says; a line averages its readings and draws them towards the
person's normal. Medians of both are averaged with shares chosen on calibration people (`forecast_trees.share`), and the
line is folded into the forecaster's graph (`sequences.Beside`): a product of one row with a small matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.lags import CONTEXT
from vitalwatch.sequences import CLOCK, Beside, static
from vitalwatch.tables import Doubles, Floats

MOST = 30_000  # rows of a vital and horizon: a line needs no more
PULL = 1e-3  # towards no slope, of a column's variance
STILL = 1e-3  # of its size: a column that moves less is taken for constant
LEAST = 500  # below, nothing is fitted
ACTIVE_ROWS = 6  # back, of steps and intensity


def fit(x: NDArray[Any], person: Floats, y: Floats, last: Floats) -> Beside:
    """Fit on windows of training people; a vital and horizon with too few targets gets zeros: persistence.

    Args:
        x: From `sequences.windows`, (n, T, c), float32 or float16.
        person: (n, s), NaN where unknown.
        y: From `sequences.targets`, (n, v, h).
        last: From `sequences.windows`, (n, v).

    Returns:
        The line of every vital and horizon, with no share yet.
    """
    n, length, width = x.shape
    vitals, horizons = y.shape[1:]
    known = static(person, last)
    unknown = np.isnan(known)
    mean = np.where(unknown, 0.0, known).sum(axis=0) / np.maximum(n - unknown.sum(axis=0), 1)
    filled = np.where(unknown, mean, known)
    window = np.zeros((length * width, vitals, horizons))
    about = np.zeros((known.shape[1], vitals, horizons))
    constant = np.zeros((vitals, horizons))
    for v in range(vitals):
        places = _places(length, width, vitals, v)
        for h in range(horizons):
            moved = y[:, v, h] - last[:, v]
            rows = np.flatnonzero(np.isfinite(moved))
            if len(rows) < LEAST:
                continue
            rows = rows[:: -(-len(rows) // MOST)]
            design = x[rows].reshape(len(rows), -1)[:, places], filled[rows]
            slope, constant[v, h] = _ridge(np.concatenate(design, axis=1, dtype=np.float64), moved[rows])
            window[places, v, h], about[:, v, h] = slope[: len(places)], slope[len(places) :]
    return Beside(
        window=window.reshape(length * width, -1).astype(np.float32),
        known=about.reshape(known.shape[1], -1).astype(np.float32),
        constant=constant.ravel().astype(np.float32),
        share=np.zeros((vitals, horizons), np.float32),
    )


def _ridge(x: Doubles, y: Floats) -> tuple[Doubles, float]:
    """Return slopes (k,) and constant of a ridge regression on standardised columns (n, k).

    A column that hardly moves gets no slope: nothing is told by it, and what two of them told against each other would
    be rounding, in windows that are stored in 16 bits and served in 32.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0)
    moves = spread > STILL * np.maximum(np.abs(mean), 1.0)
    standard = (x[:, moves] - mean[moves]) / spread[moves]
    middle = float(y.mean(dtype=np.float64))
    gram = standard.T @ standard / len(x) + PULL * np.eye(int(moves.sum()))
    slope = np.zeros(x.shape[1])
    slope[moves] = np.linalg.solve(gram, standard.T @ (y - middle) / len(x)) / spread[moves]
    return slope, middle - float(mean @ slope)


def _places(length: int, width: int, vitals: int, v: int) -> NDArray[np.intp]:
    """Return what the line of a vital sees of a flat window: its lags and when it was measured, activity, clock."""
    newest, context = length - 1, 2 * vitals
    seen = [(row, v) for row in range(newest)] + [(row, vitals + v) for row in range(length)]
    seen += [(row, context + i) for row in range(max(length - ACTIVE_ROWS, 0), newest) for i in (0, 1)]
    seen += [(newest, context + i) for i in range(len(CONTEXT) + 1 + CLOCK.shape[1])]
    return np.asarray([row * width + column for row, column in seen], np.intp)


def medians(line: Beside, x: Floats, known: Floats, mean: Floats) -> Floats:
    """Return what the line says alone, differences from the last value, (n, v, h).

    Args:
        line: From `fit`.
        x: (n, T, c).
        known: From `sequences.static`, (n, s + v).
        mean: What stands for the unknown among them, (s + v,).
    """
    filled = np.where(np.isnan(known), mean, known)
    told = x.reshape(len(x), -1) @ line.window + filled @ line.known + line.constant
    return told.reshape(len(x), *line.share.shape).astype(np.float32)
