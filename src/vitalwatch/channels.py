"""The four channels of a person's alarms: scores, limits and sensors -> which rows alarm, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitalwatch import explaining
from vitalwatch.residuals import Rows
from vitalwatch.schema import Schema
from vitalwatch.scoring import Detector, Scores
from vitalwatch.tables import Alarm, Bools, Grid
from vitalwatch.watching import Channel, Rule, calm, watch

CHANNELS = ("unusual", "known", "rule", "technical")
Sounded = tuple[tuple[Channel, ...], tuple[Alarm, ...], Bools, NDArray[np.int16]]


class Channels:
    """What makes alarms of rows, for one run."""

    def __init__(self, detector: Detector, schema: Schema, rules: explaining.Rules, alarm_rule: Rule) -> None:
        self._detector, self._schema, self._rules, self._alarm_rule = detector, schema, rules, alarm_rule

    def advance(self, channels: tuple[Channel, ...], grid: Grid, rows: Rows, scores: Scores) -> Sounded:
        """Return the next states, alarms told, rows in an alarm of A or B (n,), and kinds of those in B (n,).

        Args:
            channels: State of each of CHANNELS before these rows.
            grid, rows: The rows, (n, ...).
            scores: On the person's own level.
        """
        if len(grid) == 1 and self._quiet(channels, grid, rows, scores):
            return channels, (), np.zeros(1, np.bool_), np.array([-1], np.int16)
        limits = self._detector.calibration
        over = (
            scores.unusual > limits.unusual_threshold,  # NaN is not
            scores.known > limits.known_threshold,
            self._rules.rows(grid, rows.context),
            explaining.technical_rows(grid, self._schema.step_minutes),
        )
        explain = explaining.Explainer(grid, rows, scores, self._detector, self._schema, self._rules)
        begin = (explain.unusual, explain.known, explain.rule, explain.technical)
        following, alarms, alarming = [], [], []
        for channel, rows_over, make in zip(channels, over, begin, strict=True):
            state, rows_alarming, told = watch(channel, rows_over, grid.time, self._alarm_rule, make)
            following.append(state)
            alarming.append(rows_alarming)
            alarms.extend(told)
        unusual, known = alarming[:2]
        kind = np.full(len(grid), -1, np.int16)
        if np.count_nonzero(known):
            kind[known] = scores.kind[known]
        alarms.sort(key=lambda alarm: (alarm.start, alarm.channel))
        return tuple(following), tuple(alarms), unusual | known, kind

    def _quiet(self, channels: tuple[Channel, ...], grid: Grid, rows: Rows, scores: Scores) -> bool:
        """Return whether a lone row changes nothing, as nearly always.

        A score is compared as float64 here: then whatever is over in float32 is over, and the other way round it is
        only looked at once more.
        """
        limits = self._detector.calibration
        return (
            not scores.unusual.item() > limits.unusual_threshold
            and not scores.known.item() > limits.known_threshold
            and all(calm(channel, self._alarm_rule) for channel in channels)
            and not self._rules.of_one(grid, rows.context)
            and not explaining.technical_rows(grid, self._schema.step_minutes).item()
        )
