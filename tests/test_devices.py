"""Several devices of one person: nothing is averaged across them, and that they differ is told."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from serving_world import Ward
from tiny import readings
from vitalwatch.cleaning import Plan, advance, begin, to_grid
from vitalwatch.devices import TWO_DEVICES, code, codes
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE, Grid, Readings
from vitalwatch.timestamps import rfc3339

START = 1_800_000_000_000 - 120 * MINUTE
NAN = float("nan")


def told(minutes: list[float], devices: list[str], **columns: list[float]) -> Readings:
    """Readings at minutes since 1970, each of a device."""
    time = np.asarray([round(minute * MINUTE) for minute in minutes], np.int64)
    return replace(readings(**columns), time=time, device=codes(devices))


def differing(grid: Grid, settings: Settings, vital: str) -> list[bool]:
    return ((grid.artefact[:, settings.schema.vitals.index(vital)] & TWO_DEVICES) > 0).tolist()


def test_of_two_devices_in_a_step_the_one_of_before_is_taken_and_the_difference_told(settings: Settings) -> None:
    some = told([0, 5, 6, 10, 11], ["a", "b", "a", "b", "a"], heart_rate=[60, 140, 61, 139, 62])
    grid = to_grid(some, settings.schema, settings.params.cleaning)

    assert [60, 61, 62] == grid.column("heart_rate").tolist()
    assert [62] == grid.column("heart_rate_max")[2:].tolist()
    assert [False, True, True] == differing(grid, settings, "heart_rate")


def test_two_devices_that_agree_are_no_finding_and_still_not_averaged(settings: Settings) -> None:
    grid = to_grid(told([0, 1], ["a", "b"], heart_rate=[60, 64]), settings.schema, settings.params.cleaning)

    assert [60] == grid.column("heart_rate").tolist()
    assert [False] == differing(grid, settings, "heart_rate")


def test_a_thermometer_beside_a_watch_is_heard_and_steps_count_once(settings: Settings) -> None:
    some = told(
        [0, 1, 2], ["watch", "patch", "phone"],
        heart_rate=[60, NAN, NAN], body_temperature=[NAN, 36.7, NAN], steps=[40, NAN, 44],
    )  # fmt: skip
    grid = to_grid(some, settings.schema, settings.params.cleaning)

    assert [60, pytest.approx(36.7), 40] == [grid.column(n)[0] for n in ("heart_rate", "body_temperature", "steps")]
    assert 0 == np.count_nonzero(grid.artefact)


def test_two_cuffs_make_no_blood_pressure(settings: Settings) -> None:
    some = told([0, 1], ["a", "b"], heart_rate=[60, 60], blood_pressure_systolic=[NAN, 120],
                blood_pressure_diastolic=[95, 70])  # fmt: skip
    grid = to_grid(some, settings.schema, settings.params.cleaning)

    assert (120, 70) == (grid.column("blood_pressure_systolic")[0], grid.column("blood_pressure_diastolic")[0])


def test_when_the_device_of_before_is_silent_the_other_is_taken(settings: Settings) -> None:
    some = told([0, 1, 5, 10, 11], ["a", "b", "b", "a", "b"], heart_rate=[60, 90, 91, 62, 92])
    grid = to_grid(some, settings.schema, settings.params.cleaning)

    assert [60, 91, 92] == grid.column("heart_rate").tolist()


lives = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["", "a", "b", "c"]), st.sampled_from([NAN, 60.0, 75.0, 140.0])),
    min_size=1, max_size=40,
)  # fmt: skip


@given(life=lives, cuts=st.lists(st.integers(0, 40), max_size=8))
@examples(max_examples=150, deadline=None)
def test_any_devices_in_any_parts_give_the_rows_of_all_at_once(settings: Settings, life, cuts) -> None:
    minutes = np.cumsum([gap for gap, _, _ in life]).tolist()
    rates = [rate for _, _, rate in life]
    some = told(minutes, [device for _, device, _ in life], heart_rate=rates, steps=rates[::-1])
    plan = Plan.of(settings.schema, settings.params.cleaning)
    expected = advance(begin(some.person, settings.schema), some, plan)
    state, rows, marks = begin(some.person, settings.schema), {}, {}
    edges = sorted({0, *(min(cut, len(some)) for cut in cuts), len(some)})
    for start, stop in pairwise(edges):
        state, grid = advance(state, some.rows(slice(start, stop)), plan)
        rows |= dict(zip(grid.time.tolist(), grid.values, strict=True))
        marks |= dict(zip(grid.time.tolist(), grid.artefact, strict=True))
    whole = expected[1]

    assert whole.time.tolist() == list(rows)
    np.testing.assert_array_equal(whole.values, np.array(list(rows.values())))
    np.testing.assert_array_equal(whole.artefact, np.array(list(marks.values())))
    assert expected[0].carried.devices == state.carried.devices
    measured = {rate for rate in rates if rate == rate}
    assert set(whole.column("heart_rate_last")[np.isfinite(whole.column("heart_rate_last"))].tolist()) <= measured


def test_devices_are_numbers_that_stay() -> None:
    assert code("watch") == code("watch") != code("patch") > 0 == code("")
    assert codes(["", ""]) is None


@pytest.fixture
def ward(tmp_path, tiny_bundle, both) -> Ward:
    ward = Ward(tmp_path, tiny_bundle, both)
    yield ward
    ward.engine.close()


def sent(ward: Ward, first: int, last: int, device: str, rate: int) -> None:
    for i in range(first, last):
        time = rfc3339(START + i * 5 * MINUTE + (MINUTE if "watch-B" == device else 0))
        ward.send([{"person": "anna", "time": time, "heart_rate": rate + i % 3, "device": device}])


def test_a_second_watch_on_one_name_changes_no_row_and_raises_one_technical_alarm(ward) -> None:
    sent(ward, 0, 6, "watch-A", 60)
    for i in range(6, 12):
        sent(ward, i, i + 1, "watch-A", 60)
        sent(ward, i, i + 1, "watch-B", 140)
    ward.again()
    for i in range(12, 18):
        sent(ward, i, i + 1, "watch-B", 140)
        sent(ward, i, i + 1, "watch-A", 60)
    line = ward.engine.timeline("anna", 0, 1 << 60)
    (person,) = ward.engine.people()

    assert [60 + i % 3 for i in range(18)] == line.values["heart_rate"][:18].tolist()
    assert ["sensor_two"] == [one["rule"] for one in person.alarms]
    assert "Two devices send" in person.alarms[0]["explanation"]
    assert ("technical", "low") == (person.alarms[0]["category"], person.alarms[0]["priority"])
