"""A synthetic Fitbit export as one is downloaded: heart rate every few seconds, steps and intensity by the minute."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

START = datetime(2016, 4, 12)  # noqa: DTZ001 - exports tell the wearer's own clock, without a zone


def export(
    days: float = 1.0, person: str = "7", *, seed: int = 1, fast_hours: tuple[int, int] = (0, 0)
) -> dict[str, bytes]:
    """Return name -> content of the tables, with US dates.

    Args:
        days: From midnight on.
        person: Fitbit's number of them.
        seed: Of everything.
        fast_hours: Between these the heart is at 170 bpm, at rest.
    """
    rng, minutes = np.random.default_rng(seed), round(days * 1440)
    awake = np.asarray([7 <= minute // 60 % 24 < 23 for minute in range(minutes)])
    steps = np.where(awake & (rng.random(minutes) < 0.2), rng.integers(5, 110, minutes), 0)
    beats, second = [], 0.0
    rate = 58.0
    while second < minutes * 60:
        minute = int(second // 60)
        wanted = (66 if awake[minute] else 54) + 0.4 * steps[minute]
        if fast_hours[0] <= minute // 60 < fast_hours[1]:
            wanted = 170.0
        rate += 0.2 * (wanted - rate) + rng.normal(0, 0.8)
        beats.append(f"{person},{_us(second)},{max(round(rate), 40)}")
        second += float(rng.choice((5, 5, 10, 15)))
    classes = np.digitize(steps, (1, 60, 100))
    tables = {
        "heartrate_seconds_merged.csv": ["Id,Time,Value", *beats],
        "minuteStepsNarrow_merged.csv": ["Id,ActivityMinute,Steps", *_rows(person, steps)],
        "minuteIntensitiesNarrow_merged.csv": ["Id,ActivityMinute,Intensity", *_rows(person, classes)],
    }
    return {name: ("\r\n".join(lines) + "\r\n").encode() for name, lines in tables.items()}


def _rows(person: str, values: np.ndarray) -> list[str]:
    return [f"{person},{_us(60.0 * minute)},{value}" for minute, value in enumerate(values.tolist())]


def _us(second: float) -> str:
    moment = START + timedelta(seconds=second)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.strftime('%I:%M:%S %p').lstrip('0')}"
