"""Why the models say what they say of one row: two views of it, worked out on demand, whether or not an alarm came.

First view: how much of a score goes when all that one sensor measured is as usual (`explaining.shares`), of the most
surprising organ group and of the likeliest kind. Second view: TreeSHAP of the head of that kind, feature by feature, of
the row alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitalwatch import features
from vitalwatch.attribution import FEW_FILE, Attribution
from vitalwatch.averaging import Kept
from vitalwatch.baseline import SIGNALS
from vitalwatch.explaining import SENSORS, Score, shares
from vitalwatch.residuals import Rows
from vitalwatch.scoring import Detector
from vitalwatch.tables import Doubles, Floats
from vitalwatch.wearing import wearing_of

Parts = tuple[tuple[str, float], ...]  # name and what it adds, the largest first
GROUPS = tuple(features.GROUPS)


@dataclass(frozen=True)
class Reasons:
    """Why a row scores as it does.

    Attributes:
        group: The most surprising organ group of channel A.
        group_by_sensor: What of its surprise goes with each sensor, by the sensor's first signal.
        kind: The likeliest kind of channel B, empty without one.
        kind_by_sensor: The same of its score.
        kind_by_feature: What each feature adds to the head's log-odds (TreeSHAP); empty where the bundle has no trees.
        base: Log-odds that they are added to: those of the rows learnt from.
        group_by_feature: What each feature adds to the binary logarithm of the group's score (TreeSHAP); 1 is twice as
            unusual. Empty where the bundle has no trees.
        group_base: What they are added to.
    """

    group: str
    group_by_sensor: Parts
    kind: str
    kind_by_sensor: Parts
    kind_by_feature: Parts
    base: float
    group_by_feature: Parts
    group_base: float


def by_wearing(files: Mapping[str, bytes]) -> tuple[Attribution | None, ...]:
    """Return the boosted heads of a bundle's files by `wearing`, None where it has none."""
    whole, few = Attribution.of(files), Attribution.of(files, FEW_FILE)
    return whole, whole, few


def reasons_of(
    rows: Rows,
    row: int,
    said: Kept,
    detector: Detector,
    heads: Sequence[Attribution | None],
    forests: Attribution | None,
) -> Reasons:
    """Return why a row scores as it does.

    Args:
        rows: Of one person.
        row: Which of them.
        said: What the detector said before the first of them.
        detector: Of the bundle.
        heads: From `by_wearing`.
        forests: Of its forests.
    """
    x, judged = rows.features[: row + 1], rows.assessable[: row + 1]
    _, scores = detector.advance(said, x, judged)
    averaged = slice(max(row + 1 - detector.calibration.rows, 0), None)
    window = x[averaged][judged[averaged]] if judged[row] else x[row:]
    group, kind = int(scores.group[row]), int(scores.kind[row])
    by_sensor = _by_sensor(window, detector.unusual_of, group)
    kinds = detector.calibration.kinds
    by_feature, group_base = _by_feature(forests, x[row:], group)
    if not kinds:
        return Reasons(GROUPS[group], by_sensor, "", (), (), float("nan"), by_feature, group_base)
    adds, base = _by_feature(heads[wearing_of(x[row:]).item()], x[row:], kind)
    return Reasons(
        group=GROUPS[group],
        group_by_sensor=by_sensor,
        kind=kinds[kind],
        kind_by_sensor=_by_sensor(window, detector.known_of, kind),
        kind_by_feature=adds,
        base=base,
        group_by_feature=by_feature,
        group_base=group_base,
    )


def _by_feature(attribution: Attribution | None, x: Floats, which: int) -> tuple[Parts, float]:
    if attribution is None:
        return (), float("nan")
    adds, base = attribution.adds(x, which)
    return _ordered(features.NAMES, adds[0]), base


def _by_sensor(window: Floats, score: Score, which: int) -> Parts:
    return _ordered([SIGNALS[sensor[0]] for sensor in SENSORS], shares(window, score, which))


def _ordered(names: Sequence[str], adds: Doubles) -> Parts:
    found = zip(names, adds.tolist(), strict=True)
    return tuple(sorted(found, key=lambda one: -abs(one[1])))
