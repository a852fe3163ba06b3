"""The study of changed medication: who is judged, when the change comes, and that it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tiny import small_settings
from vitalwatch.monitor import Monitor
from vitalwatch.tables import DAY

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import medication

SETTINGS = small_settings()


@pytest.fixture(scope="module")
def index() -> int:
    return next(medication.untreated(SETTINGS))


def test_who_is_judged_takes_no_beta_blocker_and_starts_none_by_chance(index: int):
    made = medication.someone(index, SETTINGS)

    assert "beta_blocker" not in made.profile.medication
    assert not any("medication_start" in event.kind for event in made.bookkeeping)


def test_another_device_reads_otherwise_from_the_local_midnight_of_the_change_on(index: int):
    readings = medication.someone(index, SETTINGS).readings
    moment = medication.changed_at(readings)
    apart = medication.other_device(readings).values["body_temperature"] - readings.values["body_temperature"]
    worn_at_home = int(readings.offset[readings.time == moment][0]) * 60_000

    assert not np.nan_to_num(apart[readings.time < moment]).any()
    assert 0.25 == pytest.approx(np.nanmean(apart[readings.time >= moment]), abs=1e-3)
    assert (moment + worn_at_home) % DAY < 6 * 3_600_000
    assert 100 >= np.nanmax(medication.other_device(readings).values["oxygen_saturation"])


def test_who_is_told_judges_the_fortnight_after_by_the_normal_of_a_stranger(index: int, tiny_monitor: Monitor):
    told, untold = (
        medication.answered(index, "beta_blocker", tiny_monitor, SETTINGS, told=told).answers for told in (True, False)
    )

    assert np.array_equal(told.time, untold.time)
    assert untold.own_baseline[0]
    assert not told.own_baseline[0]
    assert told.own_baseline[-1]  # own normal again after a fortnight


def test_a_profile_tells_the_new_medicine_and_another_device_changes_none(index: int):
    profile = medication.someone(index, SETTINGS).profile

    assert "beta_blocker" in medication.profile_after(profile, "beta_blocker").medication
    assert "none" not in medication.profile_after(profile, "beta_blocker").medication
    assert profile == medication.profile_after(profile, "device")
