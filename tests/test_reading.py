"""reading: one strict validator; the same input has the same reason on every way in."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from vitalwatch import messages, readers
from vitalwatch.messages import decode
from vitalwatch.reading import (
    ACCEPTED,
    EMPTIED,
    REASONS,
    Reading,
    Rejected,
    Rows,
    check,
    explain,
    number,
    parse,
    parse_cells,
)
from vitalwatch.schema import Schema
from vitalwatch.settings import Settings
from vitalwatch.timestamps import parse_time, parse_times, rfc3339

NOW = 1_790_000_000_000
WHEN = "2026-01-05T08:00:00+01:00"


@pytest.fixture(scope="module")
def schema(settings: Settings) -> Schema:
    return settings.schema


def raw(**fields: object) -> bytes:
    return json.dumps({"person": "p1", "time": WHEN, "heart_rate": 72} | fields).encode()


def reason(message: bytes | None, schema: Schema) -> str:
    found = parse(message, schema, now_ms=NOW)
    return found.reason if isinstance(found, Rejected) else "accepted"


def test_a_reading_is_taken_with_its_local_clock(schema: Schema):
    found = parse(raw(oxygen_saturation=97.5, steps=0), schema, now_ms=NOW)

    assert Reading("p1", 1_767_596_400_000, 60, {"heart_rate": 72, "oxygen_saturation": 97.5, "steps": 0}) == found


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("null_value", None),
        ("null_value", b"null"),
        ("empty", b"  "),
        ("empty", raw(heart_rate=None)),
        ("too_large", b" " * 70_000),
        ("encoding", b"\xff\xfe{\0}\0"),
        ("encoding", b"\xef\xbb\xbf{}"),
        ("encoding", b'{"person":"\xe9"}'),
        ("not_json", b"{'person':'p1'}"),
        ("not_json", b"[1,2]"),
        ("trailing_data", raw() + raw()),
        ("trailing_data", raw() + b" x"),
        ("duplicate_key", b'{"person":"p1","heart_rate":72,"heart_rate":300}'),
        ("too_deep", b"[" * 40_000),
        ("too_deep", b'{"a":' * 9 + b"1" + b"}" * 9),
        ("schema_unsupported", raw(schema_version=99)),
        ("unknown_field", raw(HR=72)),
        (
            "unknown_field",
            raw(**{f"key{i}": 1 for i in range(10_000)})[:0] + json.dumps(dict.fromkeys(map(str, range(70)))).encode(),
        ),
        ("bad_text", raw(person="p\r\n1")),
        ("bad_text", raw(person="p\u202e1")),
        ("bad_text", b'{"person":"\\ud800","time":"x"}'),
        ("bad_text", b'{"person":"a\nb"}'),
        ("bad_patient_id", raw(person=7)),
        ("bad_patient_id", raw(person="p1 ")),
        ("bad_patient_id", raw(person="р1")),  # Cyrillic
        ("bad_patient_id", raw(person="a" * 300)),
        ("bad_patient_id", raw(person="p1\U0001f600")),
        ("timestamp_without_zone", raw(time="2026-01-05T08:00:00")),
        ("bad_timestamp", raw(time=1767596400)),
        ("bad_timestamp", raw(time="0001-01-01T00:00:00Z")),
        ("bad_timestamp", raw(time="9999-12-31T23:59:59Z")),
        ("bad_timestamp", raw(time="2026-02-30T08:00:00Z")),
        ("bad_timestamp", raw(time="2026-01-05T08:00:60Z")),
        ("bad_timestamp", raw(time="2026-01-05T08:00:00+15:00")),
        ("bad_timestamp", raw(utc_offset="60")),
        ("clock_skew", raw(time="2027-01-05T08:00:00Z")),
        ("not_finite", b'{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":NaN}'),
        ("not_finite", b'{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":-Infinity}'),
        ("not_finite", b'{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":1e400}'),
        ("not_finite", b'{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":' + b"9" * 5000 + b"}"),
        ("not_finite", raw(heart_rate="NaN")),
        ("wrong_type", raw(heart_rate="72")),
        ("wrong_type", raw(heart_rate="72bpm")),
        ("wrong_type", raw(heart_rate=True)),
        ("wrong_type", raw(heart_rate=[72])),
        ("wrong_type", raw(heart_rate="7_2")),
        ("wrong_type", raw(sleep=0.5)),
        ("unit_suspect", raw(body_temperature=98.6)),
        ("unit_suspect", raw(oxygen_saturation=0.97)),
        ("unit_suspect", raw(blood_pressure_systolic=16)),
        ("out_of_physical_range", raw(heart_rate=900)),
        ("out_of_physical_range", raw(oxygen_saturation=104)),
        ("out_of_physical_range", raw(body_temperature=25)),
        ("impossible_pair", raw(blood_pressure_systolic=80, blood_pressure_diastolic=120)),
    ],
)
def test_bad_input_is_refused_with_its_reason(expected: str, message: bytes | None, schema: Schema):
    assert expected == reason(message, schema)


def test_codes_for_no_value_are_missing_and_never_zero(schema: Schema):
    for code in (0, -1, 255, 999, "", "-", "--", None):
        found = parse(raw(heart_rate=code, respiratory_rate=14), schema, now_ms=NOW)
        assert isinstance(found, Reading)
        assert {"respiratory_rate": 14} == found.values


def test_zero_is_a_value_where_zero_happens(schema: Schema):
    found = parse(raw(steps=0, intensity=0, sleep=0), schema, now_ms=NOW)

    assert isinstance(found, Reading)
    assert {"heart_rate": 72, "steps": 0, "intensity": 0, "sleep": 0} == found.values


def test_a_source_can_have_its_own_codes_for_no_value(schema: Schema):
    found = parse(raw(heart_rate=127, steps=5), schema, now_ms=NOW, no_value=(127,))

    assert isinstance(found, Reading)
    assert {"steps": 5} == found.values


@pytest.mark.parametrize("person", ["007", "NULL", "nan", "1e5"])
def test_names_stay_text(person: str, schema: Schema):
    found = parse(raw(person=person), schema, now_ms=NOW)

    assert isinstance(found, Reading)
    assert person == found.person


def test_one_grammar_for_numbers_in_cells():
    for text, expected in {"72": 72, "+72.5": 72.5, "-1e2": -100, ".5": 0.5, "7.": 7}.items():
        assert expected == number(text)
    for text in ("7_2", "0x48", "72,5", " 72", "72 ", "７２", "1e", "true", "72bpm", "1e99999"):
        assert "wrong_type" == number(text), text
    for text in ("nan", "NaN", "inf", "-Infinity"):
        assert "not_finite" == number(text)
    assert math.isnan(float(number("--")))


# -- properties ---------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
PEOPLE = st.one_of(st.sampled_from(["p1", "007", "NULL", "nan", "", " p", "p\u202e", "a\nb", 'a"b', "a,b"]), TEXT)
TIMES = st.one_of(
    st.sampled_from([WHEN, "2026-01-05T08:00:00Z", "2026-01-05 08:00:00.250-05:30", "2026-01-05T08:00:00", "1767596400",
                     "2026-13-01T00:00:00Z", "2027-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
                     "1970-01-01T00:30:00+01:00", "2199-12-31T23:59:59-01:00",
                     "2026-01-05T08:00:00.123456789Z", "2026-01-05T08:00:00+24:99"]),
    TEXT,
    st.integers(0, 7_000_000_000_000).map(rfc3339),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([0, -1, 255, 999, 72, 0.97, 98.6, 120, 37, 1, 1e39, 1e-9, 1e308, 0.5, 39.9, 20, 250, 43.5]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    names = ("heart_rate", "oxygen_saturation", "body_temperature", "blood_pressure_systolic",
             "blood_pressure_diastolic", "steps", "sleep", "heart_rate_spread")  # fmt: skip
    values = draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=5))
    return {"person": draw(PEOPLE), "time": draw(TIMES), **values}


def outcome(found: Reading | Rejected) -> object:
    return found.reason if isinstance(found, Rejected) else (found.person, found.time, found.offset, found.values)


@hypothesis(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(records(), min_size=1, max_size=6))
@example(rows=[{"person": "p1", "time": WHEN, "heart_rate": 1e39}])
def test_the_same_record_has_the_same_outcome_as_message_cells_and_column(
    rows: list[dict[str, object]], settings: Settings, tmp_path: Path
):
    schema = settings.schema
    header = ["person", "time", *schema.names]
    cells = [{name: value if isinstance(value, str) else repr(value) for name, value in row.items()} for row in rows]
    path = tmp_path / "readings.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        writer.writerows([row.get(name, "") for name in header] for row in cells)
    kept: list[object] = []
    refused: dict[str, int] = {}
    for batch in readers.read(path, schema, format="table", now_ms=NOW):
        taken = batch.rows
        for i in range(len(taken)):
            values = {name: float(column[i]) for name, column in taken.values.items() if not np.isnan(column[i])}
            kept.append((taken.people[taken.person[i]], int(taken.time[i]), int(taken.offset[i]), values))
        refused = {reason: refused.get(reason, 0) + batch.refused.get(reason, 0) for reason in refused | batch.refused}

    by_message = [outcome(parse(json.dumps(row).encode(), schema, now_ms=NOW)) for row in rows]
    by_cell = [outcome(parse_cells(row, schema, now_ms=NOW)) for row in cells]

    assert by_message == by_cell
    assert [one for one in by_cell if not isinstance(one, str)] == kept
    counted = [one for one in by_cell if isinstance(one, str)]
    assert {name: counted.count(name) for name in counted} == refused


NAMES = st.one_of(st.sampled_from(["person", "time", "heart_rate"]), st.text(max_size=5))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@hypothesis(max_examples=200, deadline=None)
@given(message=st.one_of(st.binary(max_size=200), TEXT.map(str.encode), JSON))
def test_nothing_raises_and_nothing_unfinite_gets_in(message: bytes, schema: Schema):
    found = parse(message, schema, now_ms=NOW)

    assert isinstance(found, Reading | Rejected)
    if isinstance(found, Reading):
        assert all(math.isfinite(value) for value in found.values.values())
    else:
        assert found.reason in REASONS


@hypothesis(max_examples=50, deadline=None)
@given(secret=st.text("QXZ", min_size=5, max_size=9), value=st.floats(1e5, 1e9))
def test_a_refusal_never_repeats_what_was_sent(secret: str, value: float, schema: Schema):
    messages = [
        raw(person=f" {secret}"),
        raw(time=secret),
        raw(heart_rate=secret),
        raw(heart_rate=value),
        raw(**{secret: 1}),
        raw(device=secret * 90),
    ]
    for message in messages:
        found = parse(message, schema, now_ms=NOW)
        assert isinstance(found, Rejected)
        assert secret not in found.detail
        assert repr(value) not in found.detail


# -- columns ------------------------------------------------------------------------------------------------------


def test_columns_are_judged_row_by_row(schema: Schema):
    rate = np.array([72, 0, 900, np.nan, np.inf, 72, 72])
    oxygen = np.array([97, 98, 97, np.nan, 97, 0.97, 97])
    time = np.array([1, 1, 1, 1, 1, 1, NOW + 600_000])
    rows = Rows(("p1",), np.zeros(7, np.int32), time, np.zeros(7, np.int16),
                {"heart_rate": rate, "oxygen_saturation": oxygen})  # fmt: skip

    checked, keys = check(rows, schema, now_ms=NOW)

    expected = ["", "", "out_of_physical_range", "empty", "not_finite", "unit_suspect", "clock_skew"]
    assert expected == ["" if key == ACCEPTED else explain(int(key), schema).reason for key in keys]
    assert np.isnan(checked.values["heart_rate"][1])
    assert np.float32 == checked.values["heart_rate"].dtype
    assert 0 == rate[1], "the caller's array was changed"


@pytest.mark.parametrize(("sent", "told"), [("", REASONS["empty"]), ("--", REASONS["empty"]), ("255", EMPTIED)])
def test_a_row_emptied_by_codes_for_no_value_is_told_from_one_in_which_nothing_was_sent(schema: Schema, sent, told):
    rows = Rows(("p1",), np.zeros(1, np.int32), np.ones(1, np.int64), np.zeros(1, np.int16),
                {"heart_rate": np.array([number(sent)])})  # fmt: skip
    _, keys = check(rows, schema, now_ms=NOW)
    cells = parse_cells({"person": "p1", "time": WHEN, "heart_rate": sent}, schema, now_ms=NOW)

    assert Rejected("empty", told) == explain(int(keys[0]), schema)
    assert Rejected("empty", told) == cells


def test_a_detail_names_column_and_limit(schema: Schema):
    found = parse(raw(heart_rate=900), schema, now_ms=NOW)

    assert isinstance(found, Rejected)
    assert "heart_rate is outside what a sensor on a living person can report (20 to 250 /min)" == found.detail


# -- times --------------------------------------------------------------------------------------------------------


DIGITS = st.integers(0, 99).map("{:02}".format)
STAMPS = st.builds("{}{}-{}-{}T{}:{}:{}{}".format, st.sampled_from(["19", "20", "21"]), *[DIGITS] * 6,
                   st.sampled_from(["Z", ".250Z", "+05:30", ".1Z", "-12:01", "+24:60", ""]))  # fmt: skip


@hypothesis(max_examples=100, deadline=None)
@given(st.lists(st.one_of(STAMPS, st.builds(rfc3339, st.integers(10**11, 7 * 10**12), st.integers(-720, 840)))))
def test_many_times_are_read_as_one_is(texts: list[str]):
    for text in texts:
        if len(text) < 20:
            continue
        moments, offsets, plain = parse_times(np.frombuffer(text.encode(), np.uint8)[None, :])
        single = parse_time(text)
        if plain[0]:
            assert (moments[0], offsets[0]) == single
        elif ".1Z" not in text:  # left to parse_time, like all that is not quite plain
            assert isinstance(single, str)


@hypothesis(max_examples=100, deadline=None)
@given(st.integers(0, 7_258_118_399_999), st.integers(-720, 840))
def test_a_time_written_is_the_time_read(moment: int, offset: int):
    assert (moment, offset) == parse_time(rfc3339(moment, offset))


def test_decode_keeps_non_finite_numbers_for_the_reader():
    assert {"a": math.inf} == decode(b'{"a":1e999}')


SEEDS = (
    b'{"a":1,"b":[{"c":2},{"d":"x: \\":"}],"e":{"f":null}}',
    b'[{"a":1,"b":2},{"a":1.5,"b":"q\\":"}]',
    b'{"a" : 1, "a":2}',
    b'[{"a":1,"b\\" :":2,"b":3, "b":4}]',
    b'{"person": "p", "time":"2026-01-05T00:00:00Z","x":12345678901234567890}',
    b'{"a":{"b":{"c":1,"c":2}}}',
    b'{"a":NaN,"b":1e999,"c":-0}',
    b'{"a":[[{"x":1,"x":1}]]}',
    b'{"\\u0061":1,"a":2}',
    b'{"a":[1.7976931348623159e308,5e-324,0.1,-0.0,9223372036854775808],"b":"\\ud800","c":-Infinity} \n',
    b"[{}]",
)


def test_the_fast_way_through_json_gives_what_the_strict_way_gives(monkeypatch):
    rng, sent = random.Random(1), []
    pieces = (b'"a":1,', b'":', b" :", b'\\"', *(bytes([one]) for one in b'{}[]":, \t\n\\ab019.eN-u'))
    for _ in range(20_000):
        raw = rng.choice(SEEDS)
        for _ in range(rng.randrange(4)):
            start, end = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
            raw = rng.choice(
                (raw[:start] + rng.choice(pieces) + raw[start:], raw[:start] + raw[end:], raw[:end] + raw[start:])
            )
        sent.append(raw)
    fast = [repr(messages.strict(raw, 999)) for raw in sent]
    took_it = sum(messages._plainly(raw, raw.decode()) is not None for raw in sent if raw)
    monkeypatch.setattr(messages, "_plainly", lambda raw, text: None)

    assert [repr(messages.strict(raw, 999)) for raw in sent] == fast
    assert took_it > 1000


def test_many_messages_at_once_are_read_as_each_alone():
    rng, whole = random.Random(2), (b'{"a":1,"b":2.5}', b'{"a":1, "b":null}', b'{"person":"p","b":"x"}')
    odd = (
        b'{"a":1},{"b":2}', b'{"a":1},\n{"b":2', b'"c":3}', b'{"a":"x', b'{"a":[1}', b'{"b":2]}', b'{"a":1,"a":2}', b"",
        b'{"a":"},{"}', b'{"a":"\n"}', b'{"a":{"b":1}}', b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b'{"a":NaN}', b"[]", b"{}",
        b'{"a":"\0"}', b'{"a":' + b"1" * 70_000 + b"}", b'{"a":"\\ud800"}', b' {"a":1}', b'{"a":1}\n',
    )  # fmt: skip
    together = 0
    for _ in range(4_000):
        sent = [rng.choice(whole) if rng.random() < 0.8 else rng.choice(odd) for _ in range(rng.randint(1, 6))]
        together += len(sent) > 1 and messages._together(sent) is not None

        assert repr([decode(raw) for raw in sent]) == repr(messages.decode_all(sent))
    assert together > 500
