"""Labelled episodes: when they come, how strong they are, and what they do to the latent signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.params import Synthetic
from vitalwatch.synthetic import habits as habit
from vitalwatch.synthetic.habits import DAYTIME, Habits
from vitalwatch.synthetic.people import Traits
from vitalwatch.tables import Bools, Floats

ENROLMENT = 7  # days without episodes
PER_28_DAYS = 6.0  # episodes at stress prevalence
APART = 10 * 60  # minutes between two episodes, at least
TRIES = 12  # to find a free place for an episode
WORN = 0.6  # share of an episode with the sensor on, at least: what is not measured cannot be labelled
NEVER_ILL = 0.08  # share of people without any episode


@dataclass(frozen=True)
class Kind:
    """How one kind of episode looks.

    Attributes:
        hours: Shortest and longest duration.
        ramp: Onset and offset, as a range of shares of the duration.
        effects: Latent signal -> range of the change at full strength (see `physiology.Latent` for units).
        removes: Share of the bouts that is not walked while it lasts.
        place: `any`, `awake`, `night` or `bout`.
        channels: Columns that it moves.
    """

    hours: tuple[float, float]
    ramp: tuple[float, float]
    effects: dict[str, tuple[float, float]]
    channels: tuple[str, ...]
    removes: float = 0.0
    place: str = "any"


HR, RR, SPO2, TEMP, SBP, DBP, HRV = (
    "heart_rate",
    "respiratory_rate",
    "oxygen_saturation",
    "body_temperature",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "heart_rate_variability_rmssd",
)

# heart rate per degree 7-10 bpm, respiration per degree 1.4-2.3 (hospital admissions)
KINDS: dict[str, Kind] = {
    "resting_tachycardia": Kind(
        (1.0, 6.0), (0.06, 0.3), {"heart_rate": (11, 32), "log_rmssd": (-0.15, -0.5)}, (HR, HRV), place="any"
    ),
    "bradycardia": Kind((1.0, 6.0), (0.06, 0.3), {"heart_rate": (-8, -20), "log_rmssd": (0.05, 0.3)}, (HR, HRV)),
    "irregular_rhythm": Kind(
        (0.6, 8.0),
        (0.02, 0.1),
        {"heart_rate": (2, 24), "beat": (4.0, 12.0), "jitter": (2.0, 6.0), "log_rmssd": (0.4, 1.15)},
        (HR, "heart_rate_spread", HRV),
    ),
    "night_hypoxia": Kind(
        (1.5, 6.0),
        (0.05, 0.25),
        {"spo2": (-0.8, -3.0), "desaturation": (3.0, 10.0)},
        (SPO2, "oxygen_saturation_min"),
        place="night",
    ),
    "fever": Kind(
        (14.0, 60.0),
        (0.08, 0.25),
        {"temperature": (0.9, 2.4), "heart_rate": (7, 22), "respiration": (1.4, 4.6), "log_rmssd": (-0.1, -0.4)},
        (TEMP, HR, RR, HRV, "steps"),
        removes=0.7,
    ),
    "mild_infection": Kind(
        (36.0, 96.0),
        (0.1, 0.3),
        {"temperature": (0.25, 0.7), "heart_rate": (2, 5.5), "respiration": (0.4, 1.4), "log_rmssd": (-0.06, -0.25)},
        (HR, TEMP, RR, HRV, "steps"),
        removes=0.3,
    ),
    "hypertensive": Kind(
        (2.5, 9.0),
        (0.08, 0.3),
        {"systolic": (18, 50), "diastolic": (9, 27), "heart_rate": (0, 6)},
        (SBP, DBP, HR),
        place="awake",
    ),
    "chronotropic_incompetence": Kind((0, 0), (0, 0), {"gain": (-0.3, -0.7)}, (HR,), place="bout"),
    "deterioration": Kind(
        (4.0, 16.0),
        (0.3, 0.6),
        {
            "heart_rate": (9, 32),
            "respiration": (2.5, 11),
            "spo2": (-1.5, -7),
            "systolic": (-10, -36),
            "diastolic": (-5, -18),
            "log_rmssd": (-0.15, -0.5),
        },
        (HR, RR, SPO2, SBP, DBP, HRV, "steps"),
        removes=0.6,
    ),
}


@dataclass(frozen=True)
class Episode:
    """One planned episode, minutes since the first local midnight.

    Attributes:
        size: Strength from 0 (subtle) to 1 (clear).
        rise, fall: Length of onset and offset, minutes.
        change: Latent signal -> change at full strength.
    """

    kind: str
    start: int
    end: int
    size: float
    rise: int
    fall: int
    change: dict[str, float]


def envelopes(episodes: tuple[Episode, ...], step: int) -> tuple[list[slice], NDArray[np.intp], Floats]:
    """Return how the episodes, at least one, rise and fall, row after row and one episode after the other.

    Args:
        episodes: Any.
        step: Minutes of a row.

    Returns:
        The rows of the grid that each episode touches; the number of its episode and its strength (0-1) by row.
    """
    spans = [slice(e.start // step, -(-e.end // step)) for e in episodes]
    number = np.arange(len(spans)).repeat([span.stop - span.start for span in spans])
    columns = [(e.start, e.end, 1 / max(e.rise, 1), 1 / max(e.fall, 1)) for e in episodes]
    start, end, rise, fall = np.array(columns).T.take(number, axis=1)
    t = (np.concatenate([np.arange(span.start, span.stop) for span in spans]) + 0.5) * step
    return spans, number, _strength(t, start, end, rise, fall)


def per_28_days(params: Synthetic) -> float:
    """Return the mean number of episodes in 28 days."""
    return PER_28_DAYS * (1.0 if params.prevalence == "stress" else params.natural_share)


def plan(rng: np.random.Generator, traits: Traits, habits: Habits, params: Synthetic) -> tuple[Episode, ...]:
    """Draw one person's episodes, oldest first, apart from each other and after the enrolment days."""
    days = habits.days
    if days <= ENROLMENT + 1 or rng.random() < NEVER_ILL:
        return ()
    names = tuple(KINDS)
    weight = np.array([traits.susceptible[name] for name in names]) * np.exp(0.3 * rng.standard_normal(len(names)))
    weight = weight.cumsum()
    wanted = int(rng.poisson(per_28_days(params) / (1 - NEVER_ILL) * days / 28))
    chosen = weight[:-1].searchsorted(weight[-1] * rng.random(wanted)).tolist()
    planned: list[Episode] = []
    bouts = _fit(habits)
    for name in sorted((names[k] for k in chosen), key=lambda name: -KINDS[name].hours[1]):  # long ones first
        for luck in rng.random((TRIES, 3)).tolist():
            start, end = _place(luck, KINDS[name], habits, bouts)
            busy = any(start < other.end + APART and other.start - APART < end for other in planned)
            if end > start and not busy and habits.worn_share(start, end) >= WORN:
                planned.append(_episode(rng, name, start, end))
                break
    return tuple(sorted(planned, key=lambda episode: episode.start))


