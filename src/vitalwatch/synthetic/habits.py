"""What a person does: nights, naps, bouts of movement, stress and meals, travel, and when the sensor is off.

Times here are minutes since the local midnight that begins the first day, by the clock at home.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.synthetic.noise import normal
from vitalwatch.synthetic.people import Traits
from vitalwatch.tables import Bools, Doubles, Floats

Minutes = NDArray[np.intp]
DAYTIME = 1440

CHANNELS = ("heart_rate", "log_rmssd", "systolic", "diastolic", "temperature", "respiration", "spo2")
# Effect of one unit of each context on bpm, ln(ms), mmHg, mmHg, Cel, /min, %: none of these is an episode.
CONTEXTS: dict[str, tuple[float, ...]] = {
    "stress": (9.0, -0.25, 9.0, 6.0, 0.04, 1.4, 0.0),
    "caffeine": (3.0, -0.05, 5.0, 3.0, 0.0, 0.2, 0.0),
    "meal": (4.5, -0.08, -2.0, -2.0, 0.06, 0.3, 0.0),
    "alcohol": (8.0, -0.35, 2.0, 1.0, 0.18, 0.6, -0.4),
    "hot_bath": (18.0, -0.4, -8.0, -5.0, 0.45, 2.0, 0.0),
    "heat": (3.5, -0.1, -3.0, -2.0, 0.15, 0.6, 0.0),
    "luteal": (2.0, -0.06, 0.0, 0.0, 0.25, 0.3, 0.0),
    "medication_start": (-7.0, 0.12, -6.0, -4.0, 0.0, 0.0, 0.0),
    "travel": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "low_step_exercise": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "nap": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}
KINDS = tuple(CONTEXTS)
EVERYDAY = 1.5  # meals and coffee are logged only above this size
MICRO, WALK, EXERCISE, LOW_STEP = range(4)


@dataclass(frozen=True)
class Bouts:
    """Movement, one row a bout, later rows win over earlier ones.

    Attributes:
        start, length: Minutes.
        cadence: Steps a minute.
        share: Demand as a share of the VO2 reserve, which is the share of the heart-rate reserve (Swain).
        kind: MICRO, WALK, EXERCISE or LOW_STEP.
        luck: Uniform number; an illness removes the bouts whose luck is below its strength.
    """

    start: Minutes
    length: Minutes
    cadence: Doubles
    share: Doubles
    kind: NDArray[np.intp]
    luck: Doubles


@dataclass(frozen=True)
class Contexts:
    """Harmless things that move vital signs: `kind` indexes KINDS, times in minutes."""

    kind: NDArray[np.intp]
    start: Minutes
    end: Minutes
    size: Doubles


@dataclass(frozen=True)
class Habits:
    """One person's calendar.

    Attributes:
        days: Number of local days.
        bed, wake: Start and end of each night, shape (days + 1,); night d ends on day d.
        asleep: Start and end of every stretch of sleep, naps included, shape (k, 2).
        shift: Local clock minus the clock at home, hours, by day, shape (days,).
        off: Start and end of every time without the sensor, shape (k, 2).
    """

    days: int
    bed: Minutes
    wake: Minutes
    asleep: Minutes
    shift: NDArray[np.intp]
    bouts: Bouts
    contexts: Contexts
    off: Minutes

    def worn_share(self, start: int, end: int) -> float:
        """Return the share of [start, end) with the sensor on."""
        overlap = np.minimum(self.off[:, 1], end) - np.maximum(self.off[:, 0], start)
        return 1.0 - float(overlap[overlap > 0].sum()) / max(end - start, 1)


def draw(rng: np.random.Generator, traits: Traits, days: int, first_weekday: int) -> Habits:
    """Draw the calendar of one person; `first_weekday` is 0 for Monday."""
    shift, travel = _travel(rng, days)
    weekend = (np.arange(days + 1) + first_weekday) % 7 >= 5
    bed, wake = _nights(rng, traits, weekend, shift)
    naps = _naps(rng, traits, wake)
    contexts = _contexts(rng, traits, wake, bed, days, weekend)
    bouts = _bouts(rng, traits, wake[:days], bed[1:], weekend[:days], naps)
    extra = _named(bouts, naps, travel)
    contexts = Contexts(*(np.concatenate(pair) for pair in zip(_columns(contexts), extra, strict=True)))
    return Habits(
        days, bed, wake, _asleep(rng, traits, bed, wake, naps), shift, bouts, contexts, _off(rng, traits, bed, wake)
    )


def _columns(contexts: Contexts) -> tuple[np.ndarray, ...]:
    return contexts.kind, contexts.start, contexts.end, contexts.size


def _travel(rng: np.random.Generator, days: int) -> tuple[NDArray[np.intp], Minutes]:
    """Return the clock's shift by day and the stretches of travel in minutes; one journey in about 200 days."""
    shift, trips = np.zeros(days, np.intp), []
    for _ in range(int(rng.poisson(days / 200))):
        first, stay, hours = (
            int(rng.integers(days)),
            int(rng.integers(3, 12)),
            int(rng.choice([-6, -3, -1, 1, 2, 5, 7])),
        )
        shift[first : first + stay] = hours
        trips.append((first * DAYTIME, min(first + stay, days) * DAYTIME))
    return shift, np.array(trips, np.intp).reshape(-1, 2)


