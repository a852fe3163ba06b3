"""What the sensors report of the latent signals: errors that grow with motion, gaps, and sensor faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalwatch.synthetic.habits import DAYTIME, EXERCISE, WALK, Habits
from vitalwatch.synthetic.noise import blocks, covered, first_order, heavy, normal, uniform16
from vitalwatch.synthetic.people import Traits
from vitalwatch.synthetic.physiology import Latent
from vitalwatch.tables import Bools, Floats

# fault: mean number in 28 days, shortest and longest minutes
FAULTS = {
    "cadence_lock": (1.3, 8, 30),
    "stuck_value": (0.6, 70, 220),
    "spikes": (1.0, 40, 180),
    "low_perfusion": (1.4, 30, 240),
    "temperature_detached": (0.7, 60, 300),
}


# A minute's heart rate is a mean of several readings: seldom all are lost, and their errors average out (see `_heart`).
# column: share that is lost at rest, more in full motion, and the column that is lost with it
LOST = (
    ("heart_rate", 0.0008, 0.004, "heart_rate_spread"),
    ("oxygen_saturation", 0.06, 0.9, "oxygen_saturation_min"),
    ("respiratory_rate", 0.04, 0.6, ""),
    ("heart_rate_variability_rmssd", 0.05, 0.9, ""),
    ("body_temperature", 0.01, 0.0, ""),
)
LOST_BASE, LOST_SLOPE = (np.array([65536 * row[k] for row in LOST], np.float32)[:, None] for k in (1, 2))


@dataclass(frozen=True)
class Fault:
    """One sensor fault, minutes since the first local midnight."""

    name: str
    start: int
    end: int
    size: float


def faults(rng: np.random.Generator, habits: Habits, rate: float) -> tuple[Fault, ...]:
    """Draw the sensor faults of one person; `rate` multiplies their number."""
    found = []
    bouts = habits.bouts
    moving = np.flatnonzero(
        ((bouts.kind == WALK) | (bouts.kind == EXERCISE)) & (bouts.length >= 8) & (bouts.start >= 0)
    )
    for name, (mean, low, high) in FAULTS.items():
        count = int(rng.poisson(mean * rate * habits.days / 28))
        for size, *luck in rng.random((count, 3)).tolist() if count else ():
            length = low + int(luck[0] * (high + 1 - low))
            start = int(luck[1] * (habits.days * DAYTIME - high))
            if name == "cadence_lock":
                if not len(moving):
                    continue
                k = moving[int(luck[1] * len(moving))]
                start, length = int(bouts.start[k]) + 2, min(length, int(bouts.length[k]) - 2)
            found.append(Fault(name, start, min(start + length, habits.days * DAYTIME), size))
    return tuple(found)


def measure(
    rng: np.random.Generator,
    fault_rng: np.random.Generator,
    traits: Traits,
    habits: Habits,
    latent: Latent,
    broken: tuple[Fault, ...],
    noise: float,
    step: int,
) -> tuple[NDArray[np.intp], dict[str, Floats]]:
    """Return the grid rows that are worn, shape (n,), and every column of the schema in them, float32 (n,)."""
    n = habits.days * DAYTIME // step
    f = np.float32
    up = step // latent.base
    cadence = blocks(latent.steps.sum(axis=0), up) / f(latent.base)
    hidden = blocks(latent.hidden, up)
    motion = np.clip(cadence / f(120), 0, 1) + f(0.6) * hidden
    heart, spread = _heart(rng, fault_rng, traits, latent, broken, noise, step)
    quality = f(0.97) - f(0.22) * motion - f(0.05) * np.abs(heavy(rng, n)) * f(noise)
    slow = {
        name: blocks(getattr(latent, name), up)
        for name in (
            "log_rmssd",
            "respiration",
            "spo2",
            "temperature",
            "systolic",
            "diastolic",
            "desaturation",
            "effort",
        )
    }
    rough = f(noise) * (1 + f(1.2) * motion)

    beat = blocks(latent.beat, up) * np.exp(f(0.1) * normal(rng, n))
    spread = np.sqrt(spread + (beat * rough) ** 2)
    saturation, lowest = _saturation(rng, traits, slow, rough, noise, step)
    values = {
        "heart_rate": heart,
        "oxygen_saturation": saturation,
        "respiratory_rate": slow["respiration"] + f(0.7) * rough * heavy(rng, n),
        "body_temperature": slow["temperature"] + f(traits.bias[1]) + f(0.07 * noise) * normal(rng, n),
        "heart_rate_variability_rmssd": np.exp(slow["log_rmssd"] + f(0.13) * rough * normal(rng, n)),
        "steps": cadence * f(step),
        "intensity": _intensity(rng, cadence, hidden),
        "sleep": _sleep(rng, habits, step, n),
        "signal_quality": quality,
        "heart_rate_spread": spread,
        "oxygen_saturation_min": lowest,
    }
    values |= _cuff(rng, traits, slow, motion, values["sleep"], noise, step)
    _break(fault_rng, values, broken, step)
    _lose(rng, values, motion)
    rows = np.flatnonzero(_worn(habits, step, n))
    return rows, _rounded(values, rows)


def _heart(
    rng: np.random.Generator,
    fault_rng: np.random.Generator,
    traits: Traits,
    latent: Latent,
    broken: tuple[Fault, ...],
    noise: float,
    step: int,
) -> tuple[Floats, Floats]:
    """Return mean and variance of the measured heart rate in each step; the error is about 30 % larger in motion."""
    base, up = latent.base, step // latent.base
    seen = np.clip(latent.demand, 0, 1)
    seen += np.float32(0.4)  # bpm at rest
    seen *= noise
    seen *= heavy(rng, *seen.shape)
    seen += latent.heart_rate
    for fault in broken:
        if fault.name == "cadence_lock":  # the optical sensor follows the arm instead of the pulse
            row, minute = np.divmod(np.arange(fault.start, fault.end), base)
            arm = np.maximum(latent.steps[minute, row], 60)
            seen[minute, row] = arm + 1.5 * normal(fault_rng, len(row))
    if traits.whole_beats:
        np.rint(seen, out=seen)
    mean = blocks(seen.sum(axis=0), up) / np.float32(base)
    if step == 1:
        return mean, np.zeros_like(mean)
    seen -= mean.repeat(up)
    np.square(seen, out=seen)
    return mean, blocks(seen.sum(axis=0), up) / np.float32(base)


def _saturation(
    rng: np.random.Generator, traits: Traits, slow: dict[str, Floats], rough: Floats, noise: float, step: int
) -> tuple[Floats, Floats]:
    """Return mean and minimum SpO2; the error of a wearable is 2 % RMS: bias, slow wander and white together."""
    n = len(rough)
    f = np.float32
    # white noise falls with the averaging, the rest does not
    white = f(0.75 / np.sqrt(step / 5)) * rough * heavy(rng, n)
    wandering = first_order(normal(rng, n), 60 / step) * f(0.9 * noise * np.sqrt(2 * 60 / step))
    cycling = slow["desaturation"]
    deep = np.abs(f(0.5) + f(0.35) * normal(rng, n))
    seen = slow["spo2"] + f(traits.bias[0]) + white + wandering * f(0.9) - f(0.35) * cycling * (f(0.6) + f(0.8) * deep)
    room = 100 - seen
    seen = 100 - f(0.5) * (room + np.sqrt(room * room + f(0.25)))  # the display stops at 100, softly
    lowest = seen - f(0.7) - f(0.9) * rough * np.abs(heavy(rng, n)) - cycling * (f(0.4) + deep)
    return seen, np.minimum(lowest, seen)


def _intensity(rng: np.random.Generator, cadence: Floats, hidden: Floats) -> Floats:
    """Return what an accelerometer makes of movement: steps, and a part of cycling and lifting."""
    f = np.float32
    level = cadence / f(190) + f(0.4) * hidden
    fidget = np.maximum(f(0.02) + f(0.02) * normal(rng, len(cadence)), 0)
    return level * (1 + f(0.1) * normal(rng, len(cadence))) + fidget


def _sleep(rng: np.random.Generator, habits: Habits, step: int, n: int) -> Floats:
    """Return sleep as the device tells it: late at onset, late at waking, short wakings and naps partly missed."""
    spans = habits.asleep
    late = np.rint(rng.exponential(9, (len(spans), 2))).astype(np.intp)
    start, end = spans[:, 0] + late[:, 0], spans[:, 1] + late[:, 1] // 2
    known = (end - start >= 3 * step) & ((spans[:, 1] - spans[:, 0] > 100) | (rng.random(len(spans)) < 0.7))
    return covered(start[known] // step, end[known] // step, n).astype(np.float32)


def _cuff(
    rng: np.random.Generator,
    traits: Traits,
    slow: dict[str, Floats],
    motion: Floats,
    sleep: Floats,
    noise: float,
    step: int,
) -> dict[str, Floats]:
    """Return cuff readings: about hourly awake and at rest, every third hour asleep; error 5 +- 8 mmHg at worst."""
    n = len(motion)
    hours = n * step // 60
    row = (np.arange(hours) * 60 + rng.integers(0, 60, hours)) // step
    taken = rng.random(hours) < np.where(sleep[row] > 0, 0.33, 0.9)
    kept = taken & (motion[row] < 0.15)
    row = row[kept]
    out = {}
    for name, size in (("systolic", 5.0), ("diastolic", 4.0)):
        column = np.full(n, np.nan, np.float32)
        error = size * noise * rng.standard_normal(hours)[kept] + traits.bias[2] * (1.0 if name == "systolic" else 0.6)
        column[row] = slow[name][row] + error
        out[f"blood_pressure_{name}"] = column
    low = np.minimum(out["blood_pressure_diastolic"], out["blood_pressure_systolic"] - 12)
    return {"blood_pressure_systolic": out["blood_pressure_systolic"], "blood_pressure_diastolic": low}


def _break(rng: np.random.Generator, values: dict[str, Floats], broken: tuple[Fault, ...], step: int) -> None:
    """Put the faults into the reported columns."""
    for fault in broken:
        rows = slice(fault.start // step, max(fault.end // step, fault.start // step + 1))
        n = len(values["heart_rate"][rows])
        if fault.name == "stuck_value":
            values["heart_rate"][rows] = values["heart_rate"][rows.start]
            values["heart_rate_spread"][rows] *= np.float32(0.1)
        elif fault.name == "spikes":
            hit = rng.random(n) < 0.25
            values["heart_rate"][rows] += hit * np.where(rng.random(n) < 1 / 3, -1.0, 1.0) * rng.uniform(25, 75, n)
            values["heart_rate_spread"][rows] += hit * rng.uniform(5, 25, n)
            values["signal_quality"][rows] -= np.float32(0.15) * rng.random(n)
        elif fault.name == "low_perfusion":
            drop = (2 + 7 * fault.size) * (0.6 + 0.4 * rng.standard_normal(n))
            values["oxygen_saturation"][rows] -= np.abs(drop)
            values["oxygen_saturation_min"][rows] -= np.abs(drop) * rng.uniform(1, 1.6, n)
            values["signal_quality"][rows] -= rng.uniform(0.15, 0.55, n)
        elif fault.name == "temperature_detached":
            cool = 1 - np.exp(-(np.arange(n) + 1) * step / 25)
            values["body_temperature"][rows] -= cool * (3.0 + 2.2 * fault.size)


def _lose(rng: np.random.Generator, values: dict[str, Floats], motion: Floats) -> None:
    """Blank what the device cannot tell: SpO2, respiration and HRV in motion, and a little of everything."""
    luck = uniform16(rng, len(LOST), len(motion)).astype(np.float32)
    for (name, _, _, partner), lost in zip(LOST, luck < LOST_BASE + LOST_SLOPE * motion, strict=True):
        np.putmask(values[name], lost, np.nan)
        if partner:
            np.putmask(values[partner], lost, np.nan)


def _worn(habits: Habits, step: int, n: int) -> Bools:
    off = habits.off
    return ~covered(off[:, 0] // step, -(-off[:, 1] // step), n)


# column: lowest and highest value a device reports, its resolution
DISPLAY = {
    "heart_rate": (28.0, 225.0, 10),
    "oxygen_saturation": (55.0, 100.0, 10),
    "respiratory_rate": (4.0, 60.0, 10),
    "body_temperature": (30.2, 42.5, 100),
    "blood_pressure_systolic": (60.0, 240.0, 1),
    "blood_pressure_diastolic": (35.0, 150.0, 1),
    "heart_rate_variability_rmssd": (2.0, 240.0, 10),
    "steps": (0.0, 20000.0, 1),
    "intensity": (0.0, 1.0, 100),
    "sleep": (0.0, 1.0, 1),
    "signal_quality": (0.05, 1.0, 100),
    "heart_rate_spread": (0.0, 90.0, 100),
    "oxygen_saturation_min": (50.0, 100.0, 10),
}


LOWEST, HIGHEST, PARTS = np.array(list(DISPLAY.values()), np.float32).T[:, :, None]


def _rounded(values: dict[str, Floats], rows: NDArray[np.intp]) -> dict[str, Floats]:
    """Return the worn rows as a device shows them."""
    table = np.empty((len(DISPLAY), len(rows)), np.float32)
    for row, name in zip(table, DISPLAY, strict=True):
        values[name].take(rows, out=row, mode="clip")
    np.clip(table, LOWEST, HIGHEST, out=table)
    table *= PARTS
    np.rint(table, out=table)
    table /= PARTS
    return dict(zip(DISPLAY, table, strict=True))
