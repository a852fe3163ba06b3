"""Bodies of readings that are no strict JSON: what can be told apart is taken or named, and nothing disappears."""

from __future__ import annotations

import json
import time

import pytest

from api_world import Answer, Api
from vitalwatch.database import quarantine
from vitalwatch.messages import MAX_BYTES, items

READINGS = "/readings"


def reading(minute: int, piece: str = "") -> bytes:
    """Return a reading with a piece of JSON put into it as it is."""
    told = {"person": "bed-7", "time": f"2026-01-05T08:{minute:02d}:00Z", "heart_rate": 72}
    return json.dumps(told)[:-1].encode() + piece.encode("latin-1") + b"}"


BAD_ITEMS = {
    "duplicate_key": ', "heart_rate": 300',
    "too_deep": ', "nested": ' + "[" * 9 + "]" * 9,
    "encoding": ', "device": "\xff"',
    "bad_text": ', "device": "\x01"',
    "not_json": ", heart: 1",
}


def kept(own: Api) -> list[tuple[str, bytes]]:
    """Return reason and content of everything in the quarantine."""
    engine = own.engine
    with engine.database.reading() as connection:
        listed = quarantine.listed(connection, None)
        opened = quarantine.opened(connection, engine._secret, [one.no for one in listed])
    return [(one.reason, opened[one.no].raw) for one in listed]


def balance(answer: Answer) -> int:
    """Return accepted + duplicate + rejected."""
    return answer.json["accepted"] + len(answer.json["duplicates"]) + len(answer.json["rejected"])


@pytest.mark.parametrize("reason", BAD_ITEMS)
def test_a_bad_item_of_an_array_is_named_and_kept_and_the_others_are_taken(own: Api, reason: str) -> None:
    bad = reading(5, BAD_ITEMS[reason])
    body = b"[ %s,\n%s , %s,%s]" % (reading(0), bad, reading(0), reading(10))
    answer = own.ask("POST", READINGS, body)

    assert (202, 2, [2]) == (answer.status, answer.json["accepted"], answer.json["duplicates"])
    assert [(1, reason)] == [(one["position"], one["code"]) for one in answer.json["rejected"]]
    assert 4 == balance(answer)
    assert [(reason, bad)] == kept(own)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"[%s] [%s]" % (reading(0), reading(5)), 422, "trailing_data"),
        (reading(0) + b" Schmidt", 422, "trailing_data"),
        (reading(0, BAD_ITEMS["duplicate_key"]), 422, "duplicate_key"),
        (b"\xef\xbb\xbf[%s]" % reading(0), 422, "encoding"),
        (b"[" * 5_000, 422, "too_deep"),
        (b"[%s, " % reading(0), 400, "not_json"),
        (b'[{"person": "Schmidt', 400, "not_json"),
    ],
)
def test_a_body_that_cannot_be_told_apart_is_kept_once_and_counted(own: Api, body, status, reason) -> None:
    answer = own.ask("POST", READINGS, body)

    assert (status, reason, 1) == (answer.status, answer.code, balance(answer))
    assert [(0, reason)] == [(one["position"], one["code"]) for one in answer.json["rejected"]]
    assert [(reason, body)] == kept(own)
    assert {reason: 1} == own.ask("GET", "/quarantine").json["counts"]
    assert f'vitals_records_quarantined_total{{rule="{reason}"}} 1.0' in own.ask("GET", "/metrics").body.decode()
    assert b"Schmidt" not in answer.body


def test_of_a_long_body_that_cannot_be_told_apart_the_beginning_is_kept(own: Api) -> None:
    body = b"[" + b",".join([reading(0)] * 900) + b"] []"

    assert 422 == own.ask("POST", READINGS, body).status
    assert [("trailing_data", body[:MAX_BYTES])] == kept(own)


def test_an_array_of_too_many_items_is_refused_as_too_many_also_with_a_bad_one(own: Api) -> None:
    body = b"[" + b",".join([reading(0, BAD_ITEMS["duplicate_key"])] * 1_001) + b"]"

    assert (422, "too_many") == ((answer := own.ask("POST", READINGS, body)).status, answer.code)


@pytest.mark.parametrize(
    "body", [b"", b"[]]", b"[1,,2]", b"[1,]", b"{}", b'"[1]"', b"[1", b"[1] 2", b'["a]', b"][", b"[}"]
)
def test_what_is_no_array_has_no_items(body: bytes) -> None:
    assert items(body, 9) is None


def test_items_are_told_apart_at_commas_outside_of_strings_and_brackets() -> None:
    told = [b'"a,]\\""', b'{"b": [1, {"c": "}"}]}', b"[,]", b"x y"]

    assert told == items(b" [" + b" ,\n".join(told) + b"]\n", 9)
    assert 3 == len(items(b"[1,2,3,4,5]", 2) or ())


@pytest.mark.parametrize("piece", [b'"', b'\\"', b"\\", b"[", b"{", b",", b"1,"])
def test_items_of_the_longest_body_are_told_apart_at_once(piece: bytes) -> None:
    began = time.process_time()
    items(b'["' + piece * (2**20 // len(piece)), 1_000)
    items(b"[" + piece * (2**20 // len(piece)), 1_000)

    assert time.process_time() - began < 2
