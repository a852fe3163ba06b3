"""Do two tables of one person run on the same clock? Whole hours of disagreement are found and undone.

For each day, heart rate by the minute is correlated with the other table's heart rate (or, where it has none, its
steps) at lags of whole hours; the cheapest path over the days (Viterbi) decides, so that one odd day changes nothing
and a switch has to pay for itself over two days or more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import MINUTE, Doubles, Floats, Times

LAGS = np.arange(-14, 15)  # hours that the first table may be ahead of the second
MINUTES_A_DAY = 1440
MIN_MINUTES = 240  # measured in both tables, for a day to have a say
SWITCH = 0.5  # correlation that a change of lag must bring in
HOME = 0.15  # correlation by which another lag must be better than none
SMOOTH = 15  # minutes: heart rate follows steps with a delay


def agreed_clock(
    person: str, time: Times, heart_rate: Floats, minutes: Sequence[tuple[Times, Mapping[str, Floats]]]
) -> tuple[Times, list[str]]:
    """Return by how many hours each heart-rate reading is ahead of the minute tables, and sentences that say so.

    Args:
        person: For the sentences.
        time: Local clock of the heart rate, ms (n,).
        heart_rate: bpm (n,).
        minutes: Parts of the minute tables: (local ms, column -> values).
    """
    first = int(time.min()) // (MINUTES_A_DAY * MINUTE)
    days = int(time.max()) // (MINUTES_A_DAY * MINUTE) - first + 1
    start = first * MINUTES_A_DAY
    rate = _by_minute(time // MINUTE - start, heart_rate, days)
    column = "heart_rate" if any("heart_rate" in values for _, values in minutes) else "steps"
    other = np.full(days * MINUTES_A_DAY, np.nan)
    for stamps, values in minutes:
        if column in values:
            part = _by_minute(stamps // MINUTE - start, values[column], days)
            other = np.where(np.isnan(other), part, other)
    if column == "steps":
        other, rate = _smooth(np.log1p(np.maximum(other, 0))), _smooth(rate)
    hours = _path(_likeness(rate, other, days))
    return hours[time // (MINUTES_A_DAY * MINUTE) - first], _sentences(person, hours, first)


def _by_minute(minute: Times, values: Floats, days: int) -> Doubles:
    """Return the mean of each minute, NaN where there is none; shape (days * 1440,)."""
    inside = (minute >= 0) & (minute < days * MINUTES_A_DAY) & ~np.isnan(values)
    count = np.bincount(minute[inside], minlength=days * MINUTES_A_DAY)
    total = np.bincount(minute[inside], values[inside].astype(np.float64), minlength=days * MINUTES_A_DAY)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _smooth(values: Doubles) -> Doubles:
    known = ~np.isnan(values)
    kernel = np.ones(SMOOTH)
    count = np.convolve(known, kernel, "same")
    return np.where(known, np.convolve(np.where(known, values, 0), kernel, "same") / np.maximum(count, 1), np.nan)


def _likeness(rate: Doubles, other: Doubles, days: int) -> Doubles:
    """Return the correlation of each day at each lag, 0 where too little is measured; (days, lags)."""
    found = np.zeros((days, len(LAGS)))
    for place, lag in enumerate(LAGS):
        moved = np.full_like(rate, np.nan)  # `rate` as it would stand on the other clock
        shift = int(lag) * 60
        if shift >= 0:
            moved[: len(rate) - shift] = rate[shift:]
        else:
            moved[-shift:] = rate[:shift]
        for day in range(days):
            # the day in terms of the heart-rate clock: what is one day there lies `shift` earlier here
            rows = slice(max(day * MINUTES_A_DAY - shift, 0), max((day + 1) * MINUTES_A_DAY - shift, 0))
            found[day, place] = _correlation(moved[rows], other[rows])
    return found


def _correlation(a: Doubles, b: Doubles) -> float:
    both = ~np.isnan(a) & ~np.isnan(b)
    if both.sum() < MIN_MINUTES:
        return 0.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def _path(likeness: Doubles) -> NDArray[np.int64]:
    """Return the lag of each day, in hours, on the path of greatest likeness less the cost of switching."""
    days, lags = likeness.shape
    gain = likeness + np.where(LAGS == 0, HOME, 0.0)
    best, came = gain[0].copy(), np.zeros((days, lags), np.intp)
    for day in range(1, days):
        jump = int(np.argmax(best))
        stay = best >= best[jump] - SWITCH
        came[day] = np.where(stay, np.arange(lags), jump)
        best = np.where(stay, best, best[jump] - SWITCH) + gain[day]
    place = int(np.argmax(best))
    hours = np.zeros(days, np.int64)
    for day in range(days - 1, -1, -1):
        hours[day] = LAGS[place]
        place = int(came[day, place])
    return hours


def _sentences(person: str, hours: NDArray[np.int64], first: int) -> list[str]:
    edges = np.flatnonzero(np.diff(hours)) + 1
    sentences = []
    for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(hours)], strict=True):
        if hours[start]:
            since, until = (str(np.datetime64(first + day, "D")) for day in (start, end - 1))
            ahead = f"{abs(int(hours[start]))} h {'ahead of' if hours[start] > 0 else 'behind'}"
            sentences.append(
                f"{person}: from {since} to {until} the clock of the heart rate is {ahead} the minute tables; "
                "it was set to theirs."
            )
    return sentences
