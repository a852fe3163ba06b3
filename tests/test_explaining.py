"""Rules that need no learning, and sentences in the person's own units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import readings
from vitalwatch import cleaning
from vitalwatch.explaining import Rules, in_units, technical_rows
from vitalwatch.features import ACTIVE, AT_REST
from vitalwatch.monitor import Monitor
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE, Grid, Readings

RATES = np.asarray([60, 61, 62], np.float32)


def grid_of(settings: Settings, given: Readings) -> Grid:
    return cleaning.to_grid(given, settings.schema, settings.params.cleaning)


def ruled(settings: Settings, context: int, **columns: list[float]) -> list[bool]:
    grid = grid_of(settings, readings(**columns))
    return Rules.of(settings.schema).rows(grid, np.full(len(grid), context, np.int8)).tolist()


def test_a_limit_passed_is_told(settings: Settings) -> None:
    assert [False, True, True] == ruled(settings, AT_REST, oxygen_saturation=[95, 91, 85])


def test_the_limit_itself_is_inside(settings: Settings) -> None:
    assert [False, False] == ruled(settings, AT_REST, body_temperature=[38.5, 35.0])


def test_a_fast_heart_says_nothing_while_a_person_moves(settings: Settings) -> None:
    assert [True] == ruled(settings, AT_REST, heart_rate=[140])
    assert [False] == ruled(settings, ACTIVE, heart_rate=[140])


def test_vitals_inside_their_limits_that_add_up_are_told(settings: Settings) -> None:
    # 24/min is 2 points, 93 % 2, 112/min 2: NEWS2 is 6, and every one is inside its own limits
    together = {"respiratory_rate": [24], "oxygen_saturation": [93], "heart_rate": [112]}

    assert [True] == ruled(settings, AT_REST, **together)
    assert [False] == ruled(settings, AT_REST, **{**together, "heart_rate": [80]})


def test_nothing_measured_is_nothing_told(settings: Settings) -> None:
    assert [False] == ruled(settings, AT_REST, steps=[3])


def test_a_stuck_sensor_is_a_technical_row(settings: Settings) -> None:
    grid = grid_of(settings, readings(heart_rate=[63] * 14))

    assert [False] * 11 + [True] * 3 == technical_rows(grid, 5).tolist()


def test_hourly_values_that_repeat_are_no_stuck_sensor(settings: Settings) -> None:
    schema = settings.schema.model_validate(settings.schema.model_dump() | {"step": "60min"})
    grid = cleaning.to_grid(readings(heart_rate=[63] * 14, step_ms=60 * MINUTE), schema, settings.params.cleaning)

    assert not technical_rows(grid, 60).any()
    assert [63.0] * 14 == grid.column("heart_rate").tolist()


def test_a_silence_is_told_in_its_first_hour_and_not_for_ever(settings: Settings) -> None:
    before, after = readings(heart_rate=[60, 61]), readings(start=200 * MINUTE, heart_rate=[62])
    both = Readings("a", np.append(before.time, after.time), np.zeros(3, np.int16), {"heart_rate": RATES})
    grid = grid_of(settings, both)

    silent = technical_rows(grid, 5)
    # two readings, three steps inside max_gap, an hour that is told, the rest of the gap, a reading
    assert [False] * 5 + [True] * 12 + [False] * 24 == silent.tolist()


def test_z_is_told_in_the_vitals_unit() -> None:
    assert 10 == in_units("heart_rate", 2.0, centre=1.0, spread=5.0)
    # judged on a square-root scale: (1 + 2 * 2) squared less 1 squared
    assert 24 == in_units("heart_rate_variability_rmssd", 2.0, centre=1.0, spread=2.0)


def told(monitor: Monitor, given: Readings, channel: str) -> list[tuple[str, str, str]]:
    return [(a.kind, a.priority, a.explanation) for a in monitor.answer(given).alarms if a.channel == channel]


def test_a_rule_alarm_names_vital_value_and_limit(tiny_monitor: Monitor) -> None:
    given = readings(oxygen_saturation=[97] * 6 + [84] * 6, heart_rate=[60 + i % 2 for i in range(12)])

    assert [("limit", "medium", "Oxygen saturation is 84 %, below 92.")] == told(tiny_monitor, given, "rule")


def test_high_news2_is_a_high_priority(tiny_monitor: Monitor) -> None:
    n = 6
    given = readings(
        oxygen_saturation=[90] * n, respiratory_rate=[27] * n, heart_rate=[118 + i % 2 for i in range(n)],
        body_temperature=[39.2 + i / 100 for i in range(n)],
    )  # fmt: skip
    kind, priority, sentence = told(tiny_monitor, given, "rule")[0]

    assert ("news2", "high") == (kind, priority)
    assert sentence.startswith("NEWS2 is 10 of the vitals measured; ")


def test_a_technical_alarm_names_the_fault_and_the_vital(tiny_monitor: Monitor) -> None:
    warmth = [36.5 + i / 90 for i in range(10)] + [30.2 - i / 90 for i in range(10)]
    given = readings(heart_rate=[60 + i % 3 for i in range(20)], body_temperature=warmth)
    sentence = "Check the sensor: detached sensor (body temperature)."

    assert [("detached_sensor", "low", sentence)] == told(tiny_monitor, given, "technical")


def test_an_unusual_alarm_tells_how_far_from_usual_and_when(tiny_monitor: Monitor) -> None:
    from test_monitor import rough

    found = [alarm for seed in range(6) for alarm in tiny_monitor.answer(rough(seed)).alarms]
    sentences = [alarm.explanation for alarm in found if alarm.channel in ("unusual", "known")]

    assert sentences
    assert all("your usual" in sentence and sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize(
    ("measured", "said", "unsaid"),
    [
        ((), (), ("asleep", "at rest", "still at night", "while active")),
        (("steps", "intensity"), ("at rest", "still at night"), ("asleep",)),
        (("steps", "intensity", "sleep"), ("asleep", "at rest"), ()),
    ],
)
def test_an_alarm_says_what_a_person_did_only_where_that_was_measured(
    tiny_monitor: Monitor, measured: tuple[str, ...], said: tuple[str, ...], unsaid: tuple[str, ...]
) -> None:
    from test_monitor import rough

    lives = [rough(seed) for seed in range(8)]
    vitals = [name for name in lives[0].values if name not in ("steps", "intensity", "sleep")]
    known = [replace(one, values={name: one.values[name] for name in (*vitals, *measured)}) for one in lives]
    alarms = [alarm for one in known for alarm in tiny_monitor.answer(one).alarms]
    told = " ".join(alarm.explanation for alarm in alarms if alarm.channel in ("unusual", "known"))

    assert "your usual" in told
    assert [] == [words for words in said if words not in told]
    assert [] == [words for words in unsaid if words in told]
