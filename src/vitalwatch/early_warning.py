"""Early warning in hospital: one stay as hours -> columns that look back only -> calibrated risks.

Three groups of columns, and a model sees only those it names: `vitals` (vital signs, when they were taken, age, sex),
`stay` (hours in intensive care and in hospital) and `care` (laboratory values, consciousness, urine, ventilation).
When and how often something is measured tells what the staff feared: a model that sees it learns their habits too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vitalwatch import clinical
from vitalwatch.platt import Platt
from vitalwatch.runtime import Model
from vitalwatch.tables import MINUTE, Care, Doubles, Floats, Profile, Readings, Times

FILE = "early_warning.json"
QUESTIONS = {"sepsis": "sepsis within 6 hours", "death_in_hospital": "death in this stay"}
HORIZON_HOURS = {"sepsis": 6, "death_in_hospital": None}  # None: until the stay is over
HOUR = 60 * MINUTE
LONGEST_GAP = 24  # hours with nothing at all, after which another stay begins
VITALS = ("heart_rate", "oxygen_saturation", "respiratory_rate", "body_temperature", "blood_pressure_systolic",
          "blood_pressure_diastolic")  # fmt: skip
CLOCKS = ("icu_hours", "hospital_hours")  # told once, then they go on by themselves
SUMMED = ("urine",)
MEAN = "mean_pressure"  # estimated: a third of the way from diastolic to systolic pressure
MEASURED = (*VITALS, MEAN)
DERIVED = ("shock_index", "pulse_pressure", "saturation_per_breath", "news2")
WINDOWS = (6, 12, 24)  # hours
GROUPS = ("vitals", "stay", "care")
VARIANTS = {"vitals": ("vitals",), "stay": ("stay",), "vitals_stay": ("vitals", "stay"), "care": GROUPS}
ABOUT = ("age", "sex")
SEX = {"female": 0.0, "male": 1.0}


@dataclass(frozen=True)
class Stay:
    """One stay in hospital, hour by hour; a row is what is known when its hour is over.

    Attributes:
        time: Start of each hour, UTC ms, every hour from the first to the last (n,).
        vitals: Mean of each hour in `MEASURED` order, NaN where not measured (n, 7).
        care: Mean (urine: sum) of each hour in the order of `names` (n, k).
        names: What the columns of `care` are; not `CLOCKS`.
        clocks: Hours in intensive care and in hospital, NaN where nobody told (n, 2).
        about: Age in years and sex (0 female, 1 male), NaN where not told (2,).
    """

    time: Times
    vitals: Floats
    care: Floats
    names: tuple[str, ...]
    clocks: Floats
    about: Floats

    def __len__(self) -> int:
        return len(self.time)

    @property
    def lasted(self) -> NDArray[np.int64]:
        """How many hours the stay has lasted when each hour is over, as far as it was recorded (n,)."""
        return np.arange(1, len(self) + 1)

    def rows(self, keep: slice) -> Stay:
        """Return the chosen hours."""
        return Stay(self.time[keep], self.vitals[keep], self.care[keep], self.names, self.clocks[keep], self.about)


def care_names(schema_care: Sequence[str]) -> tuple[str, ...]:
    """Return which of the schema's `care` make columns of the group `care`."""
    return tuple(name for name in schema_care if name not in CLOCKS)


