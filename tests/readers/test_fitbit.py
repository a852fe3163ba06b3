"""readers.fitbit: minute and second tables of one wearer, brought to one clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitalwatch import readers
from vitalwatch.errors import SourceError
from vitalwatch.readers.clocks import agreed_clock
from vitalwatch.settings import Settings

NOW = 1_790_000_000_000
HOUR = 3_600_000


def read(path: Path, settings: Settings) -> tuple[list[tuple[int, dict[str, float]]], list[str], dict[str, int]]:
    rows, notes, refused = [], [], {}
    for batch in readers.read(path, settings.schema, now_ms=NOW):
        assert batch.read == len(batch.rows) + sum(batch.refused.values())
        notes += batch.notes
        refused.update(batch.refused)
        for i in range(len(batch.rows)):
            values = {name: round(float(v[i]), 3) for name, v in batch.rows.values.items() if not np.isnan(v[i])}
            rows.append((int(batch.rows.time[i]), values))
    return sorted(rows, key=lambda row: row[0]), notes, refused


def test_us_dates_with_am_and_pm_are_the_wearers_clock(tmp_path: Path, settings: Settings):
    path = tmp_path / "heartrate_seconds_merged.csv"
    path.write_text("Id,Time,Value\n7,4/1/2016 12:00:05 AM,61\n7,4/1/2016 1:02:03 PM,62\n7,13/1/2016 1:02:03 PM,62\n")
    rows, notes, refused = read(path, settings)

    assert "fitbit" == readers.detect(path)
    assert [("2016-04-01T00:00:05.000", 61.0), ("2016-04-01T13:02:03.000", 62.0)] == [
        (str(np.datetime64(time, "ms")), values["heart_rate"]) for time, values in rows
    ]
    assert {"bad_timestamp": 1} == refused
    assert any("no zone" in note for note in notes)


def test_wide_and_narrow_tables_become_minutes(tmp_path: Path, settings: Settings):
    (tmp_path / "minute.csv").write_text("Id,Time,HeartRate,Intensity,Steps\n7,2016-04-01 00:00:00,60,3,0\n")
    wide = ",".join(f"Steps{i:02}" for i in range(60))
    (tmp_path / "wide.csv").write_text(
        f"Id,ActivityHour,{wide}\n7,4/1/2016 1:00:00 AM,{','.join(map(str, range(60)))}\n"
    )
    (tmp_path / "sleepDay_merged.csv").write_text("Id,SleepDay,TotalMinutesAsleep\n7,4/1/2016 12:00:00 AM,400\n")
    rows, notes, _ = read(tmp_path, settings)

    assert {"heart_rate": 60.0, "intensity": pytest.approx(0.65), "steps": 0.0} == rows[0][1]
    assert [float(i) for i in range(60)] == [values["steps"] for _, values in rows[1:]]
    assert [60_000] * 59 == np.diff([time for time, _ in rows[1:]]).tolist()
    assert any("sleepDay_merged.csv: a day's sleep, not used" in note for note in notes)


def test_a_class_of_intensity_is_the_middle_of_its_share_of_the_reserve(tmp_path: Path, settings: Settings):
    lines = "\n".join(f"7,2016-04-01 00:{i:02}:00,60,{told},0" for i, told in enumerate(("0", "1", "2", "3", "4")))
    (tmp_path / "minute.csv").write_text(f"Id,Time,HeartRate,Intensity,Steps\n{lines}\n")
    rows, notes, _ = read(tmp_path, settings)

    assert [0.0, 0.125, 0.35, 0.65] == pytest.approx([values["intensity"] for _, values in rows[:4]])
    assert not np.isfinite(rows[4][1].get("intensity", np.nan))  # no such class
    assert any("0.125, 0.35 and 0.65" in note for note in notes)


def test_seconds_win_over_the_minute_mean(tmp_path: Path, settings: Settings):
    (tmp_path / "seconds.csv").write_text("Id,Time,Value\n7,2016-04-01 00:00:05,90\n")
    (tmp_path / "minute.csv").write_text(
        "Id,Time,HeartRate,Intensity,Steps\n7,2016-04-01 00:00:00,60,0,4\n7,2016-04-01 00:01:00,61,0,5\n"
    )
    rows, _, _ = read(tmp_path, settings)

    assert [
        {"intensity": 0.0, "steps": 4.0},
        {"heart_rate": 90.0},
        {"heart_rate": 61.0, "intensity": 0.0, "steps": 5.0},
    ] == [values for _, values in rows]


def test_tables_without_heart_rate_say_which_file_is_missing(tmp_path: Path, settings: Settings):
    (tmp_path / "minuteStepsNarrow_merged.csv").write_text("Id,ActivityMinute,Steps\n7,4/1/2016 12:00:00 AM,3\n")

    with pytest.raises(SourceError, match="heartrate_seconds_merged"):
        read(tmp_path, settings)


def wearer(seed: int, days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (local ms of each minute, steps, heart rate that follows the steps)."""
    rng = np.random.default_rng(seed)
    n = days * 1440
    active = np.repeat(rng.random(n // 20) < 0.15, 20) & (np.arange(n) % 1440 > 420)
    steps = np.where(active, rng.poisson(60, n), 0)
    effort = np.convolve(active, np.exp(-np.arange(8) / 3) / 3, "full")[:n]
    return 60_000 * np.arange(n), steps.astype(np.float32), (62 + 30 * effort + rng.normal(0, 3, n)).astype(np.float32)


@pytest.mark.parametrize("column", ["steps", "heart_rate"])
def test_a_clock_that_runs_hours_ahead_from_some_day_is_set_back_and_told(column: str):
    time, steps, rate = wearer(1, 12)
    ahead = time + np.where(time >= 5 * 24 * HOUR, 4 * HOUR, 0)
    other = steps if column == "steps" else rate

    hours, sentences = agreed_clock("p1", ahead, rate, [(time, {column: other})])

    assert np.mean(hours == (ahead - time) // HOUR) > 0.98
    assert 1 == len(sentences)
    assert "4 h ahead of the minute tables" in sentences[0]


def test_clocks_that_agree_are_left_alone():
    for seed in range(3):
        time, steps, rate = wearer(seed, 6)
        hours, sentences = agreed_clock("p1", time, rate, [(time, {"steps": steps})])

        assert not hours.any()
        assert [] == sentences


def test_steps_that_end_early_and_weeks_without_anything_are_no_disagreement():
    time, steps, rate = wearer(4, 30)
    worn = (time < 6 * 24 * HOUR) | (time > 25 * 24 * HOUR)
    early = time < 4 * 24 * HOUR

    hours, sentences = agreed_clock("p1", time[worn], rate[worn], [(time[early], {"steps": steps[early]})])

    assert not hours.any()
    assert [] == sentences


def test_the_real_wearers_clock_is_corrected(real_data: Path, settings: Settings):
    notes, beats = [], {}
    for batch in readers.read(real_data / "fitabase", settings.schema, now_ms=NOW):
        assert batch.read == len(batch.rows) + sum(batch.refused.values())
        notes += batch.notes
        for person in batch.rows.people:
            beats[person] = beats.get(person, 0) + len(batch.rows)

    ahead = [note for note in notes if "the clock of the heart rate is 4 h ahead of the minute tables" in note]
    assert 3 == len(ahead)
    assert 2 == sum("from 2016-04-12 to" in note for note in ahead)
    assert 4 == len(beats)
