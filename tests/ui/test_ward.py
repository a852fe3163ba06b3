from __future__ import annotations

import pytest

from ui.world import NOW, STEP, alarm, seen
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, MINUTE
from vitalwatch.ui import ward


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "usual"),
        ({"is_anomaly": True}, "unusual"),
        ({"score": None, "p_value": None}, "unknown"),
        ({"worn": False}, "not_worn"),
        ({"time": None}, "silent"),
        ({"time": None, "waiting": True}, "waiting"),
        ({"heard": NOW - 16 * MINUTE}, "stale"),
        ({"heard": NOW, "time": NOW - DAY}, "stale"),  # a device that hands over yesterday's readings now
        ({"heard": NOW - 14 * MINUTE}, "usual"),
        ({"is_anomaly": True, "heard": NOW - DAY}, "stale"),
        ({"heard": NOW - DAY, "discharged": NOW - DAY}, "discharged"),
    ],
)
def test_what_is_known_of_a_person_is_said_in_one_state(more: dict, state: str, settings: Settings) -> None:
    assert state == ward.lines([seen(**more)], settings.schema, NOW)[0].state


def test_those_whom_nobody_has_taken_on_stand_first(settings: Settings) -> None:
    people = [
        seen("p-quiet"),
        seen("p-taken", alarms=(alarm("high", "acknowledged"),)),
        seen("p-low", alarms=(alarm("low"),)),
        seen("p-high", alarms=(alarm("high"), alarm("low"))),
        seen("p-old", heard=NOW - DAY),
    ]

    assert ["high", "taken", "low", "old", "quiet"] == [one.name for one in ward.lines(people, settings.schema, NOW)]


def test_the_reason_shown_is_that_of_the_most_urgent_alarm_that_is_still_true(settings: Settings) -> None:
    over = alarm("high", "latched", end=NOW - STEP, explanation="over")
    now = alarm("high", start=NOW - DAY, explanation="now")

    assert "now" == ward.lines([seen(alarms=(over, alarm("low"), now))], settings.schema, NOW)[0].why


def test_counts_hold_everybody_once_beside_the_stale(settings: Settings) -> None:
    people = [seen("p-a", alarms=(alarm("high"),)), seen("p-b"), seen("p-c", heard=NOW - DAY)]
    told = dict(ward.counts(ward.lines(people, settings.schema, NOW)))

    assert {"*** High": 1, "** Medium": 0, "* Low": 0, "No alarm": 2, "Stale or silent": 1} == told


def test_who_is_unusual_now_stands_above_the_stale_and_the_discharged_last(settings: Settings) -> None:
    people = [
        seen("p-left", heard=NOW - DAY, discharged=NOW - DAY),
        seen("p-quiet"),
        seen("p-old", heard=NOW - DAY),
        seen("p-odd", is_anomaly=True),
    ]

    assert ["odd", "old", "quiet", "left"] == [one.name for one in ward.lines(people, settings.schema, NOW)]


def test_the_discharged_raise_no_banner(settings: Settings) -> None:
    people = [seen(), seen("p-left", heard=NOW - DAY, discharged=NOW - DAY)]

    assert "" == ward.banner(ward.lines(people, settings.schema, NOW))


def test_no_banner_while_all_is_fresh(settings: Settings) -> None:
    assert "" == ward.banner(ward.lines([seen(), seen("p-b")], settings.schema, NOW))


def test_a_banner_says_how_many_are_stale(settings: Settings) -> None:
    found = ward.lines([seen(), seen("p-b", heard=NOW - DAY)], settings.schema, NOW)

    assert ward.banner(found).startswith("Nothing new has come from 1 person")


def test_a_feed_that_stopped_is_told_with_its_age(settings: Settings) -> None:
    found = ward.lines([seen(heard=NOW - 20 * MINUTE), seen("p-b", heard=NOW - DAY)], settings.schema, NOW)

    assert ward.banner(found).startswith("Nothing new has come from anybody for 20 min.")


def test_the_table_has_a_cell_for_everybody_in_every_column(settings: Settings) -> None:
    told = ward.table(
        ward.lines([seen(alarms=(alarm("high"),)), seen("p-b", time=None, values={})], settings.schema, NOW)
    )

    assert {2} == {len(column) for column in told.values()}
    assert (["*** High", "–"], ["62 bpm", "–"], ["118/76 mmHg", "–"]) == (
        told["Alarm"],
        told["Heart"],
        told["Pressure"],
    )
