"""What a person does: nights, naps, bouts of movement, stress and meals, travel, and when the sensor is off.

Times here are minutes since the local midnight that begins the first day, by the clock at home.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
COUNTED = 5.0  # steps a minute from which a pedometer counts at all: wearers' exports hardly have fewer
STIRS = 5.0  # bouts of a few steps a night


@dataclass(frozen=True)
class Bouts:
    """Movement, one row a bout, later rows win over earlier ones.

    Attributes:
        start, length: Minutes.
        cadence: Steps a minute.
        share: Demand as a share of the VO2 reserve, which is the share of the heart-rate reserve (Swain).
        kind: MICRO, WALK, EXERCISE or LOW_STEP, in this order.
        luck: Uniform number; an illness removes the bouts whose luck is below its strength.
    """

    start: Minutes
    length: Minutes
    cadence: Floats
    share: Floats
    kind: NDArray[np.intp]
    luck: Floats


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
    bouts = _bouts(rng, traits, wake, bed[1:], weekend[:days])
    extra = _named(bouts, naps, travel)
    everyday = (contexts.kind, contexts.start, contexts.end, contexts.size)
    contexts = Contexts(*(np.concatenate(pair) for pair in zip(everyday, extra, strict=True)))
    return Habits(
        days, bed, wake, _asleep(rng, traits, bed, wake, naps), shift, bouts, contexts, _off(rng, traits, bed, wake)
    )


def medicated(calendar: Habits, day: int) -> Habits:
    """Return the calendar of somebody who takes a beta-blocker from a local day on; nothing else is drawn anew."""
    start, end = day * DAYTIME, (calendar.days + 1) * DAYTIME
    now, more = calendar.contexts, (KINDS.index("medication_start"), start, end, 1.0)
    columns = zip((now.kind, now.start, now.end, now.size), more, strict=True)
    return replace(calendar, contexts=Contexts(*(np.append(column, value) for column, value in columns)))


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
    # the night into a free day begins later
    night = np.arange(n) * DAYTIME - 180 + traits.chronotype + 45 * weekend + 38 * rng.standard_normal(n)
    late = rng.random(n) < 0.05
    bed = np.rint(night + late * rng.uniform(60, 240, n) - moved).astype(np.intp)
    need = traits.sleep_need + 35 * weekend + 42 * rng.standard_normal(n) - 60 * late
    return bed, bed + np.rint(np.clip(need, 200, 700)).astype(np.intp)


def _naps(rng: np.random.Generator, traits: Traits, wake: Minutes) -> Minutes:
    days = np.flatnonzero(rng.random(len(wake) - 1) < traits.naps)
    u = rng.random((2, len(days)))
    start = (days * DAYTIME + 12 * 60 + 300 * u[0]).astype(np.intp)
    return np.stack([start, start + (20 + 80 * u[1]).astype(np.intp)], 1)


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
    rows: list[tuple[int, float, np.ndarray, np.ndarray]] = []
    u = rng.random((3, days))

    def add(kind: str, start: np.ndarray, low: float, high: float, spread: float = 0.4) -> None:
        rows.append((KINDS.index(kind), spread, start, low + (high - low) * rng.random(len(start))))

    eaten = wake[:days, None] + np.array([40.0, 330.0, 690.0])
    add("meal", (eaten + 40 * rng.standard_normal((days, 3))).reshape(-1), 50, 120)
    coffee = np.arange(days).repeat(rng.poisson(1.6, days))
    add("caffeine", wake[coffee] + 30 + 480 * rng.random(len(coffee)) ** 1.5, 100, 220)
    tense = np.arange(days).repeat(rng.poisson(np.where(weekend[:days], 0.25, 0.7)))
    add("stress", wake[tense] + 60 + 660 * rng.random(len(tense)), 20, 140)
    drink = np.flatnonzero(u[0] < np.where(weekend[:days], 0.3, 0.1))
    add("alcohol", bed[drink + 1] - 30 - 150 * rng.random(len(drink)), 240, 480)
    bath = np.flatnonzero(u[1] < 0.06)
    add("hot_bath", bed[bath + 1] - 40 - 110 * rng.random(len(bath)), 12, 35, 0.25)
    heat = np.flatnonzero(u[2] < 0.5 / 7)
    add("heat", heat * DAYTIME + 620 + 140 * rng.random(len(heat)), 240, 560)
    if traits.cycle >= 0:
        luteal = np.arange(15 - traits.cycle, days, 28)
        add("luteal", luteal * DAYTIME - 600 + 1200 * rng.random(len(luteal)), 13 * DAYTIME, 13 * DAYTIME, 0.2)
    if rng.random() < 0.05 * days / 28 and days > 10 and "beta_blocker" not in traits.profile.medication:
        add("medication_start", rng.uniform(8, days, 1) * DAYTIME, days * DAYTIME, days * DAYTIME, 0.2)
    numbers = [len(start) for _, _, start, _ in rows]
    kind, spread = np.array([row[:2] for row in rows]).repeat(numbers, axis=0).T
    begin = np.rint(np.concatenate([row[2] for row in rows])).astype(np.intp)
    length = np.rint(np.concatenate([row[3] for row in rows])).astype(np.intp)
    return Contexts(kind.astype(np.intp), begin, begin + length, np.exp(spread * rng.standard_normal(len(begin))))


def _named(bouts: Bouts, naps: Minutes, travel: Minutes) -> tuple[np.ndarray, ...]:
    """Return naps, travel and low-step exercise as rows of `Contexts`; they act through sleep, clock and demand."""
    low = np.flatnonzero(bouts.kind == LOW_STEP)
    exercise = np.stack([bouts.start[low], bouts.start[low] + bouts.length[low]], 1)
    numbers = (len(low), len(naps), len(travel))
    kind = np.repeat([KINDS.index(name) for name in ("low_step_exercise", "nap", "travel")], numbers)
    span = np.concatenate([exercise, naps, travel])
    size = np.ones(len(kind))
    size[: len(low)] = bouts.share[low]
    return kind, span[:, 0], span[:, 1], size


def _bouts(rng: np.random.Generator, traits: Traits, wake: Minutes, bed: Minutes, weekend: Bools) -> Bouts:
    """Draw bouts; busy and quiet hours alternate, so that movement comes in clusters, and nobody lies still all night.

    `wake` has one day more than `bed`, the evening of each day. The longer somebody potters about, the more of each
    minute is walked; nobody is faster than a walk for it.
    """
    days = len(bed)
    night = np.arange(days).repeat(rng.poisson(STIRS * traits.restless, days))
    stirred = np.rint(bed[night] + (wake[1:] - bed)[night] * rng.random(len(night))).astype(np.intp)
    wake = wake[:days]
    hours = 0.85 * normal(rng, days, 24) + 0.3 * normal(rng, days, 1)
    busy = np.exp(hours).reshape(-1).cumsum(dtype=np.float64)  # how busy each 1/24 of the waking day is
    level = traits.active * np.where(weekend, 0.95, 1.0)
    awake = bed - wake
    hour = (awake[:, None] / 24).repeat(24, axis=1)  # length and begin of each, minutes
    begin = (wake[:, None] + hour * np.arange(24)).reshape(-1)
    hour = hour.reshape(-1)

    def starts(rate: float) -> Minutes:
        apart = rng.standard_exponential(int(rng.poisson(rate * traits.active * days)) + 1).cumsum()
        u = apart[:-1] * (busy[-1] / apart[-1])  # uniform, and in order without sorting
        until = u.searchsorted(busy)
        until[-1] = len(u)
        until[1:] -= until[:-1].copy()
        return np.rint(begin.repeat(until) + hour.repeat(until) * rng.random(len(u))).astype(np.intp)

    def chosen(rate: float, low: float, high: float) -> Minutes:
        day = np.flatnonzero(rng.random(days) < np.minimum(rate * level, 0.9))
        evening, place = rng.random((2, len(day)))
        least = np.where(evening < 0.45, 0.55, low)
        return np.rint(wake[day] + (least + (high - least) * place) * awake[day]).astype(np.intp)

    parts = [
        np.concatenate([starts(190.0), stirred]),
        starts(3.2),
        chosen(0.75 * traits.sporty, 0.05, 0.85),
        chosen(0.35 * traits.sporty, 0.05, 0.85),
    ]
    n, m, k, q = numbers = [len(part) for part in parts]
    running = rng.random(k) < min(max(0.25 + 0.02 * (traits.vo2max - 35), 0.02), 0.6)
    sport = np.exp(0.4 * normal(rng, k + q))
    sport[:k] *= 38
    sport[k:] *= 40
    walk = np.minimum(4 + 7 * rng.standard_exponential(m, np.float32), 60)
    length = np.concatenate(
        [1 + np.floor(2.0 * rng.standard_exponential(n, np.float32)), walk, np.clip(sport, 15, 120)]
    )
    slow = np.exp(0.65 * normal(rng, n))
    slow *= 16 * np.sqrt(length[:n].astype(np.float32))
    slow /= 1 + slow / 140
    pace = normal(rng, m + k)
    pace[:m] = np.clip(104 + 9 * pace[:m], 60, 125)
    pace[m:] = np.where(running, 158 + 7 * pace[m:], 114 + 8 * pace[m:])
    still = np.clip(6 * np.exp(0.8 * normal(rng, q)), 0, 40)
    cadence = np.concatenate([np.maximum(slow, 3, out=slow), pace, still])
    share = _share(rng, traits, cadence, running, numbers)
    kind = np.repeat([MICRO, WALK, EXERCISE, LOW_STEP], numbers)
    luck = rng.random(len(kind), np.float32)
    return Bouts(np.concatenate(parts), np.rint(length).astype(np.intp), cadence, share, kind, luck)


def _share(rng: np.random.Generator, traits: Traits, cadence: Floats, running: Bools, numbers: list[int]) -> Floats:
    """Return demand as a share of the VO2 reserve by the ACSM equations (walking 3.5 + 0.1 v + 1.8 v g; running
    3.5 + 0.2 v + 0.9 v g; ml/kg/min, v in m/min) on a grade that stands for slopes, stairs and loads; `numbers` are
    how many bouts of each kind there are.
    """
    n, m, k, q = numbers
    stride = traits.profile.height / 100 * 0.415 * np.sqrt(np.maximum(cadence, 20) / 100)  # m, longer when faster
    speed = cadence * stride
    grade = np.full(len(cadence), 0.025, np.float32)
    grade[: n + m] += 0.025 * rng.standard_exponential(n + m, np.float32)
    net = 0.1 + 1.8 * grade
    sport = slice(n + m, n + m + k)
    net[sport] = np.where(running, 0.2 + 0.9 * grade[sport], net[sport])
    net *= speed
    net[:n] += 2.1  # standing up, arms, loads
    net[: n + m] *= np.exp(0.45 * normal(rng, n + m) - 0.1)  # what is done beside walking, and no step tells
    share = net / (traits.vo2max - 3.5)
    share[n + m + k :] = np.clip(0.45 + 0.12 * normal(rng, q), 0.15, 0.8)
    return np.minimum(share, 0.6 + 0.3 * (1 - np.exp(-share)))


def _off(rng: np.random.Generator, traits: Traits, bed: Minutes, wake: Minutes) -> Minutes:
    """Return stretches without the sensor: charging, showers, nights and days left out."""
    days = len(wake) - 1
    every = 1 if rng.random() < 0.4 else 2
    u = rng.random((12, days))
    wake, tonight, last = wake[:days], bed[1:], bed[:days]
    charge = np.where(u[0] < 0.7, tonight - 20 - 180 * u[1], wake + 5 + 295 * u[1])
    shower = wake + 5 + 55 * u[4]
    idle = wake + 300 * u[10]
    spans = np.array(
        [
            (charge, charge + 25 + 75 * u[2]),
            (shower, shower + 8 + 17 * u[5]),
            (last - 40 * u[7], wake + 5 + 45 * u[8]),  # the night
            (idle, idle + 240 + 860 * u[11]),
        ]
    )
    kept = u[[3, 3, 6, 9]] < np.array([[2.0], [0.75], [traits.nights_off], [traits.unworn]])
    if every == 2:
        kept[0, 1::2] = False
    return np.rint(spans.transpose(0, 2, 1)[kept]).astype(np.intp)


def minutes_of(
    bouts: Bouts, removed: Bools, rng: np.random.Generator, days: int, base: int
) -> tuple[Floats, Floats, Floats]:
    """Return steps and demand (share of reserve) by minute, woven in steps of `base` minutes (see
    `noise.first_order`), shape (base, n), and in each step the mean of the demand without steps, shape (n,).
    """
    n = days * DAYTIME
    length = bouts.length
    first = length.cumsum() - length
    minute = (bouts.start - first).astype(np.int32).repeat(length)
    minute += np.arange(len(minute), dtype=np.int32)
    pace = normal(rng, len(minute))
    few = int(length[: bouts.kind.searchsorted(WALK)].sum())  # minutes of MICRO bouts, which come first
    pace[:few] *= np.float32(0.6)
    pace[few:] = np.abs(pace[few:]) * np.float32(-0.12)
    pace += 1
    factor = np.clip(pace, 0.05, 1.5, out=pace)
    edge = np.concatenate([first, (first + length - 1)[length > 1]])
    factor[edge] *= rng.random(len(edge), dtype=np.float32)
    if removed.any():
        factor[removed.repeat(length)] = 0  # nothing else is done instead
    cadence, share = bouts.cadence.repeat(length), bouts.share.repeat(length)
    cadence *= factor
    share *= factor
    low = len(minute) - int(length[bouts.kind.searchsorted(LOW_STEP) :].sum())  # these come last
    if len(minute) and (minute.min() < 0 or minute.max() >= n):
        used = np.flatnonzero((minute >= 0) & (minute < n))
        low = int(used.searchsorted(low))
        minute, cadence, share = minute[used], cadence[used], share[used]
    block = minute // base
    place = (minute - base * block) * (n // base) + block
    steps, demand = np.zeros((2, n), np.float32)
    steps[place] = np.rint(cadence) * (cadence >= COUNTED)
    demand[place] = share
    hidden = np.zeros((base, n // base), np.float32)
    hidden.reshape(-1)[place[low:]] = demand[place[low:]]
    return steps.reshape(base, -1), demand.reshape(base, -1), hidden.sum(axis=0) / base