def _fit(habits: Habits) -> list[tuple[int, int]]:
    """Return start and length of the bouts that are long and hard enough for a weak heart rate to show."""
    bouts = habits.bouts
    some = slice(int(bouts.kind.searchsorted(habit.WALK)), None)
    start, length = bouts.start[some], bouts.length[some]
    fit = (length >= 18) & (bouts.share[some] >= 0.22)
    fit &= (start >= ENROLMENT * DAYTIME) & (start + length < habits.days * DAYTIME - 10)
    return list(zip(start[fit].tolist(), length[fit].tolist(), strict=True))


def _place(luck: list[float], kind: Kind, habits: Habits, bouts: list[tuple[int, int]]) -> tuple[int, int]:
    """Return start and end of an episode by three uniform numbers; an empty span where there is no place for it."""
    first, last = ENROLMENT * DAYTIME, habits.days * DAYTIME
    if kind.place == "bout":
        if not bouts:
            return 0, 0
        start, length = bouts[int(luck[0] * len(bouts))]
        return start, start + length + 6
    low, high = kind.hours
    length = round(60 * low * (high / low) ** luck[0])
    day = ENROLMENT + int(luck[1] * (habits.days - ENROLMENT))
    begin, stop = first, last
    if kind.place == "night":
        begin, stop = int(habits.bed[day + 1]), int(habits.wake[day + 1])
    elif kind.place == "awake":
        begin, stop = int(habits.wake[day]), int(habits.bed[day + 1])
    length = min(length, stop - begin)
    start = begin + int(luck[2] * (stop - begin - length + 1))
    return (start, start + length) if first <= start and start + length <= last else (0, 0)


def _episode(rng: np.random.Generator, name: str, start: int, end: int) -> Episode:
    """Draw strength and course; each signal has a share of its own in the strength, so that patterns differ."""
    kind = KINDS[name]
    size, up, down = rng.random(3).tolist()
    low, high = kind.ramp
    rise, fall = (max(int((end - start) * (low + (high - low) * u)), 1) for u in (up, down))
    own = (size + 0.18 * rng.standard_normal(len(kind.effects))).tolist()
    change = {
        signal: least + (most - least) * min(max(share, 0.0), 1.0)
        for share, (signal, (least, most)) in zip(own, kind.effects.items(), strict=True)
    }
    return Episode(name, start, end, size, rise, fall, change)


def removed(habits: Habits, episodes: tuple[Episode, ...]) -> Bools:
    """Return which bouts an illness keeps the person from, shape (bouts,); never slower, only fewer, and the more the
    further the illness has come: a share that began with the first minute would mark it.
    """
    bouts = habits.bouts
    gone = np.zeros(len(bouts.start), np.bool_)
    for episode in episodes:
        share = KINDS[episode.kind].removes * (0.5 + 0.5 * episode.size)
        if share:
            some = np.flatnonzero((bouts.start >= episode.start) & (bouts.start < episode.end))
            strength = _strength(bouts.start[some], episode.start, episode.end, 1 / episode.rise, 1 / episode.fall)
            gone[some] |= bouts.luck[some] < share * strength
    return gone


def _strength(
    at: NDArray[Any],
    start: NDArray[np.floating] | int,
    end: NDArray[np.floating] | int,
    rise: NDArray[np.floating] | float,
    fall: NDArray[np.floating] | float,
) -> Floats:
    """Return how strong an episode is at these minutes, 0-1; it rises and falls at these rates, without an edge."""
    share = np.clip(np.minimum((at - start) * rise, (end - at) * fall), 0, 1).astype(np.float32)
    strength: Floats = share * share * (3 - 2 * share)
    return strength
