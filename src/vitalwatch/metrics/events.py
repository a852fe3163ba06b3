"""Event scoring: labelled episodes against alarms, pooled over people.

An episode [s, e) is detected if an alarm overlaps [s, e + grace); an alarm is false if it overlaps no
[s - grace, e + grace); delay = start of the first detecting alarm - s, at least 0. Several alarms in one long
episode count once; an alarm in the grace before an episode is neither a hit nor false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.alarms import Intervals, merge
from vitalwatch.metrics.bootstrap import Estimate, difference, estimate, ratio
from vitalwatch.schema import minutes
from vitalwatch.tables import MINUTE, Bools, Doubles, Times

EPISODES, DETECTED, FALSE, DAYS = range(4)  # columns of `EventScore.counts`


@dataclass(frozen=True)
class Rule:
    """How scores become alarms and alarms are judged; times in milliseconds."""

    need: int
    of: int
    merge_ms: int
    cut_ms: int
    grace_ms: int
    step_ms: int

    @classmethod
    def of_params(cls, chosen: params.Alarms, step_ms: int) -> Rule:
        """Return the rule of params.yaml's `alarms` on a grid of `step_ms`."""
        merge_ms, cut_ms, grace_ms = (minutes(text) * MINUTE for text in (chosen.merge, chosen.cut, chosen.grace))
        return cls(chosen.need, chosen.of, merge_ms, cut_ms, grace_ms, step_ms)


@dataclass(frozen=True)
class Judged:
    """What became of each episode and each alarm.

    Attributes:
        detected: Of each episode, shape (e,).
        delay: Milliseconds from its start to the first alarm that detects it, NaN where none, shape (e,).
        false: Of each alarm, shape (a,).
    """

    detected: Bools
    delay: Doubles
    false: Bools


def judge(alarms: Intervals, episodes: Intervals, grace_ms: int, excused: Intervals | None = None) -> Judged:
    """Judge alarms on one time line.

    Args:
        alarms: Merged and cut, sorted, not overlapping, shape (a, 2).
        episodes: In any order, may overlap, shape (e, 2).
        grace_ms: See the module.
        excused: Intervals that are not judged (an episode under way when judging begins): alarms there are not false.
    """
    if not len(alarms):
        return Judged(np.zeros(len(episodes), np.bool_), np.full(len(episodes), np.nan), np.zeros(0, np.bool_))
    start, end = episodes[:, 0], episodes[:, 1]
    detected, first = _overlap(alarms, start, end + grace_ms)
    delay = np.where(detected, np.maximum(alarms[first, 0] - start, 0), np.nan)
    zones = episodes if excused is None else np.concatenate((episodes, excused))
    if not len(zones):
        return Judged(detected, delay, np.ones(len(alarms), np.bool_))
    zones = zones[np.argsort(zones[:, 0], kind="stable")] + np.array([-grace_ms, grace_ms])
    return Judged(detected, delay, ~_overlap(merge(zones, 0), alarms[:, 0], alarms[:, 1])[0])


def _overlap(spans: Intervals, start: Times, end: Times) -> tuple[Bools, NDArray[np.intp]]:
    """Return whether each [start, end) meets one of the sorted, disjoint spans, and the first that ends after start."""
    first = np.minimum(np.searchsorted(spans[:, 1], start, side="right"), len(spans) - 1)
    return (spans[first, 0] < end) & (spans[first, 1] > start), first


