"""early_warning: hours of a stay become columns that look back only, and risks that people without laboratory keep."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vitalwatch import early_warning
from vitalwatch.bundle import load
from vitalwatch.early_warning import EarlyWarning, Risk, Stay, features, last_known, stays
from vitalwatch.errors import BundleRefused
from vitalwatch.monitor import Monitor
from vitalwatch.tables import Care, Profile, Readings
from warning_world import COLUMNS, GROUPS, NAMES, bundle_files

HOUR = early_warning.HOUR
KNOWN = ("lactate", "urine", "icu_hours", "hospital_hours")
WHO = Profile("a", age=70.0, sex="male")


def readings(hours: list[float], **columns: list[float]) -> Readings:
    values = {name: np.asarray(column, np.float32) for name, column in columns.items()}
    return Readings("a", (np.asarray(hours) * HOUR).astype(np.int64), np.zeros(len(hours), np.int16), values)


def care(*rows: tuple[float, str, float]) -> Care:
    hours, names, values = zip(*rows, strict=True)
    what = np.asarray([KNOWN.index(name) for name in names], np.int16)
    return Care("a", (np.asarray(hours) * HOUR).astype(np.int64), what, np.asarray(values, np.float32), KNOWN)


def column(stay: Stay, name: str) -> list[float]:
    return features(stay)[:, COLUMNS.index(name)].tolist()


def drawn(hours: int, seed: int = 1) -> Stay:
    rng = np.random.default_rng(seed)
    vitals = np.asarray([80, 97, 16, 37, 120, 70, 87]) + rng.normal(size=(hours, 7))
    labs = rng.normal(size=(hours, 2))
    vitals[rng.random(vitals.shape) < 0.3] = np.nan
    labs[rng.random(labs.shape) < 0.8] = np.nan
    clocks = np.arange(hours)[:, None] + np.asarray([0.0, 12.0])
    about = np.asarray([60, 1], np.float32)
    time = np.arange(hours, dtype=np.int64) * HOUR
    return Stay(time, vitals.astype(np.float32), labs.astype(np.float32), NAMES, clocks.astype(np.float32), about)


def test_every_column_has_a_name_and_a_group():
    assert len(COLUMNS) == len(GROUPS) == features(drawn(3)).shape[1]
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert {"vitals", "stay", "care"} == set(GROUPS)


def test_what_comes_later_moves_nothing_before_it():
    stay = drawn(40)
    later = drawn(40, seed=2)
    mixed = Stay(
        stay.time,
        np.concatenate((stay.vitals[:25], later.vitals[25:])),
        np.concatenate((stay.care[:25], later.care[25:])),
        NAMES,
        np.concatenate((stay.clocks[:25], later.clocks[25:] + 5)),
        stay.about,
    )

    assert np.array_equal(features(stay)[:25], features(mixed)[:25], equal_nan=True)
    assert not np.array_equal(features(stay)[25:], features(mixed)[25:], equal_nan=True)


def test_an_hour_tells_the_same_however_long_the_stay_goes_on():
    stay = drawn(40)

    assert np.array_equal(features(stay)[:9], features(stay.rows(slice(9))), equal_nan=True)


def test_the_same_holds_from_readings_and_laboratory_on():
    hours = list(np.arange(0, 30, 0.5))
    rates = list(80 + np.sin(hours))
    told = care(*[(h, "lactate", 1 + h) for h in range(0, 30, 4)])
    whole = features(stays(readings(hours, heart_rate=rates), told, WHO, NAMES)[0])
    before = np.flatnonzero(told.time < 12 * HOUR)
    cut = Care("a", told.time[before], told.what[before], told.value[before], KNOWN)
    short = features(stays(readings(hours[:24], heart_rate=rates[:24]), cut, WHO, NAMES)[0])

    assert np.array_equal(whole[:12], short, equal_nan=True)


def test_an_hour_is_the_mean_of_what_was_measured_in_it_and_urine_adds_up():
    told = care((0, "urine", 50), (0.5, "urine", 30), (2, "lactate", 4))
    (stay,) = stays(readings([0, 0.5, 2.5], heart_rate=[60, 70, 90]), told, WHO, NAMES)

    assert [65, 65, 90] == column(stay, "heart_rate_last")
    assert [0, 1, 0] == column(stay, "heart_rate_hours_ago")
    assert [80, 80, 80] == column(stay, "urine_last")
    assert 4 == column(stay, "lactate_last")[2]


def test_change_slope_and_share_of_a_rising_rate():
    (stay,) = stays(readings([0, 1, 3], heart_rate=[60, 62, 66]), None, WHO, NAMES)

    assert [2, 2, 4] == column(stay, "heart_rate_change")[1:]
    assert 2 == pytest.approx(column(stay, "heart_rate_slope_6h")[3])
    assert 0.75 == pytest.approx(column(stay, "heart_rate_share_6h")[3])
    assert 6 == pytest.approx(column(stay, "heart_rate_since_first")[3])
    assert [60, 66] == [column(stay, "heart_rate_low_24h")[3], column(stay, "heart_rate_high_24h")[3]]


def test_shock_index_and_news2_come_from_the_last_known_values():
    (stay,) = stays(readings([0, 1], heart_rate=[120, np.nan], blood_pressure_systolic=[np.nan, 80]), None, WHO, NAMES)

    assert 1.5 == pytest.approx(column(stay, "shock_index_last")[1])
    assert [2, 5] == column(stay, "news2_last")


def test_clocks_told_once_go_on_by_themselves():
    told = care((0, "icu_hours", 3), (0, "hospital_hours", 30))
    (stay,) = stays(readings([0, 1, 2], heart_rate=[60, 60, 60]), told, WHO, NAMES)

    assert [3, 4, 5] == column(stay, "icu_hours")
    assert [27, 27, 27] == column(stay, "hours_before_icu")


def test_columns_of_vitals_do_not_know_what_else_was_measured():
    here = readings([0, 1, 2], heart_rate=[60, 61, 62], blood_pressure_systolic=[120, 110, 100])
    (without,) = stays(here, None, WHO, NAMES)
    (among,) = stays(here, care((0, "lactate", 2), (1.5, "urine", 40)), WHO, NAMES)
    vitals = np.asarray(GROUPS) == "vitals"

    assert np.array_equal(features(without)[:, vitals], features(among)[:, vitals], equal_nan=True)


def test_a_day_without_anything_begins_another_stay():
    found = stays(readings([0, 1, 27], heart_rate=[60, 61, 90]), None, WHO, NAMES)

    assert [2, 1] == [len(stay) for stay in found]
    assert [0] == column(found[1], "heart_rate_since_first")


def test_nothing_measured_is_no_stay():
    assert [] == stays(readings([]), None, WHO, NAMES)


def test_a_moment_gets_the_risk_of_the_last_hour_that_was_over():
    risk = Risk(np.asarray([0, HOUR]), {"sepsis": np.asarray([0.1, 0.2], np.float32)}, ("vitals",))
    ends = np.asarray([HOUR - 1, HOUR, 2 * HOUR, 40 * HOUR])

    assert [None, 0.1, 0.2, None] == [
        None if np.isnan(v) else round(v, 3) for v in last_known(risk, "sepsis", ends).tolist()
    ]


def test_people_without_laboratory_are_answered_by_the_model_that_never_saw_any():
    models = EarlyWarning(bundle_files())
    here = readings([0, 1, 2], heart_rate=[60, 61, 62])
    without, with_care = models.answer(here, WHO), models.answer(here, WHO, care((0, "lactate", 2)))

    assert ("vitals",) == without.seen
    assert ("vitals", "stay", "care") == with_care.seen
    assert 0.25 == pytest.approx(without.values["sepsis"][0], abs=0.01)
    assert 0.75 == pytest.approx(with_care.values["sepsis"][0], abs=0.01)
    assert 3 == len(without.time)


def test_the_risk_of_an_hour_follows_how_long_the_stay_has_lasted_and_is_the_same_told_alone_or_among_others():
    files = bundle_files()
    told = json.loads(files[early_warning.FILE])
    for head in told["questions"]["sepsis"].values():
        head["calibration"] = {"hours": [6, 24], "slope": [0.5, 1.0], "offset": [-0.5, 0.0]}
    models = EarlyWarning({**files, early_warning.FILE: json.dumps(told).encode()})
    hours = list(range(30))
    rates = (70 + np.arange(30.0)).tolist()
    whole = models.answer(readings(hours, heart_rate=rates), WHO).values["sepsis"]
    alone = [models.answer(readings(hours[:n], heart_rate=rates[:n]), WHO).values["sepsis"][-1] for n in range(1, 31)]

    assert whole.tolist() == [float(value) for value in alone]
    assert (np.diff(whole[:6]) == 0).all()
    assert (np.diff(whole[5:24]) < 0).all()
    assert 0.25 == pytest.approx(whole[-1], abs=0.01)


def test_a_bundle_without_the_models_has_no_early_warning():
    assert EarlyWarning.of({}) is None


def test_models_of_other_columns_do_not_fit():
    files = bundle_files()
    told = json.loads(files[early_warning.FILE])
    told["columns"][0] = "shoe_size"

    assert EarlyWarning.fits(files)
    assert EarlyWarning.fits({})
    assert not EarlyWarning.fits({**files, early_warning.FILE: json.dumps(told).encode()})


def test_a_bundle_whose_early_warning_has_other_columns_is_refused(tiny_bundle):
    here = load(tiny_bundle[0], [tiny_bundle[1]])
    odd = json.dumps({"care": [], "columns": ["shoe_size"], "questions": {}}).encode()

    with pytest.raises(BundleRefused, match="early-warning columns"):
        Monitor.verified(replace(here, files={**here.files, early_warning.FILE: odd}), tiny_bundle[0])


def test_a_monitor_tells_risks_where_its_bundle_has_the_models(tiny_bundle):
    here = load(tiny_bundle[0], [tiny_bundle[1]])
    asked = readings([0, 1, 2], heart_rate=[60, 61, 62])
    risk = Monitor({**here.files, **bundle_files()}, here.card).risks(asked, WHO)

    assert risk is not None
    assert 3 == len(risk.values["sepsis"])
    assert Monitor(here.files, here.card).risks(asked, WHO) is None
