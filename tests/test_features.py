"""Features: what is declared is true, they look back only so far, and a made-up day gives the numbers it gave."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import cleaning, features, habits
from vitalwatch.baseline import SIGNALS
from vitalwatch.moment import activity, moment_rows
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.stages.train import probe_day
from vitalwatch.tables import MINUTE, Grid, Profile, Readings

GOLDEN = Path(__file__).parent / "golden" / "features.json"
SHOWN = 12  # every so many rows of the day


def grid_of(readings: Readings, settings: Settings) -> Grid:
    return cleaning.to_grid(readings, settings.schema, settings.params.cleaning)


def moments(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    return moment_rows(activity(grid, 5), grid.minute, len(grid), 5)


def test_every_feature_is_named_once_and_every_group_has_some() -> None:
    assert len(features.NAMES) == len(set(features.NAMES))
    assert all(len(columns) >= 2 for columns in features.GROUPS.values())
    assert len(features.FEATURES) == len(features.detector_plan(5).source)


def test_nothing_that_explains_the_heart_rate_knows_the_heart_rate(settings: Settings) -> None:
    day = probe_day(settings)
    other = dict(day.values)
    rng = np.random.default_rng(0)
    for name in other:
        if name in settings.schema.vitals or settings.schema.columns[name].role == "detail":
            other[name] = (other[name] * rng.uniform(0.8, 1.2, len(day))).astype(np.float32)
    same = [moments(grid_of(replace(day, values=values), settings)) for values in (day.values, other)]

    assert np.array_equal(same[0][0], same[1][0])
    assert np.array_equal(same[0][1], same[1][1])
    assert not any("heart" in name for name in features.EXPECTATION)


def test_without_a_sleep_signal_heart_rate_tells_only_whether_the_sensor_is_worn(settings: Settings) -> None:
    day = probe_day(settings)
    values = {**day.values, "sleep": np.full(len(day), np.nan, np.float32)}
    faster = {**values, "heart_rate": values["heart_rate"] + np.float32(20.0)}
    same = [moments(grid_of(replace(day, values=v), settings))[0] for v in (values, faster)]

    assert np.array_equal(same[0], same[1])
    assert 1 == same[0][30, features.MOMENT.index("asleep")]  # 02:30, still


def test_contexts(settings: Settings) -> None:
    _, context = moments(grid_of(probe_day(settings), settings))

    assert [features.ASLEEP, features.ACTIVE, features.AT_REST] == [int(context[12 * hour + 6]) for hour in (3, 9, 13)]


def test_missing_parts_of_a_profile_are_the_middle_persons() -> None:
    usual = np.arange(7, dtype=np.float32)
    row = features.person_row(Profile("a", age=50.0), usual)

    assert 50 == row[0]
    assert usual[3:6].tolist() == row[3:6].tolist()


def changed(readings: Readings, rows: slice, seed: int = 0) -> Readings:
    """The same readings with all vitals, steps and sleep of some rows changed."""
    rng, values = np.random.default_rng(seed), {}
    for name, column in readings.values.items():
        values[name] = column.copy()
        values[name][rows] = np.abs(column[rows] + rng.normal(0, 2, len(column[rows])))
    return replace(readings, values=values)


def test_no_feature_looks_further_back_than_it_says(
    tiny_monitor: Monitor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(habits, "learn", lambda known, *day: known)  # own days are meant to last: windows alone here
    day = probe_day(settings)
    two = Readings(
        day.person,
        np.concatenate((day.time, day.time + 1440 * MINUTE)),
        np.concatenate((day.offset, day.offset)),
        {name: np.concatenate((column, column)) for name, column in day.values.items()},
    )
    # before days_skip days are over nobody has an own baseline, so that only windows can carry anything on
    at = 100
    cleaned = 90 + 60  # minutes that cleaning may look back: carried slow vitals, flat lines
    moment = 360  # minutes that the expected heart rate looks back
    before, after = (tiny_monitor.features(one) for one in (two, changed(two, slice(at, at + 1))))
    moved = np.flatnonzero((before != after).any(axis=1))

    assert at == moved[0]
    for i, feature in enumerate(features.FEATURES):
        last = np.flatnonzero(before[:, i] != after[:, i])
        if len(last):
            assert (int(last[-1]) - at) * 5 < feature.lookback + moment + cleaned, feature.name


def test_a_made_up_day_gives_the_features_it_always_gave(tiny_monitor: Monitor, settings: Settings) -> None:
    grid = grid_of(probe_day(settings), settings)
    signals = features.signals(grid)
    centre, spread = np.nanmean(signals, axis=0), np.nanstd(signals, axis=0) + 0.5
    made, context = moments(grid)
    active = activity(grid, 5)
    pace = np.stack((0.2 * made[:, features.MOMENT.index("clock_cos")], active[:, 1] * 4), axis=1).astype(np.float64)
    track = features.tracks((signals - centre) / spread, context, active[:, 0], pace)
    usual = np.tile([8000.0, 2500.0], (len(grid), 1))
    _, columns, stronger, assessable = features.advance_features(None, track, made, context, usual, 5)
    got = {"features": columns[::SHOWN], "moments": made[::SHOWN], "stronger": stronger[::SHOWN]}
    if os.environ.get("VITALWATCH_WRITE_GOLDEN"):
        told = {name: np.round(values.astype(float), 8).tolist() for name, values in got.items()}
        GOLDEN.write_text(json.dumps({"names": features.NAMES, "moment_names": features.MOMENT, **told}))
    golden = json.loads(GOLDEN.read_text())

    assert golden["names"] == list(features.NAMES)
    assert golden["moment_names"] == list(features.MOMENT)
    for name, values in got.items():
        np.testing.assert_allclose(golden[name], values, rtol=1e-6, atol=1e-6)
    assert [False, True] == [assessable[0], assessable[3]]


def columns(context: np.ndarray, z: float, lift: float, own: float = 0.0) -> dict[str, np.ndarray]:
    """Features of rows in which the heart rate is z spreads from normal and `own` further from what is usual now."""
    n = len(context)
    signals = np.full((n, len(features.SIGNALS)), np.nan)
    signals[:, 0] = z
    track = features.tracks(signals, context, np.zeros(n), np.tile([own, lift], (n, 1)))
    moments, usual = np.zeros((n, len(features.MOMENT)), np.float32), np.tile([8000.0, 2500.0], (n, 1))
    return dict(
        zip(features.NAMES, features.advance_features(None, track, moments, context, usual, 5)[1].T, strict=True)
    )


def test_the_shortfall_is_the_share_of_the_expected_rise_that_did_not_come() -> None:
    walking = np.full(12, features.ACTIVE, np.int8)

    for missing in (0.0, -0.3, -0.7):
        got = columns(walking, z=0.0, lift=5.0, own=5.0 * missing)
        assert missing * 60 / (60 + features.EFFORT) == pytest.approx(
            float(got["heart_rate_shortfall_60min"][-1]), abs=1e-6
        )
    assert 0 == columns(np.full(12, features.AT_REST, np.int8), 3.0, 5.0)["heart_rate_shortfall_60min"][-1]


def test_an_onset_is_a_window_above_a_longer_one_and_a_level_that_stays_is_none() -> None:
    still = np.full(576, features.AT_REST, np.int8)
    level = columns(still, z=2.0, lift=0.0)
    n = len(still)
    signals = np.full((n, len(features.SIGNALS)), np.nan)
    signals[:, 0] = np.where(np.arange(n) < n - 12, 0.0, 2.0)
    track = features.tracks(signals, still, np.zeros(n), np.zeros((n, 2)))
    made, usual = np.zeros((n, len(features.MOMENT)), np.float32), np.tile([8000.0, 2500.0], (n, 1))
    risen = features.advance_features(None, track, made, still, usual, 5)[1][-1]

    assert 0 == pytest.approx(float(level["heart_rate_mean_60min_above_1440min"][-1]))
    assert 2 * (1 - 12 / 288) == pytest.approx(
        float(risen[features.NAMES.index("heart_rate_mean_60min_above_1440min")]), abs=1e-6
    )


def test_heart_rate_by_context_counts_from_what_is_usual_at_this_hour_and_effort() -> None:
    got = columns(np.full(12, features.AT_REST, np.int8), z=2.0, lift=0.0, own=-1.5)

    assert 2.0 == pytest.approx(float(got["heart_rate_mean_60min"][-1]))
    assert 0.5 == pytest.approx(float(got["heart_rate_quiet_mean_60min"][-1]))


@pytest.mark.parametrize("step", [1, 5, 15, 60])
def test_a_lone_row_has_the_features_of_a_row_among_many_whatever_the_step(step: int) -> None:
    rng, n = np.random.default_rng(step), 60
    z = np.where(rng.random((n, len(SIGNALS))) < 0.2, np.nan, rng.normal(0, 2, (n, len(SIGNALS))))
    context = rng.integers(0, 3, n).astype(np.int8)
    track = features.tracks(z, context, rng.random(n) * 50, rng.normal(0, 1, (n, 2)))
    moments = rng.random((n, len(features.MOMENT))).astype(np.float32)
    usual = np.full((n, 2), (8000.0, 2500.0))
    _, *whole = features.advance_features(None, track, moments, context, usual, step)

    tails = None
    for i in range(n):
        one = slice(i, i + 1)
        tails, *alone = features.advance_features(tails, track[one], moments[one], context[one], usual[one], step)
        for many, single in zip(whole, alone, strict=True):
            assert many[one].tobytes() == single.tobytes()
