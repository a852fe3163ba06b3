"""What a sensor tells of itself over an hour: values that jump, a weak signal, a device that measures nothing.

A single row of it is no news; several within a while are a technical alarm condition. What is remembered is the times
of those rows, so memory is bounded by the rows of that while, and is empty in a quiet life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from vitalwatch.alerting.rules import BLIND, SPIKES, TWO, WEAK, Rule, span
from vitalwatch.artefacts import ARTEFACTS
from vitalwatch.devices import TWO_DEVICES
from vitalwatch.tables import Bools, Doubles, Grid

JUMP = (
    25.0  # bpm at rest from one row to the next: seldom, and there and back within an hour hardly ever, is it a heart
)
CONTEXT = ("steps", "intensity", "sleep")  # what a device tells though its optical sensor sees nothing
TOLD = {  # what the monitor's technical channel calls these, row by row: a rule here tells them instead
    "spike": SPIKES,
    "low_signal_quality": WEAK,
    "low_perfusion": WEAK,
}
SENTENCES = {
    SPIKES: "Check the sensor: its values jump to and fro.",
    WEAK: "Check the sensor: its signal is weak. Does it sit well, is the skin warm, is the battery low?",
    BLIND: "The device reports but measures no heart rate: does it sit on the skin, is it clean and charged?",
    TWO: "Two devices send for this person, and differ: does one of them belong to somebody else?",
}


@dataclass(frozen=True)
class Sensed:
    """What is remembered of one rule about a sensor.

    Attributes:
        times: Of the rows within the while, UTC ms, oldest first.
        start: Since when it is a condition, None where it is none.
        over: Whether the condition ended because it had lasted long enough, though the rows go on.
    """

    times: tuple[int, ...] = ()
    start: int | None = None
    over: bool = False


@dataclass(frozen=True)
class Felt:
    """What rules about sensors look at, for n grid rows: at rest, and how far the heart rate is from the row before."""

    grid: Grid
    resting: Bools
    jump: Doubles

    def __len__(self) -> int:
        return len(self.grid)


def spikes(felt: Felt, rule: Rule) -> Bools:
    """Return rows with a value that was taken back as a spike, or with a heart rate that jumped at rest, (n,).

    A single spike is one of the first kind or, where it was too small for that, two of the second: there and back.
    """
    marked: Bools = np.logical_or.reduce(felt.grid.artefact & np.uint8(ARTEFACTS["spike"]), axis=1)
    return marked | (felt.resting & (felt.jump > JUMP))


def weak(felt: Felt, rule: Rule) -> Bools:
    """Return rows at rest with a signal quality below the rule's, (n,): motion alone weakens a signal."""
    assert rule.below is not None
    found: Bools = (felt.grid.column("signal_quality") < rule.below) & felt.resting
    return found


def blind(felt: Felt, rule: Rule) -> Bools:
    """Return rows that a device told without a heart rate, not even one carried forward, and without a fault, (n,)."""
    grid = felt.grid
    reported = np.logical_or.reduce([np.isfinite(grid.column(name)) for name in CONTEXT])
    found: Bools = reported & np.isnan(grid.values[:, 0]) & (grid.artefact[:, 0] == 0)
    return found


def differing(felt: Felt, rule: Rule) -> Bools:
    """Return rows in which two devices measured something and differ, (n,)."""
    found: Bools = np.logical_or.reduce(felt.grid.artefact & np.uint8(TWO_DEVICES), axis=1)
    return found


FINDERS: Mapping[str, Callable[[Felt, Rule], Bools]] = {SPIKES: spikes, WEAK: weak, BLIND: blind, TWO: differing}


def beat_change(grid: Grid, beat: tuple[int, float] | None, step_ms: int) -> Doubles:
    """Return how far the heart rate of each row is from that of the row just before, bpm (n,); NaN is not known.

    Args:
        grid: Rows; the heart rate is the first vital.
        beat: Time and heart rate of the row before them, None where it was not measured.
        step_ms: Length of a row.
    """
    time, rate = beat if beat is not None else (-1, np.nan)
    values = grid.values[:, 0].astype(np.float64)
    change: Doubles = np.where(
        np.diff(grid.time, prepend=time) == step_ms, np.abs(np.diff(values, prepend=rate)), np.nan
    )
    return change


def nothing_sensed(grid: Grid, beat: tuple[int, float] | None, step_ms: int, below: float) -> bool:
    """Return whether no row can matter to any rule about a sensor, whatever it asks.

    Args:
        grid: Rows; the heart rate is the first vital.
        beat: Time and heart rate of the row before them, None where it was not measured.
        step_ms: Length of a row.
        below: The highest signal quality that any rule calls weak.
    """
    quality = grid.names.index("signal_quality")
    if len(grid) == 1:
        rate = grid.values.item(0, 0)
        if beat is not None and abs(rate - beat[1]) > JUMP and grid.time.item(0) - beat[0] == step_ms:
            return False
        return rate == rate and not grid.values.item(0, quality) < below and not np.count_nonzero(grid.artefact)
    poor = (grid.values[:, quality] < below) | np.isnan(grid.values[:, 0]) | (beat_change(grid, beat, step_ms) > JUMP)
    return not np.count_nonzero(poor) and not np.count_nonzero(grid.artefact)


def advance(
    sensed: Sensed, found: Bools, time: np.ndarray, rule: Rule, step_ms: int
) -> tuple[Sensed, list[tuple[int, int]]]:
    """Return what is remembered after some rows, and the conditions that ended in them as (start, end), UTC ms.

    Args:
        sensed: Before them.
        found: Rows that the rule is about, (n,).
        time: Starts of the rows, UTC ms (n,).
        rule: How many rows, within which while, until when.
        step_ms: Length of a row.
    """
    ended: list[tuple[int, int]] = []
    for at in time[found].tolist():
        sensed = _cleared(sensed, at, rule, step_ms, ended)
        times = (*(one for one in sensed.times if at - one < span(rule.within)), at)
        start = at if sensed.start is None and not sensed.over and len(times) >= rule.times else sensed.start
        sensed = replace(sensed, times=times, start=start)
    return _cleared(sensed, int(time[-1]) + step_ms, rule, step_ms, ended), ended


def _cleared(sensed: Sensed, now: int, rule: Rule, step_ms: int, ended: list[tuple[int, int]]) -> Sensed:
    """Return what is remembered at a moment; a condition ends once its rows stay away, or it lasted long enough."""
    if not sensed.times:
        return sensed
    newest = sensed.times[-1] + step_ms
    gone = newest + max(span(rule.clears), span(rule.within))
    if sensed.start is not None:
        latest = sensed.start + span(rule.longest) if rule.longest is not None else gone
        end = newest if gone <= latest else latest
        if now >= min(gone, latest):
            ended.append((sensed.start, end))
            sensed = replace(sensed, start=None, over=True)
    return Sensed() if now >= gone else sensed
