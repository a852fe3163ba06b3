"""Window statistics in pure numpy, each with a declared lookback; nothing here is learnt.

A row is the same to the bit whether it is asked for alone or in a month: sums are those of `windows`, everything else
is elementwise. Where vectors are short, a single row is worked out in plain numbers (IEEE 754 gives the same bits): a
numpy call costs as much as ten of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from vitalwatch.baseline import CONTEXTS, SIGNALS, SPARSE
from vitalwatch.tables import Bools, Doubles, Floats, Grid, Profile
from vitalwatch.windows import Chain, chain_of, window_lowest, window_sums

Codes = NDArray[np.int8]  # indices into CONTEXTS
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

# Columns of the second pass: z of each signal, where measured; heart rate by context, from what this person does at
# this hour and effort (`habits`); and what effort is expected to add, in own spreads
EXTRA = ("heart_rate_active", "heart_rate_quiet", "heart_rate_lift", "heart_rate_square", "steps")
TRACKS = (*SIGNALS, *EXTRA)
WINDOWS = (10, 30, 60, 90, 180, 360, 720, 1440)
EFFORT = 2.5  # spreads, summed over rows, that an expected rise must outweigh before a missing one counts


@dataclass(frozen=True)
class Feature:
    """One column of the detector's features.

    Attributes:
        name: `<track>_<statistic>_<window>`.
        track: Name in TRACKS, or a context column.
        statistic: `mean`, `above` (mean minus that of the window `than`), `spread`, `lowest`, `shortfall`, `steps_z`
            or `now`.
        window: Lookback in minutes (0: this row only).
        unit: `z` (own spreads from own normal) unless said.
        groups: Organ groups whose forest sees it.
        than: The longer window of `above`, minutes.
    """

    name: str
    track: str
    statistic: str
    window: int
    unit: str
    groups: tuple[str, ...]
    than: int = 0

    @property
    def lookback(self) -> int:
        """Minutes that it looks back."""
        return max(self.window, self.than)


def _means(track: str, windows: Sequence[int], *groups: str) -> list[Feature]:
    return [Feature(f"{track}_mean_{w}min", track, "mean", w, "z", groups) for w in windows]


def _above(track: str, window: int, than: int, *groups: str) -> Feature:
    """Return how far a window's mean is above that of a longer one: an onset, whatever sort of day it is."""
    return Feature(f"{track}_mean_{window}min_above_{than}min", track, "above", window, "z", groups, than)