def _nights(
    rng: np.random.Generator, traits: Traits, weekend: Bools, shift: NDArray[np.intp]
) -> tuple[Minutes, Minutes]:
    n = len(weekend)
    moved = 60 * np.append(shift, shift[-1:])
    free = np.roll(weekend, 1) | weekend  # the night into a free day begins later
    night = np.arange(n) * DAYTIME - 180 + traits.chronotype + 45 * (free & weekend) + 38 * rng.standard_normal(n)
    late = rng.random(n) < 0.05
    bed = np.rint(night + late * rng.uniform(60, 240, n) - moved).astype(np.intp)
    need = traits.sleep_need + 35 * weekend + 42 * rng.standard_normal(n) - 60 * late
    return bed, bed + np.rint(np.clip(need, 200, 700)).astype(np.intp)


def _naps(rng: np.random.Generator, traits: Traits, wake: Minutes) -> Minutes:
    days = np.flatnonzero(rng.random(len(wake) - 1) < traits.naps)
    start = days * DAYTIME + rng.integers(12 * 60, 17 * 60, len(days))
    return np.stack([start, start + rng.integers(20, 100, len(days))], 1)


def _asleep(rng: np.random.Generator, traits: Traits, bed: Minutes, wake: Minutes, naps: Minutes) -> Minutes:
    """Return stretches of sleep: each night in pieces, with short wakings in between."""
    count = rng.poisson(1.3 * traits.restless, len(bed))
    night = np.repeat(np.arange(len(bed)), count)
    up = np.rint(bed[night] + rng.uniform(0.1, 0.95, len(night)) * (wake - bed)[night]).astype(np.intp)
    back = np.minimum(up + 2 + np.rint(rng.exponential(7, len(night))).astype(np.intp), wake[night])
    starts, ends = np.concatenate([bed, back]), np.concatenate([up, wake])
    starts.sort()
    ends.sort()
    nights = np.stack([starts, ends], 1)
    return np.concatenate([nights[ends > starts], naps])


