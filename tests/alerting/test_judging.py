"""Rules on rows: every boundary, persistence, hysteresis, and a month at once as one row at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiny import small_settings, somebody
from vitalwatch import cleaning
from vitalwatch.alerting.glance import Glance
from vitalwatch.alerting.judging import Judge, Memory, _part
from vitalwatch.alerting.rules import Personal, Rule, Rules, read_rules
from vitalwatch.alerting.sensing import TOLD
from vitalwatch.baseline import VITALS
from vitalwatch.clinical import news2
from vitalwatch.tables import DAY, MINUTE, Answers, Readings

ROOT = Path(__file__).parent.parent.parent
SETTINGS = small_settings()
SCHEMA = SETTINGS.schema
SHIPPED = read_rules(ROOT / "rules.yaml", SCHEMA)
STEP = 5 * MINUTE
START = 20_000 * DAY
QUIET = {
    "heart_rate": 62.0,
    "respiratory_rate": 15.0,
    "oxygen_saturation": 97.0,
    "body_temperature": 36.8,
    "blood_pressure_systolic": 122.0,
    "blood_pressure_diastolic": 78.0,
}


def with_rules(**rules: dict) -> Rules:
    """Only these rules."""
    return SHIPPED.model_copy(update={"rules": {name: Rule.model_validate(told) for name, told in rules.items()}})


def answers(n: int, usual: dict[str, list[float]] | None = None, **columns: object) -> Answers:
    """Answers of a monitor for n rows; vitals not told are quiet and jitter a little, as no real sensor is stuck."""
    time = START + np.arange(n, dtype=np.int64) * STEP
    jitter = np.where(np.arange(n) % 2 == 0, 0.0, 0.05)
    values = {name: np.full(n, value) + jitter for name, value in QUIET.items()}
    values |= {name: np.broadcast_to(np.asarray(told, np.float64), n) for name, told in columns.items()}
    readings = Readings("anna", time, np.zeros(n, np.int16), {k: v.astype(np.float32) for k, v in values.items()})
    grid = cleaning.to_grid(readings, SCHEMA, SETTINGS.params.cleaning)
    nothing, z = np.zeros(n, np.float32), np.zeros((n, len(VITALS)), np.float32)
    for name, told in (usual or {}).items():
        z[:, VITALS.index(name)] = told
    return Answers(
        person="anna", time=grid.time, score=nothing, p_value=nothing, is_anomaly=np.zeros(n, np.bool_),
        unusual=nothing, known=nothing, probability=nothing, kind=np.full(n, -1, np.int16), kinds=(), residual=z,
        vitals=VITALS, expected_heart_rate=nothing, usual_heart_rate_spread=nothing,
        forecast=np.empty((n, 0, 0, 3), np.float32), forecast_vitals=(), horizons=(),
        own_baseline=np.ones(n, np.bool_), assessable=np.ones(n, np.bool_), grid=grid, contribution=z,
    )  # fmt: skip


def conditions(rules: Rules, told: Answers, personal: Personal | None = None):
    return Judge(rules, SCHEMA, personal or Personal()).look(Memory(), told)[1]


def spans(found) -> list[tuple[str, int, int | None]]:
    """(rule, first row, row after the last) of each."""
    return [(c.rule, (c.start - START) // STEP, None if c.end is None else (c.end - START) // STEP) for c in found]


FAST = {"when": {"vital": "heart_rate", "above": 100, "hysteresis": 5}, "priority": "medium"}


def test_nothing_is_raised_where_everything_is_usual():
    assert () == conditions(SHIPPED, answers(600))


def test_a_condition_must_last_before_it_is_one_and_begins_where_it_began():
    rules = with_rules(fast=FAST | {"lasts": "15min"})

    assert [] == spans(conditions(rules, answers(2, heart_rate=[110, 112])))
    assert [("fast", 0, None)] == spans(conditions(rules, answers(3, heart_rate=[110, 112, 111])))
    assert [] == spans(conditions(rules, answers(5, heart_rate=[110, 112, 90, 111, 110])))


def test_a_condition_is_gone_once_the_value_is_back_by_the_hysteresis():
    rules = with_rules(fast=FAST)

    assert [("fast", 0, None)] == spans(conditions(rules, answers(3, heart_rate=[110, 96, 95.5])))
    assert [("fast", 0, 2)] == spans(conditions(rules, answers(3, heart_rate=[110, 96, 95])))
    assert [] == spans(conditions(rules, answers(2, heart_rate=[100, 99])))


def test_a_condition_that_pauses_shortly_is_the_same_one():
    rules = with_rules(fast=FAST | {"clears": "15min"})

    assert [("fast", 0, None)] == spans(conditions(rules, answers(5, heart_rate=[110, 90, 91, 110, 111])))
    assert [("fast", 0, 1)] == spans(conditions(rules, answers(4, heart_rate=[110, 90, 91, 92])))


def test_the_priority_is_that_of_the_worst_value_and_says_so():
    rules = with_rules(fast=FAST | {"louder": {"high": 130}})
    (found,) = conditions(rules, answers(3, heart_rate=[110, 135, 120]))

    assert ("high", "Heart rate is 135 bpm, above 100.") == (found.priority, found.explanation)


def test_an_athletes_slow_heart_is_normal_for_an_athlete():
    slow = answers(6, heart_rate=[48, 47, 48, 47, 48, 47])
    rules = with_rules(slow={"when": {"vital": "heart_rate", "below": 50}, "priority": "medium"})
    athlete = Personal.model_validate({"limits": {"heart_rate": {"low": 42}}})

    assert ["slow"] == [one.rule for one in conditions(rules, slow)]
    assert () == conditions(rules, slow, athlete)
    assert ["slow"] == [one.rule for one in conditions(rules, answers(2, heart_rate=[41, 40]), athlete)]


def test_a_persons_own_limit_moves_what_is_louder_too():
    rules = with_rules(fast=FAST | {"louder": {"high": 130}})
    mine = Personal.model_validate({"limits": {"heart_rate": {"high": 140}}})

    assert [] == spans(conditions(rules, answers(2, heart_rate=[135, 136]), mine))
    assert ["high"] == [one.priority for one in conditions(rules, answers(2, heart_rate=[141, 142]), mine)]


def test_a_rule_can_be_off_or_louder_for_one_person():
    fast = answers(2, heart_rate=[110, 111])
    off = Personal.model_validate({"rules": {"fast": {"enabled": False}}})
    loud = Personal.model_validate({"rules": {"fast": {"priority": "high"}}})

    assert () == conditions(with_rules(fast=FAST), fast, off)
    assert ["high"] == [one.priority for one in conditions(with_rules(fast=FAST), fast, loud)]


def test_a_fast_heart_in_motion_is_no_alarm_and_at_rest_again_it_is():
    n = 8
    moving = answers(n, heart_rate=[120, 121] * 4, steps=[600] * 3 + [0] * 5, intensity=[0.6] * 3 + [0.0] * 5)

    assert [("fast", 5, None)] == spans(conditions(with_rules(fast=FAST), moving))  # a quarter of an hour after


def test_a_mean_over_three_days_above_100_is_a_rule():
    rules = with_rules(days={"when": {"mean": "heart_rate", "over": "3d", "above": 100}, "priority": "medium"})
    beat = np.where(np.arange(4 * 288) % 2 == 0, 60.0, 150.0)  # 105 in the mean, usual for nobody

    (found,) = conditions(rules, answers(4 * 288, heart_rate=beat))
    assert [("days", 3 * 288, None)] == spans([found])
    assert "Mean heart rate over 3d is 105 bpm, above 100." == found.explanation
    assert () == conditions(rules, answers(4 * 288, heart_rate=beat - 6))


def test_a_mean_is_not_known_before_half_of_it_was_measured():
    rules = with_rules(days={"when": {"mean": "heart_rate", "over": "3d", "above": 100}, "priority": "medium"})
    beat = np.where(np.arange(4 * 288) % 5 < 3, np.nan, 120.0 + np.arange(4 * 288) % 7)  # 40 % measured

    assert () == conditions(rules, answers(4 * 288, heart_rate=beat))


def test_heart_rate_and_temperature_up_together_against_the_persons_own_usual():
    both = {"all": [{"usual": "heart_rate", "above": 2.5}, {"usual": "body_temperature", "above": 2.5}]}
    rules = with_rules(both=both | {"priority": "medium", "lasts": "10min"})

    assert [] == spans(conditions(rules, answers(4, usual={"heart_rate": [4, 4, 4, 4]})))
    usual = {"heart_rate": [0, 3, 3, 3], "body_temperature": [3, 3, 2.8, 3]}
    (found,) = conditions(rules, answers(4, usual=usual))
    assert [("both", 1, None)] == spans([found])
    assert (
        "Heart rate is 3.0 of their own spreads above this person's usual and "
        "body temperature is 2.8 of their own spreads above this person's usual, for 10min."
    ) == found.explanation


def test_the_persons_own_usual_says_nothing_before_it_is_known():
    rules = with_rules(up={"when": {"usual": "heart_rate", "above": 2}, "priority": "low"})
    told = answers(4, usual={"heart_rate": [4, 4, 4, 4]})

    assert () == conditions(rules, replace(told, own_baseline=np.zeros(4, np.bool_)))


def test_any_of_several_comparisons_is_enough():
    either = {"any": [{"vital": "heart_rate", "above": 100}, {"vital": "body_temperature", "above": 38}]}
    rules = with_rules(either=either | {"priority": "low"})

    assert ["either"] == [one.rule for one in conditions(rules, answers(2, body_temperature=[38.4, 38.5]))]
    assert () == conditions(rules, answers(2))


# NEWS2 of one vital alone, the others scoring 0: every boundary of the table of the Royal College of Physicians (2017)
TABLE = {
    "respiratory_rate": [(8, 3), (9, 1), (11, 1), (12, 0), (20, 0), (21, 2), (24, 2), (25, 3)],
    "oxygen_saturation": [(91, 3), (92, 2), (93, 2), (94, 1), (95, 1), (96, 0)],
    "blood_pressure_systolic": [(90, 3), (91, 2), (100, 2), (101, 1), (110, 1), (111, 0), (219, 0), (220, 3)],
    "heart_rate": [(40, 3), (41, 1), (50, 1), (51, 0), (90, 0), (91, 1), (110, 1), (111, 2), (130, 2), (131, 3)],
    "body_temperature": [(35.0, 3), (35.1, 1), (36.0, 1), (36.1, 0), (38.0, 0), (38.1, 1), (39.0, 1), (39.1, 2)],
}
SCALE_2 = {
    None: [(83, 3), (84, 2), (85, 2), (86, 1), (87, 1), (88, 0), (92, 0)],
    False: [(83, 3), (84, 2), (87, 1), (88, 0), (92, 0), (93, 0), (96, 0), (97, 0), (100, 0)],
    True: [(83, 3), (85, 2), (86, 1), (88, 0), (92, 0), (93, 1), (94, 1), (95, 2), (96, 2), (97, 3), (100, 3)],
}


def total(told: Answers, personal: Personal) -> int:
    """The total that rules see: the highest for which `at_least` holds."""
    for least in range(20, 0, -1):
        rules = with_rules(news2={"when": {"news2": "total", "at_least": least}, "priority": "low"})
        if conditions(rules, told, personal):
            return least
    return 0


@pytest.mark.parametrize(("vital", "value", "points"), [(v, x, p) for v, rows in TABLE.items() for x, p in rows])
def test_every_boundary_of_news2_scores_what_the_table_says(vital, value, points):
    assert points == total(answers(1, **{vital: [value]}), Personal())


@pytest.mark.parametrize(("oxygen", "value", "points"), [(o, x, p) for o, rows in SCALE_2.items() for x, p in rows])
def test_every_boundary_of_the_second_oxygen_scale_on_air_and_on_oxygen(oxygen, value, points):
    personal = Personal(oxygen_scale=2, supplemental_oxygen=oxygen)
    given = 2 if oxygen else 0

    assert points + given == total(answers(1, oxygen_saturation=[value]), personal)


@pytest.mark.parametrize(
    ("parts", "priority"), [((112, 22, 97), None), ((112, 22, 95), "medium"), ((112, 22, 91), "high")]
)
def test_news2_of_5_is_medium_and_7_is_high(parts, priority):
    rate, breaths, saturation = parts
    far = {"heart_rate": [4.0] * 6, "respiratory_rate": [4.0] * 6}
    told = answers(6, far, heart_rate=[rate, rate + 1] * 3, respiratory_rate=[breaths, breaths + 1] * 3,
                   oxygen_saturation=[saturation] * 6)  # fmt: skip
    rules = SHIPPED.model_copy(update={"rules": {"news2": SHIPPED.rules["news2"]}})

    assert ([] if priority is None else [priority]) == [one.priority for one in conditions(rules, told)]


OWN = {
    "when": {"vital": "heart_rate", "above": 100, "beyond_usual": 2.5},
    "priority": "medium",
    "louder": {"high": 150},
}


def test_a_limit_says_nothing_of_what_is_usual_for_this_person():
    rules = with_rules(fast=OWN)

    assert () == conditions(rules, answers(4, {"heart_rate": [2.4] * 4}, heart_rate=[110, 112] * 2))
    assert ["fast"] == [
        c.rule for c in conditions(rules, answers(4, {"heart_rate": [2.6] * 4}, heart_rate=[110, 112] * 2))
    ]


def test_a_limit_holds_for_everybody_whose_usual_is_not_known():
    told = replace(answers(4, heart_rate=[110, 112] * 2), own_baseline=np.zeros(4, np.bool_))

    assert ["fast"] == [one.rule for one in conditions(with_rules(fast=OWN), told)]


def test_what_is_louder_is_an_alarm_however_usual_it_is():
    (found,) = conditions(with_rules(fast=OWN), answers(4, heart_rate=[151, 152] * 2))

    assert ("high", "Heart rate is 151 bpm, above 100.") == (found.priority, found.explanation)


def test_a_limit_that_a_clinician_set_asks_for_no_spreads():
    mine = Personal.model_validate({"limits": {"heart_rate": {"high": 105}}})

    assert ["fast"] == [c.rule for c in conditions(with_rules(fast=OWN), answers(2, heart_rate=[110, 111]), mine)]


@pytest.mark.parametrize(("spreads", "found"), [(2.9, []), (3.1, ["news2"])])
def test_news2_of_somebody_whose_vitals_are_always_so_is_no_alarm_below_7(spreads, found):
    rules = with_rules(
        news2={
            "when": {"news2": "total", "at_least": 5, "beyond_usual": 3},
            "priority": "medium",
            "louder": {"high": 7},
        }
    )
    low = {"oxygen_saturation": [-spreads] * 2}

    assert found == [
        c.rule for c in conditions(rules, answers(2, low, oxygen_saturation=91, respiratory_rate=[22, 23]))
    ]
    worse = answers(2, oxygen_saturation=91, respiratory_rate=[22, 23], heart_rate=[112, 113])
    assert ["high"] == [one.priority for one in conditions(rules, worse)]


def test_what_is_louder_need_not_last_as_long():
    rules = with_rules(fast=OWN | {"lasts": "30min", "sooner": "10min"})

    (found,) = conditions(rules, answers(3, heart_rate=[120, 151, 152]))
    assert ("high", "Heart rate is 152 bpm, above 100, for 10min.") == (found.priority, found.explanation)
    assert () == conditions(rules, answers(3, {"heart_rate": [9.0] * 3}, heart_rate=[120, 151, 120]))


def test_what_is_urgent_and_comes_back_does_not_wait_for_hours():
    rules = with_rules(fast=OWN | {"cool_down": "6h"})
    (loud,) = conditions(rules, answers(2, heart_rate=[151, 152]))
    (calm,) = conditions(rules, answers(2, {"heart_rate": [9.0] * 2}, heart_rate=[120, 121]))

    assert [30 * MINUTE, 360 * MINUTE] == [loud.cool_down, calm.cool_down]


def test_a_condition_knows_what_it_is_about():
    rules = with_rules(
        fast=FAST,
        low={"when": {"vital": "blood_pressure_systolic", "below": 100}, "priority": "low"},
        news2={"when": {"news2": "total", "at_least": 5}, "priority": "low"},
    )
    told = answers(2, heart_rate=[131, 132], respiratory_rate=[22, 23], blood_pressure_systolic=[99, 98])

    assert {
        "fast": ("heart_rate",),
        "low": ("blood_pressure",),
        "news2": ("respiratory_rate", "blood_pressure", "heart_rate"),
    } == {one.rule: one.about for one in conditions(rules, told)}


def test_a_news2_condition_names_its_parts():
    rules = with_rules(news2={"when": {"news2": "total", "at_least": 5}, "priority": "low"})
    (found,) = conditions(rules, answers(1, heart_rate=[131], respiratory_rate=[22]))

    assert "NEWS2 is 5 of the vitals measured (respiration 2, pulse 3)." == found.explanation


def test_a_thermometer_that_was_off_the_skin_tells_nothing_of_the_body_for_an_hour():
    n, off = 40, 6
    cold = {"when": {"vital": "body_temperature", "below": 35}, "priority": "medium"}
    points = {"when": {"news2": "single", "at_least": 3}, "priority": "medium"}
    warm = np.where(np.arange(n) < off, 33.5, 34.4) + np.arange(n) % 2 / 10
    told = answers(n, body_temperature=warm)
    judge = Judge(with_rules(cold=cold, points=points), SCHEMA)

    assert [("cold", off + 11, None), ("points", off + 11, None)] == spans(judge.look(Memory(), told)[1])
    assert [("cold", 0, None)] == spans(
        conditions(with_rules(cold=cold), answers(n, body_temperature=warm[off:].min()))
    )
    memory = Memory()
    for row in range(n):
        memory, found = judge.look(Memory.from_json(memory.to_json()), _part(told, slice(row, row + 1)))
    assert [("cold", off + 11, None), ("points", off + 11, None)] == spans(found)


def test_a_channel_of_the_monitor_is_a_condition_once_it_lasted_as_long_as_its_rule_asks(tiny_monitor):
    life = somebody(3)
    state, told = tiny_monitor.advance(tiny_monitor.begin("anna", life.profile), life.readings, forecast=False)
    short, long = (
        Judge(with_rules(unusual={"channel": "unusual", "lasts": lasts}), SCHEMA).of_monitor(state, told)
        for lasts in ("0min", "20min")
    )
    lasted = [one for one in short if one.end is None or one.end - one.start >= 20 * MINUTE]

    assert 0 < len(lasted) < len(short)
    assert lasted == list(long)


def test_rows_that_news2_passes_over_are_rows_where_it_scores_nothing():
    rng = np.random.default_rng(5)
    n = 400
    columns = {
        "heart_rate": rng.uniform(35, 140, n), "respiratory_rate": rng.uniform(6, 30, n),
        "oxygen_saturation": rng.uniform(80, 100, n), "body_temperature": rng.uniform(34.5, 39.6, n),
        "blood_pressure_systolic": rng.uniform(80, 230, n),
    }  # fmt: skip
    told = answers(n, **columns)
    from vitalwatch.alerting.terms import Rows

    for scale, oxygen in ((1, None), (1, True), (2, None), (2, False), (2, True)):
        personal = Personal(oxygen_scale=scale, supplemental_oxygen=oxygen)
        got = Rows.of(told, -1, None, -1, personal, 5, scored=True).score
        v = {name: told.grid.column(name) for name in columns}
        expected = news2(
            respiration=v["respiratory_rate"], saturation=v["oxygen_saturation"], pulse=v["heart_rate"],
            systolic=v["blood_pressure_systolic"], temperature=v["body_temperature"], scale=scale,
            oxygen=np.nan if oxygen is None else float(oxygen),
        )  # fmt: skip
        assert expected.total.tolist() == got.total.tolist()


def test_a_device_that_is_taken_off_ends_a_condition_and_raises_none():
    n = 40
    beat = np.where(np.arange(n) < 6, 130.0 + np.arange(n) % 2, np.nan)
    gone = {name: np.where(np.arange(n) < 6, value, np.nan) for name, value in QUIET.items()}
    told = answers(n, **(gone | {"heart_rate": beat, "steps": np.zeros(n)}))

    assert [("fast", 0, 6)] == spans(conditions(with_rules(fast=FAST), told))
    assert {"fast"} >= {one.rule for one in conditions(with_rules(fast=FAST, **shipped_json()), told)}


def shipped_json() -> dict[str, dict]:
    return {n: r.model_dump(exclude_none=True, exclude_defaults=True) for n, r in SHIPPED.rules.items() if r.when}


EVERYTHING = with_rules(
    fast=FAST | {"lasts": "10min", "clears": "15min", "louder": {"high": 130}},
    mean={"when": {"mean": "heart_rate", "over": "6h", "above": 68, "hysteresis": 2}, "priority": "low"},
    **{k: v for k, v in shipped_json().items() if k not in ("fast_for_days",)},
    both={
        "all": [{"usual": "heart_rate", "above": 0.5}, {"vital": "body_temperature", "above": 36.9}],
        "priority": "low",
    },
)


@pytest.mark.parametrize("seed", range(6))
def test_a_row_at_a_time_gives_the_conditions_of_a_whole_life(tiny_monitor, seed):
    rng = np.random.default_rng(seed)
    life = somebody(seed, 12).readings.rows(slice(seed * 100, seed * 100 + 1200))
    life = replace(life, values={name: column.copy() for name, column in life.values.items()})
    for name, value in (("heart_rate", 140.0), ("oxygen_saturation", 88.0), ("body_temperature", 39.0)):
        for _ in range(4):
            at = int(rng.integers(1150))
            life.values[name][at : at + int(rng.integers(1, 40))] = value + rng.random()
    life = life.rows(rng.random(len(life)) > 0.05)
    judge = Judge(EVERYTHING, SCHEMA, Personal(oxygen_scale=int(rng.integers(1, 3))))
    whole = tiny_monitor.answer(life, forecast=False)
    _, expected = judge.look(Memory(), whole)

    state, memory, ended, at, last = tiny_monitor.begin(life.person), Memory(), {}, 0, ()
    while at < len(life):
        many = int(rng.choice([1, 1, 2, 7, 60]))
        state, told = tiny_monitor.advance(state, life.rows(slice(at, at + many)), forecast=False)
        memory, last = judge.look(Memory.from_json(json.loads(json.dumps(memory.to_json()))), told)
        ended |= {(one.rule, one.start): one for one in last if one.end is not None}
        at += many
    got = [*ended.values(), *(one for one in last if one.end is None)]

    assert len(expected) > 3
    assert sorted(expected, key=str) == sorted(got, key=str)


def test_a_step_that_is_told_again_is_judged_again():
    judge, slow, fast = Judge(with_rules(fast=FAST), SCHEMA), answers(3), answers(3, heart_rate=[62, 62.05, 104])
    memory, found = judge.look(Memory(), fast)
    assert ["fast"] == [one.rule for one in found]

    last = replace(slow, time=slow.time[2:], grid=slow.grid.rows(slice(2, 3)), contribution=slow.contribution[2:],
                   own_baseline=slow.own_baseline[2:], assessable=slow.assessable[2:])  # fmt: skip
    assert () == judge.look(memory, last)[1]


def test_memory_does_not_grow_with_a_life():
    judge = Judge(
        with_rules(days={"when": {"mean": "heart_rate", "over": "1d", "above": 300}, "priority": "low"}), SCHEMA
    )
    sizes = [len(json.dumps(judge.look(Memory(), answers(n * 288))[0].to_json())) for n in (3, 9)]

    assert sizes[1] <= sizes[0] * 1.1


def test_the_monitors_own_channels_become_conditions_with_the_rules_of_rules_yaml(tiny_monitor):
    life = somebody(3, 12).readings
    state, told = tiny_monitor.advance(tiny_monitor.begin(life.person), life, forecast=False)
    judge = Judge(SHIPPED, SCHEMA)
    found = judge.of_monitor(state, told)
    ruled = {kind for kind, sensor in TOLD.items() if any(rule.sensor == sensor for _, rule in judge.sensors)}
    raised = {(one.channel, one.kind) for one in told.alarms if one.channel != "rule" and one.kind != "silence"}

    assert {one for one in raised if one[1] not in ruled} == {(one.rule, one.kind) for one in found}
    assert {"technical"} >= {one.rule for one in found if one.category == "technical"}
    assert {one.rule: one.latching for one in found} == {
        name: SHIPPED.rules[name].latching for name in {one.rule for one in found}
    }


def test_an_alarm_that_the_monitor_cut_because_it_lasts_is_one_condition(tiny_monitor):
    life = somebody(4, 12).readings.rows(slice(0, 1698))  # always worn in the last eleven hours
    stuck = replace(life, values=dict(life.values) | {"heart_rate": life.values["heart_rate"].copy()})
    stuck.values["heart_rate"][-130:] = 71.0
    state, told = tiny_monitor.advance(tiny_monitor.begin(stuck.person), stuck, forecast=False)
    pieces = [one for one in told.alarms if one.kind == "flat_line" and one.start >= stuck.time[-130]]
    found = [one for one in Judge(SHIPPED, SCHEMA).of_monitor(state, told) if one.kind == "flat_line"]

    assert len(pieces) >= 2
    assert (pieces[0].start, None) == (found[-1].start, found[-1].end)


@pytest.mark.parametrize("personal", [{}, {"oxygen_scale": 2}, {"supplemental_oxygen": True}])
def test_rules_that_are_passed_over_would_have_found_nothing(monkeypatch, personal):
    rng, n, own = np.random.default_rng(8), 3, Personal.model_validate(personal)
    rules = SHIPPED.model_copy(
        update={"rules": {name: rule.model_copy(update={"enabled": True}) for name, rule in SHIPPED.rules.items()}}
    )
    judge, lives = Judge(rules, SCHEMA, own), []
    for _ in range(400):
        vitals = {
            name: value + rng.normal(0, far) * rng.integers(0, 2) + rng.normal(0, 1, n) * near
            for (name, value), far, near in zip(
                QUIET.items(), (45, 9, 5, 1.6, 50, 16), (2, 1, 0.3, 0.1, 4, 3), strict=True
            )
        }
        usual = {"heart_rate": rng.normal(0, 3, n), "body_temperature": rng.normal(0, 3, n)}
        lives.append(answers(n, usual, **vitals))
    begun = [judge._glance.begins(told) for told in lives]
    looked = [judge.look(Memory(), told) for told in lives]
    monkeypatch.setattr(Glance, "begins", lambda self, told: frozenset(name for name, _, _ in self.rules))

    for told, (memory, found) in zip(lives, looked, strict=True):
        remembered, expected = judge.look(Memory(), told)
        assert expected == found
        assert remembered.to_json() == memory.to_json()
    every = {one.name for one in judge.asked}
    assert every == set().union(*begun)
    assert sum(map(len, begun)) < 0.6 * len(every) * len(begun)  # many are passed over