def _merge(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Join features named twice: one column, all its groups."""
    merged: dict[str, Feature] = {}
    for f in features:
        before = merged.get(f.name)
        groups = (*before.groups, *(g for g in f.groups if g not in before.groups)) if before else f.groups
        merged[f.name] = replace(f, groups=groups)
    return tuple(merged.values())


FEATURES: tuple[Feature, ...] = _merge(
    [
        *_means("heart_rate", (10, 30, 60, 90)),
        *_means("heart_rate", (60,), "cardiac"),
        *_means("heart_rate_quiet", (30, 90), "cardiac"),
        Feature("heart_rate_spread_60min", "heart_rate", "spread", 60, "z", ()),
        *_means("heart_rate_spread", (10, 30, 60, 90, 180), "rhythm"),
        *_means("heart_rate_variability_rmssd", (30, 60, 90, 180), "rhythm"),
        *_means("heart_rate", (60,), "rhythm"),
        *_means("oxygen_saturation", (10, 30, 60, 180), "oxygen"),
        *_means("oxygen_saturation_min", (10, 30, 60, 180), "oxygen"),
        Feature("oxygen_saturation_min_lowest_30min", "oxygen_saturation_min", "lowest", 30, "z", ("oxygen",)),
        *_means("blood_pressure_systolic", (60, 180, 360), "pressure"),
        *_means("blood_pressure_diastolic", (60, 180, 360), "pressure"),
        *_means("heart_rate_active", (30, 60), "exertion"),
        *_means("heart_rate_active", (180,)),
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
        *_means("heart_rate_quiet", (60, 180)),
        Feature("heart_rate_shortfall_30min", "heart_rate_active", "shortfall", 30, "share", ()),
        Feature("heart_rate_shortfall_60min", "heart_rate_active", "shortfall", 60, "share", ()),
        _above("heart_rate_quiet", 30, 1440, "cardiac"),
        _above("heart_rate_quiet", 90, 1440, "cardiac"),
        _above("heart_rate_quiet", 180, 1440),
        _above("heart_rate", 60, 1440),
        _above("heart_rate_variability_rmssd", 60, 1440),
        _above("heart_rate_spread", 60, 360),
        _above("blood_pressure_systolic", 60, 720),
        _above("blood_pressure_systolic", 180, 1440),
        _above("respiratory_rate", 60, 720),
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


@lru_cache(maxsize=8)
def places_of(names: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Return where wanted names stand among all."""
    return tuple(map(names.index, wanted))


@lru_cache(maxsize=8)
def columns_of(names: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.intp]:
    """Return `places_of` as an array."""
    return np.asarray(places_of(names, wanted), np.intp)


def rows_of(window: int, step_minutes: int) -> int:
    """Return a window in rows, at least one."""
    return max(window // step_minutes, 1)


def signals(grid: Grid) -> Doubles:
    """Return the SIGNALS of a grid as measured (carried-forward values are not), float64 (n, s); NaN is not measured.

    HRV and heart-rate spread are on a square-root scale.
    """
    out = grid.values.take(columns_of(grid.names, SIGNALS), axis=1).astype(np.float64)
    np.copyto(out[:, : grid.filled.shape[1]], np.nan, where=grid.filled)
    rooted = out[:, 6:8]
    np.sqrt(np.maximum(rooted, 0.0, out=rooted), out=rooted)
    return out


def signals_of_one(grid: Grid) -> list[float]:
    """Return `signals` of a grid of one row, (s,)."""
    row, filled = grid.values[0].tolist(), grid.filled[0].tolist()
    told = [row[place] for place in places_of(grid.names, SIGNALS)]
    for i, carried in enumerate(filled):
        if carried:
            told[i] = nan
    told[6:8] = [sqrt(max(value, 0.0)) for value in told[6:8]]
    return told


def tracks(z: Doubles, context: NDArray[np.int8], steps: Doubles, pace: Doubles) -> Doubles:
    """Return what windows are taken of: values (0 where not measured) and where measured, (n, 2 t) in TRACKS order.

    Args:
        z: Signals in own spreads from own normal, (n, s); NaN is not measured.
        context: (n,).
        steps: Steps per minute, (n,).
        pace: What to add to the heart rate's z so that it counts from what this person does at this hour and effort,
            and what the effort is expected to add, both in own spreads, (n, 2).
    """
    (n, s), t = z.shape, len(TRACKS)
    out = np.zeros((n, 2 * t))
    measured = np.isfinite(z)
    np.copyto(out[:, :s], z, where=measured)
    out[:, t : t + s] = measured
    has_rate, active = measured[:, 0], context == ACTIVE
    out[:, t + s] = out[:, t + s + 2] = has_rate & active
    out[:, t + s + 1] = has_rate > active  # measured and not active
    out[:, t + s + 3] = has_rate
    out[:, t + s + 4] = 1.0
    out[:, s : s + 2] = (out[:, 0] + pace[:, 0])[:, None] * out[:, t + s : t + s + 2]
    out[:, s + 2] = pace[:, 1] * out[:, t + s]
    out[:, s + 3] = out[:, 0] * out[:, 0]
    out[:, s + 4] = steps
    return out


def tracks_of_one(z: Sequence[float], active: bool, steps: float, pace: tuple[float, float]) -> Doubles:
    """Return `tracks` of one row, (1, 2 t)."""
    measured = [value == value for value in z]  # NaN is not equal to itself
    values = [value if known else 0.0 for value, known in zip(z, measured, strict=True)]
    rate, known = values[0], measured[0]
    moving, still = known and active, known > active
    own = rate + pace[0]
    extra = (own if moving else 0.0, own if still else 0.0, pace[1] if moving else 0.0, rate * rate, steps)
    return np.array([(*values, *extra, *measured, moving, still, moving, known, True)], np.float64)


@dataclass(frozen=True)
class DetectorPlan:
    """Where the detector's features come from, for one grid step.

    Attributes:
        chain: Sums over WINDOWS of tracks.
        least: Measured rows that a mean needs, (w, t).
        source: Place of each feature among means (w t) and then EXTRAS, (f,).
        above: Which features are `above` another window's mean, (a,).
        than: Places of the means that are taken off those, (a,).
        off: The same of each feature, of a lone row: the place of a 0 behind EXTRAS for all others, (f,).
        lowest: Rows of the window of the lowest saturation.
        back: Among the tails, the rows of that window before this one.
        worn: Rows of the longest window with a heart rate from which it counts as worn.
        step: Minutes in a grid step.
        half, hour, slow: Places in WINDOWS of half an hour, one hour and six.
    """

    chain: Chain
    least: Doubles
    source: NDArray[np.intp]
    above: NDArray[np.intp]
    than: NDArray[np.intp]
    off: NDArray[np.intp]
    lowest: int
    back: slice
    worn: float
    step: int
    half: int
    hour: int
    slow: int


EXTRAS = (
    "heart_rate_spread_60min",
    "oxygen_saturation_min_lowest_30min",
    "steps_z_1440min",
    "heart_rate_shortfall_30min",
    "heart_rate_shortfall_60min",
    "asleep",
    "active",
    "steps_60min",
    "asleep_60min",
)


@lru_cache(maxsize=4)
def detector_plan(step_minutes: int) -> DetectorPlan:
    """Return the plan for a grid step."""
    widths = [rows_of(w, step_minutes) for w in WINDOWS]
    lowest, t = rows_of(30, step_minutes), len(TRACKS)

    def mean(track: str, window: int) -> int:
        return WINDOWS.index(window) * t + TRACKS.index(track)

    source = [
        mean(f.track, f.window) if f.statistic in ("mean", "above") else len(WINDOWS) * t + EXTRAS.index(f.name)
        for f in FEATURES
    ]
    above = [i for i, f in enumerate(FEATURES) if f.statistic == "above"]
    than = {i: mean(FEATURES[i].track, FEATURES[i].than) for i in above}
    nothing = len(WINDOWS) * t + len(EXTRAS)
    chain = chain_of(widths, least=lowest - 1)
    return DetectorPlan(
        chain=chain,
        least=np.asarray([[_least(track, width) for track in TRACKS] for width in widths], np.float64),
        source=np.asarray(source, np.intp),
        above=np.asarray(above, np.intp),
        than=np.asarray(list(than.values()), np.intp),
        off=np.asarray([than.get(i, nothing) for i in range(len(FEATURES))], np.intp),
        lowest=lowest,
        back=slice(chain.keep[0] - lowest + 1, chain.keep[0]),
        worn=widths[-1] / 2,
        step=step_minutes,
        half=WINDOWS.index(30),
        hour=WINDOWS.index(60),
        slow=WINDOWS.index(360),
    )


def _least(track: str, width: int) -> int:
    sparse = (
        track in SPARSE or track in ("heart_rate_active", "heart_rate_lift") or track == "heart_rate_variability_rmssd"
    )
    return 1 if sparse else max(int(np.ceil(LEAST_COVERAGE * width)), 1)


RATE, SQUARE, WALKED = (TRACKS.index(name) for name in ("heart_rate", "heart_rate_square", "steps"))
MOVING, LIFT = (TRACKS.index(name) for name in ("heart_rate_active", "heart_rate_lift"))
LOWEST = TRACKS.index("oxygen_saturation_min")
MOMENT_EXTRAS = [MOMENT.index(name) for name in EXTRAS[-2:]]


def advance_features(
    tails: Doubles | None,
    track: Doubles,
    moments: Floats,
    context: NDArray[np.int8],
    usual_steps: Doubles,
    step_minutes: int,
) -> tuple[Doubles, Floats, Floats, Bools]:
    """Return the next tails, the detector's features of new rows, and whether a row can be judged.

    Args:
        tails: From an earlier call, None at first.
        track: From `tracks`, (n, 2 t).
        moments: From `advance_moment`, (n, m).
        context: (n,).
        usual_steps: Own usual steps of a day and their spread, (n, 2).
        step_minutes: Minutes in a grid step.

    Returns:
        Tails; float32 (n, f) in NAMES order, 0 (usual) where a window has too little; (n, s), the stronger of each
        signal's means over the last hour and the last six, what contributions are told from; and (n,), False where
        fewer than a quarter of the last hour's heart rates were measured.
    """
    plan = detector_plan(step_minutes)
    tails = plan.chain.begin(2 * len(TRACKS)) if tails is None else tails
    following, sums = window_sums(plan.chain, tails, track)
    if len(track) == 1:
        low = min((*tails[plan.back, LOWEST].tolist(), track.item(LOWEST)))
        return following, *_features_of_one(plan, sums[0], low, moments, context, usual_steps)
    low = np.concatenate((tails[plan.back, LOWEST], track[:, LOWEST]))
    found = features_of_sums(sums, window_lowest(low, plan.lowest), moments, context, usual_steps, step_minutes)
    return following, *found


def features_of_sums(
    sums: Doubles, lowest: Doubles, moments: Floats, context: Codes, usual_steps: Doubles, step_minutes: int
) -> tuple[Floats, Floats, Bools]:
    """Return the features, the stronger means and whether a row can be judged, as `advance_features` does.

    Args:
        sums: Of tracks over each of WINDOWS, (n, w, 2 t).
        lowest: Lowest saturation z of the last 30 minutes, (n,).
        moments, context, usual_steps, step_minutes: As in `advance_features`.
    """
    plan = detector_plan(step_minutes)
    mean, enough = _means_of(plan, sums)
    extra, stronger = _extra(plan, mean, sums, lowest, moments, context, usual_steps)
    return _columns_of(plan, mean, extra), stronger, enough[:, plan.hour, RATE]


def _means_of(plan: DetectorPlan, sums: Doubles) -> tuple[Doubles, Bools]:
    """Return means by window and track, 0 (usual) where too little was measured, and where it was enough."""
    t = len(TRACKS)
    count = sums[:, :, t:]
    enough = count >= plan.least
    mean = np.maximum(count, 1.0)  # enough is at least one
    np.divide(sums[:, :, :t], mean, out=mean)
    np.copyto(mean, 0.0, where=~enough)
    return mean, enough


def _columns_of(plan: DetectorPlan, mean: Doubles, extra: Doubles) -> Floats:
    whole = np.concatenate((mean.reshape(len(mean), plan.least.size), extra), axis=1)
    columns = whole.take(plan.source, axis=1)
    columns[:, plan.above] -= whole.take(plan.than, axis=1)
    return columns.astype(np.float32)


def _extra(
    plan: DetectorPlan,
    mean: Doubles,
    sums: Doubles,
    lowest: Doubles,
    moments: Floats,
    context: Codes,
    usual_steps: Doubles,
) -> tuple[Doubles, Floats]:
    """Return EXTRAS, (n, 9), and the stronger of each signal's means, (n, s).

    Args:
        plan: Places.
        mean: By window and track, (n, w, t).
        sums: By window of tracks, (n, w, 2 t).
        lowest: Lowest saturation of the last 30 minutes, (n,).
        moments, context, usual_steps: As in `advance_features`.
    """
    rate = mean[:, plan.hour, RATE]
    extra = np.empty((len(mean), len(EXTRAS)))
    extra[:, 0] = np.sqrt(np.maximum(mean[:, plan.hour, SQUARE] - rate * rate, 0.0))
    extra[:, 1] = lowest
    day = sums[:, -1]
    worn = day[:, len(TRACKS) + RATE] >= plan.worn
    extra[:, 2] = worn * (day[:, WALKED] * plan.step - usual_steps[:, 0]) / usual_steps[:, 1]
    extra[:, 3] = sums[:, plan.half, MOVING] / (sums[:, plan.half, LIFT] + EFFORT)
    extra[:, 4] = sums[:, plan.hour, MOVING] / (sums[:, plan.hour, LIFT] + EFFORT)
    extra[:, 5] = context == ASLEEP
    extra[:, 6] = context == ACTIVE
    extra[:, 7:] = moments[:, MOMENT_EXTRAS]
    recent, slow = mean[:, plan.hour, : len(SIGNALS)], mean[:, plan.slow, : len(SIGNALS)]
    return extra, np.where(np.abs(recent) >= np.abs(slow), recent, slow).astype(np.float32)


def _features_of_one(
    plan: DetectorPlan, sums: Doubles, low: float, moments: Floats, context: Codes, usual_steps: Doubles
) -> tuple[Floats, Floats, Bools]:
    """Return `features_of_sums` of one row: sums (w, 2 t)."""
    t, size = len(TRACKS), plan.least.size
    whole = np.zeros(size + len(EXTRAS) + 1)  # means, EXTRAS and the 0 that `plan.off` points at
    mean, count = whole[:size].reshape(plan.least.shape), sums[:, t:]
    enough = count >= plan.least
    np.divide(sums[:, :t], count, out=mean, where=enough)
    recent, slow = mean[plan.hour].tolist(), mean[plan.slow].tolist()
    whole[size:-1] = _extra_of_one(plan, recent, sums, low, moments, context, usual_steps)
    columns = whole.take(plan.source)
    columns -= whole.take(plan.off)
    stronger = [a if abs(a) >= abs(b) else b for a, b in zip(recent[: len(SIGNALS)], slow, strict=False)]
    return columns.astype(np.float32)[None], np.array([stronger], np.float32), enough[plan.hour, RATE : RATE + 1]


def _extra_of_one(
    plan: DetectorPlan,
    recent: list[float],
    sums: Doubles,
    low: float,
    moments: Floats,
    context: Codes,
    usual_steps: Doubles,
) -> tuple[float, ...]:
    """Return EXTRAS of one row: means of the last hour by track (t,), sums (w, 2 t)."""
    half, hour, day, code = sums[plan.half], sums[plan.hour], sums[-1], context.item()
    spread = sqrt(max(recent[SQUARE] - recent[RATE] * recent[RATE], 0.0))
    worn = day.item(len(TRACKS) + RATE) >= plan.worn
    steps = worn * (day.item(WALKED) * plan.step - usual_steps.item(0)) / usual_steps.item(1)
    missed = [part.item(MOVING) / (part.item(LIFT) + EFFORT) for part in (half, hour)]
    now = [moments.item(i) for i in MOMENT_EXTRAS]
    return spread, low, steps, *missed, code == ASLEEP, code == ACTIVE, *now
