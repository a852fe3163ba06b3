"""Which false alarms and misses of test people are the worst, and how own normal kept up: what the report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features
from vitalwatch.alarms import persisted
from vitalwatch.cards import feature_words
from vitalwatch.casework import LEARNT, Case
from vitalwatch.explaining import first_named, named
from vitalwatch.metrics.bootstrap import plain, ratio
from vitalwatch.monitor import Monitor
from vitalwatch.schema import Schema, minutes
from vitalwatch.settings import Settings
from vitalwatch.stages.judging import PersonResult, case_of
from vitalwatch.tables import DAY, MINUTE, Answers, Bools

MOST = 10
RESTS = 3  # features that are told of a head
WORDS = {feature.name: feature_words(feature) for feature in features.FEATURES}
LEAST_ROWS = 36  # of a vital in a day, for that day's median to count: three hours at 5 minutes
LEAST_PEOPLE = 3
# What a kind is named after, told of a miss before whatever else moved further; of infections and decline as SIRS and
# NEWS2 see them first
NAMED_AFTER = {
    "resting_tachycardia": ("heart_rate",),
    "bradycardia": ("heart_rate",),
    "irregular_rhythm": ("heart_rate_variability_rmssd",),
    "night_hypoxia": ("oxygen_saturation",),
    "fever": ("body_temperature",),
    "mild_infection": ("body_temperature", "heart_rate"),
    "hypertensive": ("blood_pressure_systolic", "blood_pressure_diastolic"),
    "chronotropic_incompetence": ("heart_rate",),
    "deterioration": ("respiratory_rate", "oxygen_saturation", "heart_rate"),
    "sepsis": ("body_temperature", "heart_rate", "respiratory_rate"),
}


def judged_by_hand(results: Sequence[PersonResult], monitor: Monitor, settings: Settings) -> dict[str, list[Case]]:
    """Return the worst `false_alarms` and `misses` of labelled test people, worst first, at most ten of each.

    A false alarm is the worse the further its score lies above the threshold; a miss the worse the further the scores
    stay below it. Both are told in the channel's own scale, log10 of how rare (channel A) or how costly (B) a score is.
    """
    grace = minutes(settings.params.alarms.grace) * MINUTE
    alarms: list[Case] = []
    misses: list[Case] = []
    for result in results:
        if result.split == "test" and result.events is not None and len(result.answers):
            margin = _margin(result.answers, monitor)
            alarms += _false(result, margin, grace, settings)
            misses += _missed(result, margin, grace, settings)
    alarms.sort(key=lambda case: (-case.score, case.person, case.start))
    misses.sort(key=lambda case: (case.score, case.person, case.start))
    alarms = _apart(alarms)
    of = {result.person: result for result in results}
    return {
        "false_alarms": [_with_clearing(case, of[case.person], monitor) for case in alarms[:MOST]],
        "misses": misses[:MOST],
    }


def _apart(cases: Sequence[Case]) -> list[Case]:
    """Return the cases but those that meet a worse one of the same person: two channels, or pieces of one alarm."""
    kept: list[Case] = []
    for case in cases:
        if not any(k.person == case.person and k.start < case.end and case.start < k.end for k in kept):
            kept.append(case)
    return kept


def _margin(answers: Answers, monitor: Monitor) -> dict[str, np.ndarray]:
    """Return how far above its threshold each row of a channel alarms, persistence counted, (n,)."""
    limits, rule = monitor.detector.calibration, monitor.chosen.alarms
    margin = {}
    for name in LEARNT:
        threshold = getattr(limits, f"{name}_threshold")
        if np.isfinite(threshold):
            margin[name] = persisted(getattr(answers, name), rule.need, rule.of) - threshold
    return margin


def named_first(explanation: str, schema: Schema) -> tuple[str, ...]:
    """Return the vitals that an explanation names, the one that it names first in front."""
    first = first_named(explanation, schema)
    first = schema.columns[first].of or first if first else ""
    return tuple(sorted(named(explanation, schema), key=lambda vital: vital != first))


def _false(result: PersonResult, margin: Mapping[str, np.ndarray], grace: int, settings: Settings) -> list[Case]:
    answers, found = result.answers, []
    for alarm in answers.alarms:
        if alarm.channel in margin and alarm.start >= result.enrolled_until:
            met = any(e.start - grace < alarm.end and alarm.start < e.end + grace for e in result.events or ())
            rows = slice(*np.searchsorted(answers.time, (alarm.start, alarm.end)))
            if not met and rows.stop > rows.start:
                score = float(margin[alarm.channel][rows].max())
                case = _case(result, alarm.start, alarm.end, alarm.kind, alarm.channel, score, alarm.explanation)
                found.append(replace(case, vitals=named_first(alarm.explanation, settings.schema)))
    return found


def _missed(result: PersonResult, margin: Mapping[str, np.ndarray], grace: int, settings: Settings) -> list[Case]:
    answers, found = result.answers, []
    track = case_of(result, settings.schema.step_ms).track
    for (start, end), kind in zip(track.episodes.tolist(), track.kinds, strict=True):
        rows = slice(*np.searchsorted(answers.time, (start, end + grace)))
        best = max((float(one[rows].max(initial=-np.inf)) for one in margin.values()), default=-np.inf)
        hit = any(a.channel in LEARNT and a.start < end + grace and start < a.end for a in answers.alarms)
        if not hit and np.isfinite(best):
            labelled = next(e for e in result.events or () if (e.start, e.kind) == (start, kind))
            vitals = tuple(vital for vital in answers.vitals if vital in labelled.channels)
            inside = slice(*np.searchsorted(answers.time, (start - settings.schema.step_ms + 1, end)))
            told = _moved(answers, inside, kind, vitals or answers.vitals, settings)
            found.append(replace(_case(result, start, end, kind, "", best, told), vitals=vitals))
    return found


def _moved(answers: Answers, rows: slice, kind: str, vitals: Sequence[str], settings: Settings) -> str:
    """Return which way, and how far, an episode moved the vitals it is named after, and the one it moved most.

    Args:
        answers: Of its person.
        rows: Of the episode.
        kind: Of the episode; of one that `NAMED_AFTER` does not know the vital moved most stands alone.
        vitals: Those that its label names, or all: the one moved most is among them.
        settings: Schema.
    """
    judged = answers.assessable[rows]
    blind = f"Not assessable in {np.mean(~judged):.0%} of it." if not judged.all() else ""
    z = answers.residual[rows][judged].astype(np.float64)
    known = np.isfinite(z)
    # The mean over its rows has the sign that the episode gave it, which the largest single deviation need not have
    mean = ratio(np.where(known, z, 0.0).sum(axis=0), known.sum(axis=0))
    places = {vital: place for place, vital in enumerate(answers.vitals) if known[:, place].any()}
    moved = sorted((vital for vital in vitals if vital in places), key=lambda vital: -abs(mean[places[vital]]))
    after = [vital for vital in NAMED_AFTER.get(kind, ()) if vital in places]
    if not (after or moved):
        return blind or "None of the vitals that it moves was measured."
    told = [
        _how_far(settings.schema.columns[vital].label, float(mean[places[vital]]), z[:, places[vital]])
        for vital in dict.fromkeys((*after, *moved[:1]))
    ]
    return f"{' '.join(told)} {blind}".strip()


def _how_far(label: str, mean: float, z: NDArray[np.float64]) -> str:
    way = -1.0 if mean < 0 else 1.0
    furthest = way * float(np.nanmax(way * z))
    return f"{label}: {mean:+.1f} own spreads in the mean of its rows, {furthest:+.1f} in the furthest."


def _case(result: PersonResult, start: int, end: int, kind: str, channel: str, score: float, told: str) -> Case:
    met = [
        (min(end, entry.end) - max(start, entry.start), entry.kind)
        for entry in result.bookkeeping or ()
        if entry.start < end and start < entry.end
    ]
    cause = max(met)[1] if met else ""
    events = result.events or ()
    return Case(result.person, result.answers, events, start, end, kind, channel, score, told, cause=cause)


def _with_clearing(case: Case, result: PersonResult, monitor: Monitor) -> Case:
    mine = tuple(a for a in case.answers.alarms if (a.channel, a.start) == (case.channel, case.start))
    (found,) = monitor.clearing(replace(case.answers, alarms=mine), result.profile)
    return replace(case, clearing=found.sentence, rests=_rests(case, result, monitor))


def _rests(case: Case, result: PersonResult, monitor: Monitor) -> str:
    """Return the features that a head rests on most where it was surest, with the log-odds that each adds."""
    if case.channel != "known":
        return ""
    rows = slice(*np.searchsorted(case.answers.time, (case.start, case.end)))
    row = rows.start + int(np.nan_to_num(case.answers.known[rows], nan=-np.inf).argmax())
    told = monitor.reasons(case.answers, row, result.profile)
    most = [f"{WORDS[name]} {adds:+.1f}" for name, adds in told.kind_by_feature[:RESTS]]
    return f"{'; '.join(most)} (all: {sum(adds for _, adds in told.kind_by_feature):+.1f})" if most else ""


def baseline_drift(results: Sequence[PersonResult]) -> dict[str, list[dict[str, Any]]]:
    """Return vital -> a row a day: low, median and high (8 of 10) over test people of the daily median z.

    Days are counted from a person's first reading; rows in labelled episodes are left out.
    """
    daily: dict[str, dict[int, list[float]]] = {}
    for result in results:
        if result.split != "test" or not len(result.answers):
            continue
        answers = result.answers
        day = (answers.time - answers.time[0]) // DAY
        quiet = _quiet(result)
        for i, vital in enumerate(answers.vitals):
            known = quiet & np.isfinite(answers.residual[:, i])
            z, days = answers.residual[known, i], day[known]
            begins = np.flatnonzero(np.diff(days, prepend=-1))
            for one, part in zip(days[begins].tolist(), np.split(z, begins)[1:], strict=True):
                if len(part) >= _least(vital):
                    daily.setdefault(vital, {}).setdefault(one, []).append(float(np.median(part)))
    return {
        vital: [_day_row(one, values) for one, values in sorted(days.items()) if len(values) >= LEAST_PEOPLE]
        for vital, days in daily.items()
    }


def _least(vital: str) -> int:
    return 6 if vital.startswith("blood_pressure") else LEAST_ROWS  # a cuff measures about hourly


def _quiet(result: PersonResult) -> Bools:
    quiet = np.ones(len(result.answers), np.bool_)
    for event in result.events or ():
        quiet[slice(*np.searchsorted(result.answers.time, (event.start, event.end)))] = False
    return quiet


def _day_row(day: int, values: Sequence[float]) -> dict[str, Any]:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    told = {"low": plain(low, 3), "median": plain(middle, 3), "high": plain(high, 3)}
    return {"day": day, "people": len(values), **told}