@dataclass(frozen=True)
class EventScore:
    """Episodes and alarms of several people, judged; pooled figures are properties.

    Attributes:
        person_days: Worn and assessable days of each person, shape (p,).
        episode_person, alarm_person: Index of the person, shapes (e,) and (f,).
        kinds: Kind of each episode, shape (e,).
        starts: Start of each episode, UTC ms, shape (e,).
        found: Whether each episode was detected, shape (e,).
        delays_min: Minutes until the first detecting alarm, NaN where missed, shape (e,).
        false_spans: The false alarms, UTC ms, shape (f, 2).
    """

    person_days: Doubles
    episode_person: NDArray[np.intp]
    kinds: NDArray[np.str_]
    starts: Times
    found: Bools
    delays_min: Doubles
    alarm_person: NDArray[np.intp]
    false_spans: Intervals

    @cached_property
    def counts(self) -> Doubles:
        """Per-person sums: episodes, detected, false alarms, person-days; shape (p, 4)."""
        people = len(self.person_days)
        columns = (
            np.bincount(self.episode_person, minlength=people),
            np.bincount(self.episode_person, weights=self.found, minlength=people),
            np.bincount(self.alarm_person, minlength=people),
            self.person_days,
        )
        return np.stack(columns, axis=1).astype(np.float64)

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.found)

    @property
    def detected(self) -> int:
        """Number of episodes that an alarm met."""
        return int(self.found.sum())

    @property
    def false_alarms(self) -> int:
        """Number of alarms that met no episode."""
        return len(self.alarm_person)

    @property
    def recall(self) -> float:
        """Detected / episodes, NaN without episodes."""
        return float(recall(self.counts.sum(axis=0)))

    @property
    def precision(self) -> float:
        """Detected / (detected + false alarms), NaN without either."""
        return float(precision(self.counts.sum(axis=0)))

    @property
    def f1(self) -> float:
        """Event F1, NaN where there is neither episode nor alarm."""
        return float(f1(self.counts.sum(axis=0)))

    @property
    def false_alarms_per_day(self) -> float:
        """False alarms per worn person-day."""
        return float(false_alarm_rate(self.counts.sum(axis=0)))

    def delay(self, quantile: float) -> float:
        """Return a quantile of the delays of detected episodes, minutes; NaN where nothing was detected."""
        known = self.delays_min[self.found]
        return float(np.quantile(known, quantile)) if len(known) else float("nan")

    def keep(self, episodes: Bools, alarms: Bools, person_days: Doubles) -> EventScore:
        """Return the score of some episodes, some false alarms and the person-days that belong to them."""
        return EventScore(
            person_days,
            self.episode_person[episodes],
            self.kinds[episodes],
            self.starts[episodes],
            self.found[episodes],
            self.delays_min[episodes],
            self.alarm_person[alarms],
            self.false_spans[alarms],
        )

    def of_people(self, chosen: Bools) -> EventScore:
        """Return the score of some people only, shape (p,) True for those; the others keep their place with nothing."""
        days = np.where(chosen, self.person_days, 0.0)
        return self.keep(chosen[self.episode_person], chosen[self.alarm_person], days)

    def of_kind(self, kind: str) -> EventScore:
        """Return the score on one kind of episode; all false alarms stay."""
        everything = np.ones(self.false_alarms, np.bool_)
        return self.keep(self.kinds == kind, everything, self.person_days)

    def kind_counts(self) -> tuple[tuple[str, ...], Doubles]:
        """Return the kinds met and per-person sums (p, kinds, 2): episodes and detected of each."""
        kinds = tuple(sorted(set(self.kinds.tolist())))
        which = np.searchsorted(np.asarray(kinds, dtype=str), self.kinds) if kinds else np.zeros(0, np.intp)
        people, cell = len(self.person_days), self.episode_person * len(kinds) + which
        columns = [np.bincount(cell, weights=w, minlength=people * len(kinds)) for w in (None, self.found)]
        return kinds, np.stack(columns, axis=1).reshape(people, len(kinds), 2).astype(np.float64)

    def macro_recall(self, draws: Doubles, confidence: float) -> Estimate:
        """Return the mean over kinds of recall."""
        kinds, sums = self.kind_counts()
        flat = sums.reshape(len(sums), -1)

        def macro(total: Doubles) -> Doubles:
            by_kind = total.reshape(*total.shape[:-1], len(kinds), 2)
            each = ratio(by_kind[..., 1], by_kind[..., 0])
            return ratio(np.nansum(each, axis=-1), np.isfinite(each).sum(axis=-1))

        return estimate(macro, flat, draws, confidence) if kinds else Estimate(float("nan"))

    def estimates(self, draws: Doubles, confidence: float) -> Mapping[str, Estimate]:
        """Return recall, precision, event F1 and false alarms per day with their intervals."""
        return {name: estimate(figure, self.counts, draws, confidence) for name, figure in FIGURES.items()}


def recall(total: Doubles) -> Doubles:
    """Return detected / episodes from sums (..., 4)."""
    return ratio(total[..., DETECTED], total[..., EPISODES])


def precision(total: Doubles) -> Doubles:
    """Return detected / (detected + false alarms) from sums (..., 4)."""
    return ratio(total[..., DETECTED], total[..., DETECTED] + total[..., FALSE])


def f1(total: Doubles) -> Doubles:
    """Return event F1 from sums (..., 4): the harmonic mean, written so that it is 0 where nothing was detected."""
    return ratio(2 * total[..., DETECTED], total[..., EPISODES] + total[..., DETECTED] + total[..., FALSE])


def false_alarm_rate(total: Doubles) -> Doubles:
    """Return false alarms per worn person-day from sums (..., 4)."""
    return ratio(total[..., FALSE], total[..., DAYS])


def natural_precision(share: float, total: Doubles) -> Doubles:
    """Return precision if episodes were rarer by `share` and false alarms as many: an estimate from sums (..., 4)."""
    return ratio(share * total[..., DETECTED], share * total[..., DETECTED] + total[..., FALSE])


FIGURES = {"event_f1": f1, "precision": precision, "recall": recall, "false_alarms_per_day": false_alarm_rate}


def f1_difference(a: EventScore, b: EventScore, draws: Doubles, confidence: float) -> Estimate:
    """Return event F1 of a - b on the same people, paired."""
    return difference(f1, a.counts, b.counts, draws, confidence)
