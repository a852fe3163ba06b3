"""Readings in, alarms out: rules, alerts, actions, time and notices in one database, through the engine's door."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from receiving_world import Got, http_receiver
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.alerts import ACKNOWLEDGE, ESCALATE, RESOLVE, SNOOZE
from vitalwatch.alerting.notices import Courier
from vitalwatch.alerting.pulse import read_pulse
from vitalwatch.alerting.receivers import Webhook
from vitalwatch.alerting.watchdog import (
    NOT_WORN,
    PULSE,
    REFUSED,
    SILENCE,
    SILENT,
    SYSTEM,
    Limits,
    Pulse,
    Seen,
    Watch,
    missed_in,
)
from vitalwatch.database import notices
from vitalwatch.database.notices import Outgoing
from vitalwatch.database.tables import audit, people
from vitalwatch.errors import AlarmRefused, NotAllowed, SettingsError
from vitalwatch.tables import MINUTE, Readings
from vitalwatch.timestamps import rfc3339

STEP = 5 * MINUTE


class Sick(Ward):
    """A ward with one webhook; readings come as they are measured, and the clock with them."""

    def __init__(self, folder: Path, bundle: tuple[Path, Path]) -> None:
        self.hook = {"name": "hook", "url": "http://127.0.0.1:9/", "secret": str(folder / "secret")}
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_text("s")
        (folder / "secret").chmod(0o600)
        super().__init__(folder, bundle)
        told = json.loads(self.place.config.read_text())
        told["alarms"]["webhooks"] = [self.hook]
        self.place.config.write_text(json.dumps(told))
        self.again()

    def lives(self, readings: Readings, at_once: int = 1, person: str = "anna") -> None:
        told = messages(readings, person)
        for start in range(0, len(told), at_once):
            self.clock.ms = int(readings.time[min(start + at_once, len(told)) - 1]) + 1000
            self.send(told[start : start + at_once])

    def open(self):
        return super().open()

    def alarms(self, rule: str = "") -> list[dict]:
        return [one for one in self.engine.alarms() if rule in ("", one["rule"])]

    @property
    def fever(self) -> dict:
        (found,) = self.alarms("temperature_high")
        return found

    def restarted(self) -> None:
        """Server and watchdog begin anew, with what the watchdog wrote last beside them."""
        seen, self.engine.vigil.guarding = self.engine.vigil._seen, None
        self.again()
        self.engine.vigil.guarding = Dog(self, seen)

    def passes(self, minutes: float) -> None:
        self.clock.ms += round(minutes * MINUTE)
        self.engine.tick()


@pytest.fixture
def ward(tmp_path, tiny_bundle) -> Iterator[Sick]:
    ward = Sick(tmp_path / "ward", tiny_bundle)
    yield ward
    ward.engine.close()


def feverish(n: int = 36, since: int = 30, degrees: float = 39.4, until: int | None = None) -> Readings:
    """Rows of somebody whose temperature is high from a row on: at the sixth of them the rule has seen enough."""
    one = somebody(0).readings.rows(slice(0, n))
    warm = np.full(n, 38.0, np.float32) + np.arange(n, dtype=np.float32) % 3 / 10
    warm[since:until] = degrees + np.arange(n, dtype=np.float32)[since:until] % 3 / 10
    return replace(one, values=dict(one.values) | {"body_temperature": warm})


def test_a_fever_becomes_one_alarm_with_its_why_while_it_goes_on(ward):
    ward.lives(feverish())

    assert ("signalling", "medium", "rules") == tuple(ward.fever[name] for name in ("state", "priority", "source"))
    assert ward.fever["explanation"].startswith("Body temperature is 39.")
    assert int(feverish().time[30]) == ward.fever["start"]
    assert ward.engine.run() == ward.fever["version"]


def test_one_reading_at_a_time_or_a_batch_gives_the_same_alarm(ward, tmp_path, tiny_bundle):
    ward.lives(feverish(), at_once=1)
    other = Sick(tmp_path / "other", tiny_bundle)
    other.lives(feverish(), at_once=36)

    assert [ward.fever["start"]] == [one["start"] for one in other.alarms("temperature_high")]
    other.engine.close()


def test_a_process_that_starts_anew_goes_on_where_the_old_one_was(ward):
    whole = feverish(n=38)
    ward.lives(whole.rows(slice(0, 35)))  # five rows of fever: not yet the half hour that the rule asks for
    assert [] == ward.alarms("temperature_high")

    ward.again()
    ward.lives(whole.rows(slice(35, 37)))
    assert int(whole.time[30]) == ward.fever["start"]


def test_an_alarm_is_acknowledged_once_and_by_whom_is_written_down(ward):
    ward.lives(feverish())
    told = ward.engine.act(ward.fever["id"], ACKNOWLEDGE, "nurse")

    assert ("acknowledged", "nurse") == (told["state"], told["acknowledged_by"])
    assert ["raised", "acknowledge"] == [one["cause"] for one in ward.engine.alarm(told["id"])["history"]]
    with ward.engine.database.reading() as connection:
        written = connection.execute(select(audit.c.actor, audit.c.action, audit.c.object)).all()
    assert ("nurse", "alarm.acknowledge", told["id"]) in [tuple(row) for row in written]


def test_acknowledged_but_persisting_comes_back_and_a_snooze_too(ward):
    ward.lives(feverish())
    ward.engine.act(ward.fever["id"], ACKNOWLEDGE, "nurse")
    ward.passes(239)
    assert "acknowledged" == ward.fever["state"]
    ward.passes(1)
    assert ("signalling", 1) == (ward.fever["state"], ward.fever["repeats"])

    ward.engine.act(ward.fever["id"], SNOOZE, "nurse", pause=10 * MINUTE)
    ward.passes(9)
    assert "audio_paused" == ward.fever["state"]
    ward.passes(1)
    assert "signalling" == ward.fever["state"]


def test_what_nobody_acts_on_escalates_as_time_passes(ward):
    ward.lives(feverish())
    ward.passes(15)

    assert (1, "high") == (ward.fever["level"], ward.fever["priority"])


def test_a_fever_that_is_closed_while_it_goes_on_is_still_on_the_ward_and_comes_back_by_itself(ward):
    whole = feverish(n=40)
    ward.lives(whole.rows(slice(0, 36)))
    first = ward.fever["id"]
    ward.engine.act(first, RESOLVE, "nurse")
    ward.lives(whole.rows(slice(36, 40)))
    (line,) = ward.engine.people()

    assert ("medium", "acknowledged", "") == (line.priority, ward.fever["state"], ward.fever["acknowledged_by"])
    ward.passes(240)
    assert ("signalling", True) == (ward.fever["state"], first != ward.fever["id"])


def test_an_action_that_cannot_be_done_says_why(ward):
    ward.lives(feverish())
    alarm = ward.fever["id"]
    with pytest.raises(AlarmRefused, match="longer than nothing"):
        ward.engine.act(alarm, SNOOZE, "nurse", pause=10**9)
    ward.engine.act(alarm, RESOLVE, "nurse")
    with pytest.raises(AlarmRefused) as caught:
        ward.engine.act(alarm, ESCALATE, "nurse")
    assert "already_resolved" == caught.value.reason


def test_alarms_of_another_ward_cannot_be_touched_nor_seen(ward):
    ward.lives(feverish())
    alarm = ward.fever["id"]
    for ask in (ward.engine.act, lambda *a, **k: ward.engine.alarm(a[0], **k)):
        with pytest.raises(NotAllowed):
            ask(alarm, ACKNOWLEDGE, "nurse", wards=frozenset({"elsewhere"}))
    with pytest.raises(NotAllowed):
        ward.engine.act("nothing", ACKNOWLEDGE, "nurse")


def test_a_persons_own_limit_holds_from_the_next_reading_on(ward):
    ward.lives(feverish(n=30, since=30))
    ward.engine.set_limits("anna", {"limits": {"body_temperature": {"high": 40.0}}}, "doctor")
    ward.lives(feverish().rows(slice(30, 33)))

    assert [] == ward.alarms("temperature_high")
    assert {"limits": {"body_temperature": {"high": 40.0}}} == ward.engine.limits("anna")


def test_limits_with_a_misspelt_key_are_refused_with_the_nearest(ward):
    ward.lives(feverish(n=2))
    with pytest.raises(SettingsError, match="Did you mean limits"):
        ward.engine.set_limits("anna", {"limit": {}}, "doctor")
    with pytest.raises(SettingsError, match="is no vital sign"):
        ward.engine.set_limits("anna", {"limits": {"pulse": {"low": 40}}}, "doctor")


def test_an_hour_that_comes_late_is_one_summary(ward):
    life = feverish(n=60, since=30, until=40)
    oxygen = life.values["oxygen_saturation"].copy()  # of the person that all tests share
    oxygen[45:] = 80 + np.arange(15) % 3
    life = replace(life, values=dict(life.values) | {"oxygen_saturation": oxygen})
    ward.lives(life.rows(slice(0, 29)))
    ward.lives(life.rows(slice(29, 60)), at_once=31)

    shown = [one for one in ward.alarms() if not one["summary"] and one["raised_at"] == ward.clock.ms]
    assert ["backlog"] == [one["rule"] for one in shown]
    assert "[now] Oxygen saturation" in shown[0]["explanation"]


def test_events_tell_how_an_alarm_lives(ward):
    ward.lives(feverish())
    ward.engine.act(ward.fever["id"], ACKNOWLEDGE, "nurse")
    told = [one.body for one in ward.engine.events(0, most=10_000) if one.kind == "alarm"]
    mine = [(one["state"], one["cause"], one["sounds"]) for one in told if one["rule"] == "temperature_high"]

    assert [("signalling", "raised", True), ("acknowledged", "acknowledge", False)] == mine


def carried(ward: Sick, got: Got, url: str) -> None:
    Courier(Outgoing(ward.engine.database), Webhook("hook", url, b"s")).once()


def test_notices_wait_in_the_database_until_they_are_accepted(ward):
    ward.lives(feverish())
    ward.again()
    got = Got(answers=[(500, {})])
    with http_receiver(got) as url:
        carried(ward, got, url)
        assert [] == got.accepted
        carried(ward, got, url)
        carried(ward, got, url)

    told = [one["commonLabels"]["alertname"] for one in got.accepted]
    assert 1 == told.count("temperature_high")
    assert [] == list(Outgoing(ward.engine.database).pending("hook", 10, ()))


def test_notices_of_a_receiver_that_is_gone_are_forgotten(ward):
    ward.lives(feverish())
    with ward.engine.database.writing() as connection:
        notices.drop_others(connection, ["somebody else"])

    assert [] == list(Outgoing(ward.engine.database).pending("hook", 10, ()))


class Dog:
    """The watchdog's mind beside an engine, with the engine's own clock: what the process does, without waiting."""

    def __init__(self, ward: Sick, before: Seen | None = None) -> None:
        limits = Limits(silence=1800, not_worn=10800)
        self.ward, self.watch = ward, Watch(limits, ward.clock.ms / 1000, missed=missed_in(before))

    def beat(self, pulse: Pulse):
        return self.watch.look(pulse, self.ward.clock.ms / 1000, self.ward.clock.ms)

    def undelivered(self) -> dict[str, float]:
        return {}

    def unsure(self) -> frozenset[str]:
        return frozenset()


@pytest.fixture
def watched(ward) -> Sick:
    """A ward whose engine has a watchdog's mind in place of its process."""
    ward.lives(feverish())
    ward.engine.vigil.guarding = Dog(ward)
    yield ward
    ward.engine.vigil.guarding = None