def _contexts(
    rng: np.random.Generator, traits: Traits, wake: Minutes, bed: Minutes, days: int, weekend: Bools
) -> Contexts:
    rows: list[tuple[np.ndarray, ...]] = []
    day = np.arange(days)

    def add(kind: str, start: np.ndarray, length: np.ndarray, size: np.ndarray) -> None:
        n = len(start)
        begin = np.rint(start).astype(np.intp)
        rows.append((np.full(n, KINDS.index(kind)), begin, begin + np.rint(length).astype(np.intp), size))

    def sizes(n: int, spread: float = 0.4) -> np.ndarray:
        return np.exp(spread * rng.standard_normal(n))

    eaten = np.repeat(day, 3)
    n = len(eaten)
    hour = np.tile([40.0, 330.0, 690.0], days) + 40 * rng.standard_normal(n)
    add("meal", wake[eaten] + hour, rng.uniform(50, 120, n), sizes(n))
    coffee = np.repeat(day, rng.poisson(1.6, days))
    n = len(coffee)
    add("caffeine", wake[coffee] + 30 + 480 * rng.random(n) ** 1.5, rng.uniform(100, 220, n), sizes(n))
    tense = np.repeat(day, rng.poisson(np.where(weekend[:days], 0.25, 0.7)))
    n = len(tense)
    add("stress", wake[tense] + rng.uniform(60, 720, n), rng.uniform(20, 140, n), sizes(n))
    drink = np.flatnonzero(rng.random(days) < np.where(weekend[:days], 0.3, 0.1))
    n = len(drink)
    add("alcohol", bed[drink + 1] - rng.uniform(30, 180, n), rng.uniform(240, 480, n), sizes(n))
    bath = np.flatnonzero(rng.random(days) < 0.06)
    n = len(bath)
    add("hot_bath", bed[bath + 1] - rng.uniform(40, 150, n), rng.uniform(12, 35, n), sizes(n, 0.25))
    heat = np.flatnonzero(rng.random(days) < 0.5 / 7)
    n = len(heat)
    add("heat", heat * DAYTIME + rng.uniform(620, 760, n), rng.uniform(240, 560, n), sizes(n))
    if traits.cycle >= 0:
        luteal = np.arange(15 - traits.cycle, days, 28)
        n = len(luteal)
        add("luteal", luteal * DAYTIME + rng.uniform(-600, 600, n), np.full(n, 13.0 * DAYTIME), sizes(n, 0.2))
    if rng.random() < 0.05 * days / 28 and days > 10 and "beta_blocker" not in traits.profile.medication:
        add("medication_start", rng.uniform(8, days, 1) * DAYTIME, np.array([days * 1440.0]), sizes(1, 0.2))
    return Contexts(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _named(bouts: Bouts, naps: Minutes, travel: Minutes) -> tuple[np.ndarray, ...]:
    """Return naps, travel and low-step exercise as rows of `Contexts`; they act through sleep, clock and demand."""
    low = bouts.kind == LOW_STEP
    parts = (
        ("low_step_exercise", np.stack([bouts.start[low], (bouts.start + bouts.length)[low]], 1), bouts.share[low]),
        ("nap", naps, np.ones(len(naps))),
        ("travel", travel, np.ones(len(travel))),
    )
    kind = np.concatenate([np.full(len(span), KINDS.index(name)) for name, span, _ in parts])
    span = np.concatenate([span for _, span, _ in parts])
    return kind, span[:, 0], span[:, 1], np.concatenate([size for *_, size in parts])


def _bouts(
    rng: np.random.Generator, traits: Traits, wake: Minutes, bed: Minutes, weekend: Bools, naps: Minutes
) -> Bouts:
    """Draw bouts; busy and quiet hours alternate, so that movement comes in clusters."""
    days = len(wake)
    hours = np.exp(0.75 * rng.standard_normal((days, 24)))  # how busy each 1/24 of the waking day is
    hours *= np.exp(0.3 * rng.standard_normal((days, 1)))
    edges = np.concatenate([[0.0], np.cumsum(hours)])
    level = traits.active * np.where(weekend, 0.95, 1.0)

    def starts(rate: float) -> tuple[Minutes, NDArray[np.intp]]:
        apart = np.cumsum(rng.exponential(1.0, int(rng.poisson(rate * traits.active * days)) + 1))
        u = apart[:-1] * (edges[-1] / apart[-1])  # uniform, and in order without sorting
        day, hour = np.divmod(np.searchsorted(edges, u, side="right") - 1, 24)
        day = np.minimum(day, days - 1)
        place = (hour + rng.random(len(u))) / 24
        return np.rint(wake[day] + place * (bed - wake)[day]).astype(np.intp), day

    def chosen(rate: float, low: float, high: float) -> tuple[Minutes, NDArray[np.intp]]:
        day = np.flatnonzero(rng.random(days) < np.minimum(rate * level, 0.9))
        place = np.where(
            rng.random(len(day)) < 0.45, rng.uniform(0.55, high, len(day)), rng.uniform(low, high, len(day))
        )
        return np.rint(wake[day] + place * (bed - wake)[day]).astype(np.intp), day

    micro, _ = starts(85.0)
    walk, _ = starts(4.6)
    sport, _ = chosen(0.75 * traits.sporty, 0.05, 0.85)
    quiet, _ = chosen(0.35 * traits.sporty, 0.05, 0.85)
    n, m, k, q = len(micro), len(walk), len(sport), len(quiet)
    running = rng.random(k) < np.clip(0.25 + 0.02 * (traits.vo2max - 35), 0.02, 0.6)
    length = np.concatenate(
        [
            1 + np.floor(rng.exponential(1.8, n)),
            np.clip(4 + rng.exponential(7, m), 4, 60),
            np.clip(38 * np.exp(0.4 * rng.standard_normal(k)), 15, 120),
            np.clip(40 * np.exp(0.4 * rng.standard_normal(q)), 15, 120),
        ]
    )
    cadence = np.concatenate(
        [
            np.clip(20 * np.exp(0.7 * normal(rng, n)), 3, 100),
            np.clip(94 + 11 * rng.standard_normal(m), 60, 125),
            np.where(running, 158 + 7 * rng.standard_normal(k), 114 + 8 * rng.standard_normal(k)),
            np.clip(6 * np.exp(0.8 * rng.standard_normal(q)), 0, 40),
        ]
    )
    kind = np.repeat([MICRO, WALK, EXERCISE, LOW_STEP], [n, m, k, q])
    share = _share(rng, traits, cadence, kind, running, n + m, k)
    start = np.concatenate([micro, walk, sport, quiet])
    return Bouts(start, np.rint(length).astype(np.intp), cadence, share, kind, rng.random(len(start)))


def _share(
    rng: np.random.Generator, traits: Traits, cadence: Doubles, kind: np.ndarray, running: Bools, before: int, k: int
) -> Doubles:
    """Return demand as a share of the VO2 reserve by the ACSM equations (walking 3.5 + 0.1 v + 1.8 v g; running
    3.5 + 0.2 v + 0.9 v g; ml/kg/min, v in m/min) on a grade that stands for slopes, stairs and loads.
    """
    n = len(cadence)
    stride = traits.profile.height / 100 * 0.415 * np.sqrt(np.maximum(cadence, 20) / 100)  # m, longer when faster
    speed = cadence * stride
    grade = 0.025 + 0.025 * rng.exponential(1.0, n) * (kind <= WALK)
    run = np.zeros(n, np.bool_)
    run[before : before + k] = running
    net = np.where(run, 0.2 + 0.9 * grade, 0.1 + 1.8 * grade) * speed
    net += (kind == MICRO) * 1.5 * np.exp(0.4 * normal(rng, n))  # standing up, arms, loads
    share = net / (traits.vo2max - 3.5)
    low = kind == LOW_STEP
    share[low] = np.clip(0.45 + 0.12 * normal(rng, int(low.sum())), 0.15, 0.8)
    return np.minimum(share, 0.6 + 0.3 * (1 - np.exp(-share)))


def _off(rng: np.random.Generator, traits: Traits, bed: Minutes, wake: Minutes) -> Minutes:
    """Return stretches without the sensor: charging, showers, nights and days left out."""
    days = len(wake) - 1
    every = 1 if rng.random() < 0.4 else 2
    charge = np.arange(0, days, every)
    n = len(charge)
    evening = rng.random(n) < 0.7
    at = np.where(evening, bed[charge + 1] - rng.uniform(20, 200, n), wake[charge] + rng.uniform(5, 300, n))
    spans = [(at, at + rng.uniform(25, 100, n))]
    shower = np.flatnonzero(rng.random(days) < 0.75)
    at = wake[shower] + rng.uniform(5, 60, len(shower))
    spans.append((at, at + rng.uniform(8, 25, len(shower))))
    night = np.flatnonzero(rng.random(days) < traits.nights_off)
    spans.append((bed[night] - rng.uniform(0, 40, len(night)), wake[night] + rng.uniform(5, 50, len(night))))
    day = np.flatnonzero(rng.random(days) < traits.unworn)
    at = wake[day] + rng.uniform(0, 300, len(day))
    spans.append((at, at + rng.uniform(240, 1100, len(day))))
    return np.concatenate([np.rint(np.stack(pair, 1)) for pair in spans]).astype(np.intp)


def minutes_of(bouts: Bouts, removed: Bools, rng: np.random.Generator, days: int) -> tuple[Floats, Floats, Floats]:
    """Return steps, demand (share of reserve) and the part of demand without steps, by minute, shape (days * 1440,)."""
    n = days * DAYTIME
    length = bouts.length
    first = np.cumsum(length) - length
    row = np.repeat(np.arange(len(length)), length)
    minute = np.arange(len(row)) + (bouts.start - first)[row]
    pace = np.where(bouts.kind == MICRO, np.float32(0.45), np.float32(0.07))[row]
    factor = np.maximum(1 + pace * normal(rng, len(row)), np.float32(0.05))
    edge = np.concatenate([first, (first + length - 1)[length > 1]])
    factor[edge] *= np.float32(0.3) + np.float32(0.7) * rng.random(len(edge), dtype=np.float32)
    if removed.any():
        factor[removed[row]] = 0  # nothing else is done instead
    if len(minute) and (minute.min() < 0 or minute.max() >= n):
        used = np.flatnonzero((minute >= 0) & (minute < n))
        row, minute, factor = row[used], minute[used], factor[used]
    steps, demand, hidden = (np.zeros(n, np.float32) for _ in range(3))
    steps[minute] = np.rint(bouts.cadence.astype(np.float32)[row] * factor)
    demand[minute] = bouts.share.astype(np.float32)[row] * factor
    low = minute[bouts.kind[row] == LOW_STEP]
    hidden[low] = demand[low]
    return steps, demand, hidden
