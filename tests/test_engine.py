"""Readings in, what is known of people out: each once, on the disk, scored as the monitor alone scores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sqlalchemy import delete, event, text, update

from serving_world import OTHER, RUN, Ward, messages
from tiny import somebody
from vitalwatch.database import judgements
from vitalwatch.database.event_ids import FORMER
from vitalwatch.database.tables import facts, readings
from vitalwatch.deliveries import Delivery, Sender
from vitalwatch.errors import DatabaseError, NoModelYet, NotAllowed, StorageFull
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
    ward.engine.transactions.came_late = counted.append
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
    ward.engine.transactions.came_late = counted.append
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

    before, _ = tiny_monitor.advance(tiny_monitor.begin("a"), readings.rows(slice(0, 399)), forecast=False, follow=True)
    expected = tiny_monitor.advance(before, readings.rows(slice(399, 400)))[1]
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


def test_a_profile_that_another_process_wrote_holds_from_the_next_reading_on(tmp_path, tiny_bundle, both):
    ward = Ward(tmp_path, tiny_bundle, both)
    told = messages(some(120))
    ward.send(told[:100])
    other = ward.open()
    other.set_profile("anna", {"age": 87.0, "sex": "female", "height": 151.0}, "nurse")
    ward.send(told[100:110])
    here = ward.engine.timeline("anna", 0, FOREVER)
    (anna,) = ward.engine.people()
    held = ward.engine._recall._held[ward.engine.person("anna").no].state
    ward.again()
    with ward.engine.database.reading() as connection:
        person, served = ward.engine.person("anna"), ward.engine.production.served()
        anew = ward.engine._recall.remade(connection, person, served).state

    assert 87.0 == ward.engine.profile(anna.person).age
    assert np.array_equal(anew.person, held.person)
    assert not np.array_equal(served.monitor.begin("anna").person, held.person)
    assert 110 <= len(here)
    other.close()
    ward.engine.close()


def test_an_event_id_is_one_name_among_a_persons_readings_and_tells_nothing_of_other_wards(ward):
    north, south = frozenset({"north"}), frozenset({"south"})
    one = {"time": "2026-01-05T08:00:00Z", "heart_rate": 60, "event_id": "1"}
    assert 1 == ward.send([{**one, "person": "s1"}], wards=south).accepted
    assert 1 == ward.send([{**one, "person": "n1"}], wards=north).accepted
    again = ward.send([{**one, "person": "n1"}], wards=north)
    other = ward.send([{**one, "person": "n1", "heart_rate": 61}], wards=north)

    assert (0, 1) == (again.accepted, len(again.duplicates))
    assert ["event_id_conflict"] == [told.reason for told in other.rejected]


def test_readings_stored_before_event_ids_were_by_person_are_still_known(tmp_path, tiny_bundle, both):
    ward = Ward(tmp_path, tiny_bundle, both)
    one = {"person": "s1", "time": "2026-01-05T08:00:00Z", "heart_rate": 60, "event_id": "1"}
    ward.send([one])
    with ward.engine.database.writing() as connection:  # as an earlier version left it
        former = ward.engine._secret.event(b"id", b"1")
        connection.execute(update(readings).values(event=former))
        connection.execute(delete(facts).where(facts.c.name == FORMER))
    ward.again()
    again, other = ward.send([one]), ward.send([{**one, "heart_rate": 61}])

    assert (0, 1) == (again.accepted, len(again.duplicates))
    assert ["event_id_conflict"] == [told.reason for told in other.rejected]
    assert 1 == ward.send([{**one, "person": "n1"}]).accepted
    with ward.engine.database.writing() as connection:
        connection.execute(delete(readings).where(readings.c.event == former))
    ward.again()
    assert 1 == ward.send([{**one, "time": "2026-01-05T08:05:00Z", "event_id": "2"}]).accepted
    assert ward.engine.intake._ids.has_former is False
    ward.engine.close()


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


def put_in_order(ward) -> int:
    return ward.engine.ordering.run(ward.engine.production.answering())


def remembered(ward):
    with ward.engine.database.reading() as connection:
        return judgements.read(connection, [ward.engine.person("anna")])


def test_late_readings_within_the_bound_are_put_in_order_as_if_they_had_come_so(ward, tmp_path, tiny_bundle):
    told = [
        one | ({"oxygen_saturation": 80.0 + i % 2} if 640 <= i else {}) for i, one in enumerate(messages(some(680)))
    ]
    (tmp_path / "ordered").mkdir()
    ordered = Ward(tmp_path / "ordered", tiny_bundle)
    ordered.send(told)
    ward.send([*told[:660], *told[670:]])
    late = told[660:670]
    assert 10 == len(ward.send(late[::-1]).late)
    assert 10 == put_in_order(ward)
    assert (0, 0) == (put_in_order(ward), ward.engine.late("anna", 0, FOREVER).count)

    def same() -> None:
        one, other = (each.engine.timeline("anna", 0, FOREVER) for each in (ordered, ward))
        assert one.time.tolist() == other.time.tolist()
        assert one.values.keys() == other.values.keys()
        for name, column in one.values.items():
            assert np.array_equal(column, other.values[name], equal_nan=True), name
        assert (one.anomaly.tolist(), one.kind) == (other.anomaly.tolist(), other.kind)
        assert remembered(ordered)[1] == remembered(ward)[1]
        rules = ({alarm["rule"] for alarm in each.engine.alarms(open_only=False)} for each in (ordered, ward))
        assert next(rules) == next(rules)

    same()
    more = messages(some(60, 680))
    for each in (ordered, ward):
        each.send(more[:30])
        each.again()  # from what stands in the database
        each.send(more[30:])
    same()
    ordered.engine.close()


def test_an_alarm_that_late_readings_bring_is_raised_and_one_that_was_told_stays(ward):
    told = messages(some(300))
    sick = [one | {"oxygen_saturation": 80.0 + i % 2} for i, one in enumerate(told[280:288])]
    ward.send([*told[:280], *told[288:]])
    before = {one["id"] for one in ward.engine.alarms(open_only=False)}
    assert "oxygen_low" not in {one["rule"] for one in ward.engine.alarms(open_only=False)}
    ward.send(sick)
    put_in_order(ward)
    after = ward.engine.alarms(open_only=False)

    assert "oxygen_low" in {one["rule"] for one in after}
    assert before <= {one["id"] for one in after}
    ordered = [one.body for one in ward.engine.events(0, most=5000) if "ordered" == one.kind]
    assert [8] == [one["readings"] for one in ordered]


def test_readings_later_than_the_bound_and_those_behind_another_medication_stay_late(ward):
    told = messages(some(60))
    ward.send([*told[:10], *told[12:]])
    ward.send(told[10:11])  # more than two hours behind
    assert (0, 1) == (put_in_order(ward), ward.engine.late("anna", 0, FOREVER).count)

    ward.engine.change("anna", "device", {}, "nurse")
    ward.send(messages(some(3, 60)))
    ward.send([told[58] | {"heart_rate": 71.5}])
    assert (0, 2) == (put_in_order(ward), ward.engine.late("anna", 0, FOREVER).count)


def test_what_was_late_when_a_process_ended_is_put_in_order_by_the_next_one(ward):
    told = messages(some(60))
    ward.send([*told[:50], *told[52:]])
    ward.send(told[50:52])
    ward.again()
    ward.engine.ordering.everybody()

    assert 2 == put_in_order(ward)


@pytest.mark.parametrize("restarts", [False, True])
def test_readings_shuffled_within_the_bound_are_in_the_end_what_they_are_in_order(ward, tiny_monitor, restarts):
    rng, readings = np.random.default_rng(1), some(200)
    told = messages(readings)
    # of the 24 steps of the bound; one that starts anew measures it from a newest row that the last load moved by 9
    order = np.argsort(np.arange(200) + rng.uniform(0, 12 if restarts else 20, 200))
    order = [0, *(i for i in order.tolist() if i)]
    for start in range(0, 200, 9):
        ward.send([told[i] for i in order[start : start + 9]])
        if restarts and rng.random() < 0.3:
            ward.again().ordering.everybody()
        if restarts or rng.random() < 0.4:
            put_in_order(ward)
    put_in_order(ward)

    alone, timeline = tiny_monitor.answer(readings, forecast=False), ward.engine.timeline("anna", 0, FOREVER)
    assert 0 == ward.engine.late("anna", 0, FOREVER).count
    assert alone.time.tolist() == timeline.time.tolist()
    for name in ("score", "p_value", "unusual", "known", "expected_heart_rate"):
        assert np.array_equal(getattr(alone, name), timeline.values[name], equal_nan=True), name
    assert alone.is_anomaly.tolist() == timeline.anomaly.tolist()


def test_a_transaction_that_fails_in_the_midst_of_putting_in_order_leaves_it_to_be_done(ward):
    told = messages(some(60))
    ward.send([*told[:50], *told[52:]])
    ward.send(told[50:52])
    before = ward.engine.timeline("anna", 0, FOREVER)
    with ward.engine.database.writing() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    with pytest.raises(DatabaseError):
        put_in_order(ward)
    with ward.engine.database.writing() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
    after = ward.engine.timeline("anna", 0, FOREVER)

    assert np.array_equal(before.values["score"], after.values["score"], equal_nan=True)
    assert 2 == ward.engine.late("anna", 0, FOREVER).count
    ward.again().ordering.everybody()
    assert (2, 0) == (put_in_order(ward), ward.engine.late("anna", 0, FOREVER).count)


def test_a_running_engine_puts_late_readings_in_order_by_itself(ward):
    told = messages(some(60))
    ward.clock.ms = int(some(60).time[-1]) + 1000
    ward.send([*told[:50], *told[52:]])
    ward.engine.start()
    ward.send(told[50:52])
    deadline = time.monotonic() + 20
    while ward.engine.late("anna", 0, FOREVER).count and time.monotonic() < deadline:
        time.sleep(0.05)

    assert 0 == ward.engine.late("anna", 0, FOREVER).count
