"""Window statistics in pure numpy, each with a declared lookback; nothing here is learnt.

A window sum is built by doubling (2 rows, 4 rows, 8 rows, ...), so that the value at a row is one fixed expression of
the rows in its window: bit-equal whether one row is asked for or a month, with log2(window) additions for all rows at
once. (Running sums drift; a plain reduction rounds differently by memory layout.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitalwatch.baseline import CONTEXTS, SIGNALS, SPARSE
from vitalwatch.tables import Bools, Doubles, Floats, Grid, Profile

ASLEEP, AT_REST, ACTIVE = range(len(CONTEXTS))
ACTIVE_STEPS = 10.0  # steps/min over 15 minutes: more than pottering about
ACTIVE_INTENSITY = 0.15
NIGHT = (0, 360)  # local minutes; without a sleep signal, stillness in these counts as sleep
LEAST_COVERAGE = 0.25  # of a window's rows

STEP_WINDOWS = (5, 10, 15, 30, 60, 120, 180, 360)
INTENSITY_WINDOWS = (5, 15, 30, 60, 180)
SLEEP_WINDOWS = (30, 60, 180)
CONTEXT_LOOKBACK = 360  # minutes

# What the expected heart rate may know. No column here is computed from heart rate: a test holds this list against it.
MOMENT = (
    *(f"steps_{w}min" for w in STEP_WINDOWS),
    *(f"intensity_{w}min" for w in INTENSITY_WINDOWS),
    "motion",
    "asleep",
    *(f"asleep_{w}min" for w in SLEEP_WINDOWS),
    "clock_sin",
    "clock_cos",
    "clock_sin_2",
    "clock_cos_2",
)
PERSON = ("age", "female", "male", "height", "weight", "bmi", "beta_blocker")
EXPECTATION = (*MOMENT, *PERSON)
DRIVERS = ("steps_15min", "steps_60min", "intensity_15min", "clock_sin", "clock_cos")  # of the other signals

# Columns of the second pass: z of each signal, where measured, and heart rate by context
EXTRA = ("heart_rate_active", "heart_rate_quiet", "heart_rate_square", "steps")
TRACKS = (*SIGNALS, *EXTRA)
WINDOWS = (10, 30, 60, 90, 180, 360, 720, 1440)
DETECTOR_LOOKBACK = 1440  # minutes


@dataclass(frozen=True)
class Feature:
    """One column of the detector's features.

    Attributes:
        name: `<track>_<statistic>_<window>`.
        track: Name in TRACKS, or a context column.
        statistic: `mean`, `spread`, `lowest`, `steps_z` or `now`.
        window: Lookback in minutes (0: this row only).
        unit: `z` (own spreads from own normal) unless said.
        groups: Organ groups whose forest sees it.
    """

    name: str
    track: str
    statistic: str
    window: int
    unit: str
    groups: tuple[str, ...]


def _means(track: str, windows: Sequence[int], *groups: str) -> list[Feature]:
    return [Feature(f"{track}_mean_{w}min", track, "mean", w, "z", groups) for w in windows]


def _merge(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Join features named twice: one column, all its groups."""
    merged: dict[str, Feature] = {}
    for f in features:
        before = merged.get(f.name)
        groups = (*before.groups, *(g for g in f.groups if g not in before.groups)) if before else f.groups
        merged[f.name] = Feature(f.name, f.track, f.statistic, f.window, f.unit, groups)
    return tuple(merged.values())


