"""Scores without a threshold: average precision, and the volume under the range-based precision-recall surface.

VUS-PR follows Paparrizos et al., PVLDB 15(11), 2022, doi 10.14778/3551793.3551830: for every buffer length the labels
grow soft slopes, 250 thresholds are taken from the scores, and recall is paid only for the share of episodes met.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitalwatch.metrics.bootstrap import Estimate, interval, ratio
from vitalwatch.tables import Bools, Doubles

THRESHOLDS = 250  # of the original implementation
BINS = 1000  # of the bootstrap of average precision


def average_precision(labels: Bools, score: NDArray[np.floating]) -> float:
    """Return the average precision of rows (scikit-learn); NaN scores rank lowest; NaN without both classes."""
    from sklearn.metrics import average_precision_score

    if labels.all() or not labels.any():
        return float("nan")
    return float(average_precision_score(labels, ranked_low(score)))


def ranked_low(score: NDArray[np.floating]) -> Doubles:
    """Return the score with NaN (not assessable: can never alarm) just below the lowest known one."""
    known = np.isfinite(score)
    lowest = float(score[known].min()) if known.any() else 0.0
    return np.where(known, score, np.nextafter(lowest, -np.inf) - 1.0).astype(np.float64)


def average_precision_estimate(
    labels: Bools, score: NDArray[np.floating], person: NDArray[np.intp], draws: Doubles, confidence: float
) -> Estimate:
    """Return average precision over all rows, with its interval by person.

    The value is exact; the interval comes from per-person counts in 1,000 bins of the score.

    Args:
        labels: True inside episodes, shape (n,).
        score: Higher is more unusual, shape (n,).
        person: Index of each row's person, shape (n,).
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside the interval.
    """
    value = average_precision(labels, score)
    if not np.isfinite(value):
        return Estimate(value)
    positive, negative = _binned(labels, score, person, draws)
    return Estimate(value, *interval(_area(positive, negative), confidence))


def auroc(labels: Bools, score: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve (scikit-learn); NaN scores rank lowest; NaN without both classes."""
    from sklearn.metrics import roc_auc_score

    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, ranked_low(score)))


def auroc_draws(labels: Bools, score: NDArray[np.floating], person: NDArray[np.intp], draws: Doubles) -> Doubles:
    """Return the area under the ROC curve of each draw of people, from counts in 1,000 bins of the score, (draws,)."""
    positive, negative = _binned(labels, score, person, draws)
    higher = np.cumsum(positive, axis=-1) - positive / 2
    return ratio((higher * negative).sum(axis=-1), positive.sum(axis=-1) * negative.sum(axis=-1))


def auroc_estimate(
    labels: Bools, score: NDArray[np.floating], person: NDArray[np.intp], draws: Doubles, confidence: float
) -> Estimate:
    """Return the area under the ROC curve over all rows, with its interval by person; arguments as above."""
    value = auroc(labels, score)
    if not np.isfinite(value):
        return Estimate(value)
    return Estimate(value, *interval(auroc_draws(labels, score, person, draws), confidence))


def _binned(
    labels: Bools, score: NDArray[np.floating], person: NDArray[np.intp], draws: Doubles
) -> tuple[Doubles, Doubles]:
    """Return counts of positive and negative rows by draw and falling bin of the score, each (draws, bins)."""
    known = ranked_low(score)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
    bins = len(edges) - np.searchsorted(edges, known, side="right")  # 0 is the highest
    width, people = int(bins.max()) + 1, draws.shape[1]
    cell = person * width + bins
    counts = np.stack([np.bincount(cell, weights=w, minlength=people * width) for w in (labels, ~labels)])
    positive, negative = (draws @ part.reshape(people, width) for part in counts)
    return positive, negative


def _area(positive: Doubles, negative: Doubles) -> Doubles:
    """Return average precision from counts by falling score, shape (..., bins)."""
    hits = np.cumsum(positive, axis=-1)
    exact = ratio(hits, hits + np.cumsum(negative, axis=-1))
    return ratio(np.nansum(exact * positive, axis=-1), hits[..., -1])


class Surface:
    """The soft labels of one person for every buffer, made once and used for every detector.

    Args:
        labels: True inside episodes, shape (n,), at least one.
        buffers: Buffer lengths in rows.
    """

    def __init__(self, labels: Bools, buffers: Sequence[int]) -> None:
        starts, ends = _bounds(labels)
        self.soft = np.stack([_soften(labels, starts, ends, buffer) for buffer in buffers])
        self.zones = [_bounds(row > 0) for row in self.soft]
        self.share = (labels.sum() + self.soft.sum(axis=1)) / 2  # positives are between hard and soft labels

    def vus_pr(self, score: NDArray[np.floating], *, trapezoid: bool = False) -> float:
        """Return the volume under the precision-recall surface in [0, 1].

        Args:
            score: Higher is more unusual, shape (n,); NaN ranks lowest.
            trapezoid: Interpolate linearly between thresholds as the original does. That pays detectors with few
                distinct scores for points they cannot reach (a constant one gets over 0.5), so the default steps.
        """
        known = ranked_low(score)
        order = np.argsort(-known, kind="stable")
        falling = known[order]
        thresholds = falling[np.linspace(0, len(falling) - 1, THRESHOLDS, dtype=np.int64)]
        chosen = np.searchsorted(-falling, -thresholds, side="right")  # rows at or above each threshold
        hits = np.cumsum(self.soft[:, order], axis=1)[:, chosen - 1]
        recall = np.minimum(hits / self.share[:, None], 1) * self._existence(known, thresholds)
        precision = hits / chosen
        width = np.diff(recall, axis=1, prepend=0.0)
        if trapezoid:
            before = np.concatenate((np.ones((len(precision), 1)), precision[:, :-1]), axis=1)
            return float(((precision + before) / 2 * width).sum(axis=1).mean())
        return float((precision * width).sum(axis=1).mean())

    def _existence(self, score: Doubles, thresholds: Doubles) -> Doubles:
        """Return the share of episodes with a row at or above each threshold, shape (buffers, thresholds)."""
        out = np.empty((len(self.zones), len(thresholds)))
        for i, (starts, ends) in enumerate(self.zones):
            edges = np.stack((starts, np.minimum(ends, len(score) - 1)), axis=1).ravel()
            best = np.maximum.reduceat(score, edges)[::2]
            if ends[-1] == len(score):  # reduceat's last slice has no end of its own
                best[-1] = score[starts[-1] :].max()
            out[i] = (len(best) - np.searchsorted(np.sort(best), thresholds, side="left")) / len(best)
        return out


def _bounds(labels: Bools) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    change = np.diff(np.concatenate(([0], labels.astype(np.int8), [0])))
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def _soften(labels: Bools, starts: NDArray[np.intp], ends: NDArray[np.intp], buffer: int) -> Doubles:
    """Return labels with slopes of half the buffer on both sides; they fall as sqrt(1 - distance / buffer)."""
    soft = labels.astype(np.float64)
    if buffer <= 1:
        return soft
    half, length = buffer // 2, len(labels)
    for start, end in zip(starts, ends, strict=True):
        after = np.arange(end - 1, min(end - 1 + half, length))
        soft[after] += np.sqrt(1 - (after - end + 1) / buffer)
        before = np.arange(max(start - half, 0), start)
        soft[before] += np.sqrt(1 - (start - before) / buffer)
    return np.minimum(soft, 1)
