"""Several devices of one person: what two measured in one step is never averaged, and where they differ is told.

In each grid step a value is taken from one device: the one that measured it before, where that is among those which
did now, else the first that did. So somebody may wear a watch and a thermometer, and the second watch, of a visitor or
of another patient, changes nothing. What is passed over stays stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Bools, Floats, Readings

Devices = Mapping[str, int]  # column -> the device that measured it last
TWO_DEVICES = (
    64  # bit of Grid.artefact, beside those of `artefacts`: two measured this and differ; it takes nothing back
)
FOLLOWS = {  # told with the first or not at all: two cuffs make no blood pressure
    "heart_rate_spread": "heart_rate",
    "oxygen_saturation_min": "oxygen_saturation",
    "blood_pressure_diastolic": "blood_pressure_systolic",
}
# Apart by more than two good sensors are (chosen: about twice what each may err by its standard: 5 /min ANSI/AAMI EC13,
# 3-4 % ISO 80601-2-61, 0.3 Cel ISO 80601-2-56, 5 and 8 mmHg ISO 81060-2)
DIFFER = {
    "heart_rate": 10.0,
    "oxygen_saturation": 7.0,
    "respiratory_rate": 6.0,
    "body_temperature": 0.8,
    "blood_pressure_systolic": 20.0,
    "blood_pressure_diastolic": 20.0,
}


def code(device: str) -> int:
    """Return the number that stands for a device in `Readings.device`, 0 where none is told."""
    return int.from_bytes(hashlib.blake2b(device.encode(), digest_size=7).digest()) if device else 0


def codes(devices: Sequence[str]) -> NDArray[np.int64] | None:
    """Return `code` of each reading, (n,); None where none tells a device."""
    known = {device: code(device) for device in set(devices)}
    return np.array([known[one] for one in devices], np.int64) if any(known.values()) else None


def alone(before: Devices, new: Readings) -> Devices:
    """Return which device measured what last, after one reading that is the only one of its step."""
    if new.device is None and not before:
        return before
    mine = 0 if new.device is None else new.device.item()
    return {**before, **{name: mine for name, column in new.values.items() if column.item() == column.item()}}


def sort_out(
    before: Devices, new: Readings, step_ms: int
) -> tuple[Readings, Devices, Devices, Mapping[str, list[int]]]:
    """Return readings without what is passed over, and who measured what.

    Args:
        before: Which device measured what last.
        new: Sorted by grid step.
        step_ms: Length of a step.

    Returns:
        The readings, NaN where another device was taken; which device measured what last before the newest step, and
        after it; of each vital the steps (numbers since 1970) in which two devices differ.
    """
    if new.device is None and not before:
        return new, before, before, {}
    device = np.zeros(len(new), np.int64) if new.device is None else new.device
    step = new.time // step_ms
    starts = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    ends = np.append(starts[1:], len(step))
    taken, differ = _Taken(before, new, device), dict[str, list[int]]()
    other = device != np.repeat(device[starts], ends - starts)  # than the first of the step
    several, done = np.logical_or.reduceat(other, starts), 0
    for i in np.flatnonzero(several).tolist():
        rows = slice(int(starts[i]), int(ends[i]))
        taken.see(slice(done, rows.start))
        for name in taken.choose(rows):
            differ.setdefault(name, []).append(int(step[rows.start]))
        done = rows.start
    last = int(starts[-1])
    taken.see(slice(done, last))
    earlier = dict(taken.last)
    taken.see(slice(max(done, last), len(step)))
    return replace(new, values=taken.values), earlier, taken.last, differ


class _Taken:
    """Which device each column is taken from, while one goes through the readings."""

    def __init__(self, before: Devices, new: Readings, device: NDArray[np.int64]) -> None:
        self.last = dict(before)
        self.values: dict[str, Floats] = dict(new.values)
        self._told = new.values
        self._device = device

    def see(self, rows: slice) -> None:
        """Take up who measured what last in rows whose values are chosen."""
        for name, column in self.values.items():
            measured = np.flatnonzero(np.isfinite(column[rows]))
            if len(measured):
                self.last[name] = int(self._device[rows][measured[-1]])

    def choose(self, rows: slice) -> list[str]:
        """Pass over what other devices than the chosen one measured in a step; return the vitals that differ."""
        device, chosen, differ = self._device[rows], dict[str, int](), []
        for name in sorted(self.values, key=lambda one: one in FOLLOWS):
            told = self._told[name][rows]
            measured = np.isfinite(told)
            if not measured.any():
                continue
            mine = chosen.get(FOLLOWS.get(name, ""), self._device_of(name, device[measured]))
            chosen[name] = mine
            if _differ(name, told, measured, device == mine):
                differ.append(name)
            if (device[measured] != mine).any():
                if self.values[name] is self._told[name]:
                    self.values[name] = self._told[name].copy()
                self.values[name][rows][device != mine] = np.nan
        return differ

    def _device_of(self, name: str, measured: NDArray[np.int64]) -> int:
        before = self.last.get(name)
        return before if before is not None and (measured == before).any() else int(measured[0])


def _differ(name: str, told: Floats, measured: Bools, mine: Bools) -> bool:
    ours, theirs = told[measured & mine], told[measured & ~mine]
    if name not in DIFFER or not len(ours) or not len(theirs):
        return False
    return bool(abs(float(ours.mean()) - float(theirs.mean())) > DIFFER[name])
