"""From habits to latent signals: what a perfect sensor would see, before the sensor's own errors.

The heart rate is simulated minute by minute; the slow signals on a grid of at most five minutes. Basal + circadian +
activity + autocorrelated noise after Bowman 2021 (10.1016/j.crmeth.2021.100058), drift over days in every signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vitalwatch.params import Synthetic
from vitalwatch.synthetic import habits as habit
from vitalwatch.synthetic.events import Episode, envelopes
from vitalwatch.synthetic.habits import CHANNELS, CONTEXTS, DAYTIME, Habits
from vitalwatch.synthetic.noise import covered, finer, first_order, knots, lines, normal, soft_boxes, wander
from vitalwatch.synthetic.people import Traits
from vitalwatch.tables import Floats

# signal: standard deviation of the drift over days, and what a bad day, shared by all signals, does to it
DRIFT = {
    "heart_rate": (2.2, 1),
    "log_rmssd": (0.11, -1),
    "respiration": (0.5, 1),
    "spo2": (0.3, -1),
    "temperature": (0.12, 1),
    "systolic": (3.5, 1),
    "diastolic": (2.2, 1),
}
DRIFT_SD, DRIFT_SIGN = np.array([DRIFT[name] for name in CHANNELS]).T[:, :, None]
HEIGHTS = np.array(list(CONTEXTS.values()))
MOVING = HEIGHTS.any(axis=1)
MEMORY = 0.68  # correlation of the drift from day to day
OWN_TAUS, OWN_SDS = (15.0, 130.0), (0.75, 0.72)  # autonomic noise of each slow signal, unit variance
# Its size, where nothing changes it. A thermometer on the skin also feels blankets, sun and how close it sits.
ADDED = {"log_rmssd": 0.21, "spo2": 0.39, "temperature": 0.2, "diastolic": 2.1}
# Slow noise must forget within the hour: the residual of wearers correlates by .2 to .3 over 60 minutes.
FAST_TAUS, FAST_SDS = (1.6, 7.0), (3.1, 1.5)  # autonomic noise of the heart rate: minutes, bpm
SLOW_TAUS, SLOW_SDS = (18.0, 300.0), (2.8, 1.5)
BURSTS = 0.8  # spread of the logarithm of the depth of usual dips of oxygen saturation: they come in bursts
# A clock of 1 bpm and 2 % asleep: still hours of wearers lie 3 to 8 bpm lower at night (see `realism`).
ASLEEP = 0.02
# Minutes by which the heart is ahead of counted steps: a pedometer counts after several steps in a row, and late. In
# exports of wearers the heart rises in the minute before the first counted one and has fallen by half in the last.
LEAD = 0.6
LASTING, LASTING_TAU = 0.10, 22.0  # share of long effort that fades within so many minutes
# The fast noise of who sits still, and what each share of the reserve (up to UP_MOST, smoothed) adds: wearers on their
# feet are twice as restless between two steps as in a chair.
SETTLED, UP, UP_MOST, UP_TAU = 0.7, 5.0, 0.15, 15.0
VOLATILITY = 0.6  # restless and calm hours: spread of the logarithm of the fast noise's size


@dataclass
class Latent:
    """True signals of one person.

    Attributes:
        heart_rate: bpm by minute, shape (base, n): minute j of base step t at [j, t].
        steps: By minute, like `demand` (share of the reserve).
        hidden: Demand without steps; this and all below on the base grid, shape (n,).
        beat: Spread of the heart rate within a minute, bpm.
        log_rmssd, respiration, spo2, temperature, systolic, diastolic: ln(ms), /min, %, Cel, mmHg, mmHg.
        desaturation: Depth of cyclic dips below spo2, %.
        depth: Of sleep, 0-1.
        effort: Used share of the heart-rate reserve by movement.
    """

    base: int
    heart_rate: Floats
    steps: Floats
    demand: Floats
    hidden: Floats
    beat: Floats
    log_rmssd: Floats
    respiration: Floats
    spo2: Floats
    temperature: Floats
    systolic: Floats
    diastolic: Floats
    desaturation: Floats
    depth: Floats
    effort: Floats


def base_step(step: int) -> int:
    """Return the grid of the slow signals in minutes: at most five, a divisor of the step."""
    return step if step <= 5 else math.gcd(step, 5)


def simulate(
    rng: np.random.Generator,
    own: np.random.Generator,
    traits: Traits,
    habits: Habits,
    episodes: tuple[Episode, ...],
    removed: np.ndarray,
    params: Synthetic,
    step: int,
) -> Latent:
    """Return the latent signals of one person with the episodes in them; `own` draws the noise of the episodes."""
    base = base_step(step)
    n = habits.days * DAYTIME // base
    steps, demand, hidden = habit.minutes_of(habits.bouts, removed, rng, habits.days, base)
    asleep = covered(habits.asleep[:, 0] // base, habits.asleep[:, 1] // base, n)
    depth = first_order(asleep.astype(np.float32), 22 / base)
    level, tension, (calm, *noises) = _courses(rng, habits, base, n)
    response = _response(demand, traits, params.time_constants)
    clock = _clock(habits, base, n)
    awake = 1 - np.float32(0.3) * depth

    lively = (
        np.exp(calm * np.float32(VOLATILITY / np.hypot(*SLOW_SDS))) * awake * np.float32(traits.noise * traits.fast)
    )
    up = first_order(demand.sum(axis=0) / base, UP_TAU / base)
    lively *= np.float32(SETTLED) + np.float32(UP) * np.minimum(up, np.float32(UP_MOST))
    tension *= awake * np.float32(traits.noise)
    slow = level["heart_rate"] + tension + np.float32(traits.resting)
    slow += np.float32(traits.swing) * clock
    slow -= depth * np.float32(ASLEEP * traits.resting)
    fast = wander(normal(rng, base, n), FAST_TAUS, FAST_SDS, woven=True)
    fast *= lines(lively, base)
    heart = lines(slow, base)
    heart += response
    heart += fast

    effort = response.sum(axis=0)
    effort *= 1 / (base * (traits.maximum - traits.resting))
    latent = _others(traits, base, depth, level, noises, clock, effort, tension)
    result = Latent(base, heart, steps, demand, hidden, depth=depth, effort=effort, **latent)
    if episodes:
        _apply(result, episodes, own)
    for episode in episodes:
        if "gain" in episode.change:
            _blunt(heart, demand, episode, traits, params.time_constants)
    _bound(heart.reshape(-1), traits.maximum)
    return result


def _bound(heart: Floats, maximum: float) -> None:
    """Compress, never cut, what is near the person's maximum or below 31 bpm; in place."""
    if heart.max(initial=0) > maximum - 8:
        high = np.flatnonzero(heart > maximum - 8)
        heart[high] = maximum - 8 + 8 * np.tanh((heart[high] - maximum + 8) / 8)
    if heart.min(initial=34) < 34:
        low = np.flatnonzero(heart < 34)
        heart[low] = 34 - 6 * np.tanh((34 - heart[low]) / 6)


