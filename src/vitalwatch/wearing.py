"""What a person's sensors can tell, as far as channel B has to know it.

Among the features what is not measured counts as usual, 0. To heads that learnt from people with every sensor usual
breathing says that nobody exerts themselves, so that a heart rate up without steps is a resting tachycardia: who wore
heart rate and steps alone had three times the false alarms promised, simulated or not (docs/figures.md). So rows are
told apart by what was measured within the last day (no window is longer). Each wearing has scales of its own, from
calibration people of whom no more is kept, and who lacks all of LACKED is judged by heads that never saw it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.runtime import Asked, Model
from vitalwatch.tables import Floats

WHOLE_FILE, FEW_FILE = "known.onnx", "known_few.onnx"
WEARINGS = ("with breathing", "without breathing", "few sensors")
WITH_BREATHING, WITHOUT_BREATHING, FEW = range(len(WEARINGS))
BREATHING = ("respiratory_rate",)  # it tells effort that no step does
LACKED = (
    *BREATHING,
    "body_temperature",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "heart_rate_variability_rmssd",
)


def _columns(tracks: tuple[str, ...]) -> NDArray[np.intp]:
    return np.asarray([i for i, feature in enumerate(features.FEATURES) if feature.track in tracks], np.intp)


UNSEEN = tuple(_columns(tracks) for tracks in ((), BREATHING, LACKED))  # features that a wearing lacks
# Measured columns that must be there, counted in whole numbers: those of breathing more than all others together.
COUNTS = np.zeros(len(features.NAMES))
COUNTS[UNSEEN[FEW]] = 1.0
COUNTS[UNSEEN[WITHOUT_BREATHING]] = ENOUGH = float(len(features.NAMES))


def wearing_of(x: Floats) -> NDArray[np.intp]:
    """Return the wearing of each row of features (n, f), an index into WEARINGS, (n,)."""
    count = (x != 0.0) @ COUNTS
    return np.where(count >= ENOUGH, WITH_BREATHING, np.where(count > 0.0, WITHOUT_BREATHING, FEW))


def wearing_of_one(measured: NDArray[np.bool_]) -> int:
    """Return the wearing of one row by which of its features are measured, (f,)."""
    count = COUNTS.dot(measured)
    return WITH_BREATHING if count >= ENOUGH else WITHOUT_BREATHING if count > 0.0 else FEW


def reduced(x: Floats, wearing: int) -> Floats:
    """Return features (n, f) as they were if no more had been worn."""
    if not len(UNSEEN[wearing]):
        return x
    left = x.copy()
    left[:, UNSEEN[wearing]] = 0.0
    return left


class Heads:
    """Channel B's heads: one model for whoever wears more than a few sensors, one that never saw the rest."""

    def __init__(self, whole: Asked, few: Asked) -> None:
        self._whole, self._few = whole, few

    def of(self, wearing: int) -> Asked:
        """Return the model that judges a wearing."""
        return self._few if wearing == FEW else self._whole

    def run(self, *, x: Floats, wearing: NDArray[np.intp] | None = None) -> dict[str, Floats]:
        """Return every output for features (n, f); each row by the heads of its wearing.

        Args:
            x: `features.NAMES` columns.
            wearing: Of each row, (n,), where features do not tell: a vital set to usual, 0, was worn all the same.
        """
        some = (wearing_of(x) if wearing is None else wearing) == FEW
        count = np.count_nonzero(some)
        if count in (0, len(x)):
            return (self._few if count else self._whole).run(x=x)
        told, less = self._whole.run(x=x[~some]), self._few.run(x=x[some])
        return {name: _woven(some, told[name], less[name]) for name in told}


def heads(files: Mapping[str, bytes]) -> Heads | None:
    """Return the heads of a bundle's files, None where nothing was labelled to learn from."""
    return Heads(Model(files[WHOLE_FILE]), Model(files[FEW_FILE])) if WHOLE_FILE in files else None


def _woven(some: NDArray[np.bool_], others: Floats, theirs: Floats) -> Floats:
    """Return rows in their order, (n, ...): those of `some` are `theirs`."""
    both = np.empty((len(some), *others.shape[1:]), np.float32)
    both[~some], both[some] = others, theirs
    return both
