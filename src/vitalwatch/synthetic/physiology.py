"""From habits to latent signals: what a perfect sensor would see, before the sensor's own errors.

The heart rate is simulated minute by minute; the slow signals on a grid of at most five minutes. Basal + circadian +
activity + autocorrelated noise after Bowman 2021 (10.1016/j.crmeth.2021.100058), drift over days in every signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from vitalwatch.params import Synthetic
from vitalwatch.synthetic import habits as habit
from vitalwatch.synthetic.events import Episode
from vitalwatch.synthetic.habits import CHANNELS, CONTEXTS, DAYTIME, Habits
from vitalwatch.synthetic.noise import blocks, boxes, finer, first_order, knots, normal, soft_boxes, two_orders, wander
from vitalwatch.synthetic.people import Traits
from vitalwatch.tables import Floats

# signal: standard deviation of the drift over days, and what a bad day, shared by all signals, does to it
DRIFT = {
    "heart_rate": (2.2, 1),
    "log_rmssd": (0.11, -1),
    "respiration": (0.5, 1),
    "spo2": (0.3, -1),
    "temperature": (0.09, 1),
    "systolic": (3.5, 1),
    "diastolic": (2.2, 1),
}
MEMORY = 0.68  # correlation of the drift from day to day
FAST_TAUS, FAST_SDS = (2.6, 11.0), (3.4, 1.0)  # autonomic noise of the heart rate: minutes, bpm
SLOW_TAUS, SLOW_SDS = (45.0, 240.0), (2.3, 2.1)
ON_TAPS = 6  # minutes of demand that the quick rise looks back on
VOLATILITY = 0.6  # restless and calm hours: spread of the logarithm of the fast noise's size


@dataclass
class Latent:
    """True signals of one person.

    Attributes:
        heart_rate: bpm by minute, shape (days * 1440,).
        steps: By minute; `hidden` is the demand without steps, `demand` all of it (share of the reserve).
        beat: Spread of the heart rate within a minute, bpm; this and all below on the base grid.
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
    steps, demand, hidden = habit.minutes_of(habits.bouts, removed, rng, habits.days)
    asleep = np.minimum(
        boxes(habits.asleep[:, 0] // base, habits.asleep[:, 1] // base, np.ones(len(habits.asleep)), n), 1
    )
    depth = first_order(asleep, 22 / base)
    shared = _contexts(habits, base, n)
    drift = _drift(rng, habits.days, base, n)
    response = _response(demand, traits, params.time_constants)
    clock = _clock(habits, base, n)
    awake = 1 - np.float32(0.55) * depth

    calm, slow_noise = _slowly(rng, 2, base, n, SLOW_TAUS, SLOW_SDS)
    lively = (
        np.exp(calm * np.float32(VOLATILITY / np.hypot(*SLOW_SDS))) * awake * np.float32(traits.noise * traits.fast)
    )
    slow_noise *= awake * np.float32(traits.noise)
    slow = shared["heart_rate"] + drift["heart_rate"] + slow_noise + np.float32(traits.resting)
    slow += np.float32(traits.swing) * clock
    slow -= depth * np.float32(0.09 * traits.resting)
    fast = wander(normal(rng, len(demand)), FAST_TAUS, FAST_SDS)
    fast += np.float32(0.02) * fast * fast  # rises are quicker and larger than falls
    heart = finer(slow, base)
    heart += response
    heart += fast * finer(lively, base)

    effort = blocks(response, base) / np.float32(traits.maximum - traits.resting)
    latent = _others(rng, traits, base, depth, shared, drift, clock, effort, slow_noise)
    result = Latent(base, heart, steps, demand, hidden, depth=depth, effort=effort, **latent)
    for episode in episodes:
        _apply(result, episode, own)
        if "gain" in episode.change:
            _blunt(heart, demand, episode, traits, params.time_constants)
    _bound(result.heart_rate, traits.maximum)
    return result


def _bound(heart: Floats, maximum: float) -> None:
    """Compress, never cut, what is near the person's maximum or below 31 bpm; in place."""
    high = np.flatnonzero(heart > maximum - 8)
    heart[high] = maximum - 8 + 8 * np.tanh((heart[high] - maximum + 8) / 8)
    low = np.flatnonzero(heart < 34)
    heart[low] = 34 - 6 * np.tanh((34 - heart[low]) / 6)


def _response(demand: Floats, traits: Traits, slower: float) -> Floats:
    """Return the rise of the heart rate by demand, bpm: first order, faster on than off, drifting up in long effort."""
    x = demand * np.float32(traits.maximum - traits.resting)
    off = two_orders(x, traits.tau_off * slower, 28 * slower, 0.10)
    pole = np.exp(-1.0 / (traits.tau_on * slower))
    weights = (pole ** np.arange(ON_TAPS) / np.sum(pole ** np.arange(ON_TAPS))).astype(np.float32)
    on = x * weights[0]  # an exponential this short is a few taps
    for lag in range(1, ON_TAPS):
        on[lag:] += x[:-lag] * weights[lag]
    return np.maximum(on, off, out=on)


def _blunt(heart: Floats, demand: Floats, episode: Episode, traits: Traits, slower: float) -> None:
    """Take from the heart rate what an episode of chronotropic incompetence holds back; in place."""
    span = slice(max(episode.start - 240, 0), episode.end + 300)
    weak = demand[span].copy()
    begin = episode.start - span.start
    weak[begin : begin + episode.end - episode.start] *= np.float32(1 + episode.change["gain"])
    heart[span] += _response(weak, traits, slower) - _response(demand[span], traits, slower)


def _contexts(habits: Habits, base: int, n: int) -> dict[str, Floats]:
    """Return the summed effect of everyday contexts on each signal, with soft edges."""
    rows = habits.contexts
    table = np.array(list(CONTEXTS.values()))
    moves = np.flatnonzero((table != 0).any(axis=1).take(rows.kind))
    heights = table[rows.kind[moves]] * rows.size[moves, None]
    times = _coarser(base, 15)
    coarse = times * base
    sums = soft_boxes(rows.start[moves] / coarse, rows.end[moves] / coarse, heights, habits.days * DAYTIME // coarse)
    return dict(zip(CHANNELS, finer(first_order(sums, 12 / coarse), times), strict=True))


def _coarser(base: int, about: int) -> int:
    """Return how many base steps make a coarser one of at most `about` minutes that divides a day."""
    return next(k for k in range(max(about // base, 1), 0, -1) if DAYTIME % (k * base) == 0)


def _slowly(
    rng: np.random.Generator, rows: int, base: int, n: int, taus: tuple[float, float], sds: tuple[float, float]
) -> Floats:
    """Return noise of the given time constants (minutes), shape (rows, n), drawn every 10 minutes, lines between."""
    times = _coarser(base, 10)
    knots = n // times
    white = normal(rng, rows * knots).reshape(rows, knots)
    return finer(wander(white, (taus[0] / (times * base), taus[1] / (times * base)), sds), times)


def _drift(rng: np.random.Generator, days: int, base: int, n: int) -> dict[str, Floats]:
    """Return the drift of every signal: autoregressive over days, straight lines in between."""
    sd, sign = np.array(list(DRIFT.values())).T[:, :, None]
    white = np.sqrt(1 - MEMORY**2) * rng.standard_normal((len(DRIFT), days + 2))
    white[:, 0] /= np.sqrt(1 - MEMORY**2)
    own = lfilter([1.0], [1.0, -MEMORY], white)
    value = sd * (0.94 * own + 0.33 * sign * rng.standard_normal(days + 2))
    return dict(zip(DRIFT, finer(value.astype(np.float32), DAYTIME // base)[:, :n], strict=True))


def _clock(habits: Habits, base: int, n: int) -> Floats:
    """Return the body clock, 1 in the late afternoon (17:00), -1 twelve hours apart; it follows travel in days."""
    moved = first_order(habits.shift.astype(np.float64), 2.0)
    late = finer(moved, DAYTIME // base)[:n]
    hour = np.tile(np.arange(DAYTIME // base, dtype=np.float32) * np.float32(base / 60), habits.days)
    if not late.any():
        day = np.cos((hour[: DAYTIME // base] - 17) * np.float32(np.pi / 12)).astype(np.float32)
        return np.tile(day, habits.days)
    return np.cos((hour + late - 17) * np.float32(np.pi / 12)).astype(np.float32)


def _others(
    rng: np.random.Generator,
    traits: Traits,
    base: int,
    depth: Floats,
    shared: dict[str, Floats],
    drift: dict[str, Floats],
    clock: Floats,
    effort: Floats,
    tension: Floats,
) -> dict[str, Floats]:
    """Return the slow signals, coupled to effort, sleep, clock and the slow noise of the heart rate."""
    n = len(depth)
    f = np.float32
    # one row a signal: autonomic noise within hours, unit variance
    own = _slowly(rng, 7, base, n, (15.0, 130.0), (0.75, 0.72))
    both = {name: shared[name] + drift[name] for name in DRIFT if name != "heart_rate"}
    warm = first_order(effort, 35 / base)
    asleep_noise = 1 - f(0.35) * depth
    pressure = f(5.3) * own[0] * asleep_noise + f(0.35) * tension
    return {
        "beat": np.exp(f(0.3) + f(0.17) * own[1] - f(0.25) * depth),
        "log_rmssd": both["log_rmssd"] + f(traits.log_rmssd) + f(0.28) * depth - f(2.2) * effort
        - f(0.014) * tension + f(0.21) * own[2],
        "respiration": both["respiration"] + f(traits.respiration) - f(1.3) * depth + f(19) * effort
        + f(0.04) * tension + f(0.86) * own[3] * asleep_noise,
        "spo2": both["spo2"] + f(traits.spo2) - f(0.7) * depth - f(0.8) * effort + f(0.39) * own[4],
        "temperature": both["temperature"] + f(traits.temperature) + f(0.22) * clock - f(0.12) * depth
        + f(0.9) * warm + f(0.08) * own[5],
        "systolic": both["systolic"] + f(traits.systolic) - f(0.12 * traits.systolic) * depth + f(2.5) * clock
        + f(55) * effort + pressure,
        "diastolic": both["diastolic"] + f(traits.diastolic) - f(0.13 * traits.diastolic) * depth + f(1.5) * clock
        + f(8) * effort + f(0.55) * pressure + f(2.1) * own[6],
        "desaturation": np.zeros(n, np.float32),
    }  # fmt: skip


def _apply(latent: Latent, episode: Episode, rng: np.random.Generator) -> None:
    """Add one episode to the signals; its noise is its own, so that everything else stays as it was."""
    base = latent.base
    rows, strength = episode.envelope(base)
    minutes = slice(rows.start * base, rows.stop * base)
    courses = knots(rng, len(episode.change), len(strength), max(30 // base, 1))
    for course, (signal, change) in zip(courses, episode.change.items(), strict=True):
        if signal == "jitter":
            jitter = np.repeat(strength, base)
            latent.heart_rate[minutes] += np.float32(change) * jitter * normal(rng, len(jitter))
        elif signal != "gain":
            effect = np.float32(change) * strength * (1 + np.float32(0.2) * course)
            if signal == "heart_rate":
                latent.heart_rate[minutes] += finer(effect, base)
            else:
                getattr(latent, signal)[rows] += effect
