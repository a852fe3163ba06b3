"""Why the models say what they say of one row: two views of it, worked out on demand, whether or not an alarm came.

First view: how much of a score goes when all that one sensor measured is as usual (`explaining.shares`), of the most
surprising organ group and of the likeliest kind. Second view: TreeSHAP of the head of that kind, feature by feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vitalwatch import features
from vitalwatch.attribution import Attribution
from vitalwatch.baseline import SIGNALS
from vitalwatch.explaining import SENSORS, shares
from vitalwatch.scoring import Detector
from vitalwatch.tables import Doubles, Floats

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
    """

    group: str
    group_by_sensor: Parts
    kind: str
    kind_by_sensor: Parts
    kind_by_feature: Parts
    base: float


def reasons_of(row: Floats, detector: Detector, attribution: Attribution | None) -> Reasons:
    """Return why a row of features scores as it does.

    Args:
        row: `features.NAMES` columns, float32 (f,).
        detector: Of the bundle.
        attribution: Of the bundle, None where it has none.
    """
    group = int(detector.unusual(row[None])[0].argmax())
    by_sensor = _by_sensor(row, detector.unusual, group)
    kinds = detector.calibration.kinds
    if not kinds:
        return Reasons(GROUPS[group], by_sensor, "", (), (), float("nan"))
    kind = int(detector.known(row[None])[0].argmax())
    adds, base = attribution.adds(row[None], kind) if attribution else (np.empty((1, 0)), float("nan"))
    return Reasons(
        group=GROUPS[group],
        group_by_sensor=by_sensor,
        kind=kinds[kind],
        kind_by_sensor=_by_sensor(row, detector.known, kind),
        kind_by_feature=_ordered(features.NAMES[: adds.shape[1]], adds[0]),
        base=base,
    )


def _by_sensor(row: Floats, score: Callable[[Floats], Doubles], which: int) -> Parts:
    return _ordered([SIGNALS[sensor[0]] for sensor in SENSORS], shares(row, score, which))


def _ordered(names: Sequence[str], adds: Doubles) -> Parts:
    found = zip(names, adds.tolist(), strict=True)
    return tuple(sorted(found, key=lambda one: -abs(one[1])))