FEATURES: tuple[Feature, ...] = _merge(
    [
        *_means("heart_rate", (10, 30, 60, 90), "cardiac"),
        *_means("heart_rate_quiet", (30, 90), "cardiac"),
        Feature("heart_rate_spread_60min", "heart_rate", "spread", 60, "z", ("cardiac",)),
        *_means("heart_rate_spread", (10, 30, 60, 90, 180), "rhythm"),
        *_means("heart_rate_variability_rmssd", (30, 60, 90, 180), "rhythm"),
        *_means("heart_rate", (60,), "rhythm"),
        *_means("oxygen_saturation", (10, 30, 60, 180), "oxygen"),
        *_means("oxygen_saturation_min", (10, 30, 60, 180), "oxygen"),
        Feature("oxygen_saturation_min_lowest_30min", "oxygen_saturation_min", "lowest", 30, "z", ("oxygen",)),
        *_means("blood_pressure_systolic", (60, 180, 360), "pressure"),
        *_means("blood_pressure_diastolic", (60, 180, 360), "pressure"),
        *_means("heart_rate_active", (30, 60, 180), "exertion"),
        *_means("respiratory_rate", (10, 30, 60, 180), "respiration"),
        *_means("heart_rate_quiet", (360, 720, 1440), "slow"),
        *_means("body_temperature", (180, 360, 720, 1440), "slow"),
        *_means("respiratory_rate", (360, 720, 1440), "slow"),
        *_means("heart_rate_variability_rmssd", (720, 1440), "slow"),
        Feature("steps_z_1440min", "steps", "steps_z", 1440, "z", ("slow",)),
        *_means("heart_rate", (30, 180), "joint"),
        *_means("respiratory_rate", (60, 180), "joint"),
        *_means("oxygen_saturation", (60, 180), "joint"),
        *_means("body_temperature", (60, 180), "joint"),
        *_means("blood_pressure_systolic", (180,), "joint"),
        *_means("heart_rate", (180, 360, 720, 1440)),
        *_means("heart_rate_spread", (360, 1440)),
        *_means("blood_pressure_systolic", (720, 1440)),
        *_means("oxygen_saturation", (360, 720)),
        Feature("asleep", "asleep", "now", 0, "0/1", ()),
        Feature("active", "active", "now", 0, "0/1", ()),
        Feature("steps_60min", "steps_60min", "now", 60, "steps/min", ()),
        Feature("asleep_60min", "asleep_60min", "now", 60, "share", ()),
    ]
)
NAMES = tuple(f.name for f in FEATURES)
GROUPS: dict[str, tuple[int, ...]] = {
    group: tuple(i for i, f in enumerate(FEATURES) if group in f.groups)
    for group in dict.fromkeys(g for f in FEATURES for g in f.groups)
}


def window_sums(values: Doubles, widths: Sequence[int], new: int) -> list[Doubles]:
    """Return for each width the sum over the last `width` rows, for the last `new` rows.

    Args:
        values: (n, c), oldest first; must reach max(widths) - 1 rows before the first new row, or the beginning.
        widths: Rows, each >= 1.
        new: How many rows at the end are asked for.

    Returns:
        One (new, c) array a width; rows before the first count as zero.
    """
    powers = [values]
    while 2 ** len(powers) <= max(widths):
        powers.append(_add_shifted(powers[-1], powers[-1], 2 ** (len(powers) - 1)))
    sums = []
    for width in widths:
        total, reach = None, 0
        for exponent in reversed(range(len(powers))):
            if width >> exponent & 1:
                total = powers[exponent] if total is None else _add_shifted(total, powers[exponent], reach)
                reach += 2**exponent
        assert total is not None
        sums.append(total[len(total) - new :])
    return sums


def _add_shifted(recent: Doubles, older: Doubles, shift: int) -> Doubles:
    """Return recent[t] + older[t - shift], older taken as zero before the beginning."""
    out = recent.copy()
    if shift < len(out):
        np.add(recent[shift:], older[:-shift], out=out[shift:])
    return out


def window_lowest(values: Doubles, width: int, new: int) -> Doubles:
    """Return the minimum over the last `width` rows for the last `new` rows, (new, ...); by doubling."""
    lowest, reach = values, 1
    while reach < width:
        shift = min(reach, width - reach)
        out = lowest.copy()
        np.minimum(lowest[shift:], lowest[:-shift], out=out[shift:])
        lowest, reach = out, reach + shift
    return lowest[len(lowest) - new :]


@lru_cache(maxsize=1)
def clock_table() -> Floats:
    """Return sine and cosine of the local time of day, first and second harmonic, by minute: (1440, 4)."""
    angle = 2 * np.pi * np.arange(1440) / 1440
    table = np.stack((np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)), axis=1).astype(np.float32)
    table.setflags(write=False)
    return table