def _response(demand: Floats, traits: Traits, slower: float) -> Floats:
    """Return the rise of the heart rate by demand, bpm: first order, faster down than up, lasting after long effort.

    The slower of two responses counts on the way up and the faster one on the way down: after light effort the vagus is
    back within a minute, while what long effort leaves (`LASTING`) takes twenty.
    """
    x = _ahead(demand * (traits.maximum - traits.resting))
    rise = first_order(x, traits.tau_on * slower, woven=True)
    np.minimum(rise, first_order(x, traits.tau_off * slower, woven=True), out=rise)
    drift = np.zeros(x.shape[1], np.float32)  # where each block begins
    drift[1:] = first_order(x.sum(axis=0), LASTING_TAU * slower / len(x))[:-1]
    rise += lines(drift * np.float32(LASTING / len(x)), len(x))
    return rise


def _ahead(x: Floats) -> Floats:
    """Return a woven course as it will be LEAD minutes later."""
    y = x * np.float32(1 - LEAD)
    y[:-1] += x[1:] * np.float32(LEAD)
    y[-1, :-1] += x[0, 1:] * np.float32(LEAD)
    return y


def _blunt(heart: Floats, demand: Floats, episode: Episode, traits: Traits, slower: float) -> None:
    """Take from the heart rate what an episode of chronotropic incompetence holds back; in place.

    Both responses begin with the same rows: what came before them is in neither, and leaves no mark there.
    """
    base = len(demand)
    rows = slice(max(episode.start - 240, 0) // base, (episode.end + 300) // base)
    weak = demand[:, rows].copy()
    row, minute = np.divmod(np.arange(episode.start, episode.end), base)
    weak[minute, row - rows.start] *= np.float32(1 + episode.change["gain"])
    heart[:, rows] += _response(weak, traits, slower) - _response(demand[:, rows], traits, slower)


def _courses(
    rng: np.random.Generator, habits: Habits, base: int, n: int
) -> tuple[dict[str, Floats], Floats, list[Floats]]:
    """Return what moves within hours and days, drawn every 15 minutes, straight lines in between.

    Returns:
        The offset of every channel by contexts, drift and its own noise; the slow noise of the heart rate, bpm; and
        five noises: of the size of its fast noise, of unit variance for blood pressure, beat and breath, and of about
        one for the dips of oxygen saturation.
    """
    times = _coarser(base, 15)
    every, k = times * base, n // times
    offset = _contexts(habits, every, k) + _drift(rng, habits.days, k)
    own = _noise(rng, 4 + len(ADDED), every, k, OWN_TAUS, OWN_SDS)
    for row, (name, size) in zip(own[4:], ADDED.items(), strict=True):
        offset[CHANNELS.index(name)] += np.float32(size) * row
    own[3] = np.exp(np.float32(BURSTS) * own[3])
    heart = _noise(rng, 2, every, k, SLOW_TAUS, SLOW_SDS)
    fine = list(finer(np.concatenate([offset, heart, own[:4]]), times))
    tension, *noises = fine[len(CHANNELS) :]
    return dict(zip(CHANNELS, fine, strict=False)), tension, noises


def _contexts(habits: Habits, every: int, n: int) -> Floats:
    """Return the summed effect of everyday contexts on each channel, with soft edges, shape (channels, n)."""
    rows = habits.contexts
    moves = np.flatnonzero(MOVING.take(rows.kind))
    heights = HEIGHTS[rows.kind[moves]] * rows.size[moves, None]
    return first_order(soft_boxes(rows.start[moves] / every, rows.end[moves] / every, heights, n), 12 / every)


def _coarser(base: int, about: int) -> int:
    """Return how many base steps make a coarser one of at most `about` minutes that divides a day."""
    return next(k for k in range(max(about // base, 1), 0, -1) if DAYTIME % (k * base) == 0)


def _noise(
    rng: np.random.Generator, rows: int, every: int, n: int, taus: tuple[float, float], sds: tuple[float, float]
) -> Floats:
    """Return noise of the given time constants (minutes), one number in `every` minutes, shape (rows, n)."""
    return wander(normal(rng, rows, n), (taus[0] / every, taus[1] / every), sds)


def _drift(rng: np.random.Generator, days: int, n: int) -> Floats:
    """Return the drift of every channel: autoregressive over days, straight lines in between; (channels, n)."""
    white = rng.standard_normal((len(CHANNELS) + 1, days + 2))
    white[:-1, 0] /= math.sqrt(1 - MEMORY**2)
    own = first_order(white[:-1], -1 / math.log(MEMORY)) * (math.sqrt(1 - MEMORY**2) / (1 - MEMORY))
    value = DRIFT_SD * (0.94 * own + 0.33 * DRIFT_SIGN * white[-1])
    return finer(value.astype(np.float32), n // days)[:, :n]


@lru_cache(maxsize=1)
def _day(base: int) -> Floats:
    """Return the body clock of one day at home."""
    hour = np.arange(DAYTIME // base, dtype=np.float32) * np.float32(base / 60) - 17
    return np.cos(hour * np.float32(np.pi / 12))


def _clock(habits: Habits, base: int, n: int) -> Floats:
    """Return the body clock, 1 in the late afternoon (17:00), -1 twelve hours apart; it follows travel in days."""
    if not habits.shift.any():
        return np.tile(_day(base), habits.days)
    late = finer(first_order(habits.shift.astype(np.float64), 2.0), DAYTIME // base)[:n]
    hour = np.arange(n, dtype=np.float32) * np.float32(base / 60) - 17
    return np.cos((hour + late) * np.float32(np.pi / 12))


def _others(
    traits: Traits,
    base: int,
    depth: Floats,
    level: dict[str, Floats],
    own: list[Floats],
    clock: Floats,
    effort: Floats,
    tension: Floats,
) -> dict[str, Floats]:
    """Return the slow signals, coupled to effort, sleep, clock and the slow noise of the heart rate."""
    f = np.float32
    squeeze, beat, breath, dips = own
    warm = first_order(effort, 35 / base)
    asleep_noise = 1 - f(0.35) * depth
    pressure = f(5.3) * squeeze * asleep_noise + f(0.35) * tension
    return {
        "beat": np.exp(f(0.3) + f(0.17) * beat - f(0.25) * depth),
        "log_rmssd": level["log_rmssd"] + f(traits.log_rmssd) + f(0.28) * depth - f(2.2) * effort
        - f(0.014) * tension,
        "respiration": level["respiration"] + f(traits.respiration) - f(1.3) * depth + f(19) * effort
        + f(0.04) * tension + f(0.86) * breath * asleep_noise,
        "spo2": level["spo2"] + f(traits.spo2) - f(0.7) * depth - f(0.8) * effort,
        "temperature": level["temperature"] + f(traits.temperature) + f(0.22) * clock - f(0.12) * depth
        + f(0.9) * warm,
        "systolic": level["systolic"] + f(traits.systolic) - f(0.12 * traits.systolic) * depth + f(2.5) * clock
        + f(55) * effort + pressure,
        "diastolic": level["diastolic"] + f(traits.diastolic) - f(0.13 * traits.diastolic) * depth + f(1.5) * clock
        + f(8) * effort + f(0.55) * pressure,
        "desaturation": f(traits.snore) * depth * dips,
    }  # fmt: skip


def _apply(latent: Latent, episodes: tuple[Episode, ...], rng: np.random.Generator) -> None:
    """Add the episodes to the signals; their noise is their own, so that everything else stays as it was."""
    base = latent.base
    spans, number, strength = envelopes(episodes, base)
    most = max(len(episode.change) for episode in episodes)
    courses = knots(rng, most, len(strength), max(30 // base, 1))
    sizes = np.zeros((most, len(episodes)), np.float32)
    for k, episode in enumerate(episodes):
        sizes[: len(episode.change), k] = list(episode.change.values())
    effects = sizes.take(number, axis=1) * strength * (1 + np.float32(0.2) * courses)
    done = 0
    for rows, episode in zip(spans, episodes, strict=True):
        part = slice(done, done + rows.stop - rows.start)
        done = part.stop
        for effect, (signal, change) in zip(effects, episode.change.items(), strict=False):
            if signal == "jitter":
                unrest = np.float32(change) * strength[part]
                latent.heart_rate[:, rows] += unrest * normal(rng, base, len(unrest))
            elif signal == "heart_rate":
                latent.heart_rate[:, rows] += lines(effect[part], base)
            elif signal != "gain":
                course = getattr(latent, signal)[rows]
                course += effect[part]