def test_silence_is_a_technical_alarm_then_a_state_and_a_clinical_condition_does_not_outlive_it(watched):
    watched.passes(1)
    assert [] == watched.alarms(SILENCE)

    watched.passes(30)
    assert [("technical", "low")] == [(one["category"], one["priority"]) for one in watched.alarms(SILENCE)]
    assert watched.fever["end"] is None

    watched.passes(150)
    assert [] == watched.alarms(SILENCE)
    assert NOT_WORN in watched.engine.vigil.wear().values()
    assert "latched" == watched.fever["state"]  # over, and still there for somebody to see


def test_a_reading_ends_a_silence(watched):
    watched.passes(0)
    watched.passes(31)
    assert 1 == len(watched.alarms(SILENCE))

    watched.clock.ms += 1000
    watched.send(messages(replace(feverish(1), time=np.asarray([watched.clock.ms - 1000]))))
    watched.passes(0)
    assert [] == watched.alarms(SILENCE)


def test_who_is_heard_after_the_watchdog_looked_is_not_silent(watched, monkeypatch):
    """It looks once a second, and what it saw is told up to a second later."""
    watched.passes(0)
    watched.passes(181)
    assert watched.fever["end"] is not None
    looked = watched.engine.vigil._seen
    assert {NOT_WORN} == set(looked.wear.values())
    monkeypatch.setattr(watched.engine.vigil.guarding, "beat", lambda pulse: looked)

    watched.clock.ms += 90 * MINUTE
    hot = feverish(48).rows(slice(30, 48))
    watched.send(messages(replace(hot, time=hot.time - hot.time[-1] + watched.clock.ms - 1000)))
    assert watched.fever["end"] is None
    watched.passes(0)
    assert watched.fever["end"] is None