def person_row(profile: Profile, usual: Floats) -> Floats:
    """Return the PERSON columns of a profile, (7,); what is not told is taken from `usual` (training medians)."""
    told = np.asarray(
        [
            profile.age,
            float(profile.sex == "female") if profile.sex in ("female", "male") else np.nan,
            float(profile.sex == "male") if profile.sex in ("female", "male") else np.nan,
            profile.height,
            profile.weight,
            profile.weight / (profile.height / 100) ** 2,
            float("beta_blocker" in profile.medication),
        ],
        np.float32,
    )
    return np.where(np.isfinite(told), told, usual)


def activity(grid: Grid, step_minutes: int) -> Doubles:
    """Return steps per minute, intensity, whether asleep and motion, (n, 4); not measured counts as none.

    Without a sleep signal a person is taken as asleep at night (NIGHT, local); `moment` adds that they be still.
    """
    at = {name: i for i, name in enumerate(grid.names)}
    columns = grid.values[:, [at["steps"], at["intensity"], at["sleep"], at["motion"]]].astype(np.float64)
    night = (grid.minute >= NIGHT[0]) & (grid.minute < NIGHT[1])
    unknown = np.isnan(columns[:, 2])
    if unknown.any():
        columns[:, 2] = np.where(unknown, night & ~(columns[:, 0] > 0) & np.isfinite(grid.values[:, 0]), columns[:, 2])
    columns[np.isnan(columns)] = 0.0
    columns[:, 0] /= step_minutes
    return columns


