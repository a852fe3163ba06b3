"""Readings in, what is known of people out: each once, on the disk, scored as the monitor alone scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sqlalchemy import event

from serving_world import OTHER, RUN, Ward, messages
from tiny import somebody
from vitalwatch.deliveries import Delivery, Sender
from vitalwatch.errors import NoModelYet, NotAllowed, StorageFull
from vitalwatch.monitor import Monitor
from vitalwatch.tables import MINUTE

FOREVER = 1 << 60


@pytest.fixture
def ward(tmp_path, tiny_bundle, url) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, url)
    yield ward
    ward.engine.close()


def some(n: int, start: int = 0, who: int = 0):
    return somebody(who).readings.rows(slice(start, start + n))


def reading(minute: int = 0, **more) -> dict:
    return {"person": "anna", "time": f"2026-01-05T08:{minute:02d}:00Z", "heart_rate": 60, **more}


def test_what_is_accepted_is_scored_as_the_monitor_alone_scores(ward, tiny_monitor: Monitor):
    readings = some(700)
    told = messages(readings)
    for start in range(0, 700, 90):
        ward.send(told[start : start + 90])
    alone = tiny_monitor.answer(readings, forecast=False)

    timeline = ward.engine.timeline("anna", 0, FOREVER)
    assert alone.time.tolist() == timeline.time.tolist()
    for name in ("score", "p_value", "unusual", "known", "expected_heart_rate"):
        assert np.array_equal(getattr(alone, name), timeline.values[name], equal_nan=True), name
    assert np.array_equal(alone.grid.column("heart_rate"), timeline.values["heart_rate"], equal_nan=True)
    assert alone.is_anomaly.tolist() == timeline.anomaly.tolist()
    assert alone.grid.filled[:, 0].tolist() == timeline.filled["heart_rate"].tolist()
    assert {RUN} == set(timeline.run)


def test_the_last_days_are_made_anew_as_they_were_scored(ward):
    told = messages(some(1500))
    for start in range(0, 1500, 100):
        ward.send(told[start : start + 100])
    whole = ward.engine.timeline("anna", 0, FOREVER)
    for row in (-1, -300, -900, 0):
        _, before, rows = ward.engine.course("anna", int(whole.time[row]) + 1)

        assert before.newest == (whole.time[row - 1] if row else -1)
        assert whole.time[row:].tolist() == rows.time.tolist()
        for name in ("score", "p_value", "unusual", "known"):
            assert np.array_equal(getattr(rows, name), whole.values[name][row:], equal_nan=True), name


def test_days_made_anew_begin_with_another_medication_where_there_is_one(ward):
    told = messages(some(900))
    ward.send(told[:800])
    ward.engine.change("anna", "medication", {"medication": ["beta_blocker"]}, "nurse")
    ward.send(told[800:])
    whole = ward.engine.timeline("anna", 0, FOREVER)
    _, before, rows = ward.engine.course("anna", int(whole.time[-500]))

    assert some(900).time[799] // (5 * MINUTE) * 5 * MINUTE == before.newest
    assert whole.time[-1] == rows.time[-1]
    assert np.array_equal(rows.score, whole.values["score"][-len(rows) :], equal_nan=True)


def test_the_same_reading_twice_is_one_reading(ward):
    told = messages(some(50))
    first, again = ward.send(told), ward.send(told)

    assert (50, 0) == (first.accepted, again.accepted)
    assert list(range(50)) == [one.position for one in again.duplicates]
    assert 1 == len(ward.engine.people())


def test_an_event_id_twice_is_a_duplicate_and_with_other_content_a_conflict(ward):
    ward.send([reading(event_id="a")])
    receipt = ward.send([reading(event_id="a"), reading(event_id="a", heart_rate=61), reading(1, event_id="a")])

    assert (0, [0], [1, 2]) == (
        receipt.accepted,
        [one.position for one in receipt.duplicates],
        [one.position for one in receipt.rejected],
    )
    assert {"event_id_conflict"} == {one.reason for one in receipt.rejected}


def test_a_batch_sent_again_under_its_idempotency_key_is_a_duplicate(ward):
    ward.send([reading(), reading(1)], idempotency="k")
    receipt = ward.send([reading(), reading(1)], idempotency="k")

    assert (0, 2) == (receipt.accepted, len(receipt.duplicates))


def test_several_deliveries_are_one_transaction_and_each_has_its_receipt(ward, tiny_monitor):
    readings, nurse = some(90), Sender("test", "nurse", None)
    told = messages(readings)
    parts = [told[:30], told[20:60], [b"{"], told[60:]]
    became = ward.engine.accept_all([Delivery(part, nurse) for part in parts])

    assert [(30, 0, 0), (30, 10, 0), (0, 0, 1), (30, 0, 0)] == [
        (one.accepted, len(one.duplicates), len(one.rejected)) for one in became
    ]
    alone, timeline = tiny_monitor.answer(readings, forecast=False), ward.engine.timeline("anna", 0, FOREVER)
    assert np.array_equal(alone.unusual, timeline.values["unusual"], equal_nan=True)


def test_what_is_refused_is_kept_with_its_reason_and_nothing_else_is_lost(ward):
    sent = [reading(), b"{", {"person": "anna", "time": "never"}, reading(1, heart_rate=900), reading(event_id="b")]
    receipt = ward.send(sent)

    assert (2, 0, 3) == (receipt.accepted, len(receipt.duplicates), len(receipt.rejected))
    kept = ward.engine.quarantine().refused
    assert ["not_json", "bad_timestamp", "out_of_physical_range"] == [one.reason for one in kept]
    assert [1, 2, 3] == [one.position for one in kept]


@pytest.mark.parametrize("field", ["person", "event_id", "device"])
def test_a_text_that_no_encoding_can_hold_is_refused_and_kept(ward, field):
    receipt = ward.send([reading(**{field: "a\ud800b"}), reading(1)])

    assert (1, [(0, "bad_text")]) == (receipt.accepted, [(one.position, one.reason) for one in receipt.rejected])
    assert ["bad_text"] == [one.reason for one in ward.engine.quarantine().refused]


def test_without_a_model_readings_are_kept_and_scored_when_there_is_one(tmp_path, tiny_bundle, tiny_monitor, both):
    ward = Ward(tmp_path, None, both)
    readings = some(300)
    receipt = ward.send(messages(readings))
    with pytest.raises(NoModelYet, match=r"python main\.py"):
        ward.engine.monitor()

    assert 300 == receipt.accepted
    assert ward.engine.people()[0].waiting
    ward.place.add_run(RUN, tiny_bundle)
    ward.engine.catch_up()
    timeline = ward.engine.timeline("anna", 0, FOREVER)
    alone = tiny_monitor.answer(readings, forecast=False)
    assert np.array_equal(alone.unusual, timeline.values["unusual"], equal_nan=True)
    assert not ward.engine.people()[0].waiting


def test_a_process_that_starts_anew_goes_on_where_the_other_stopped(ward, tiny_monitor):
    readings = some(900)
    told = messages(readings)
    for start in range(0, 900, 150):
        ward.send(told[start : start + 150])
        ward.again()

    alone = tiny_monitor.answer(readings, forecast=False)
    timeline = ward.engine.timeline("anna", 0, FOREVER)
    assert np.array_equal(alone.unusual, timeline.values["unusual"], equal_nan=True)


def test_readings_that_come_too_late_are_kept_and_not_scored(ward, tiny_monitor):
    readings = some(60)
    early, late, later = readings.rows(slice(10, 40)), readings.rows(slice(0, 10)), readings.rows(slice(40, 60))
    for part in (early, late, later):
        assert len(part) == ward.send(messages(part)).accepted
    ward.again()
    ward.send(messages(some(1, 60)))

    expected = tiny_monitor.answer(somebody(0).readings.rows(slice(10, 61)), forecast=False)
    assert expected.time.tolist() == ward.engine.timeline("anna", 0, FOREVER).time.tolist()


def test_a_reading_that_comes_too_late_is_told_wherever_somebody_looks(ward):
    counted: list[int] = []
    ward.engine.came_late = counted.append
    ward.send([reading(30)])
    receipt = ward.send([reading(10, body_temperature=39.5), reading(35), reading(20)])

    assert (3, [0, 2]) == (receipt.accepted, [one.position for one in receipt.late])
    assert [2] == counted
    kept = ward.engine.late("anna", 0, FOREVER)
    assert (2, [39.5]) == (kept.count, [t for t in kept.readings.values["body_temperature"].tolist() if t == t])
    told = {one.kind: one.body for one in ward.engine.events(0)}
    ten = int(kept.readings.time[0])
    assert {"first": ten, "last": ten + 10 * MINUTE, "readings": 2} == {
        name: told["late"][name] for name in ("first", "last", "readings")
    }
    assert ten + 25 * MINUTE == told["reading"]["time"]


def test_a_batch_that_is_late_as_a_whole_is_no_newest_reading(ward):
    ward.send([reading(30)])
    before = ward.engine.events_kept()[1]
    ward.send([reading(10)])

    assert ["late"] == [one.kind for one in ward.engine.events(before)]


def test_readings_that_waited_for_a_model_and_are_late_by_then_are_told_once(tmp_path, tiny_bundle, both):
    ward, counted = Ward(tmp_path, None, both), []
    ward.engine.came_late = counted.append
    ward.send([reading(30)])
    assert () == ward.send([reading(10)]).late
    ward.place.add_run(RUN, tiny_bundle)
    ward.engine.catch_up()
    assert [] == counted  # none was scored before it: nothing is late
    ward.send([reading(20)])
    ward.engine.close()

    assert [1] == counted


def test_late_readings_of_a_ward_elsewhere_are_not_told(ward):
    ward.send([reading(30)], wards=frozenset({"north"}))
    ward.send([reading(10)], wards=frozenset({"north"}))

    with pytest.raises(NotAllowed):
        ward.engine.late("anna", 0, FOREVER, frozenset({"south"}))


def test_people_of_another_ward_are_not_found(ward):
    ward.send([reading()], wards=frozenset({"north"}))
    south = frozenset({"south"})
    receipt = ward.send([reading(5)], wards=south)

    assert ["not_allowed"] == [one.reason for one in receipt.rejected]
    assert [] == ward.engine.people(south)
    assert [] == ward.engine.events(0, south)
    with pytest.raises(NotAllowed) as elsewhere:
        ward.engine.timeline("anna", 0, FOREVER, south)
    with pytest.raises(NotAllowed) as unknown:
        ward.engine.timeline("nobody", 0, FOREVER, south)
    assert str(elsewhere.value) == str(unknown.value)


def test_a_forecast_is_the_one_that_the_monitor_gives(ward, tiny_monitor):
    readings = some(400)
    ward.send(messages(readings))

    expected = tiny_monitor.advance(
        tiny_monitor.advance(tiny_monitor.begin("a"), readings.rows(slice(0, 399)), forecast=False)[0],
        readings.rows(slice(399, 400)),
    )[1]
    got = ward.engine.forecast("anna")
    np.testing.assert_allclose(expected.forecast[-1], got.forecast[-1], atol=1e-4)


def test_a_run_that_is_promoted_is_picked_up_and_people_move_to_it(ward, tiny_bundle):
    told = messages(some(600))
    ward.send(told[:400])
    ward.place.add_run(OTHER, tiny_bundle)

    assert OTHER == ward.engine.run()
    ward.send(told[400:500])
    ward.engine.catch_up()
    ward.send(told[500:])
    runs = ward.engine.timeline("anna", 0, FOREVER).run
    assert [RUN, OTHER] == list(dict.fromkeys(runs))


def test_a_damaged_run_is_refused_and_the_old_one_goes_on(ward, tiny_bundle):
    ward.engine.monitor()
    folder = ward.place.add_run(OTHER, tiny_bundle)
    model = folder / "models" / "forest.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")

    assert RUN == ward.engine.run()
    assert "forest.onnx" in ward.engine.production.problem


def test_events_tell_of_readings_scores_and_alarms_in_order(ward):
    ward.send(messages(some(2000)))
    events = ward.engine.events(0)

    assert list(range(1, len(events) + 1)) == [event.no for event in events]
    assert {"reading", "score", "alarm"} == {event.kind for event in events}
    assert [] == ward.engine.events(events[-1].no)
    assert (1, events[-1].no) == ward.engine.events_kept()


def test_no_identifier_stands_outside_of_the_vault(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    names = ["Anna.Schmidt", "device-SN-778-XY"]
    ward.send([reading(device=names[1], event_id=f"{names[0]}-1") | {"person": names[0]}])
    ward.send([{"person": names[0], "time": "never", "device": names[1]}])
    content = b"".join(path.read_bytes() for path in ward.place.artifacts.glob("vitalwatch.db*"))

    assert len(content) > 10_000
    assert [] == [name for name in names if name.encode() in content]
    assert names[0] == ward.engine.people(names_for="test")[0].name
    assert names[0] not in json.dumps([event.body for event in ward.engine.events(0)])


def test_a_profile_is_kept_encrypted_and_used(ward):
    ward.send(messages(some(100)))
    before = ward.engine.forecast("anna").forecast[-1]
    ward.engine.set_profile("anna", {"age": 87.0, "sex": "female", "height": 151.0}, "nurse")

    assert 87.0 == ward.engine.profile("anna").age
    assert not np.array_equal(before, ward.engine.forecast("anna").forecast[-1], equal_nan=True)


def test_limits_of_a_person_are_kept(ward):
    ward.send([reading()])
    mine = {"limits": {"heart_rate": {"low": 42.0, "high": 120.0}}}
    ward.engine.set_limits("anna", mine, "nurse")

    assert mine == ward.again().limits("anna")


def test_dense_readings_are_summarised_by_step_as_they_come(ward, tiny_monitor):
    times = [f"2026-01-05T08:{second // 60:02d}:{second % 60:02d}Z" for second in range(0, 900, 10)]
    told = [{"person": "anna", "time": time, "heart_rate": 60 + i % 9} for i, time in enumerate(times)]
    for one in told:
        ward.send([one])
    timeline = ward.engine.timeline("anna", 0, FOREVER)

    assert [30.0, 30.0, 30.0] == timeline.values["count"].tolist()
    assert timeline.time[1] - timeline.time[0] == 5 * MINUTE
    assert np.mean([60 + i % 9 for i in range(60, 90)]) == pytest.approx(timeline.values["heart_rate"][-1], abs=1e-4)


def test_a_full_disk_refuses_new_readings_with_a_clear_error_and_keeps_the_old_ones(tmp_path, tiny_bundle):
    ward = Ward(tmp_path, tiny_bundle)
    told = messages(some(700))
    ward.send(told[:100])

    def pages(most: int) -> Callable[..., None]:
        return lambda connection, record, proxy: connection.execute(f"PRAGMA max_page_count={most}") and None

    full, wide = pages(1), pages(1 << 30)  # SQLite takes 1 as: not one page more than there are
    event.listen(ward.engine.database.engine, "checkout", full)
    with pytest.raises(StorageFull, match="disk is full"):
        ward.send(told[100:])
    event.remove(ward.engine.database.engine, "checkout", full)
    event.listen(ward.engine.database.engine, "checkout", wide)
    kept = ward.engine.timeline("anna", 0, FOREVER)

    assert 100 <= len(kept) < 200
    assert 600 == ward.send(told[100:]).accepted
    assert 700 <= len(ward.engine.timeline("anna", 0, FOREVER))