def test_who_is_heard_after_the_watchdog_looked_has_no_alarm_of_silence(watched, monkeypatch):
    watched.passes(0)
    watched.passes(29)
    look = watched.engine.vigil.guarding.beat

    def heard_meanwhile(pulse: Pulse) -> Seen:
        looked = look(pulse)
        watched.send(messages(replace(feverish(1), time=np.asarray([watched.clock.ms - 1000]))))
        return looked

    monkeypatch.setattr(watched.engine.vigil.guarding, "beat", heard_meanwhile)
    watched.passes(2)
    assert {SILENT} == set(watched.engine.vigil._seen.wear.values())
    assert [] == watched.alarms(SILENCE)


def test_readings_that_come_and_are_refused_are_told_as_such_and_not_as_silence(watched):
    watched.passes(0)
    for minute in range(35):
        watched.passes(1)
        if minute % 5 == 0:
            watched.send([{"person": "anna", "time": rfc3339(watched.clock.ms), "body_temperature": 99.1}])
    assert [] == watched.alarms(SILENCE)
    (told,) = watched.alarms(REFUSED)
    assert ("technical", "low") == (told["category"], told["priority"])
    assert "unit_suspect" in told["explanation"]

    watched.passes(31)
    assert ([], 1) == (watched.alarms(REFUSED), len(watched.alarms(SILENCE)))


