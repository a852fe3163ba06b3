"""/predict, /anomaly, /forecast and the ecosystem's protocols say what the monitor says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving_world import RUN, messages
from tiny import somebody
from vitalwatch.api.asking import ahead
from vitalwatch.api.forms import MOST_MEMORY
from vitalwatch.expecting import Moments, of_known
from vitalwatch.tables import MINUTE


def window(start: int = 0, n: int = 288) -> list[dict]:
    told = messages(somebody(0).readings.rows(slice(start, start + n)))
    return [{name: value for name, value in one.items() if name != "person"} for one in told]


def row(minute: int = 0, **more) -> dict:
    return {"time": f"2026-01-05T08:{minute:02d}:00+01:00", "heart_rate": 62, **more}


def test_the_heart_beats_faster_the_harder_a_person_moves(api):
    ladder = [{"age": 50, "steps_per_minute": steps, "intensity": steps / 200} for steps in (0, 60, 130)]
    answer = api.ask("POST", "/predict", ladder)

    assert 200 == answer.status
    told = [one["expected_heart_rate"] for one in answer.json["predictions"]]
    assert sorted(told) == told
    assert told[0] < told[-1]
    assert {"bpm", RUN} == {answer.json["predictions"][0][name] for name in ("unit", "model")}


def test_one_moment_is_answered_as_it_would_be_among_many(api):
    one = {"age": 70, "sex": "male", "steps_per_minute": 40, "local_time": "07:15"}

    alone = api.ask("POST", "/predict", one).json
    assert [alone, alone] == api.ask("POST", "/predict", [one, one]).json["predictions"]


def test_who_tells_the_resting_heart_rate_is_at_that_rate_at_rest(api):
    told = api.ask("POST", "/predict", {"resting_heart_rate": 44.0}).json

    assert 44.0 == told["expected_heart_rate"]


def test_a_window_is_judged_as_the_monitor_judges_it(api, tiny_monitor):
    told = api.ask("POST", "/anomaly", {"readings": window(), "series": True}).json
    alone = tiny_monitor.answer(somebody(0).readings.rows(slice(0, 288)), forecast=False)

    np.testing.assert_allclose(
        alone.score[alone.assessable], [s for s in told["series"]["score"] if s is not None], atol=1e-4
    )
    assert alone.is_anomaly.tolist() == told["series"]["is_anomaly"]
    assert round(float(alone.expected_heart_rate[-1]), 1) == told["expected_heart_rate"]["value"]


def test_readings_in_any_order_are_the_same_window(api):
    told = window(0, 60)

    assert (
        api.ask("POST", "/anomaly", {"readings": told}).json
        == api.ask("POST", "/anomaly", {"readings": told[::-1]}).json
    )


def test_readings_that_are_looked_at_one_by_one_are_judged_like_whole_columns(api):
    told = window(0, 60)
    ragged = [{**one, "event_id": str(i)} for i, one in enumerate(told)]

    assert (
        api.ask("POST", "/anomaly", {"readings": told}).json == api.ask("POST", "/anomaly", {"readings": ragged}).json
    )


def test_one_reading_alone_says_in_a_plain_word_that_history_is_too_short(api):
    told = api.ask("POST", "/anomaly", {"readings": [row()]}).json

    assert (None, False, "too short") == (told["score"], told["assessable"], told["history"]["basis"])
    assert "too little history" in told["history"]["message"]


def test_a_person_far_from_usual_is_told_by_vital_in_their_own_units_and_what_would_clear_it(api):
    sick = [  # never twice the same, as a stuck sensor would tell it
        one | {"heart_rate": 170.0 + i % 2, "respiratory_rate": 34.0 + i % 2, "oxygen_saturation": 84.0 + i % 2}
        for i, one in enumerate(window(200, 30))
    ]
    told = api.ask("POST", "/anomaly", {"readings": [*window(0, 200), *sick]}).json

    assert {"heart_rate", "respiratory_rate", "oxygen_saturation"} <= {one["vital"] for one in told["contributions"]}
    by_vital = {one["vital"]: one for one in told["contributions"]}
    assert by_vital["heart_rate"]["difference"] > 15
    assert by_vital["oxygen_saturation"]["difference"] < -3
    assert "bpm" == by_vital["heart_rate"]["unit"]
    assert [True] == [
        bool(one["clears"]) for one in told["alarms"] if one["channel"] == "rule" and one["kind"] == "news2"
    ]


def test_news2_has_its_parts_and_names_what_is_missing(api):
    one = row(respiratory_rate=22, oxygen_saturation=94, blood_pressure_systolic=105, body_temperature=39.5)
    told = api.ask(
        "POST", "/anomaly", {"readings": [one | {"heart_rate": 95}], "consciousness": "A", "supplemental_oxygen": True}
    ).json["news2"]

    expected = {"respiration": 2, "saturation": 1, "oxygen": 2, "systolic": 1, "pulse": 1, "consciousness": 0}
    assert expected | {"temperature": 2} == told["parts"]
    assert (9, "high", []) == (told["total"], told["band"], told["missing"])


def test_a_stuck_sensor_is_a_technical_finding(api):
    stuck = [{**one, "heart_rate": 71.3} for one in window(0, 60)]
    told = api.ask("POST", "/anomaly", {"readings": stuck}).json

    assert ["flat_line"] == [one["finding"] for one in told["technical"] if one["vital"] == "heart_rate"]


def test_a_forecast_is_the_monitors(api, tiny_monitor):
    told = api.ask("POST", "/forecast", {"readings": window(0, 100)}).json
    alone = ahead(tiny_monitor, somebody(0).readings.rows(slice(0, 100)), tiny_monitor.begin("a"))

    beats = told["forecast"]["heart_rate"]
    assert list(tiny_monitor.horizons) == [step["minutes"] for step in beats["steps"]]
    expected = alone.forecast[-1, alone.forecast_vitals.index("heart_rate")]
    np.testing.assert_allclose(expected, [[s["q10"], s["q50"], s["q90"]] for s in beats["steps"]], atol=0.051)


def test_a_known_person_needs_no_readings_in_the_request(own):
    told = messages(somebody(0).readings.rows(slice(0, 400)), "anna")
    own.engine.accept(told, "test", "nurse")
    person = own.ask("GET", "/people").json["people"][0]["person"]

    answer = own.ask("POST", "/anomaly", {"person": person}).json
    assert own.ask("GET", f"/people/{person}").json["score"] == answer["score"]
    assert own.ask("POST", "/forecast", {"person": person}).json["forecast"]["heart_rate"]["steps"]
    assert 404 == own.ask("POST", "/anomaly", {"person": "p-" + "a" * 26}).status


def test_whoever_sends_a_person_finds_them_under_the_same_name_and_by_the_pseudonym_that_is_answered(own):
    told = messages(somebody(0).readings.rows(slice(0, 60)), "bed-7")
    (whom,) = own.ask("POST", "/readings", told).json["people"]
    again = own.ask("POST", "/readings", told)

    assert (0, 200, [whom]) == (whom["position"], again.status, again.json["people"])
    for route in ("/anomaly", "/forecast"):
        by_name, by_pseudonym = (own.ask("POST", route, {"person": p}) for p in ("bed-7", whom["person"]))
        assert (200, by_pseudonym.json) == (by_name.status, by_name.json)


def test_a_name_is_looked_up_for_keys_that_know_names_and_for_nobody_elsewhere(own):
    north, south = frozenset({"north"}), frozenset({"south"})
    rows = messages(somebody(0).readings.rows(slice(0, 60)), "bed-7")
    own.ask("POST", "/readings", rows, key=own.key(["ingest"], north))
    keys = {
        "sends": own.key(["read", "ingest"], north),
        "sees names": own.key(["read", "admin"], north),
        "reads": own.key(["read"], north),
        "elsewhere": own.key(["read", "ingest", "admin"], south),
    }
    for route in ("/anomaly", "/forecast"):
        found = {name: own.ask("POST", route, {"person": "bed-7"}, key=key) for name, key in keys.items()}
        unknown = {name: own.ask("POST", route, {"person": "bed-8"}, key=key) for name, key in keys.items()}

        assert [200, 200, 404, 404] == [one.status for one in found.values()]
        assert [404] * 4 == [one.status for one in unknown.values()]
        same = [one.json | {"instance": ""} for one in (*unknown.values(), found["reads"], found["elsewhere"])]
        assert [same[0]] * 6 == same


def test_who_may_not_send_a_persons_readings_is_not_told_their_pseudonym(own):
    row = {"person": "bed-7", "time": "2026-01-05T08:00:00Z", "heart_rate": 60}
    own.ask("POST", "/readings", row, key=own.key(["ingest"], frozenset({"north"})))
    other = {**row, "person": "bed-8", "time": "2026-01-05T08:05:00Z"}
    answer = own.ask(
        "POST", "/readings", [{**row, "heart_rate": 61}, other], key=own.key(["ingest"], frozenset({"south"}))
    )

    assert (202, [1]) == (answer.status, [one["position"] for one in answer.json["people"]])


def test_people_of_lines_are_named_once_by_their_first_line(own):
    lines = [{"person": f"bed-{i % 3}", "time": f"2026-01-05T08:{i // 60:02d}:{i % 60:02d}Z", "heart_rate": 60}
             for i in range(1_100)]  # fmt: skip
    body = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    told = own.ask("POST", "/readings", body, media="application/x-ndjson").json

    assert [0, 1, 2] == sorted(one["position"] for one in told["people"])


def sick_at_the_end(n: int) -> list[dict]:
    """Return the first days of somebody who is far from usual in the last readings, in everything, never alike."""
    rows = messages(somebody(0).readings.rows(slice(0, n)), "anna")
    sick = [
        one | {"heart_rate": 170.0 + i % 2, "respiratory_rate": 34.0 + i % 2, "oxygen_saturation": 84.0 + i % 2}
        for i, one in enumerate(rows[-12:])
    ]
    return [*rows[:-12], *sick]


@pytest.mark.parametrize("n", [240, 1200])
def test_a_known_person_is_told_what_would_clear_the_alarms_that_are_on_as_a_window_is(own, n):
    told = sick_at_the_end(n)
    own.engine.accept(told, "test", "nurse")
    person = own.ask("GET", "/people").json["people"][0]["person"]
    found = {one["channel"]: one for one in own.ask("POST", "/anomaly", {"person": person}).json["alarms"]}

    plain = [{name: value for name, value in one.items() if name != "person"} for one in told]
    window = own.ask("POST", "/anomaly", {"readings": plain[-1000:]}).json
    on = {one["channel"]: one for one in window["alarms"] if one["end"] == max(a["end"] for a in window["alarms"])}
    assert {"rule", "unusual"} <= set(found)
    assert all(one["clears"] for channel, one in found.items() if channel != "technical")
    assert found["rule"]["clears"] == on["rule"]["clears"]
    if n < 1000:  # the window is the whole of what is known
        assert on == found


def test_a_known_person_without_an_alarm_is_not_told_what_would_clear_one(own):
    own.engine.accept(messages(somebody(1).readings.rows(slice(0, 60)), "anna"), "test", "nurse")
    person = own.ask("GET", "/people").json["people"][0]["person"]

    assert [] == own.ask("POST", "/anomaly", {"person": person}).json["alarms"]


def low_on_oxygen(own) -> str:
    """Send readings of somebody whose saturation is 90 % now; return the pseudonym."""
    rows = messages(somebody(0).readings.rows(slice(0, 60)), "anna")
    own.engine.accept([one | {"oxygen_saturation": 90.0 + i % 2 / 10} for i, one in enumerate(rows)], "test", "nurse")
    return own.ask("GET", "/people").json["people"][0]["person"]


def test_news2_of_a_known_person_is_on_the_scale_and_the_oxygen_that_are_stored_unless_told_otherwise(own):
    person = low_on_oxygen(own)
    stored = {"oxygen_scale": 2, "supplemental_oxygen": False}
    assert 200 == own.ask("PUT", f"/people/{person}/limits", stored).status

    def news2(**told) -> tuple:
        found = own.ask("POST", "/anomaly", {"person": person, **told}).json["news2"]
        return found["scale"], found["parts"]["saturation"], found["parts"]["oxygen"]

    assert (2, 0, 0) == news2()
    assert (1, 3, 0) == news2(spo2_scale=1)
    assert (2, 0, 2) == news2(supplemental_oxygen=True)


def test_news2_of_a_person_of_whom_nothing_is_stored_is_on_the_first_scale(own):
    person = low_on_oxygen(own)
    found = own.ask("POST", "/anomaly", {"person": person}).json["news2"]

    assert (1, 3, None) == (found["scale"], found["parts"]["saturation"], found["parts"]["oxygen"])


def test_the_peers_paths_are_deprecated_aliases(api):
    for old, new, body in (
        ("/predict_heart_rate", "/predict", {"steps_per_minute": 10}),
        ("/detect_anomaly", "/anomaly", {"readings": [row()]}),
    ):
        assert api.ask("POST", new, body).json == api.ask("POST", old, body).json
        assert api.ask("GET", "/openapi.json").json["paths"][old]["post"]["deprecated"]


def test_without_a_run_everything_starts_and_names_the_command_that_makes_one(empty):
    for address, body in (("/predict", {}), ("/anomaly", {"readings": [row()]}), ("/forecast", {"readings": [row()]})):
        answer = empty.ask("POST", address, body)
        assert (503, "no_model") == (answer.status, answer.code)
        assert "python main.py" in answer.json["detail"]
    assert 200 == empty.ask("GET", "/health/live").status
    assert (503, "no_model") == (
        empty.ask("GET", "/health/ready").status,
        *empty.ask("GET", "/health/ready").json["causes"],
    )
    answer = empty.ask("POST", "/readings", {"person": "anna", **row()})
    assert (202, 1) == (answer.status, answer.json["accepted"])


def tensors(rows: list[dict]) -> list[dict]:
    names = [name for name in rows[0] if name in ("time", "heart_rate", "steps")]
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if name == "time" else "FP32",
            "data": [one[name] for one in rows],
        }
        for name in names
    ]


def test_open_inference_protocol_gives_the_same_scores(api):
    names = ("time", "heart_rate", "steps")
    rows = [{name: one[name] for name in names} for one in window(0, 60) if set(names) <= set(one)]
    answer = api.ask("POST", "/v2/models/anomaly/infer", {"id": "7", "inputs": tensors(rows)})

    assert (200, "7", "anomaly", RUN) == (
        answer.status,
        *(answer.json[name] for name in ("id", "model_name", "model_version")),
    )
    outputs = {one["name"]: one for one in answer.json["outputs"]}
    told = api.ask("POST", "/anomaly", {"readings": rows, "series": True}).json["series"]
    assert told["is_anomaly"] == outputs["is_anomaly"]["data"]
    assert told["time"] == outputs["time"]["data"]
    assert [len(told["time"])] == outputs["score"]["shape"]


def test_open_inference_protocol_tells_models_and_readiness(api):
    assert {"live": True, "ready": True} == api.ask("GET", "/v2/health/ready").json
    told = api.ask("GET", "/v2/models/anomaly").json
    assert ("anomaly", [RUN], "onnx_onnxv1") == tuple(told[name] for name in ("name", "versions", "platform"))
    assert "time" in {one["name"] for one in told["inputs"]}
    for address in ("/v2/models/nothing", "/v2/models/nothing/ready", f"/v2/models/anomaly/versions/{RUN}x/infer"):
        method = "POST" if address.endswith("infer") else "GET"
        body = {"inputs": tensors([row(steps=0)])} if method == "POST" else None
        answer = api.ask(method, address, body)
        assert 404 == answer.status
        assert ["error"] == list(answer.json)


@pytest.mark.parametrize("version", [f"{RUN}x", "000000000009", "%00", "..", "1"])
def test_a_version_that_does_not_answer_is_not_found_and_the_one_that_does_is_told(api, version):
    for name in ("anomaly", "forecast"):
        for end in ("", "/ready"):
            other = api.ask("GET", f"/v2/models/{name}/versions/{version}{end}")
            mine = api.ask("GET", f"/v2/models/{name}/versions/{RUN}{end}")
            assert (404, ["error"]) == (other.status, list(other.json))
            assert other.json["error"].startswith("not_found: ")
            assert (200, name) == (mine.status, mine.json["name"])


@pytest.mark.parametrize(
    "change", [{"shape": [2]}, {"datatype": "BOOL"}, {"name": "cholesterol"}, {"data": ["72"]}], ids=str
)
def test_open_inference_protocol_refuses_in_its_own_words(api, change):
    inputs = tensors([row(steps=0)])
    inputs[1] |= change
    answer = api.ask("POST", "/v2/models/anomaly/infer", {"inputs": inputs})

    assert answer.status in (400, 422)
    assert ["error"] == list(answer.json)


def test_kserve_forecast_is_told_in_the_frequency_that_was_asked(api):
    series = [one.get("heart_rate", 60.0) for one in window(0, 120)]
    question = {
        "model": "forecast",
        "inputs": [
            {
                "type": "univariate_time_series",
                "name": "heart_rate",
                "series": series,
                "frequency": "minute",
                "start_timestamp": "2026-01-05T08:00:00Z",
            }
        ],
        "options": {"horizon": 30, "quantiles": [0.1, 0.9]},
    }
    told = api.ask("POST", "/v1/timeseries/forecast", question).json
    content = told["outputs"][0]["content"][0]

    assert ("completed", "minute", "2026-01-05T10:00:00Z") == (
        told["status"],
        content["frequency"],
        content["start_timestamp"],
    )
    assert [30, 30, 30] == [len(content["mean_forecast"]), *map(len, content["quantiles"].values())]
    assert all(low <= high for low, high in zip(*content["quantiles"].values(), strict=True))
    question["options"]["horizon"] = 61
    assert "out_of_range" == api.ask("POST", "/v1/timeseries/forecast", question).code


EMERGENCY = {"heart_rate": 135, "respiratory_rate": 28, "oxygen_saturation": 90, "body_temperature": 38.2}


def looked(api, **vitals) -> dict:
    told = api.ask("POST", "/anomaly", {"readings": [row(**vitals)]}).json
    assert (False, []) == (told["is_anomaly"], told["alarms"])  # of one reading nothing has lasted
    return told["look_now"]


def test_one_reading_of_an_emergency_asks_to_look_now_though_nothing_has_lasted(api):
    told = looked(api, **EMERGENCY)

    assert ("high", "news2", "high") == (told["priority"], told["reasons"][0]["rule"], told["reasons"][0]["priority"])
    assert "NEWS2 is 10" in told["reasons"][0]["sentence"]
    assert ["heart_rate", "oxygen_saturation", "respiratory_rate"] == [one["vital"] for one in told["reasons"][1:]]


@pytest.mark.parametrize(
    ("vitals", "priority", "rules"),
    [
        ({"heart_rate": 75, "oxygen_saturation": 97}, None, []),
        ({"heart_rate": 75, "blood_pressure_systolic": 185}, "medium", ["limit"]),
        ({"heart_rate": 75, "oxygen_saturation": 92}, None, []),
        ({"heart_rate": 131}, "medium", ["news2", "limit"]),
        ({"heart_rate": 75, "respiratory_rate": 25, "oxygen_saturation": 94, "body_temperature": 38.1}, "medium",
         ["news2"]),
        ({"heart_rate": 112, "respiratory_rate": 25, "oxygen_saturation": 92, "body_temperature": 35.5}, "high",
         ["news2"]),
    ],
)  # fmt: skip
def test_what_asks_to_look_now_is_told_by_rule_at_its_boundary(api, vitals, priority, rules):
    told = looked(api, **vitals)

    assert (priority, rules) == (told["priority"], [one["rule"] for one in told["reasons"]])


@pytest.mark.parametrize(
    ("saturation", "told", "limit"),
    [
        (89, {}, "below the limit of 92"),
        (89, {"spo2_scale": 2}, ""),
        (87, {"spo2_scale": 2}, "below the limit of 88"),
        (97, {"spo2_scale": 2, "supplemental_oxygen": True}, "above the limit of 96"),
        (97, {"spo2_scale": 2, "supplemental_oxygen": False}, ""),
    ],
)
def test_limits_of_saturation_are_those_of_the_oxygen_scale(api, saturation, told, limit):
    asked = {"readings": [row(oxygen_saturation=saturation)], **told}
    reasons = api.ask("POST", "/anomaly", asked).json["look_now"]["reasons"]
    found = [one["sentence"] for one in reasons if "oxygen_saturation" == one["vital"]]

    assert bool(limit) == bool(found)
    assert all(limit in one for one in found)


def test_a_fast_heart_in_motion_asks_nobody_to_look(api):
    still, moving = (looked(api, heart_rate=140, steps=steps, intensity=steps / 1000) for steps in (0, 700))

    assert ["news2", "limit"] == [one["rule"] for one in still["reasons"]]
    assert {"priority": None, "reasons": []} == moving


@pytest.mark.parametrize(
    ("minutes", "age", "stale", "looked"),
    [(6, 1.0, False, True), (20, 15.0, False, True), (21, 16.0, True, True), (66, 61.0, True, False)],
)
def test_a_known_person_is_told_with_the_age_of_the_newest_row_and_nothing_old_as_now(own, minutes, age, stale, looked):
    rows = messages(somebody(0).readings.rows(slice(0, 60)), "anna")
    own.engine.now.ms = int(somebody(0).readings.time[59]) + minutes * MINUTE
    (whom,) = own.ask("POST", "/readings", rows).json["people"]
    asked = {"person": whom["person"]}
    told, ahead = own.ask("POST", "/anomaly", asked).json, own.ask("POST", "/forecast", asked).json
    (seen,) = own.ask("GET", "/people").json["people"]

    assert [(age, stale)] * 3 == [(one["age_minutes"], one["stale"]) for one in (told, ahead, seen)]
    assert looked == (told["look_now"] is not None)


def test_readings_that_are_sent_along_have_no_age(api):
    told = api.ask("POST", "/anomaly", {"readings": window()}).json

    assert (None, False) == (told["age_minutes"], told["stale"])
    assert told["look_now"] is not None


def test_a_known_persons_own_limits_hold_for_what_asks_to_look_now(own):
    rows = messages(somebody(0).readings.rows(slice(0, 60)), "anna")
    rows[-1] |= {"heart_rate": 45.0, "steps": 0.0}
    (whom,) = own.ask("POST", "/readings", rows).json["people"]
    asked = {"person": whom["person"]}
    own.engine.now.ms = int(somebody(0).readings.time[59]) + 6 * MINUTE
    before = own.ask("POST", "/anomaly", asked).json["look_now"]["reasons"]
    own.ask("PUT", f"/people/{whom['person']}/limits", {"limits": {"heart_rate": {"low": 60, "high": 120}}})
    after = own.ask("POST", "/anomaly", asked).json["look_now"]["reasons"]

    assert "heart_rate" not in {one["vital"] for one in before}
    assert "below the limit of 60" in {one["vital"]: one["sentence"] for one in after}["heart_rate"]


def test_a_known_person_is_told_by_own_days_once_there_are_some(own):
    life = somebody(0).readings
    moments = [{"local_time": "03:00", "asleep": True}, {"local_time": "15:00"}, {"steps_per_minute": 90.0}]
    known = [{**one, "person": "anna"} for one in moments]
    own.ask("POST", "/readings", [*messages(life.rows(slice(0, 40)))])
    (anna,) = own.ask("GET", "/people").json["people"]
    own.ask("PUT", f"/people/{anna['person']}/profile", {"age": 70})
    cold = own.ask("POST", "/predict", known).json["predictions"]
    assert own.ask("POST", "/predict", [{**one, "age": 70} for one in moments]).json["predictions"] == cold
    assert ["borrowed"] * 3 == [one["basis"] for one in cold]

    for start in range(40, 3_000, 740):
        own.ask("POST", "/readings", messages(life.rows(slice(start, start + 740))))
    warm = own.ask("POST", "/predict", known).json["predictions"]
    line = own.engine.timeline("anna", int(life.time[1_500]), 1 << 60)
    asleep = line.values["heart_rate"][line.values["sleep"] > 0.5]
    assert ["own"] * 3 == [one["basis"] for one in warm]
    apart = [abs(told[0]["expected_heart_rate"] - np.nanmean(asleep)) for told in (warm, cold)]
    assert apart[0] < min(apart[1], 3.0)
    assert own.ask("POST", "/predict", {**moments[0], "person": anna["person"]}).json == warm[0]


def test_what_a_known_person_is_told_is_what_the_monitor_says_of_such_a_row(own):
    """The same sums that a row is judged by: at a moment whose windows are those of the row."""
    own.ask("POST", "/readings", messages(somebody(0).readings.rows(slice(0, 900))))
    used, state = own.engine.known("anna")
    moments = Moments(*(np.array([0.0, 60.0]) for _ in range(3)), np.array([15.0, 30.0]), np.array([600, 700]))
    rate, spread, known = of_known(used.monitor.lift, state.person, state.body.rows, moments)
    whom = state.person[None].repeat(2, axis=0)
    lift = used.monitor.lift(np.concatenate((moments.columns, whom), axis=1))
    own_habits = state.body.rows.habits
    by_hand = lift * own_habits.factor + own_habits.offset[moments.context, moments.clock // 180]

    assert known
    np.testing.assert_allclose(by_hand, rate, rtol=1e-6)
    assert state.body.rows.own.spread[moments.context, 0].tolist() == spread.tolist()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{"person": "anna"}, {"person": "bert"}], "too_many"),
        ([{"person": "anna"}, {}], "too_many"),
        ({"person": "anna", "age": 50}, "unknown_field"),
        ({"person": "anna", "resting_heart_rate": 50.0}, "unknown_field"),
        ({"person": "an na"}, "unknown_value"),
    ],
)
def test_a_moment_of_a_known_person_has_no_other_and_no_profile(own, body, code):
    own.ask("POST", "/readings", [row(person="anna"), row(person="bert")])
    answer = own.ask("POST", "/predict", body)

    assert (422, code) == (answer.status, answer.code)


def test_moments_of_somebody_known_take_the_keys_that_other_questions_about_them_take(own):
    own.ask("POST", "/readings", [row(person="anna")])
    (anna,) = own.ask("GET", "/people").json["people"]
    north, south, reader = (own.key(scopes, frozenset({ward}) if ward else None) for scopes, ward in (
        (["read"], "north"), (["read", "ingest"], "south"), (["read"], ""),
    ))  # fmt: skip
    names = own.key(["read", "ingest"])

    for key, person, status in (
        (reader, anna["person"], 200), (reader, "anna", 404), (names, "anna", 200), (names, "nobody", 404),
        (north, anna["person"], 404), (south, anna["person"], 404), (south, "anna", 404),
    ):  # fmt: skip
        assert status == own.ask("POST", "/predict", {"person": person}, key=key).status, (person, status)


def test_a_window_in_pieces_is_judged_as_in_one_piece(api):
    told = window(0, 900)
    memory: dict = {"profile": {"age": 60}}
    whole = api.ask("POST", "/anomaly", {"readings": told, "series": True, "profile": {"age": 60}}).json
    parts = []
    for start in range(0, 900, 300):
        piece = {"readings": told[start : start + 300], "series": True, "remember": True, "profile": {"age": 60}}
        parts.append(api.ask("POST", "/anomaly", piece | memory).json)
        memory = {"memory": parts[-1].pop("memory")}

    for name, column in whole["series"].items():
        assert column == [value for part in parts for value in part["series"][name]], name
    for name in whole.keys() - {"series", "alarms", "early_warning"}:
        assert whole[name] == parts[-1][name], name
    ahead = {"readings": told[600:], "profile": {"age": 60}}
    assert api.ask("POST", "/forecast", {"readings": told, "profile": {"age": 60}}).json == api.ask(
        "POST", "/forecast", ahead | {"memory": api.ask("POST", "/anomaly", {
            "readings": told[:600], "remember": True, "profile": {"age": 60},
        }).json["memory"]},
    ).json  # fmt: skip


def test_a_memory_that_was_not_made_here_or_is_of_another_run_is_refused_and_never_opened(own):
    told = window(0, 60)
    memory = own.ask("POST", "/anomaly", {"readings": told[:30], "remember": True}).json["memory"]
    middle = len(memory) // 2
    changed = memory[:middle] + ("A" if memory[middle] != "A" else "B") + memory[middle + 1 :]
    elsewhere = own.engine.handed.give("000000000009", own.engine.monitor().begin("x"))
    for wrong in ("", "AAAA", "no base 64 at all", changed, memory[:-8], elsewhere):
        answer = own.ask("POST", "/anomaly", {"readings": told[30:], "memory": wrong})
        assert (422, "unknown_value") == (answer.status, answer.code), wrong[:20]

    answer = own.ask("POST", "/anomaly", {"readings": told[:2], "memory": memory})
    assert (422, "too_few") == (answer.status, answer.code)
    own.ask("POST", "/readings", [row(person="anna")])
    for more in ({"memory": memory}, {"remember": True}):
        answer = own.ask("POST", "/anomaly", {"person": "anna", **more})
        assert (422, "unknown_field") == (answer.status, answer.code)


def test_what_is_remembered_of_a_month_fits_into_the_body_of_the_next_question(own):
    memory: dict = {}
    for start in range(0, 3_000, 1_000):
        piece = {"readings": window(start, 1_000), "remember": True}
        memory = {"memory": own.ask("POST", "/anomaly", piece | memory).json["memory"]}

    assert len(memory["memory"]) < MOST_MEMORY / 2
    assert len(json.dumps({"readings": window(0, 1_000), **memory})) < own.app.state.desk.chosen.max_batch_body
