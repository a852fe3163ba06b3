"""L2: what is told arrives, in order for each person, though receivers fail and couriers die."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass, field

import pytest

from alerting_world import FLAT, Ward, condition
from receiving_world import Got, http_receiver, smtp_receiver
from vitalwatch.alerting.alerts import ACKNOWLEDGE, RESOLVE, Alert
from vitalwatch.alerting.notices import FIRST_WAIT, LONGEST_WAIT, Courier, NotDelivered, Notice, notable
from vitalwatch.alerting.receivers import KEY, NEVER, SIGNATURE, STAMP, Log, Mail, Webhook, signature
from vitalwatch.alerting.spool import Spool

SECRET = b"shared with the receiver"


@dataclass
class Time:
    """Seconds that a test lets pass."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Choosy:
    """A receiver that fails as it is told."""

    fails: list[NotDelivered] = field(default_factory=list)
    got: list[Notice] = field(default_factory=list)
    name: str = "choosy"

    def send(self, notice: Notice) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.got.append(notice)


def told(ward: Ward) -> list[tuple[Alert, object]]:
    return [(ward.alerts[one.alert], one) for one in ward.told if notable(ward.alerts[one.alert], one)]


@pytest.fixture
def spool(tmp_path):
    """A spool with two notices of anna and one of ben: raised, raised, resolved."""
    ward = Ward()
    ward.sees(0, condition())
    ward.sees(0, condition(of=FLAT), person="ben")
    ward.does(1, RESOLVE, next(one for one in ward.alerts.values() if one.person == "anna"))
    box = Spool(tmp_path / "spool", ["hook", "choosy", "mail"])
    box.add(told(ward))
    return box


def hook(url: str, clock: Time | None = None) -> Webhook:
    return Webhook("hook", url, SECRET, "https://watch.example", clock or Time())


def statuses(got: Got) -> list[tuple[str, str]]:
    return [(one["groupLabels"]["person"], one["status"]) for one in got.accepted]


def test_a_webhook_gets_what_alertmanager_would_send(spool):
    got = Got()
    with http_receiver(got) as url:
        Courier(spool, hook(url)).once()

    first, second = got.bodies[0], got.bodies[2]
    assert {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"),
        *("commonAnnotations", "externalURL", "alerts"),
    } == set(first)
    assert ("4", "firing", 0, "hook") == (
        first["version"],
        first["status"],
        first["truncatedAlerts"],
        first["receiver"],
    )
    (alert,) = first["alerts"]
    keys = ("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint")
    assert set(keys) == set(alert)
    assert ("1970-01-01T00:00:00.000Z", NEVER) == (alert["startsAt"], alert["endsAt"])
    assert ("fast", "anna", "medium") == tuple(alert["labels"][name] for name in ("alertname", "person", "priority"))
    assert ("resolved", alert["fingerprint"]) == (second["status"], second["alerts"][0]["fingerprint"])
    assert "1970-01-01T00:01:00.000Z" == second["alerts"][0]["endsAt"]


def test_every_message_is_signed_over_its_time_and_body(spool):
    got = Got()
    with http_receiver(got) as url:
        Courier(spool, hook(url, Time(1234.5))).once()

    head, raw = got.headers[0], got.raw[0]
    expected = hmac.new(SECRET, b"1234." + raw, hashlib.sha256).hexdigest()
    assert ("1234", f"sha256={expected}") == (head[STAMP], head[SIGNATURE])
    assert expected == signature(SECRET, "1234", raw)
    assert f"{got.bodies[0]['alerts'][0]['fingerprint']}-1" == head[KEY]


def test_a_notice_is_tried_again_until_it_is_accepted_and_others_wait_behind_it(spool):
    got, time = Got(answers=[(500, {}), (503, {}), (500, {})]), Time()
    with http_receiver(got) as url:
        courier = Courier(spool, hook(url), time)
        for _ in range(20):
            time.now += courier.once()

    assert [("anna", "firing"), ("ben", "firing"), ("anna", "resolved")] == statuses(got)
    assert 6 == len(got.bodies)
    assert ["fast"] * 4 == [one["commonLabels"]["alertname"] for one in got.bodies[:4]]


def test_waiting_doubles_up_to_five_minutes(spool):
    time = Time()
    courier = Courier(spool, Choosy(fails=[NotDelivered("down")] * 12), time)
    waits = []
    for _ in range(12):
        waits.append(courier.once())
        time.now += waits[-1]

    assert [FIRST_WAIT, 2.0, 4.0, 8.0] == waits[:4]
    assert LONGEST_WAIT == max(waits) == waits[-1]


def test_a_receiver_that_asks_for_patience_gets_it(spool):
    got, time = Got(answers=[(429, {"Retry-After": "17"})]), Time()
    with http_receiver(got) as url:
        assert 17.0 == Courier(spool, hook(url), time).once()


def test_a_redirect_is_not_followed(spool):
    elsewhere, got = Got(), Got()
    with http_receiver(elsewhere) as other, http_receiver(got) as url:
        got.answers.append((307, {"Location": other}))
        Courier(spool, hook(url)).once()

    assert [] == elsewhere.bodies


def test_one_message_that_is_refused_holds_up_its_person_only(spool):
    got, time = Got(refuses={"fast"}), Time()
    with http_receiver(got) as url:
        courier = Courier(spool, hook(url), time)
        for _ in range(5):
            time.now += courier.once()
        assert [("ben", "firing")] == statuses(got)

        got.refuses.clear()
        time.now += LONGEST_WAIT
        courier.once()
    assert [("ben", "firing"), ("anna", "firing"), ("anna", "resolved")] == statuses(got)