def test_a_restart_neither_makes_worn_what_is_not_nor_alarms_again(watched):
    watched.passes(0)
    watched.passes(31)
    before = watched.alarms(SILENCE)
    watched.restarted()
    watched.passes(0)
    assert before == watched.alarms(SILENCE)

    watched.passes(150)
    watched.restarted()
    watched.passes(0)
    assert {"anna": NOT_WORN} == {one.name: one.wear for one in watched.engine.people(names_for="test")}
    watched.passes(31)
    assert [] == watched.alarms(SILENCE)


def test_who_is_discharged_is_not_missed_until_a_reading_comes(watched):
    watched.passes(0)
    watched.passes(31)
    watched.engine.discharge("anna", "clerk")
    assert [] == watched.alarms(SILENCE)

    watched.passes(60)
    assert [] == watched.alarms(SILENCE)

    watched.clock.ms += 1000
    watched.send(messages(replace(feverish(1), time=np.asarray([watched.clock.ms - 1000]))))
    watched.passes(0)
    watched.passes(31)
    assert 1 == len(watched.alarms(SILENCE))


def test_who_is_discharged_after_the_watchdog_looked_is_not_missed_again(watched, monkeypatch):
    watched.passes(0)
    watched.passes(31)
    looked = watched.engine.vigil._seen
    assert {SILENT} == set(looked.wear.values())
    monkeypatch.setattr(watched.engine.vigil.guarding, "beat", lambda pulse: looked)

    watched.engine.discharge("anna", "clerk")
    watched.passes(0)
    assert [] == watched.alarms(SILENCE)


