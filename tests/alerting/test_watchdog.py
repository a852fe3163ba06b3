"""L1, L8, D11: silence is an alarm, by a process that shares no fate with the scorer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from real_server import alive
from receiving_world import Got, http_receiver
from vitalwatch.alerting.pulse import Pulse, beat, read_pulse
from vitalwatch.alerting.watchdog import (
    LAGGING,
    NOT_WORN,
    PULSE,
    REFUSED,
    SILENCE,
    SILENT,
    STALLED,
    SYSTEM,
    WORN,
    Limits,
    Seen,
    Watch,
    Watchdog,
    read_seen,
)

LIMITS = Limits(stalled=10, lagging=30, silence=600, not_worn=3600)
SCORER = """
import sys, time
from pathlib import Path
from vitalwatch.alerting.pulse import Pulse, beat
count = 0
while True:
    count += 1
    beat(Path(sys.argv[1]), Pulse(count, 0.0, {"anna": count}))
    time.sleep(0.2)
"""


def look(watch: Watch, at: float, count: int, people: dict[str, int], **more: Any) -> dict[str, list[str]]:
    """What is alarmed for, by person."""
    seen = watch.look(Pulse(count, people=people, **more), at, round(at * 1000))
    return {one.person: [condition.rule for condition in one.conditions] for one in seen.observed if one.conditions}


def test_a_scorer_that_counts_on_is_alive_and_one_that_does_not_is_stalled():
    watch = Watch(LIMITS, 0.0)

    assert {} == look(watch, 1, 1, {})
    assert {} == look(watch, 11, 1, {})
    assert {SYSTEM: [STALLED]} == look(watch, 11.1, 1, {})
    assert {} == look(watch, 12, 2, {})


def test_a_scorer_that_never_came_is_stalled_too():
    seen = Watch(LIMITS, 0.0).look(None, 10.5, 10_500)

    assert (True, STALLED) == (seen.stalled, seen.observed[0].conditions[0].rule)


def test_a_scorer_that_begins_to_count_anew_is_alive():
    watch = Watch(LIMITS, 0.0)
    look(watch, 1, 500, {})

    assert {} == look(watch, 10.9, 1, {})
    assert {} == look(watch, 20, 1, {})


def test_a_scorer_that_is_behind_is_told():
    assert {SYSTEM: [LAGGING]} == look(Watch(LIMITS, 0.0), 1, 1, {}, behind=31.0)


def test_the_silence_of_a_person_is_an_alarm_then_a_state_and_then_nothing():
    watch, found = Watch(LIMITS, 0.0), {}
    for minute in range(0, 90, 5):
        seen = watch.look(Pulse(minute, people={"anna": 7}), minute * 60.0, minute * 60_000)
        alarms = [one.rule for who in seen.observed if who.person == "anna" for one in who.conditions]
        found[minute] = (seen.wear["anna"], alarms)

    assert (WORN, []) == found[5]
    assert (SILENT, [SILENCE]) == found[10] == found[55]
    assert (NOT_WORN, []) == found[60] == found[85]


def test_the_start_of_a_silence_is_told_alike_at_each_look():
    watch = Watch(LIMITS, 0.0)
    starts = set()
    for second in (0, 700, 800, 900):
        seen = watch.look(Pulse(second, people={"anna": 7}), second + 0.1 * second, second * 1000)
        starts |= {one.start for who in seen.observed if who.person == "anna" for one in who.conditions}

    assert 1 == len(starts)


def test_a_persons_own_times_of_silence_hold_and_0_is_never_not_worn():
    watch = Watch(LIMITS, 0.0)
    own = {"anna": (60.0, 0.0)}
    look(watch, 0, 1, {"anna": 1, "ben": 1}, wearing=own)

    assert {"anna": [SILENCE]} == look(watch, 60, 2, {"anna": 1, "ben": 1}, wearing=own)
    assert {"anna": [SILENCE]} == look(watch, 9_000, 3, {"anna": 1, "ben": 1}, wearing=own)


def first_look(age: float, missed: frozenset[str] = frozenset(), later: float = 0.0) -> tuple[str, list[int]]:
    """How somebody is seen, and since when alarmed for, some seconds after a start, whose newest reading is so old."""
    watch = Watch(LIMITS, 5_000.0, missed=missed)
    for seconds in dict.fromkeys((0.0, later)):
        pulse = Pulse(1 + round(seconds), people={"anna": 7}, heard={"anna": 90_000_000 - round(age * 1000)})
        seen = watch.look(pulse, 5_000.0 + seconds, 90_000_000 + round(seconds * 1000))
    return seen.wear["anna"], [c.start for one in seen.observed if "anna" == one.person for c in one.conditions]


def test_who_was_silent_or_wore_nothing_before_a_restart_still_does():
    assert (SILENT, [90_000_000 - 700_000]) == first_look(700, frozenset({"anna"}))
    assert (NOT_WORN, []) == first_look(4_000, frozenset({"anna"})) == first_look(4_000)


def test_a_silence_goes_on_over_a_restart_and_who_was_not_missed_before_has_a_while_to_send_again():
    assert (WORN, []) == first_look(400) == first_look(400, later=199)
    assert SILENT == first_look(400, later=300)[0]
    assert (WORN, []) == first_look(1_200, later=299)
    assert SILENT == first_look(1_200, later=300)[0]


def test_whose_readings_are_refused_is_told_so_and_never_counts_as_not_worn():
    watch = Watch(LIMITS, 0.0)
    refused = {"anna": "unit_suspect"}
    look(watch, 0, 1, {"anna": 1, "ben": 1}, refused=refused)

    assert {"ben": [SILENCE], "anna": [REFUSED]} == look(watch, 600, 2, {"anna": 1, "ben": 1}, refused=refused)
    assert {"anna": [REFUSED]} == look(watch, 5_000, 3, {"anna": 1, "ben": 1}, refused=refused)
    seen = watch.look(Pulse(4, people={"anna": 1}, refused=refused), 5_001, 5_001_000)
    assert "refused (unit_suspect)" in seen.observed[1].conditions[0].explanation
    assert {} == look(watch, 5_002, 5, {"anna": 2}, refused=refused)


def test_who_is_discharged_is_not_missed():
    watch = Watch(LIMITS, 0.0)
    look(watch, 0, 1, {"anna": 1})

    assert {} == look(watch, 700, 2, {})


def test_nobody_is_silent_because_the_scorer_is():
    watch = Watch(LIMITS, 0.0)
    look(watch, 0, 1, {"anna": 1})

    assert {SYSTEM: [STALLED]} == look(watch, 3_000, 1, {"anna": 1})


def test_what_was_seen_survives_a_trip_through_json():
    watch = Watch(LIMITS, 0.0)
    seen = watch.look(Pulse(1, people={"anna": 1}), 20.0, 20_000)

    assert seen == Seen.from_json(json.loads(json.dumps(seen.to_json())))


def test_a_pulse_is_read_as_it_was_written_and_a_torn_one_is_none(tmp_path):
    pulse = Pulse(3, 1.5, {"anna": 2}, {"anna": (60.0, 0.0)})
    beat(tmp_path / PULSE, pulse)
    assert pulse == read_pulse(tmp_path / PULSE)

    (tmp_path / PULSE).write_text('{"count": 3')
    assert read_pulse(tmp_path / PULSE) is None
    assert read_pulse(tmp_path / "nowhere") is None


class Real:
    """A scorer and a watchdog, each a process."""

    def __init__(self, folder: Path, limits: Limits, receivers: list[dict]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.scorer = subprocess.Popen([sys.executable, "-c", SCORER, str(folder / PULSE)])
        self.until(lambda: read_pulse(folder / PULSE) is not None)
        self.dog = Watchdog(folder, limits, receivers)

    def until(self, true, most: float = 30.0) -> float:
        """Wait until something holds and return the seconds it took."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < most, "it did not happen"
            time.sleep(0.05)
        return time.monotonic() - began

    @property
    def stalled(self) -> bool | None:
        seen = read_seen(self.folder)
        return None if seen is None else seen.stalled

    def end(self) -> None:
        self.dog.stop()
        self.scorer.kill()
        self.scorer.wait()


