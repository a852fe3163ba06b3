"""One door, one answer: a month at once, a reading at a time, dense or with holes, and never from the future."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tiny import resigned, small_settings, somebody, write_tiny
from vitalwatch import bundle, features
from vitalwatch.errors import BundleRefused
from vitalwatch.monitor import BY_ROW, Monitor, State
from vitalwatch.own_level import Level
from vitalwatch.probing import probe_readings
from vitalwatch.tables import MINUTE, Alarm, Answers, Readings

SEEDED = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller seed is no simpler life: nothing to shrink
STEP = 5 * MINUTE
PEOPLE = 6
EXACT = tuple(name for name in BY_ROW if name not in ("time", "forecast"))


class Open(Monitor):
    """A monitor that lets a test see the features and z of each row it answers."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def _residuals(self, *args):
        state, rows = super()._residuals(*args)
        self.seen.update(zip(args[-1].time.tolist(), zip(rows.features, rows.z, strict=True), strict=True))
        return state, rows


@pytest.fixture(scope="session")
def watcher(tiny_bundle: tuple[Path, Path]) -> Open:
    monitor = Open.open(tiny_bundle[0], [tiny_bundle[1]])
    assert isinstance(monitor, Open)
    return monitor


def joined(parts: list[Readings]) -> Readings:
    names = parts[0].values
    return Readings(
        parts[0].person,
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.offset for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in names},
    )


def rough(seed: int, days: int = 3) -> Readings:
    """A life as devices tell it: dense hours, gaps up to days, holes, faults, an illness, a flight."""
    rng = np.random.default_rng(seed)
    whole = somebody(int(rng.integers(PEOPLE)), 12).readings
    begin = int(rng.integers(len(whole) - days * 288))
    one = whole.rows(slice(begin, begin + days * 288))
    one = replace(one, values={name: column.copy() for name, column in one.values.items()})
    n = len(one)

    def stretch(longest: int) -> slice:
        start = int(rng.integers(n))
        return slice(start, start + int(rng.integers(1, longest)))

    for name, value in (("heart_rate", 150.0), ("oxygen_saturation", 86.0), ("body_temperature", 32.0)):
        one.values[name][stretch(20)] = value
    one.values["signal_quality"][stretch(10)] = 0.2
    for name in one.values:
        one.values[name][stretch(30)] = np.nan
    one.values["sleep"][stretch(200)] = np.nan
    one.offset[stretch(200)] += int(rng.choice([-600, -60, 60, 540]))
    keep = rng.random(n) > 0.02
    for longest in (4, 30, 200):
        keep[stretch(longest)] = False
    one = one.rows(keep)
    if rng.random() < 0.4:  # a week in a drawer
        late = one.time >= one.time[int(rng.integers(len(one)))]
        one = replace(one, time=one.time + late * int(rng.choice([1, 3, 9])) * 1440 * MINUTE)
    dense = stretch(40)
    tight = one.rows(dense)
    every = int(rng.integers(20, 61)) * 1000
    many = [replace(tight, time=tight.time + shift) for shift in range(0, STEP, every)]
    for i, part in enumerate(many):
        noisy = part.values["heart_rate"] + rng.normal(0, 8, len(part))
        many[i] = replace(part, values={**part.values, "heart_rate": noisy.astype(np.float32)})
    told = joined([one.rows(slice(0, dense.start)), *many, one.rows(slice(dense.stop, None))])
    order = np.argsort(told.time, kind="stable")
    return told.rows(order)


def in_chunks(monitor: Monitor, readings: Readings, cuts: list[int], late: bool = False) -> tuple[list[Answers], State]:
    """Advance from cut to cut; with `late`, readings told before come again, too late."""
    state, told = monitor.begin(readings.person), []
    for start, stop in zip([0, *cuts], [*cuts, len(readings)], strict=True):
        new = readings.rows(slice(start, stop))
        again = readings.rows(readings.time < max(state.newest, 0)).rows(slice(-3, None))
        if late and len(again) and len(new):
            new = joined([again, new])
        state, answers = monitor.advance(state, new)
        assert answers.late == (len(again) if late and len(new) > stop - start else 0)
        told.append(answers)
    return told, state