def test_readings_that_wait_too_long_are_an_alarm_about_no_person(watched):
    watched.engine.catch_up()
    with watched.engine.database.writing() as connection:
        connection.execute(update(people).values(scored=people.c.scored - 1))
    watched.passes(1)

    assert [("scorer_lagging", SYSTEM)] == [(one["rule"], one["person"]) for one in watched.alarms("scorer_lagging")]
    told = watched.engine.act(watched.alarms("scorer_lagging")[0]["id"], ACKNOWLEDGE, "admin")
    assert "acknowledged" == told["state"]


def test_a_started_engine_beats_is_watched_and_tells_the_outside(tmp_path, tiny_bundle):
    got = Got()
    with http_receiver(got) as url:
        ward = Sick(tmp_path / "ward", tiny_bundle)
        told = json.loads(ward.place.config.read_text())
        told["alarms"]["webhooks"] = [ward.hook | {"url": url}]
        ward.place.config.write_text(json.dumps(told))
        ward.again().start()
        ward.lives(feverish(), at_once=5)
        began = time.monotonic()
        pulse = ward.place.artifacts / "watchdog" / PULSE
        while not (got.accepted and read_pulse(pulse) and ward.engine.vigil.wear()):
            assert time.monotonic() - began < 30, "nothing was told"
            time.sleep(0.05)
        ward.engine.close()

    assert "temperature_high" in [one["commonLabels"]["alertname"] for one in got.accepted]
    assert ward.engine.vigil.guarding is not None


def test_what_alarms_cost_is_measured_in_a_ward(ward):
    since = int(feverish().time[0])
    ward.lives(feverish())
    ward.engine.act(ward.fever["id"], ACKNOWLEDGE, "nurse")
    every, elsewhere = ward.engine.burden(since), ward.engine.burden(since, frozenset({"elsewhere"}))
    found = every.total

    assert len(ward.alarms()) == found.alerts == sum(one.alerts for one in every.rules.values())
    assert 1.0 == every.rules["temperature_high"].acknowledged
    assert 1 / found.alerts == pytest.approx(found.acknowledged)
    assert found.alerts / (len(feverish()) * 5 / 1440) == pytest.approx(found.per_person_day, rel=0.2)
    assert (0, {}) == (elsewhere.total.alerts, elsewhere.rules)


def test_open_alarms_outlive_their_process_until_somebody_acknowledges_on_either_database(tmp_path, tiny_bundle, both):
    ward = Ward(tmp_path, tiny_bundle, both)
    ward.send(messages(somebody(0).readings.rows(slice(0, 2500))))
    before = ward.engine.alarms()
    ward.again()

    assert before == ward.engine.alarms() != []
    ward.engine.act(before[0]["id"], ACKNOWLEDGE, "nurse")
    ward.again()
    told = {one["id"]: one for one in ward.engine.alarms(open_only=False)}
    assert "nurse" == told[before[0]["id"]]["acknowledged_by"]
    assert {one["id"] for one in before} <= told.keys()
    ward.engine.close()