def rows_of(window: int, step_minutes: int) -> int:
    """Return a window in rows, at least one."""
    return max(window // step_minutes, 1)


def moment(active: Doubles, minute: NDArray[np.int16], new: int, step_minutes: int) -> tuple[Floats, NDArray[np.int8]]:
    """Return the MOMENT columns and the context of the last `new` rows.

    Args:
        active: From `activity`, (k + new, 4), reaching CONTEXT_LOOKBACK back where there are rows.
        minute: Local minute of the day of the new rows, (new,).
        new: Number of new rows.
        step_minutes: Minutes in a grid step.

    Returns:
        float32 (new, m) and index into CONTEXTS (new,).
    """
    windows = sorted({*STEP_WINDOWS, *INTENSITY_WINDOWS, *SLEEP_WINDOWS})
    widths = [rows_of(w, step_minutes) for w in windows]
    sums = window_sums(active[:, :3], widths, new)
    mean = {w: total / width for w, width, total in zip(windows, widths, sums, strict=True)}
    out = np.empty((new, len(MOMENT)), np.float32)
    i = 0
    for column, chosen in ((0, STEP_WINDOWS), (1, INTENSITY_WINDOWS)):
        for w in chosen:
            out[:, i] = mean[w][:, column]
            i += 1
    out[:, i] = active[len(active) - new :, 3]
    out[:, i + 1] = active[len(active) - new :, 2]
    i += 2
    for w in SLEEP_WINDOWS:
        out[:, i] = mean[w][:, 2]
        i += 1
    out[:, i:] = clock_table()[minute]
    moving = (mean[15][:, 0] > ACTIVE_STEPS) | (mean[15][:, 1] > ACTIVE_INTENSITY)
    context = np.where(active[len(active) - new :, 2] > 0.5, ASLEEP, np.where(moving, ACTIVE, AT_REST))
    return out, context.astype(np.int8)


def signals(grid: Grid) -> Doubles:
    """Return the SIGNALS of a grid as measured (carried-forward values are not), float64 (n, s); NaN is not measured.

    HRV and heart-rate spread are on a square-root scale.
    """
    at = {name: i for i, name in enumerate(grid.names)}
    out = grid.values[:, [at[name] for name in SIGNALS]].astype(np.float64)
    vitals = grid.filled.shape[1]
    out[:, :vitals][grid.filled] = np.nan
    out[:, 6:8] = np.sqrt(np.maximum(out[:, 6:8], 0.0))
    return out


def tracks(z: Doubles, context: NDArray[np.int8], steps: Doubles) -> Doubles:
    """Return what windows are taken of: values (0 where not measured) and where measured, (n, 2 t) in TRACKS order.

    Args:
        z: Signals in own spreads from own normal, (n, s); NaN is not measured.
        context: (n,).
        steps: Steps per minute, (n,).
    """
    n, s = z.shape
    out = np.zeros((n, 2 * len(TRACKS)))
    measured = np.isfinite(z)
    t = len(TRACKS)
    out[:, :s] = np.where(measured, z, 0.0)
    out[:, t : t + s] = measured
    rate, has_rate = out[:, 0], measured[:, 0]
    for i, where in ((s, has_rate & (context == ACTIVE)), (s + 1, has_rate & (context != ACTIVE))):
        out[:, i] = rate * where
        out[:, t + i] = where
    out[:, s + 2] = rate * rate
    out[:, t + s + 2] = has_rate
    out[:, s + 3] = steps
    out[:, t + s + 3] = 1.0
    return out


@lru_cache(maxsize=4)
def _plan(step_minutes: int) -> tuple[tuple[int, ...], Doubles, NDArray[np.intp], NDArray[np.intp]]:
    """Return widths in rows, least counts (w, t), and for each `mean` feature its place in FEATURES and in (w, t)."""
    widths = tuple(rows_of(w, step_minutes) for w in WINDOWS)
    least = np.asarray([[_least(track, width) for track in TRACKS] for width in widths], np.float64)
    place = [i for i, f in enumerate(FEATURES) if f.statistic == "mean"]
    source = [WINDOWS.index(FEATURES[i].window) * len(TRACKS) + TRACKS.index(FEATURES[i].track) for i in place]
    return widths, least, np.asarray(place), np.asarray(source)


def _least(track: str, width: int) -> int:
    sparse = track in SPARSE or track.startswith("heart_rate_active") or track == "heart_rate_variability_rmssd"
    return 1 if sparse else max(int(np.ceil(LEAST_COVERAGE * width)), 1)


def detector_features(
    track: Doubles,
    moments: Floats,
    context: NDArray[np.int8],
    usual_steps: Doubles,
    new: int,
    step_minutes: int,
) -> tuple[Floats, Floats, Bools]:
    """Return the detector's features of the last `new` rows and whether a row can be judged.

    Args:
        track: From `tracks`, (k + new, 2 t), reaching DETECTOR_LOOKBACK back where there are rows.
        moments: From `moment`, (new, m).
        context: (new,).
        usual_steps: Own usual steps of a day and their spread, (new, 2).
        new: Number of new rows.
        step_minutes: Minutes in a grid step.

    Returns:
        float32 (new, f) in NAMES order, 0 (usual) where a window has too little; (new, s), the stronger of each
        signal's means over the last hour and the last six, what contributions are told from; and (new,), False where
        fewer than a quarter of the last hour's heart rates were measured.
    """
    widths, least, place, source = _plan(step_minutes)
    t = len(TRACKS)
    sums = np.stack(window_sums(track, widths, new), axis=1)  # (new, w, 2 t)
    count = sums[:, :, t:]
    mean = sums[:, :, :t] / np.maximum(count, 1.0)
    mean *= count >= least
    out = np.empty((new, len(FEATURES)), np.float32)
    out[:, place] = mean.reshape(new, -1)[:, source]
    hour = WINDOWS.index(60)
    square = mean[:, hour, TRACKS.index("heart_rate_square")] - mean[:, hour, 0] ** 2
    z_low = np.where(track[:, t + 8] > 0, track[:, 8], 0.0)
    walked = sums[:, -1, TRACKS.index("steps")] * step_minutes
    column = {name: i for i, name in enumerate(NAMES)}
    out[:, column["heart_rate_spread_60min"]] = np.sqrt(np.maximum(square, 0.0))
    out[:, column["oxygen_saturation_min_lowest_30min"]] = window_lowest(z_low, rows_of(30, step_minutes), new)
    day_worn = count[:, -1, 0] >= widths[-1] / 2
    out[:, column["steps_z_1440min"]] = day_worn * (walked - usual_steps[:, 0]) / usual_steps[:, 1]
    out[:, column["asleep"]] = context == ASLEEP
    out[:, column["active"]] = context == ACTIVE
    out[:, column["steps_60min"]] = moments[:, MOMENT.index("steps_60min")]
    out[:, column["asleep_60min"]] = moments[:, MOMENT.index("asleep_60min")]
    recent, slow = mean[:, hour, : len(SIGNALS)], mean[:, WINDOWS.index(360), : len(SIGNALS)]
    stronger = np.where(np.abs(recent) >= np.abs(slow), recent, slow).astype(np.float32)
    return out, stronger, count[:, hour, 0] >= least[hour, 0]