@pytest.fixture
def real(tmp_path):
    """Makes real processes and ends them."""
    made = []

    def make(limits: Limits, receivers: list[dict] | None = None) -> Real:
        made.append(Real(tmp_path / "shared", limits, receivers or []))
        return made[-1]

    yield make
    for one in made:
        one.end()


def stall(real, limits: Limits) -> tuple[float, Got]:
    """Stop a real scorer; return the seconds until a real receiver hears of it, and all that it heard."""
    got = Got()
    with http_receiver(got) as url:
        both = real(limits, [{"type": "webhook", "name": "hook", "url": url, "secret": "s"}])
        both.until(lambda: both.stalled is False)
        os.kill(both.scorer.pid, signal.SIGSTOP)
        took = both.until(lambda: got.accepted)
        os.kill(both.scorer.pid, signal.SIGCONT)
        both.until(lambda: both.stalled is False and len(got.accepted) == 2)
    return took, got


def test_a_stopped_scorer_is_told_by_another_process_and_its_return_too(real):
    _, got = stall(real, Limits(stalled=1.0, every=0.1))

    assert [("firing", STALLED, "high"), ("resolved", STALLED, "high")] == [
        (one["status"], one["commonLabels"]["alertname"], one["commonLabels"]["priority"]) for one in got.accepted
    ]


@pytest.mark.slow
def test_a_stopped_scorer_is_an_alarm_within_15_seconds(real):
    took, _ = stall(real, Limits())

    assert took <= 15.0


def test_the_watchdog_ends_with_the_server_however_that_dies(tmp_path):
    text = (
        "import sys, time; from pathlib import Path; from vitalwatch.alerting.watchdog import Limits, Watchdog\n"
        "dog = Watchdog(Path(sys.argv[1]), Limits(every=0.1)); print(dog.process.pid, flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", text, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    began = time.monotonic()
    while read_seen(tmp_path) is None and time.monotonic() - began < 30:
        time.sleep(0.05)
    server.kill()
    server.wait()
    server.stdout.close()

    while alive(pid) and time.monotonic() - began < 30:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_watchdog_that_is_stopped_is_gone(tmp_path):
    dog = Watchdog(tmp_path, Limits(every=0.1))
    assert dog.alive
    dog.stop()

    assert not dog.alive
