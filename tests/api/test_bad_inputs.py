"""Bad inputs of reliability section 4, as REST answers them: the right status and code, problem+json, never an echo."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from vitalwatch.api.limits import Rate
from vitalwatch.timestamps import rfc3339

ECHOES = ("Schmidt", "123-45-6789", "1e400", "72bpm", "98.6")


def good(**more) -> dict:
    return {"person": "bed-7", "time": "2026-01-05T08:00:00Z", "heart_rate": 72, **more}


def raw(text: str, **more) -> bytes:
    """Return a good reading with a piece of JSON put into it as it is."""
    return (json.dumps(good(**more))[:-1] + "," + text + "}").encode()


BAD = {
    "1 NaN": (raw('"respiratory_rate": NaN'), 422, "not_finite"),
    "1 Infinity": (raw('"respiratory_rate": -Infinity'), 422, "not_finite"),
    "1 1e400": (raw('"respiratory_rate": 1e400'), 422, "not_finite"),
    "1 text NaN": (raw('"respiratory_rate": "NaN"'), 422, "not_finite"),
    "2 Fahrenheit": (good(body_temperature=98.6), 422, "unit_suspect"),
    "2 fraction": (good(oxygen_saturation=0.97), 422, "unit_suspect"),
    "2 kPa": (good(blood_pressure_systolic=16), 422, "unit_suspect"),
    "3 trailing space": (good(person="bed-7 "), 422, "bad_patient_id"),
    "3 look-alike": (good(person="b\u0435d-7"), 422, "bad_patient_id"),
    "3 long": (good(person="b" * 300), 422, "bad_patient_id"),
    "3 number": (good(person=7), 422, "bad_patient_id"),
    "4 two objects": (b'{"heart_rate":72}{"heart_rate":73}', 422, "trailing_data"),
    "4 text behind": (json.dumps(good()).encode() + b" Schmidt", 422, "trailing_data"),
    "5 duplicate key": (raw('"heart_rate": 300'), 422, "duplicate_key"),
    "6 naive time": (good(time="2026-01-05T08:00:00"), 422, "timestamp_without_zone"),
    "7 time as number": (good(time=1767225600), 422, "bad_timestamp"),
    "7 year one": (good(time="0001-01-01T00:00:00Z"), 422, "bad_timestamp"),
    "7 year 9999": (good(time="9999-12-31T23:59:59Z"), 422, "bad_timestamp"),
    "7 leap second": (good(time="2016-12-31T23:59:60Z"), 422, "bad_timestamp"),
    "8 future": (good(time="2199-01-05T08:00:00Z"), 422, "clock_skew"),
    "11 text number": (good(heart_rate="72"), 422, "wrong_type"),
    "11 unit in text": (good(heart_rate="72bpm"), 422, "wrong_type"),
    "11 true": (good(heart_rate=True), 422, "wrong_type"),
    "11 full width": (good(heart_rate="７２"), 422, "wrong_type"),
    "12 BOM": (b"\xef\xbb\xbf" + json.dumps(good()).encode(), 422, "encoding"),
    "12 UTF-16": (json.dumps(good()).encode("utf-16"), 422, "encoding"),
    "12 NUL": (b"\0" + json.dumps(good()).encode(), 422, "encoding"),
    "12 decimal comma": (b'{"heart_rate": 72,5}', 400, "not_json"),
    "13 impossible rate": (good(heart_rate=900), 422, "out_of_physical_range"),
    "13 impossible saturation": (good(oxygen_saturation=104), 422, "out_of_physical_range"),
    "13 swapped pressures": (good(blood_pressure_systolic=80, blood_pressure_diastolic=120), 422, "impossible_pair"),
    "14 other version": (good(schema_version=2), 422, "schema_unsupported"),
    "14 renamed": ({"person": "bed-7", "time": "2026-01-05T08:00:00Z", "HR": 72}, 422, "unknown_field"),
    "15 extra": (good(is_admin=True), 422, "unknown_field"),
    "15 ten thousand keys": ({f"k{i}": i for i in range(10_000)}, 422, "unknown_field"),
    "16 five thousand digits": (raw('"respiratory_rate": ' + "9" * 5000), 422, "not_finite"),
    "17 deep": (b"[" * 100_000, 422, "too_deep"),
    "17 deep and whole": (b"[" * 5_000 + b"]" * 5_000, 422, "too_deep"),
    "18 lone surrogate": (raw('"device": "\\ud800"'), 422, "bad_text"),
    "18 RTL": (good(device="a\u202eb"), 422, "bad_text"),
    "18 line break": (good(device="a\r\nb"), 422, "bad_text"),
    "18 control character": (raw('"device": "\x07"'), 422, "bad_text"),
    "nothing": (b"  ", 400, "not_json"),
    "null": (b"null", 422, "wrong_type"),
    "text": (b'"Schmidt"', 422, "wrong_type"),
    "nothing measured": (good(heart_rate=None), 422, "empty"),
    "no time": ({"person": "bed-7", "heart_rate": 72}, 422, "bad_timestamp"),
    "no readings": ([], 422, "too_few"),
    "too many readings": ([{}] * 1001, 422, "too_many"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reading_is_refused_by_its_reason_without_an_echo(api, name):
    body, status, code = BAD[name]
    answer = api.ask("POST", "/readings", body)

    assert (status, code) == (answer.status, answer.code)
    assert {"type", "title", "status", "detail", "instance"} <= set(answer.json)
    assert status == answer.json["status"]
    assert [] == [word for word in ECHOES if word in answer.body.decode()]


@pytest.mark.parametrize("name", [name for name in BAD if isinstance(BAD[name][0], dict)])
def test_what_is_refused_from_a_device_is_refused_in_a_window_for_the_same_reason(api, name):
    body, _, code = BAD[name]
    told = {key: value for key, value in body.items() if key != "person" or value != "bed-7"}

    for address in ("/anomaly", "/forecast"):
        answer = api.ask("POST", address, {"readings": [told]})
        assert code == answer.code


@pytest.mark.parametrize("value", [None, "", "-", "--", -1, 0, 255, 999])
def test_what_devices_send_for_no_value_is_not_measured(own, value):
    answer = own.ask("POST", "/readings", good(respiratory_rate=value))

    assert (202, 1) == (answer.status, answer.json["accepted"])
    assert "respiratory_rate" not in own.ask("GET", "/people").json["people"][0]["vitals"]


def test_identifiers_are_compared_letter_by_letter(own):
    for person in ("007", "7", "NULL", "1e5"):
        assert 202 == own.ask("POST", "/readings", good(person=person)).status

    assert 4 == len(own.ask("GET", "/people").json["people"])


def test_the_same_reading_again_is_a_duplicate_and_other_content_a_conflict(own):
    first = own.ask("POST", "/readings", good(event_id="e1"))
    again = own.ask("POST", "/readings", good(event_id="e1"))
    other = own.ask("POST", "/readings", good(event_id="e1", heart_rate=90))

    assert (202, 200, 409) == (first.status, again.status, other.status)
    assert (True, "event_id_conflict") == (again.json["duplicate"], other.code)


def test_an_idempotency_key_makes_a_repeated_batch_a_duplicate(own):
    headers, batch = {"idempotency-key": '"batch-1"'}, [good(), good(time="2026-01-05T08:05:00Z")]
    first = own.ask("POST", "/readings", batch, headers=headers)
    again = own.ask("POST", "/readings", batch, headers=headers)

    assert (202, 2) == (first.status, first.json["accepted"])
    assert (200, [0, 1]) == (again.status, again.json["duplicates"])


def test_a_batch_tells_of_each_reading_and_nothing_disappears(own):
    batch = [good(), good(heart_rate=900), good(), good(time="2026-01-05T08:05:00Z"), 7]
    told = own.ask("POST", "/readings", batch)

    assert 202 == told.status
    assert (2, [2]) == (told.json["accepted"], told.json["duplicates"])
    assert [(1, "out_of_physical_range"), (4, "not_json")] == [
        (one["position"], one["code"]) for one in told.json["rejected"]
    ]
    kept = own.ask("GET", "/quarantine").json["refused"]
    assert ["out_of_physical_range", "not_json"] == [one["code"] for one in kept]


def test_refused_readings_are_told_from_either_end_and_all_are_counted(own):
    own.ask("POST", "/readings", [good(), *[good(heart_rate=900 + i) for i in range(4)], good(pulse=1)])

    def told(query: str) -> list[int]:
        answer = own.ask("GET", f"/quarantine?{query}")
        assert {"out_of_physical_range": 4, "unknown_field": 1} == answer.json["counts"]
        return [one["position"] for one in answer.json["refused"]]

    first = own.ask("GET", "/quarantine?most=1").json["refused"][0]["no"]
    assert [1, 2] == told("most=2")
    assert [5, 4] == told("most=2&newest=true")
    assert [4, 3] == told("most=2&newest=true&reason=out_of_physical_range")
    assert [5, 4, 3, 2] == told(f"newest=true&after={first}")


def test_a_line_each_is_taken_as_an_array_is(own):
    lines = b"\n".join(json.dumps(good(time=f"2026-01-05T08:{m:02d}:00Z")).encode() for m in range(30)) + b"\n{\n"
    told = own.ask("POST", "/readings", lines, media="application/x-ndjson")

    assert (202, 30) == (told.status, told.json["accepted"])
    assert [(30, "not_json")] == [(one["position"], one["code"]) for one in told.json["rejected"]]


def test_a_thousand_full_readings_fit_into_one_batch(own):
    full = {"heart_rate": 72.25, "oxygen_saturation": 97.5, "respiratory_rate": 15.5, "body_temperature": 36.75}
    full |= {"blood_pressure_systolic": 121.5, "blood_pressure_diastolic": 78.5, "steps": 12, "intensity": 0.25}
    full |= {"device": "watch-1", "signal_quality": 0.95}
    batch = [
        good(**full, event_id=f"event-{i:06d}") | {"time": f"2026-01-05T{i // 60:02d}:{i % 60:02d}:00+00:00"}
        for i in range(1000)
    ]
    told = own.ask("POST", "/readings", batch)

    assert (202, 1000) == (told.status, told.json["accepted"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/xml"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
    ids=str,
)
def test_another_media_type_is_415(api, headers):
    answer = api.ask("POST", "/readings", b"Schmidt", headers=headers)

    assert (415, "media_type") == (answer.status, answer.code)
    assert b"Schmidt" not in answer.body


def test_a_missing_media_type_is_415(api):
    assert 415 == api.ask("POST", "/anomaly", b"{}", media=None).status


def test_an_unknown_path_and_another_method_are_problems_too(api):
    unknown, other = api.ask("GET", "/Schmidt/123-45-6789"), api.ask("DELETE", "/predict")

    assert (404, "not_found") == (unknown.status, unknown.code)
    assert (405, "method_not_allowed", "POST") == (other.status, other.code, other.headers["allow"])
    assert [] == [word for word in ECHOES if word.encode() in unknown.body]


def test_a_method_cannot_be_overridden(api):
    answer = api.ask("GET", "/predict", headers={"x-http-method-override": "POST"})

    assert 405 == answer.status


def test_long_addresses_and_headers_are_431(api):
    for answer in (
        api.ask("GET", "/people?after=" + "9" * 3000),
        api.ask("GET", "/people", headers={"x-filler": "a" * 20_000}),
    ):
        assert (431, "headers_too_large") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/alarms?most=0", "out_of_range"),
        ("/alarms?most=many", "wrong_type"),
        ("/alarms?person=Schmidt", "unknown_value"),
        ("/alarms?most=1&most=2", "duplicate_key"),
        ("/people?Schmidt=1", "unknown_field"),
        ("/quarantine?reason=Schmidt", "unknown_value"),
        ("/events?after=-1", "out_of_range"),
        ("/quarantine?after=%ff", "wrong_type"),
    ],
)
def test_a_bad_query_is_refused_without_an_echo(api, address, code):
    answer = api.ask("GET", address)

    assert (422, code) == (answer.status, answer.code)
    assert b"Schmidt" not in answer.body


FORMS = {
    "unknown field": ({"Schmidt": 1}, "unknown_field"),
    "text": ({"steps_per_minute": "72bpm"}, "wrong_type"),
    "true": ({"steps_per_minute": True}, "wrong_type"),
    "not finite": (b'{"steps_per_minute": 1e400}', "not_finite"),
    "too much": ({"steps_per_minute": 10_000}, "out_of_range"),
    "a baby": ({"age": 0.5}, "out_of_range"),
    "word": ({"sex": "Schmidt"}, "unknown_value"),
    "list": ({"medication": ["Schmidt"]}, "unknown_value"),
    "clock": ({"local_time": "25:00"}, "unknown_value"),
    "surrogate": (b'{"local_time": "\\ud800"}', "bad_text"),
    "nested": ({"age": {"Schmidt": 1}}, "wrong_type"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_bad_question_is_refused_where_it_is_bad(api, name):
    body, code = FORMS[name]
    answer = api.ask("POST", "/predict", body)

    assert (422, code) == (answer.status, answer.code)
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    many = api.ask("POST", "/predict", b"[%s]" % sent)
    assert (422, code) == (many.status, many.code)
    if "errors" in answer.json:
        assert "/0" + answer.json["errors"][0]["pointer"] == many.json["errors"][0]["pointer"]
    assert [] == [word for word in ECHOES if word in answer.body.decode()]


@pytest.mark.parametrize(
    ("body", "pointer", "wanted"),
    [
        ({"age": "old"}, "/age", "a number is needed here"),
        ({"age": {"years": 50}}, "/age", "a number is needed here"),
        ({"asleep": "deeply"}, "/asleep", "true or false is needed here"),
        ({"conditions": "asthma"}, "/conditions", "an array is needed here"),
        ({"local_time": 8}, "/local_time", "text is needed here"),
        ([{}, 7], "/1", "an object is needed here"),
    ],
)
def test_a_value_of_another_type_is_told_which_one_is_needed(api, body, pointer, wanted):
    answer = api.ask("POST", "/predict", body)
    (fault,) = answer.json["errors"]

    assert (422, "wrong_type", pointer, wanted) == (answer.status, answer.code, fault["pointer"], fault["detail"])
    assert "A value is of another type than is needed there" == answer.json["title"]


@pytest.mark.parametrize("action", ["acknowledge", "snooze", "escalate", "resolve"])
@pytest.mark.parametrize(
    ("body", "code"),
    [(None, "not_found"), (b"", "not_found"), (b"{}", "not_found"), (b"{", "not_json"), (b" ", "not_json")],
)
def test_an_action_needs_no_body_also_where_a_media_type_is_told(api, action, body, code):
    answer = api.ask("POST", f"/alarms/{'0' * 32}/{action}", body)

    assert code == answer.code


def test_a_question_needs_readings_or_a_person_not_both(api):
    both = {"readings": [good()], "person": "p-" + "a" * 26}

    assert "missing_field" == api.ask("POST", "/anomaly", {}).code
    assert "missing_field" == api.ask("POST", "/anomaly", both).code
    assert (
        "/profile/age"
        == api.ask("POST", "/anomaly", {"readings": [good()], "profile": {"age": 7}}).json["errors"][0]["pointer"]
    )


def test_every_answer_has_an_id_and_headers_that_protect(api):
    for answer in (api.ask("GET", "/health/live"), api.ask("POST", "/predict", b"{"), api.ask("GET", "/nothing")):
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "DENY" == answer.headers["x-frame-options"]
        assert "no-store" == answer.headers["cache-control"]
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert 32 == len(answer.headers["x-request-id"])


def test_a_body_that_never_comes_is_given_up(own, monkeypatch):
    desk = own.app.state.desk
    monkeypatch.setattr(desk, "chosen", desk.chosen.model_copy(update={"body_seconds": 0.05}))

    async def slow() -> int:
        sent = []

        async def receive():
            import asyncio

            await asyncio.sleep(10)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/readings", "raw_path": b"/readings"}
        scope |= {"query_string": b"", "client": ("127.0.0.1", 1), "root_path": "", "http_version": "1.1"}
        scope |= {"headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]}
        await own.app(scope, receive, send)
        return sent[0]["status"]

    assert 408 == own.loop.run_until_complete(slow())


def test_row_8_a_reading_a_year_in_the_past_is_accepted_and_moves_nobody_back(own):
    times = ("2026-01-05T09:00:00Z", "2025-01-05T09:00:00Z", "2026-01-05T09:05:00Z")
    answers, newest = [], []
    for when in times:
        answers.append(own.ask("POST", "/readings", good(time=when)))
        newest.append(own.ask("GET", "/people").json["people"][0]["time"])

    assert [(202, 1)] * 3 == [(one.status, one.json["accepted"]) for one in answers]
    assert [times[0], times[0], times[2]] == newest  # the late one waits for nothing, and nothing waits for it
    person = own.ask("GET", "/people").json["people"][0]
    assert not person["waiting"]
    old = f"/people/{person['person']}/timeline?since=2025-01-05T00:00:00Z&until=2025-01-06T00:00:00Z"
    assert [] == own.ask("GET", old).json["time"]


def test_row_8_somebody_first_heard_of_with_a_reading_a_year_old_is_judged_by_it(own):
    assert 202 == own.ask("POST", "/readings", good(time="2025-01-05T09:00:00Z")).status
    assert "2025-01-05T09:00:00Z" == own.ask("GET", "/people").json["people"][0]["time"]


def test_row_21_a_thousand_readings_of_one_moment_are_one_row_with_their_mean(own):
    burst = [good(heart_rate=60 + i % 40, event_id=f"e{i}") for i in range(1_000)]
    answer = own.ask("POST", "/readings", burst)

    assert (202, 1_000, []) == (answer.status, answer.json["accepted"], answer.json["rejected"])
    person = own.ask("GET", "/people").json["people"][0]
    assert (1_000, 79.5) == (person["vitals"]["count"], person["vitals"]["heart_rate"])
    day = f"/people/{person['person']}/timeline?since=2026-01-05T00:00:00Z&until=2026-01-06T00:00:00Z"
    assert ["2026-01-05T08:00:00Z"] == own.ask("GET", day).json["time"]


def four_hours(beats) -> list[dict]:
    return [
        {"time": f"2026-01-05T{8 + minute // 60:02d}:{minute % 60:02d}:00Z", "heart_rate": beats(minute)}
        for minute in range(240)
    ]


def test_row_21_a_saturated_signal_is_a_fault_of_the_sensor_and_no_anomaly_of_the_person(api):
    told = api.ask("POST", "/anomaly", {"readings": four_hours(lambda minute: 250)}).json

    assert [("heart_rate", "flat_line")] == [(one["vital"], one["finding"]) for one in told["technical"]]
    assert (None, False) == (told["score"], told["is_anomaly"])


def test_row_21_a_sawtooth_is_taken_and_not_told_as_usual(api):
    answer = api.ask("POST", "/anomaly", {"readings": four_hours(lambda minute: 60 + 5 * (minute % 9))})

    assert (200, True) == (answer.status, answer.json["is_anomaly"])


ELSEWHERE = (
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/%252e%252e%252fetc%252fpasswd",
    "/..\\..\\etc\\passwd",
    "/runs/..%2f..%2fetc%2fpasswd",
    "/v2/models/../../etc/passwd",
    "/docs/../../../etc/passwd",
    "//etc/passwd",
    "/%00/etc/passwd",
)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_row_23_a_path_that_leaves_the_routes_is_not_found_however_it_is_written(api, path):
    for address in (path, unquote(path)):  # as it came, and as a server hands it on
        answer = api.ask("GET", address)
        told = answer.json["error"].partition(":")[0] if address.startswith("/v2/") else answer.code
        assert (404, "not_found") == (answer.status, told)
        assert b"passwd" not in answer.body


def test_row_24_a_flood_of_options_is_refused_and_then_limited_by_address(own, monkeypatch):
    monkeypatch.setattr(own.app.state.desk, "anybody", Rate(0.5, 3))
    answers = [own.ask("OPTIONS", path) for path in ("/people", "/readings", "/nowhere", "/people", "/readings")]

    assert [405, 405, 404, 429, 429] == [one.status for one in answers]
    assert "2" == answers[-1].headers["retry-after"]
    assert [] == [name for one in answers for name in one.headers if name.startswith("access-control")]
    assert 405 == own.ask("OPTIONS", "/people", client="10.0.0.2").status


@pytest.mark.parametrize("wanted", ["bytes=abc", "bytes=9-2", "bytes=-1", "bytes=0-,0-,0-", "lines=1-2", "bytes=0-0"])
def test_row_25_a_range_that_is_asked_for_is_answered_with_the_whole(api, wanted):
    whole, part = (api.ask("GET", "/openapi.json", headers=headers) for headers in ({}, {"range": wanted}))

    assert (200, whole.body) == (part.status, part.body)
    assert "content-range" not in part.headers


def test_row_7_a_reading_too_late_to_be_scored_is_told_by_its_place_counted_and_shown(own):
    times = [f"2026-01-05T09:{minute:02d}:00Z" for minute in (30, 10, 35, 20)]
    own.ask("POST", "/readings", good(time=times[0]))
    answer = own.ask("POST", "/readings", [good(time=times[1], body_temperature=39.5), *map(_at, times[2:])])

    assert (202, 3, [0, 2]) == (answer.status, answer.json["accepted"], answer.json["late"])
    assert b"vitals_readings_late_total 2.0" in own.ask("GET", "/metrics").body
    whom = answer.json["people"][0]["person"]
    stretch = "since=2026-01-05T09:00:00Z&until=2026-01-05T10:00:00Z"
    for address in (f"/people/{whom}/timeline?{stretch}", f"/people/{whom}"):
        late = own.ask("GET", address).json["late"]
        assert (2, [times[1], times[3]]) == (late["count"], [one["time"] for one in late["readings"]])
        assert 39.5 == late["readings"][0]["values"]["body_temperature"]
    assert [{"count": 2}] == [one["late"] for one in own.ask("GET", "/people").json["people"]]


@pytest.mark.parametrize("year", [2020, 2025])
def test_row_8_a_clock_in_the_past_is_taken_with_the_time_it_came_and_told_as_late(own, year):
    own.ask("POST", "/readings", good(time="2026-01-05T09:30:00Z"))
    (before,) = own.ask("GET", "/people").json["people"]
    old = f"{year}-01-05T09:30:00Z"
    answer = own.ask("POST", "/readings", good(time=old, heart_rate=190))
    assert (202, 1, [0]) == (answer.status, answer.json["accepted"], answer.json["late"])
    assert 0 == own.engine.ordering.run(own.engine.production.answering())

    (after,) = own.ask("GET", "/people").json["people"]
    assert (before["time"], before["vitals"], []) == (after["time"], after["vitals"], after["alarms"])
    stretch = f"since={year}-01-05T09:00:00Z&until={year}-01-05T10:00:00Z"
    (told,) = own.ask("GET", f"/people/{before['person']}/timeline?{stretch}").json["late"]["readings"]
    assert (old, rfc3339(own.engine.now())[:16]) == (told["time"], told["received"][:16])


def test_row_8_a_first_reading_of_long_ago_begins_a_life_that_todays_goes_on(own):
    own.ask("POST", "/readings", good(time="2020-01-05T09:30:00Z"))
    answer = own.ask("POST", "/readings", good(time="2026-01-05T09:30:00Z"))
    (told,) = own.ask("GET", "/people").json["people"]

    assert (202, []) == (answer.status, answer.json["late"])
    assert ("2026-01-05T09:30:00Z", []) == (told["time"], told["alarms"])


def test_late_lines_are_counted_over_all_parts(own):
    own.ask("POST", "/readings", good(time="2026-01-05T09:30:00Z"))
    lines = [good(time=f"2026-01-05T{8 + i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z") for i in range(1_100)]
    body = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    told = own.ask("POST", "/readings", body, media="application/x-ndjson").json

    assert (1_100, 1_100, 1_000) == (told["lines"]["accepted"], told["lines"]["late"], len(told["late"]))


def _at(time: str) -> dict:
    return good(time=time)