def stays(readings: Readings, care: Care | None, profile: Profile, names: Sequence[str]) -> list[Stay]:
    """Return a person's stays: apart where nothing at all was measured for more than `LONGEST_GAP` hours.

    Args:
        readings: Of one person; only the vitals are looked at.
        care: Of the same person, None where there is none.
        profile: Age and sex.
        names: From `care_names`.
    """
    empty = np.zeros(0, np.int64)
    care_time = empty if care is None else care.time
    hours = np.unique(np.concatenate((readings.time, care_time)) // HOUR)
    if not len(hours):
        return []
    breaks = np.flatnonzero(np.diff(hours) > LONGEST_GAP) + 1
    found = []
    for some in np.split(hours, breaks):
        first, count = int(some[0]), int(some[-1] - some[0]) + 1
        vitals = _hourly(readings, first, count)
        columns = _care(care, first, count) if care is not None else {}
        thirds = (vitals[:, 4] + 2 * vitals[:, 5]) / 3
        told = [columns.get(name, np.full(count, np.nan)) for name in names]
        found.append(
            Stay(
                time=(first + np.arange(count, dtype=np.int64)) * HOUR,
                vitals=np.column_stack((vitals, thirds)).astype(np.float32),
                care=np.stack(told, axis=1).astype(np.float32) if told else np.zeros((count, 0), np.float32),
                names=tuple(names),
                clocks=np.stack([_clock(columns.get(name), count) for name in CLOCKS], axis=1).astype(np.float32),
                about=np.asarray([profile.age, SEX.get(profile.sex, np.nan)], np.float32),
            )
        )
    return found


def columns_of(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the columns that `features` makes, and the group of each."""
    vitals = ["age", "male"]
    for name in MEASURED:
        vitals += [f"{name}_{what}" for what in _told()]
    for name in DERIVED:
        vitals += [f"{name}_{what}" for what in _told_derived()]
    care = [f"{name}_{what}" for name in names for what in _CARE]
    every = (*vitals, *CLOCKS, "hours_before_icu", *care)
    return every, ("vitals",) * len(vitals) + ("stay",) * 3 + ("care",) * len(care)


_LOOK = ("mean", "low", "high", "spread", "slope", "share", "above_mean")
_LOOK_DERIVED = ("mean", "low", "high", "slope")
_SO_FAR = ("mean_so_far", "spread_so_far", "low_so_far", "high_so_far", "since_first", "above_so_far", "share_so_far")
_SO_FAR_DERIVED = ("mean_so_far", "high_so_far", "since_first")
_CARE = ("last", "hours_ago", "change", "times_24h", "low_24h", "high_24h", "mean_so_far", "since_first")


def _told() -> list[str]:
    return ["last", "hours_ago", "change", *(f"{what}_{w}h" for w in WINDOWS for what in _LOOK), *_SO_FAR]


def _told_derived() -> list[str]:
    return ["last", *(f"{what}_{w}h" for w in WINDOWS for what in _LOOK_DERIVED), *_SO_FAR_DERIVED]


def features(stay: Stay) -> Floats:
    """Return the columns of every hour, float32 (n, f) in the order of `columns_of`; a row reads no later hour.

    `hours_ago` and `share` (measured hours of those there were) say when something was taken; `change` is against the
    measurement before, `above_mean` against the window's mean, `since_first` against the stay's first value.
    """
    n = len(stay)
    vitals = _blocks(stay.vitals, WINDOWS, with_share=True)
    last = _carried(stay.vitals.astype(np.float64))[0]
    derived = _blocks(_derive(last), WINDOWS, with_share=False)
    care = _care_blocks(stay.care.astype(np.float64))
    about = np.broadcast_to(stay.about, (n, 2))
    before = (stay.clocks[:, 1] - stay.clocks[:, 0])[:, None]
    wide: list[NDArray[Any]] = [
        about,
        *(b.reshape(n, -1) for b in (vitals, derived)),
        stay.clocks,
        before,
        care.reshape(n, -1),
    ]
    return np.concatenate([block.astype(np.float32) for block in wide], axis=1)


def _derive(last: Doubles) -> Doubles:
    """Return `DERIVED` from the last known vitals, (n, 4)."""
    rate, oxygen, breaths, warmth, systolic, diastolic = last[:, :6].T
    news = clinical.news2(
        respiration=breaths, saturation=oxygen, systolic=systolic, pulse=rate, temperature=warmth
    ).total
    return np.stack((rate / systolic, systolic - diastolic, oxygen / breaths, news.astype(np.float64)), axis=1)


def _blocks(values: NDArray[Any], windows: Sequence[int], *, with_share: bool) -> Doubles:
    """Return the columns of each vital, (n, c, told)."""
    x = values.astype(np.float64)
    last, ago, change = _carried(x)
    elapsed = np.arange(1, len(x) + 1)[:, None]
    out = [last, ago, change] if with_share else [last]
    for hours in windows:
        look = _look(x, hours)
        out += [look[name] for name in (_LOOK[:5] if with_share else _LOOK_DERIVED)]
        if with_share:
            out += [look["measured"] / np.minimum(elapsed, hours), last - look["mean"]]
    far = _so_far(x)
    if with_share:
        out += [far["mean"], far["spread"], far["low"], far["high"], last - far["first"], last - far["mean"]]
        out.append(far["measured"] / elapsed)
    else:
        out += [far["mean"], far["high"], last - far["first"]]
    return np.stack(out, axis=2)


def _care_blocks(x: Doubles) -> Doubles:
    """Return `_CARE` of each column, (n, k, 8)."""
    last, ago, change = _carried(x)
    look, far = _look(x, 24), _so_far(x)
    parts = [last, ago, change, look["measured"], look["low"], look["high"], far["mean"], last - far["first"]]
    return np.stack(parts, axis=2)


def _carried(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the last value, how many hours ago it was measured, and its change from the one before, each (n, c)."""
    row = np.arange(len(x))[:, None]
    place = np.maximum.accumulate(np.where(np.isfinite(x), row, -1), axis=0)
    known, at = place >= 0, np.maximum(place, 0)
    before = np.concatenate((np.full((1, x.shape[1]), -1), place[:-1]))  # measured strictly earlier
    earlier = np.where(known, np.take_along_axis(before, at, 0), -1)
    last = np.where(known, np.take_along_axis(x, at, 0), np.nan)
    previous = np.where(earlier >= 0, np.take_along_axis(x, np.maximum(earlier, 0), 0), np.nan)
    return last, np.where(known, row - place, np.nan), last - previous


def _look(x: Doubles, hours: int) -> dict[str, Doubles]:
    """Return mean, low, high, spread, slope (per hour) and measured hours of the last `hours` hours, each (n, c)."""
    padded = np.concatenate((np.full((hours - 1, x.shape[1]), np.nan), x))
    window = sliding_window_view(padded, hours, axis=0)
    known = np.isfinite(window)
    measured = known.sum(axis=2)
    some, divide = measured > 0, np.maximum(measured, 1)
    mean = np.where(known, window, 0).sum(axis=2) / divide
    away = np.where(known, window - mean[:, :, None], 0)
    clock = np.arange(hours, dtype=np.float64)
    turn = np.where(known, clock - ((known * clock).sum(axis=2) / divide)[:, :, None], 0)
    width = (turn * turn).sum(axis=2)
    return {
        "mean": np.where(some, mean, np.nan),
        "low": np.where(some, np.where(known, window, np.inf).min(axis=2), np.nan),
        "high": np.where(some, np.where(known, window, -np.inf).max(axis=2), np.nan),
        "spread": np.where(measured > 1, np.sqrt((away * away).sum(axis=2) / divide), np.nan),
        "slope": np.where(width > 0, (turn * away).sum(axis=2) / np.where(width > 0, width, 1), np.nan),
        "measured": measured,
    }


def _so_far(x: Doubles) -> dict[str, Doubles]:
    """Return the same since the stay began, and its first value, each (n, c)."""
    known = np.isfinite(x)
    measured = np.cumsum(known, axis=0)
    some, divide = measured > 0, np.maximum(measured, 1)
    start = np.where(known.any(axis=0), x[np.argmax(known, axis=0), np.arange(x.shape[1])], np.nan)
    away = np.where(known, x - start, 0)  # sums of differences: no digits are lost
    mean = np.cumsum(away, axis=0) / divide
    square = np.cumsum(away * away, axis=0) / divide
    return {
        "mean": np.where(some, mean + start, np.nan),
        "spread": np.where(measured > 1, np.sqrt(np.maximum(square - mean * mean, 0)), np.nan),
        "low": np.where(some, np.minimum.accumulate(np.where(known, x, np.inf), axis=0), np.nan),
        "high": np.where(some, np.maximum.accumulate(np.where(known, x, -np.inf), axis=0), np.nan),
        "first": np.where(some, start, np.nan),
        "measured": measured,
    }


def _hourly(readings: Readings, first: int, count: int) -> Doubles:
    """Return the mean of each vital in each hour, (count, 6)."""
    hour = readings.time // HOUR - first
    inside = (hour >= 0) & (hour < count)
    out = np.full((count, len(VITALS)), np.nan)
    for i, name in enumerate(VITALS):
        column = readings.column(name)
        rows = inside & np.isfinite(column)
        out[:, i] = _mean(hour[rows], column[rows], count)
    return out


def _care(care: Care, first: int, count: int) -> dict[str, Doubles]:
    """Return name -> each hour's mean or sum, (count,), for what was measured in these hours."""
    hour = care.time // HOUR - first
    inside = (hour >= 0) & (hour < count)
    found = {}
    for code in np.unique(care.what[inside]).tolist():
        rows = inside & (care.what == code)
        name, at, values = care.names[code], hour[rows], care.value[rows]
        if name in SUMMED:
            total = np.bincount(at, values, count)
            found[name] = np.where(np.bincount(at, minlength=count) > 0, total, np.nan)
        else:
            found[name] = _mean(at, values, count)
    return found


def _mean(at: NDArray[np.int64], values: Floats, count: int) -> Doubles:
    times = np.bincount(at, minlength=count)
    mean = np.bincount(at, values, count) / np.maximum(times, 1)
    return np.where(times > 0, mean, np.nan)


def _clock(told: Doubles | None, count: int) -> Doubles:
    """Return the last told number of hours plus those gone since, (count,)."""
    if told is None:
        return np.full(count, np.nan)
    last, ago, _ = _carried(told[:, None])
    return (last + ago)[:, 0]


@dataclass(frozen=True)
class Risk:
    """What is said of one person: a probability for each hour and question.

    Attributes:
        time: Start of each hour, UTC ms (n,); a row uses what was known at its end.
        values: Question -> calibrated probability, float32 (n,).
        seen: Which groups of columns the answer could see.
        measured: What was known at all in the newest stay: names of `EarlyWarning.inputs`.
    """

    time: Times
    values: Mapping[str, Floats]
    seen: tuple[str, ...]
    measured: tuple[str, ...] = ()


class EarlyWarning:
    """The models of a bundle that answer for stays in hospital.

    Attributes:
        questions: What risks are told.
        names: `care` columns, as trained.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        told = json.loads(files[FILE])
        self.names = tuple(told["care"])
        groups = columns_of(self.names)[1]
        self._heads = {
            question: {
                variant: (
                    Model(files[head["file"]]),
                    np.flatnonzero(np.isin(groups, head["groups"])),
                    Platt(*(tuple(head["calibration"][name]) for name in ("hours", "slope", "offset"))),
                )
                for variant, head in variants.items()
            }
            for question, variants in told["questions"].items()
        }
        self.questions = tuple(self._heads)

    @staticmethod
    def of(files: Mapping[str, bytes]) -> EarlyWarning | None:
        """Return the models of a bundle, None where it has none."""
        return EarlyWarning(files) if FILE in files else None

    @staticmethod
    def fits(files: Mapping[str, bytes]) -> bool:
        """Return whether the models of a bundle, if it has any, were trained on the columns of this version."""
        if FILE not in files:
            return True
        told = json.loads(files[FILE])
        return list(columns_of(tuple(told["care"]))[0]) == told["columns"]

    def answer(self, readings: Readings, profile: Profile, care: Care | None = None) -> Risk:
        """Return the risks at every hour of a person's stays.

        People without `care` are answered by the models that never saw any, so that its absence says nothing.

        Args:
            readings: Of one person.
            profile: Age and sex, where told.
            care: Of the same person, where there is any.
        """
        variant = "care" if care is not None and len(care) else "vitals"
        found = stays(readings, care, profile, self.names)
        rows = [(features(stay), stay.lasted) for stay in found]
        time = np.concatenate([stay.time for stay in found]) if found else np.zeros(0, np.int64)
        values = {
            question: np.concatenate([np.zeros(0, np.float32), *(self.told(question, variant, *one) for one in rows)])
            for question in self.questions
        }
        return Risk(time, values, GROUPS if variant == "care" else GROUPS[:1], _measured(found[-1]) if found else ())

    def inputs(self, seen: Sequence[str]) -> tuple[str, ...]:
        """Return the names of what a model that sees these groups of columns rests on."""
        beside = (*CLOCKS, *self.names) if "care" in seen else ()
        return (*VITALS, *ABOUT, *beside)

    def told(self, question: str, variant: str, x: Floats, lasted: NDArray[np.int64]) -> Floats:
        """Return calibrated probabilities for rows of `features` after so many hours of the stay, (n,)."""
        model, columns, platt = self._heads[question][variant]
        return platt(model.run(x=np.ascontiguousarray(x[:, columns]))["probability"].reshape(len(x)), lasted)


def _measured(stay: Stay) -> tuple[str, ...]:
    """Return what was known at any hour of a stay."""
    names = (*VITALS, *ABOUT, *CLOCKS, *stay.names)
    about = np.broadcast_to(stay.about, (len(stay), 2))
    values = np.concatenate((stay.vitals[:, : len(VITALS)], about, stay.clocks, stay.care), axis=1)
    return tuple(names[i] for i in np.flatnonzero(np.isfinite(values).any(axis=0)).tolist())


def last_known(risk: Risk, question: str, ends: Times) -> Floats:
    """Return, for moments, the risk of the last hour that was over by then; NaN before the first, (n,)."""
    if not len(risk.time):
        return np.full(len(ends), np.nan, np.float32)
    place = np.searchsorted(risk.time + HOUR, ends, side="right") - 1
    at = np.maximum(place, 0)
    fresh = (place >= 0) & (ends - risk.time[at] <= (LONGEST_GAP + 1) * HOUR)
    return np.where(fresh, risk.values[question][at], np.nan).astype(np.float32)
