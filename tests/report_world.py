"""A few people with hand-made answers, small enough to see through, for tests of the report."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vitalwatch.baseline import VITALS
from vitalwatch.cleaning import grid_columns
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages.evaluate import tables_of
from vitalwatch.stages.judging import PersonResult, Thresholds
from vitalwatch.tables import DAY, Alarm, Answers, Event, Grid, Profile

START = 20_458 * DAY  # 2026-01-05, a Monday
DAYS, ROWS_A_DAY, STEP = 10, 288, 5 * 60_000
HOUR = 12  # rows
KINDS = ("fever", "bradycardia")
NASTY = "<script>alert(1)</script>"


@cache
def small_settings() -> Settings:
    """The checkout's settings with 40 draws of the bootstrap."""
    found = load_settings(Path(__file__).parent.parent, environment="base")
    fewer = found.params.evaluation.model_copy(update={"draws": 40})
    easy = found.params.gates.model_copy(update={"min_gain_over_best_line": -1.0})  # any rule finds such episodes
    return replace(found, params=found.params.model_copy(update={"evaluation": fewer, "gates": easy}))


def result(
    person: str, split: str, *, kinds: tuple[str, ...] = KINDS, labelled: bool = True, days: int = DAYS, seed: int = 0
) -> PersonResult:
    """One person at 60 bpm, faster by day, with an episode of +30 bpm from 13:00 to 16:00 on each of days 8 and 9.

    Every episode raises an alarm of both channels half an hour after it began; at 20:00 of the last day a false one.
    """
    rng, n = np.random.default_rng(seed), days * ROWS_A_DAY
    minute = np.arange(n) % ROWS_A_DAY * 5
    expected = 60 + 10 * ((minute > 480) & (minute < 1320))
    starts = [day * ROWS_A_DAY + 13 * HOUR for day in range(8, days)]
    inside = np.isin(np.arange(n), np.concatenate([np.arange(s, s + 3 * HOUR) for s in starts] or [[]]))
    rate = (expected + 30 * inside + rng.normal(0, 2, n)).astype(np.float32)
    alarming = [*((s + 6, s + 3 * HOUR) for s in starts), (n - 4 * HOUR, n - 3 * HOUR)]
    over = np.isin(np.arange(n), np.concatenate([np.arange(a, b) for a, b in alarming]))
    score = (0.9 * over + 0.05 * rng.random(n)).astype(np.float32)
    forecast = np.full((n, 1, 2, 3), np.nan, np.float32)
    forecast[HOUR:] = rate[HOUR:, None, None, None] + np.array([-4, 0, 4], np.float32)
    answers = Answers(
        person=person,
        time=START + np.arange(n, dtype=np.int64) * STEP,
        score=score,
        p_value=1 - score,
        is_anomaly=over,
        unusual=score,
        known=score,
        own_level=np.ones((n, 2), np.float32),
        probability=score,
        kind=np.where(over, 0, -1).astype(np.int16),
        kinds=kinds,
        residual=np.repeat(((rate - expected) / 4).astype(np.float32)[:, None], len(VITALS), axis=1),
        vitals=VITALS,
        expected_heart_rate=expected.astype(np.float32),
        usual_heart_rate_spread=np.full(n, 4, np.float32),
        forecast=forecast,
        forecast_vitals=("heart_rate",),
        horizons=(5, 60),
        own_baseline=np.ones(n, bool),
        assessable=np.ones(n, bool),
        grid=_grid(person, rate, minute),
        alarms=tuple(_alarm(person, a, b, channel) for a, b in alarming for channel in ("unusual", "known")),
    )
    events = tuple(
        Event(person, kinds[i % len(kinds)], START + s * STEP, START + (s + 3 * HOUR) * STEP)
        for i, s in enumerate(starts)
    )
    about = Profile(person, age=30.0 + 20 * seed, sex="female" if seed % 2 else "male")
    enrolled = START + (7 if days > 7 else 0) * DAY
    return PersonResult(person, about, events if labelled else None, () if labelled else None, split, answers, enrolled)


def _alarm(person: str, start: int, end: int, channel: str) -> Alarm:
    return Alarm(person, START + start * STEP, START + end * STEP, "", channel, "medium", "faster than usual")


def _grid(person: str, rate: np.ndarray, minute: np.ndarray) -> Grid:
    schema = small_settings().schema
    names = grid_columns(schema)
    values = np.full((len(rate), len(names)), np.nan, np.float32)
    values[:, names.index("heart_rate")] = rate
    values[:, names.index("steps")] = 0
    values[:, names.index("sleep")] = minute < 420
    return Grid(
        person=person,
        time=START + np.arange(len(rate), dtype=np.int64) * STEP,
        minute=minute.astype(np.int16),
        segment=np.zeros(len(rate), np.int32),
        names=names,
        values=values,
        filled=np.zeros((len(rate), len(schema.vitals)), bool),
        artefact=np.zeros((len(rate), len(schema.vitals)), np.uint8),
    )


def evaluation_of(results: list[PersonResult], **more: Any) -> dict[str, Any]:
    """What evaluation says about them."""
    thresholds = Thresholds(unusual=0.5, known=0.5)
    return tables_of(
        results, small_settings(), thresholds=thresholds, trained_on=(), rng=np.random.default_rng(1), **more
    )


@cache
def small_evaluation() -> dict[str, Any]:
    """Three test people and a calibration person."""
    tested = [result(f"person-{i}", "test", seed=i) for i in range(3)]
    return evaluation_of([*tested, result("learner", "calibration", seed=5)], split_note="3 of 4 people are tested.")