def newest(told: list[Answers], name: str) -> dict[int, np.ndarray]:
    """The last word on each grid row."""
    return {int(time): value for one in told for time, value in zip(one.time.tolist(), getattr(one, name), strict=True)}


def same(left: dict[int, np.ndarray], right: dict[int, np.ndarray]) -> bool:
    assert left.keys() == right.keys()
    return np.array_equal(np.stack(list(left.values())), np.stack(list(right.values())), equal_nan=True)


def told_again(told: list[Answers]) -> set[int]:
    """Rows that a later reading of the same step changed."""
    times = [time for one in told for time in one.time.tolist()]
    return {time for time in times if times.count(time) > 1} if len(times) != len(set(times)) else set()


def alarms_of(told: list[Answers]) -> dict[tuple[str, int], Alarm]:
    """The last word on each alarm."""
    return {(alarm.channel, alarm.start): alarm for one in told for alarm in one.alarms}


def check_chunks(monitor: Open, seed: int, cuts_seed: int, late: bool) -> None:
    readings = rough(seed)
    rng = np.random.default_rng(cuts_seed)
    sizes = rng.choice([1, 1, 1, 2, 3, 17, 60, 200], len(readings))
    ends = np.cumsum(sizes)
    cuts = ends[ends < len(readings)].tolist()
    monitor.seen = {}
    whole = monitor.answer(readings)
    whole_seen, monitor.seen = monitor.seen, {}
    told, state = in_chunks(monitor, readings, cuts, late)

    for name in EXACT:
        assert same(newest([whole], name), newest(told, name)), name
    for i in (0, 1):
        assert same({t: v[i] for t, v in whole_seen.items()}, {t: v[i] for t, v in monitor.seen.items()})
    for name in ("time", "minute", "segment", "values", "filled", "artefact"):
        grids = [{int(t): v for t, v in zip(g.time, getattr(g, name), strict=True)} for g in (a.grid for a in told)]
        assert same(dict(zip(whole.time.tolist(), getattr(whole.grid, name), strict=True)), {
            time: value for grid in grids for time, value in grid.items()
        }), name  # fmt: skip
    expected, got = newest([whole], "forecast"), newest(told, "forecast")
    np.testing.assert_allclose(np.stack(list(expected.values())), np.stack(list(got.values())), rtol=0, atol=1e-4)
    changed, alarms = told_again(told), alarms_of(told)
    expected_alarms, short_by_one = alarms_of([whole]), dict[tuple[str, int], Alarm]()
    for key in [key for key, alarm in alarms.items() if alarm.end - STEP in changed]:  # by a row that was told again
        if key not in expected_alarms:
            del alarms[key]
        elif alarms[key].end - STEP == expected_alarms[key].end:
            short_by_one[key] = replace(alarms[key], end=alarms[key].end - STEP)

    assert expected_alarms == alarms | short_by_one
    assert int(whole.time[-1]) == state.newest


