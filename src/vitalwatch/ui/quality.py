"""What the Data quality page shows: what was refused and why, what alarms cost, whether people look as in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitalwatch.reading import REASONS
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE
from vitalwatch.ui.course import Course
from vitalwatch.ui.own_rules import title
from vitalwatch.ui.plain import NONE, age

TENTHS = 10
SMALL, LARGE = 0.1, 0.25  # usual reading of a population stability index: below is stable, above has moved
LEAST_ROWS = 500  # judged rows before a drift is told
FAR = 2.0  # own spreads
SHOWN = 50  # of the newest refused readings


@dataclass(frozen=True)
class Drift:
    """How far the newest day is from training.

    Attributes:
        rows: Judged rows.
        shares: Of rows by tenth of the p-value, each .10 where nothing moved.
        index: Population stability index of these shares, None with too few rows.
        verdict: In words.
        vitals: Label, median distance from own usual, share of rows far from it.
    """

    rows: int
    shares: tuple[float, ...]
    index: float | None
    verdict: str
    vitals: tuple[tuple[str, str, str], ...]


def by_reason(counts: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Return reason, count and what it means, the most frequent first."""
    return [(reason, count, REASONS.get(reason, "")) for reason, count in Counter(counts).most_common()]


def listed(refused: Sequence[Any], now: int) -> list[dict[str, str]]:
    """Return refused readings as rows: never what was sent."""
    return [
        {
            "age": age(one.received, now),
            "reason": one.reason,
            "detail": one.detail,
            "source": one.source,
            "place": str(one.position),
        }
        for one in refused
    ]


def replayed(told: dict[str, int]) -> str:
    """Return the result of a replay as a sentence."""
    left = {reason: count for reason, count in told.items() if reason not in ("read", "accepted", "duplicate")}
    stay = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left.items() if count)
    return f"{told['read']:,} run through today's rules: {told['accepted']} accepted, {stay or 'none'} stay refused."


def drift(courses: Sequence[Course], schema: Schema) -> Drift:
    """Return how far some people's rows are from what training saw.

    A p-value is the share of normal moments at least as unusual: were all as in training, each tenth of it would hold a
    tenth of the rows.
    """
    rare = np.asarray([p for one in courses for p in one.p_value if p is not None], np.float64)
    vitals = tuple(_vital(courses, name, schema) for name in schema.vitals)
    if len(rare) < LEAST_ROWS:
        need = f"Not assessable: {len(rare)} judged rows, {LEAST_ROWS} needed."
        return Drift(len(rare), (), None, need, tuple(row for row in vitals if row))
    counts = np.histogram(rare, bins=TENTHS, range=(0.0, 1.0))[0]
    shares = counts / counts.sum()
    told, fair = np.maximum(shares, 1e-4), 1.0 / TENTHS
    index = float(((told - fair) * np.log(told / fair)).sum())
    verdict = (
        "as in training" if index < SMALL else "somewhat other than training" if index < LARGE else "far from training"
    )
    return Drift(len(rare), tuple(map(float, shares)), index, verdict, tuple(row for row in vitals if row))


def _vital(courses: Sequence[Course], name: str, schema: Schema) -> tuple[str, str, str] | None:
    z = np.asarray([value for one in courses for value in one.z.get(name, ()) if value is not None], np.float64)
    if not len(z):
        return None
    return schema.columns[name].label, f"{np.median(z):+.2f}", f"{(np.abs(z) > FAR).mean():.1%}"


def burden_figures(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what all alarms cost as (figure, value), a dash where nothing can be said."""
    return [
        ("Alarms", str(told["alerts"])),
        ("A person-day", _fixed(told["per_person_day"], 2)),
        ("Acknowledged", _share(told["acknowledged"])),
        ("Wait, median", _minutes(told["minutes_median"])),
        ("Wait, 90 % under", _minutes(told["minutes_p90"])),
        ("Came back by itself", _share(told["repeated"])),
        ("Over, unanswered", _share(told["unanswered"])),
    ]


def burden_table(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what each rule's alarms cost as columns of text, the rule with most of them first."""
    every = list(rules.values())
    return {
        "Rule": [title(name) for name in rules],
        "Alarms": [str(one["alerts"]) for one in every],
        "A person-day": [_fixed(one["per_person_day"], 2) for one in every],
        "Acknowledged": [_share(one["acknowledged"]) for one in every],
        "Wait, median": [_minutes(one["minutes_median"]) for one in every],
        "Came back by itself": [_share(one["repeated"]) for one in every],
        "Escalated": [_share(one["escalated"]) for one in every],
    }


def _fixed(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _minutes(value: float | None) -> str:
    return NONE if value is None else "under 1 min" if value < 1 else age(0, round(value * MINUTE))
