"""What the serving process finds wrong with itself is a technical alarm about nobody, and goes with its cause."""

from __future__ import annotations

from alerting_world import Ward
from vitalwatch.alerting.alerts import Alert
from vitalwatch.alerting.system import FALLBACK, UNDELIVERED, Found, observed
from vitalwatch.alerting.watchdog import SYSTEM
from vitalwatch.tables import MINUTE


class Served(Ward):
    """Alerts of a system; minutes."""

    def finds(self, minute: int, **found: object) -> list[tuple[str, str]]:
        seen = observed(Found(**found), self.open, minute * MINUTE)
        self.at(minute, sees=[] if seen is None else [seen])
        return sorted(alert.key for alert in self.open)

    def alert(self, *key: str) -> Alert:
        return next(alert for alert in self.open if alert.key == key)


def test_nothing_wrong_is_nothing_to_see():
    assert observed(Found(unsure={"ward"}), (), 0) is None


def test_each_receiver_that_fails_is_an_alarm_since_it_began():
    ward = Served()

    assert [(UNDELIVERED, "mail"), (UNDELIVERED, "ward")] == ward.finds(10, undelivered={"ward": 360.0, "mail": 400.0})
    alert = ward.alert(UNDELIVERED, "ward")
    assert (SYSTEM, "technical", "medium", 4 * MINUTE) == (alert.person, alert.category, alert.priority, alert.start)
    assert "ward" in alert.explanation


def test_an_alarm_about_a_receiver_lasts_until_that_accepts():
    ward = Served()
    ward.finds(10, undelivered={"ward": 360.0}, unsure={"ward"})
    first = ward.alert(UNDELIVERED, "ward").id

    assert [(UNDELIVERED, "ward")] == ward.finds(11, unsure={"ward"}), "a process began anew and has not tried yet"
    assert first == ward.alert(UNDELIVERED, "ward").id
    assert [] == ward.finds(12)


def test_a_receiver_of_whom_nobody_knows_yet_raises_nothing():
    assert [] == Served().finds(10, unsure={"ward"})


def test_a_fallback_is_an_alarm_that_names_the_run_and_goes_with_it():
    ward = Served()

    assert [(FALLBACK, "")] == ward.finds(1, fallback="run-1")
    assert "run-1" in ward.alert(FALLBACK, "").explanation
    assert [(FALLBACK, "")] == ward.finds(2, fallback="run-1")
    assert [] == ward.finds(3)
    assert ["raised", "ended"] == ward.causes