def test_what_was_accepted_but_not_written_down_is_told_again_and_known_by_its_key(tmp_path, spool):
    got = Got()

    class Dies(Spool):
        def delivered(self, receiver: str, notice: Notice) -> None:
            raise SystemExit  # the process ends between the receiver's yes and our note of it

    with http_receiver(got) as url:
        with pytest.raises(SystemExit):
            Courier(Dies(tmp_path / "spool", ["hook"]), hook(url)).once()
        Courier(Spool(tmp_path / "spool", ["hook"]), hook(url)).once()

    keys = [head[KEY] for head in got.headers]
    assert (4, 3) == (len(keys), len(set(keys)))
    assert keys[0] == keys[1]


def test_a_courier_that_dies_loses_nothing(tmp_path, spool):
    choosy = Choosy(fails=[NotDelivered("down")])
    Courier(spool, choosy).once()
    again = Choosy()
    Courier(Spool(tmp_path / "spool", ["choosy"]), again).once()

    assert [1, 2, 3] == [one.sequence for one in again.got]


def test_a_spool_forgets_what_all_have_and_never_gives_a_number_twice(tmp_path, spool):
    Courier(spool, Choosy()).once()
    later = Spool(tmp_path / "spool", ["choosy"])
    ward = Ward()
    ward.sees(5, condition(start=5))
    later.add(told(ward))

    assert [4] == [one.sequence for one in later.pending("choosy", 10, ())]


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path, spool):
    file = tmp_path / "spool" / "notices.ndjson"
    file.write_bytes(file.read_bytes()[:-20])

    assert [1, 2] == [one.sequence for one in Spool(tmp_path / "spool", ["hook"]).pending("hook", 10, ())]


def test_a_receiver_that_cannot_be_reached_is_known_to_fail(spool):
    time = Time()
    courier = Courier(spool, hook("http://127.0.0.1:9/nobody"), time)
    courier.once()

    assert (1000.0, 1) == (courier.failing_since, courier.refused)


def test_a_receiver_that_refuses_one_persons_message_fails_until_that_is_accepted_whatever_else_it_accepts(spool):
    got, time = Got(refuses={"fast"}), Time()
    with http_receiver(got) as url:
        courier = Courier(spool, hook(url), time)
        assert (None, False) == (courier.failing_since, courier.tried)
        for _ in range(5):
            time.now += courier.once()
        assert [("ben", "firing")] == statuses(got)
        assert (1000.0, time.now - 1000.0) == (courier.failing_since, courier.failing)

        got.refuses.clear()
        time.now += LONGEST_WAIT
        courier.once()
    assert (None, 0.0, 0, True) == (courier.failing_since, courier.failing, courier.refused, courier.tried)


def test_a_receiver_does_not_fail_any_more_once_nothing_waits_for_it(tmp_path, spool):
    time = Time()
    courier = Courier(spool, Choosy(fails=[NotDelivered("down")]), time)
    courier.once()
    assert 1000.0 == courier.failing_since
    courier.outbox = Spool(tmp_path / "emptied", ["choosy"])
    time.now += LONGEST_WAIT

    assert FIRST_WAIT == courier.once()
    assert courier.failing_since is None


def test_a_mail_says_who_and_how_urgent_and_no_value(spool):
    got = Got(answers=[(451, {})])
    with smtp_receiver(got) as (host, port):
        mail = Mail("mail", host, port, "watch@example.org", ["ward@example.org"], starttls=False)
        time = Time()
        courier = Courier(spool, mail, time)
        for _ in range(6):
            time.now += courier.once()

    assert 3 == len(got.mails)
    assert "Subject: ** medium firing: fast" in got.mails[0]
    assert "Please" not in got.mails[0]
    assert "please look at this person." in got.mails[0]
    assert not any("The heart is fast." in one for one in got.mails)  # the explanation has values


def test_a_mail_server_that_does_not_encrypt_is_not_used(spool):
    got = Got()
    with smtp_receiver(got) as (host, port):
        Courier(spool, Mail("mail", host, port, "watch@example.org", ["ward@example.org"])).once()

    assert [] == got.mails


def test_the_log_gets_a_line_without_a_value(spool, caplog):
    with caplog.at_level(logging.INFO, logger="vitalwatch.alarms"):
        for notice in spool.pending("log", 10, ()):
            Log().send(notice)

    assert ["WARNING", "WARNING", "INFO"] == [record.levelname for record in caplog.records]
    assert "alarm ** firing priority=medium rule=fast" in caplog.text
    assert "The heart" not in caplog.text


def test_what_never_sounded_is_not_told_when_it_is_over():
    ward = Ward()
    ward.sees(9, condition(start=1, end=8, of=FLAT))

    assert [] == told(ward)


def test_an_acknowledgement_is_not_told_and_its_return_is():
    ward = Ward()
    ward.sees(0, condition())
    ward.does(1, ACKNOWLEDGE)
    ward.at(31)

    assert ["raised", "re_alarmed"] == [one.cause for _, one in told(ward)]


def test_a_notice_survives_a_trip_through_json(spool):
    (first, *_) = spool.pending("hook", 1, ())

    assert first == Notice.from_json(json.loads(json.dumps(first.to_json())))
