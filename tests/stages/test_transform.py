"""Everybody is cleaned once and stands in one part, or has early, later and last days."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tiny import readings, small_settings, somebody
from training_world import SCHEMA, STEP
from vitalwatch.grids import read_grids
from vitalwatch.pipeline import Work
from vitalwatch.recordings import write_readings
from vitalwatch.splits import CALIBRATION, TEST, TRAIN
from vitalwatch.stages.transform import POPULATION, divide, parts, transform
from vitalwatch.tables import DAY

SPLITS = small_settings().params.splits
MONTH = (0, 30 * DAY - STEP)


def spans(people: int, prefix: str = "p") -> dict[str, tuple[int, int]]:
    return {f"{prefix}{i:03d}": MONTH for i in range(people)}


def test_many_people_are_divided_by_person():
    found = divide(spans(40), SPLITS, seed=1)
    told = [entry["part"] for entry in found["people"].values()]

    assert "person" == found["how"]
    assert set(spans(40)) == set(found["people"])
    assert {"train", "calibration", "test"} == set(told)


def test_few_people_are_divided_by_time_in_order():
    found = divide(spans(3), SPLITS, seed=1)
    time = np.arange(0, 30 * DAY, STEP)
    rows = parts(found["people"]["p000"], time)

    assert "time" == found["how"]
    assert "too few" in found["note"]
    assert [TRAIN, CALIBRATION, TEST] == np.unique(rows).tolist()
    assert (np.diff(rows) >= 0).all()
    assert 9 * DAY // STEP == (rows == TEST).sum()


def test_each_person_is_divided_by_the_days_of_their_own():
    late = 100 * DAY
    found = divide({"a": (0, 9 * DAY), "b": (late, late + 19 * DAY)}, SPLITS, seed=1)["people"]

    assert 0 < found["a"]["calibration"] < found["a"]["test"] <= 9 * DAY
    assert late < found["b"]["calibration"] < found["b"]["test"] <= late + 19 * DAY


def test_a_stand_in_population_is_divided_by_person_beside_few_people_of_ones_own():
    found = divide(spans(2) | spans(30, POPULATION), SPLITS, seed=1)
    others = {entry["part"] for name, entry in found["people"].items() if name.startswith(POPULATION)}

    assert "time" == found["how"]
    assert ["time", "time"] == [found["people"][name]["part"] for name in spans(2)]
    assert {"train", "calibration", "test"} == others
    assert "30 synthetic people" in found["note"]


def test_somebody_divided_by_person_has_one_part_whatever_the_time():
    time = np.asarray([0, DAY, 900 * DAY])

    assert [[part] * 3 for part in (TRAIN, CALIBRATION, TEST)] == [
        parts({"part": name}, time).tolist() for name in ("train", "calibration", "test")
    ]


def test_the_same_seed_divides_the_same_and_another_differently():
    assert divide(spans(40), SPLITS, seed=1) == divide(dict(reversed(spans(40).items())), SPLITS, seed=1)
    assert divide(spans(40), SPLITS, seed=1)["people"] != divide(spans(40), SPLITS, seed=2)["people"]


@pytest.fixture
def work(tmp_path) -> Work:
    short = readings(heart_rate=[60, 61, 62], sleep=[np.nan, 0, 1])
    people = sorted([short, somebody(0, 3).readings, somebody(1, 3).readings], key=lambda one: one.person)
    write_readings(tmp_path / "readings.parquet", SCHEMA, people)
    (tmp_path / "out").mkdir()
    inputs = {"readings.parquet": tmp_path / "readings.parquet"}
    return Work(tmp_path / "out", small_settings(), inputs, lambda done, total: None)


def test_the_stage_writes_everybodys_grid_and_part_and_counts_what_it_did(work):
    told = transform(work)
    grids = list(read_grids(work.folder / "grid.parquet", SCHEMA))
    splits = json.loads((work.folder / "splits.json").read_text())

    named = ["a", somebody(0, 3).profile.person, somebody(1, 3).profile.person]
    assert named == [grid.person for grid in grids] == sorted(splits["people"])
    assert 3 == told["people"]
    assert sum(map(len, grids)) == told["rows"]
    assert 3 + sum(len(somebody(i, 3).readings) for i in (0, 1)) == told["readings"]
    assert sum(int(grid.filled.sum()) for grid in grids) == told["carried_forward"] > 0
    assert ["time", "time", "time"] == [entry["part"] for entry in splits["people"].values()]


def test_missing_sleep_stays_missing(work):
    transform(work)
    sleep = next(read_grids(work.folder / "grid.parquet", SCHEMA)).column("sleep")

    assert np.array_equal([np.nan, 0, 1], sleep, equal_nan=True)
