"""Scores of many people on one time line: alarms at any threshold, and the threshold that a budget allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vitalwatch.alarms import Intervals, persisted, pieces, runs
from vitalwatch.metrics.events import EventScore, Judged, Rule, judge
from vitalwatch.tables import DAY, MINUTE, Bools, Doubles, Floats, Times


def _none() -> Intervals:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Track:
    """What one person is judged on.

    Attributes:
        time: Start of each grid step that is judged or may hold alarms, UTC ms, sorted, shape (n,).
        person_days: Worn and assessable days.
        episodes: Labelled episodes that count, UTC ms, shape (e, 2).
        kinds: Their kinds, e of them.
        excused: Episodes that do not count and in which alarms are not false, shape (x, 2).
    """

    time: Times
    person_days: float
    episodes: Intervals = field(default_factory=_none)
    kinds: tuple[str, ...] = ()
    excused: Intervals = field(default_factory=_none)


class Cohort:
    """The tracks of several people laid one after the other, far enough apart not to touch."""

    def __init__(self, tracks: Sequence[Track], rule: Rule) -> None:
        self.tracks, self.rule = tuple(tracks), rule
        self._begin, self._shift = self._lay_out()
        self.time = self._joined([track.time for track in tracks])
        self.episodes = self._joined([track.episodes for track in tracks])
        self.excused = self._joined([track.excused for track in tracks])
        self.kinds = np.asarray([kind for track in tracks for kind in track.kinds], dtype=str)
        self.episode_person = np.repeat(np.arange(len(tracks)), [len(track.episodes) for track in tracks])
        self.row_person = np.repeat(np.arange(len(tracks)), [len(track.time) for track in tracks])
        self.person_days = np.asarray([track.person_days for track in tracks], np.float64)

    def _lay_out(self) -> tuple[Times, Times]:
        """Return where each person begins on the common time line, a week after the one before, and the shift."""
        spans = [np.concatenate((track.time, track.episodes.ravel(), track.excused.ravel())) for track in self.tracks]
        low = np.asarray([span.min() if len(span) else 0 for span in spans], np.int64)
        length = np.asarray([np.ptp(span) if len(span) else 0 for span in spans], np.int64) + 7 * DAY
        begin = np.cumsum(length) - length
        return begin, begin - low

    def _joined(self, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        moved = [part + shift for part, shift in zip(parts, self._shift, strict=True)]
        return np.concatenate(moved) if moved else _none()

    @cached_property
    def labels(self) -> Bools:
        """True for rows that start inside an episode that counts, all people, shape (rows,)."""
        inside = np.zeros(len(self.time) + 1, np.int64)
        np.add.at(inside, np.searchsorted(self.time, self.episodes[:, 0]), 1)
        np.add.at(inside, np.searchsorted(self.time, self.episodes[:, 1]), -1)
        return np.cumsum(inside)[:-1] > 0

    def levels(self, scores: Sequence[NDArray[np.floating]]) -> Doubles:
        """Return every row's persisted score, all people, shape (rows,): a threshold below it makes an alarm row."""
        rule = self.rule
        found = [persisted(score, rule.need, rule.of) for score in scores]
        return np.concatenate(found) if found else np.empty(0)

    def alarms(self, over: Bools) -> Intervals:
        """Return alarms from persistent rows, merged and cut, on the common time line."""
        return pieces(runs(over, self.time, self.rule.step_ms), self.rule.merge_ms, self.rule.cut_ms)

    def judged(self, alarms: Intervals) -> Judged:
        """Judge alarms on the common time line."""
        return judge(alarms, self.episodes, self.rule.grace_ms, self.excused)

    def false_rate(self, levels: Doubles, threshold: float) -> float:
        """Return false alarms per worn person-day with a threshold (an alarm row is above it)."""
        days = float(self.person_days.sum())
        return float(self.judged(self.alarms(levels > threshold)).false.sum()) / days if days else float("nan")

    def rate_of_new_people(self, levels: Doubles, threshold: float) -> float:
        """Return `false_rate` with one more person who is as bad as the worst of these.

        A threshold chosen on people is kept to by them, less so by others. Conformal risk control (Angelopoulos et
        al. 2022, arXiv 2208.02814) adds one person at the highest rate there can be; here the worst seen stands for it.
        """
        alarms = self.alarms(levels > threshold)
        false = np.bincount(self._owners(alarms[self.judged(alarms).false]), minlength=len(self.tracks))
        days = self.person_days
        if not days.sum():
            return float("nan")
        worst = int(np.argmax(false / np.maximum(days, 1.0)))
        return float((false.sum() + false[worst]) / (days.sum() + days[worst]))

    def _owners(self, alarms: Intervals) -> NDArray[np.intp]:
        """Return whose each alarm is, (a,)."""
        owner: NDArray[np.intp] = np.maximum(np.searchsorted(self._begin, alarms[:, 0], side="right") - 1, 0)
        return owner

    def score(self, over: Bools) -> EventScore:
        """Judge persistent rows of all people, shape (rows,)."""
        return self.score_alarms(self.alarms(over))

    def score_intervals(self, found: Sequence[Intervals]) -> EventScore:
        """Judge intervals, one array a person in UTC ms, that are not yet merged and cut."""
        return self.score_alarms(pieces(self._joined(list(found)), self.rule.merge_ms, self.rule.cut_ms))

    def score_alarms(self, alarms: Intervals) -> EventScore:
        """Judge alarms that are already on the common time line, merged and cut."""
        verdict = self.judged(alarms)
        false = alarms[verdict.false]
        owner = self._owners(false)
        return EventScore(
            person_days=self.person_days,
            episode_person=self.episode_person,
            kinds=self.kinds,
            starts=self.episodes[:, 0] - self._shift[self.episode_person],
            found=verdict.detected,
            delays_min=verdict.delay / MINUTE,
            alarm_person=owner,
            false_spans=false - self._shift[owner][:, None],
        )

    def thresholds_for_budgets(
        self, levels: Doubles, budgets: Sequence[float], *, for_new_people: bool = False
    ) -> tuple[float, ...]:
        """Return, for each budget, the lowest threshold found whose false alarms per worn person-day keep to it.

        Args:
            levels: From `levels`.
            budgets: False alarms per worn person-day.
            for_new_people: Whether `rate_of_new_people` has to keep to them, not only that of these people.

        Returns:
            Thresholds; rows above them are over. Infinity where no score is known.

        The search halves the interval of scores that occur, so where the rate is not monotone (lower thresholds
        merge alarms) it finds one crossing, and what it returns always keeps to the budget on these people.
        """
        candidates = np.unique(levels[np.isfinite(levels)])
        rate_at = self.rate_of_new_people if for_new_people else self.false_rate
        rates: dict[int, float] = {}  # the searches share their first steps

        def rate(index: int) -> float:
            if index not in rates:
                rates[index] = rate_at(levels, float(candidates[index]))
            return rates[index]

        return tuple(
            float(candidates[_lowest(rate, len(candidates), b)]) if len(candidates) else np.inf for b in budgets
        )


def _lowest(rate: Callable[[int], float], candidates: int, budget: float) -> int:
    low, high = -1, candidates - 1  # nothing is above the highest candidate: no alarms at all
    while high - low > 1:
        middle = (low + high) // 2
        if rate(middle) <= budget:
            high = middle
        else:
            low = middle
    return high


def threshold_for_budget(tracks: Sequence[Track], scores: Sequence[Floats], budget: float, rule: Rule) -> float:
    """Return the threshold whose false alarms per worn person-day on these people keep to the budget.

    Args:
        tracks: One per person; their episodes are not false alarms.
        scores: One array per person, as long as its track's time; NaN never alarms.
        budget: False alarms per worn person-day.
        rule: Persistence, merging, cutting, grace.
    """
    cohort = Cohort(tracks, rule)
    return cohort.thresholds_for_budgets(cohort.levels(scores), [budget])[0]