@examples(max_examples=10, deadline=None, phases=SEEDED, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_a_chunk_at_a_time_answers_as_all_at_once(watcher: Open, seed: int, cuts: int, late: bool) -> None:
    check_chunks(watcher, seed, cuts, late)


@pytest.mark.slow
@examples(max_examples=120, deadline=None, phases=SEEDED, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_chunks_of_many_lives_answer_as_all_at_once(watcher: Open, seed: int, cuts: int, late: bool) -> None:
    check_chunks(watcher, seed, cuts, late)


def test_the_lives_of_these_tests_have_alarms_of_every_channel(tiny_monitor: Monitor) -> None:
    channels = {alarm.channel for seed in range(6) for alarm in tiny_monitor.answer(rough(seed)).alarms}

    assert {"unusual", "known", "rule", "technical"} == channels


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_later_changes_no_answer(tiny_monitor: Monitor, seed: int) -> None:
    readings = rough(seed)
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(readings) // 2, len(readings)))
    later = np.arange(len(readings)) >= at
    other = {
        name: np.where(later, column + rng.normal(0, 1, len(later)), column).astype(np.float32)
        for name, column in readings.values.items()
    }
    before, after = tiny_monitor.answer(readings), tiny_monitor.answer(replace(readings, values=other))
    settled = before.time + STEP <= readings.time[at] // STEP * STEP

    assert settled.sum() > 100
    for name in (*EXACT, "forecast"):
        assert np.array_equal(getattr(before, name)[settled], getattr(after, name)[settled], equal_nan=True), name
    last = before.time[settled][-1] + STEP
    ended = [[a for a in one.alarms if a.end < last - 60 * MINUTE] for one in (before, after)]
    assert ended[0] == ended[1]


def test_readings_of_an_older_step_are_counted_and_left_out(tiny_monitor: Monitor) -> None:
    readings = somebody(0).readings.rows(slice(0, 50))
    state, _ = tiny_monitor.advance(tiny_monitor.begin("a"), readings)
    after, answers = tiny_monitor.advance(state, readings.rows(slice(0, 7)))

    assert (7, 0) == (answers.late, len(answers))
    assert state.newest == after.newest


def test_no_readings_no_rows(tiny_monitor: Monitor) -> None:
    nothing = somebody(0).readings.rows(slice(0, 0))
    state, answers = tiny_monitor.advance(tiny_monitor.begin("a"), nothing)

    assert (0, -1) == (len(answers), state.newest)
    assert (0, 5, 4, 3) == answers.forecast.shape


def test_a_vital_measured_too_long_ago_to_be_carried_forward_is_not_forecast(tiny_monitor: Monitor) -> None:
    readings = somebody(7, days=3).readings
    rates = readings.column("heart_rate").copy()
    rates[-24:-1] = np.nan  # the last reading tells that time went on
    readings = replace(readings, values={**readings.values, "heart_rate": rates})
    told = tiny_monitor.answer(readings)
    rate = told.forecast_vitals.index("heart_rate")
    known = np.isfinite(told.grid.column("heart_rate"))

    assert not known.all()
    assert np.isfinite(told.forecast[known, rate]).all()
    assert np.isnan(told.forecast[~known, rate]).all()


def test_without_a_forecast_the_other_answers_are_the_same(tiny_monitor: Monitor) -> None:
    readings = somebody(1).readings.rows(slice(0, 400))
    fast, whole = tiny_monitor.answer(readings, forecast=False), tiny_monitor.answer(readings)

    assert np.isnan(fast.forecast).all()
    assert np.isfinite(whole.forecast).any()
    assert np.array_equal(fast.unusual, whole.unusual, equal_nan=True)


def test_scores_by_kind_are_told_when_asked_for_and_their_highest_is_the_channels(tiny_monitor: Monitor) -> None:
    readings = somebody(1).readings.rows(slice(0, 400))
    plain, told = tiny_monitor.answer(readings), tiny_monitor.answer(readings, by_kind=True)

    assert (0, 0) == plain.by_kind.shape
    assert (len(told), len(told.kinds)) == told.by_kind.shape
    assert told.assessable.any()
    assert np.array_equal(np.isnan(told.by_kind).any(axis=1), ~told.assessable)
    assert told.known == pytest.approx(told.by_kind.max(axis=1), nan_ok=True)
    assert np.array_equal(plain.known, told.known, equal_nan=True)


def test_a_new_person_is_judged_by_the_population_until_own_days_are_there(tiny_monitor: Monitor) -> None:
    one = somebody(0)
    answers = tiny_monitor.answer(one.readings, one.profile)
    date = answers.grid.date - answers.grid.date[0]

    assert not answers.own_baseline[date < 2].any()
    assert answers.own_baseline[date > 3].all()


def test_features_are_those_of_the_whole_recording(tiny_monitor: Monitor, watcher: Open) -> None:
    readings = somebody(2).readings.rows(slice(0, 300))
    watcher.seen = {}
    watcher.answer(readings)

    assert (len(features.NAMES),) == watcher.seen[int(readings.time[0] // STEP * STEP)][0].shape
    assert np.array_equal(np.stack([f for f, _ in watcher.seen.values()]), tiny_monitor.features(readings))


def test_the_probe_comes_back_as_it_was_written(tiny_bundle: tuple[Path, Path]) -> None:
    probe = json.loads((tiny_bundle[0] / bundle.PROBE).read_text())
    readings, profile, rows = probe_readings(probe["readings"])

    assert (288, 12, 50.0) == (len(readings), rows, profile.age)


def test_a_bundle_of_other_features_is_refused(tiny_bundle: tuple[Path, Path], tmp_path: Path) -> None:
    names = ["something_else", *features.NAMES[1:]]
    folder = resigned(tiny_bundle, tmp_path / "b", card={"features": names})
    with pytest.raises(BundleRefused, match="features are not those of this version"):
        Monitor.open(folder, [tiny_bundle[1]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda limits: limits.pop("unusual_sure"), "KeyError: 'unusual_sure'"),
        (lambda limits: limits.update(rows="many"), "ValueError: invalid literal"),
        (lambda limits: limits.update(unusual_threshold=None), "TypeError: float"),
    ],
)
def test_a_bundle_whose_files_are_not_what_this_version_reads_is_refused_in_a_sentence(
    tiny_bundle: tuple[Path, Path], tmp_path: Path, change: Callable[[dict], object], told: str
) -> None:
    limits = json.loads((tiny_bundle[0] / "calibration.json").read_text())
    change(limits)
    folder = resigned(tiny_bundle, tmp_path / "b", files={"calibration.json": json.dumps(limits).encode()})

    with pytest.raises(BundleRefused, match=rf"not what this version reads \({told}") as error:
        Monitor.open(folder, [tiny_bundle[1]])
    assert bundle.RETRAIN == error.value.hint
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["features", "unusual", "known", "expected_heart_rate", "forecast"])
def test_a_bundle_whose_answers_are_not_reproduced_is_refused(
    tiny_bundle: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    answers = bundle.load(tiny_bundle[0], [tiny_bundle[1]]).probe["answers"]
    told = np.asarray(answers[name], np.float64)
    told[-1] += 0.5
    changed = {**answers, name: np.where(np.isnan(told), None, told).tolist()}
    folder = resigned(tiny_bundle, tmp_path / "b", probe={"answers": changed})
    with pytest.raises(BundleRefused, match=f"gives other {name}"):
        Monitor.open(folder, [tiny_bundle[1]])


@pytest.mark.slow
@pytest.mark.parametrize("step", ["1min", "15min", "60min"])
def test_any_grid_step_trains_and_serves(step: str, tmp_path: Path) -> None:
    folder, trusted = write_tiny(tmp_path, small_settings(step))
    monitor = Monitor.open(folder, [trusted])
    readings = somebody(0, 12, step).readings.rows(slice(0, 400))
    whole, state = monitor.answer(readings), monitor.begin("a")
    scores = []
    for i in range(len(readings)):
        state, answers = monitor.advance(state, readings.rows(slice(i, i + 1)))
        scores.extend(answers.unusual.tolist())

    assert np.array_equal(whole.unusual, np.asarray(scores, np.float32), equal_nan=True)


def test_without_detection_everything_else_is_answered_as_ever(watcher: Open) -> None:
    one = somebody(1)
    whole = watcher.answer(one.readings, one.profile, forecast=False)
    less = watcher.answer(one.readings, one.profile, forecast=False, detect=False)

    for name in ("time", "residual", "contribution", "expected_heart_rate", "assessable", "own_baseline"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(less, name))
    assert whole.alarms
    assert less.alarms == ()
    assert np.isnan(less.score).all()
    assert not less.is_anomaly.any()


def test_another_medicine_begins_a_new_normal_and_keeps_what_is_under_way(tiny_monitor: Monitor) -> None:
    person = somebody(1)
    readings = person.readings.rows(slice(0, 288 * 6))
    state, _ = tiny_monitor.advance(tiny_monitor.begin(readings.person, person.profile), readings, forecast=False)
    told = replace(person.profile, medication=("beta_blocker",))
    changed = tiny_monitor.changed(state, told)
    later = person.readings.rows(slice(288 * 6, 288 * 6 + 12))

    assert tiny_monitor.advance(state, later, forecast=False)[1].own_baseline.all()
    assert not tiny_monitor.advance(changed, later, forecast=False)[1].own_baseline.any()
    assert tiny_monitor.person_row(told).tolist() == changed.person.tolist()
    assert state.body.channels == changed.body.channels
    assert [Level(), Level()] == list(changed.body.levels)
    assert all(level.begun == readings.time[0] for level in state.body.levels)  # until then it was remembered
    assert state.newest == changed.newest
