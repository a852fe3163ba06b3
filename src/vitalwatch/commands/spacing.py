"""Whether a run could assess what it was shown, and whether the readings lie too far apart for its step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vitalwatch.tables import DAY, MINUTE, Readings

if TYPE_CHECKING:
    import pyarrow as pa

FAR = 1.5  # steps between most readings of a person, from which on the step does not fit
STEPS = [minutes for minutes in range(1, 61) if DAY // MINUTE % minutes == 0]  # as schema.yaml allows


class Spacing:
    """Counts while people and their tables pass.

    Attributes:
        rows, assessed: Rows of scores, and those that could be assessed.
        silences: Alarms of silence of people whose readings are too far apart: the spacing, no fault of a device.
    """

    def __init__(self, step_minutes: int) -> None:
        self._step = step_minutes
        self._apart: dict[str, float] = {}  # person -> median minutes between readings
        self.rows = self.assessed = self.silences = 0

    def watch(self, everybody: Iterable[Readings]) -> Iterator[Readings]:
        """Yield the people as they come."""
        for one in everybody:
            if len(one) > 1:
                self._apart[one.person] = float(np.median(np.diff(one.time))) / MINUTE
            yield one

    def count(self, tables: Mapping[str, pa.Table]) -> None:
        """Enter the tables of one of the people watched."""
        import pyarrow.compute as pc

        scores, alarms = tables["scores"], tables["alarms"]
        self.rows += len(scores)
        self.assessed += pc.sum(scores["assessable"].cast("int64")).as_py() or 0
        if len(alarms) and self._apart.get(alarms["person"][0].as_py(), 0.0) > FAR * self._step:
            self.silences += pc.sum(pc.equal(alarms["kind"], "silence").cast("int64")).as_py()

    @property
    def too_far(self) -> bool:
        """Whether less than half could be assessed, and most readings lie too far apart for the step."""
        return 2 * self.assessed < self.rows and self._minutes > FAR * self._step

    def notes(self) -> list[str]:
        """Return what to tell: nothing where at least half could be assessed, or the step is not to blame."""
        told = f"{self.assessed} of {self.rows} rows could be assessed"
        if not self.too_far:
            return [f"{told}: too little history lies before them."] if not self.assessed else []
        fitting = next((step for step in STEPS if step >= round(self._minutes)), STEPS[-1])
        notes = [
            f"{told}: the readings are about {self._minutes:.0f} minutes apart and this run's step is {self._step}; "
            f"train a run with `python main.py --source PATH --set schema.step={fitting}min`."
        ]
        if self.silences:
            notes.append(f"{self.silences} alarms of silence are this spacing itself, no fault of a device.")
        return notes

    @property
    def _minutes(self) -> float:
        return float(np.median(list(self._apart.values()))) if self._apart else 0.0
