"""The watch over a database: one process at a time, whatever it is, and it shows who wears nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.alerting.watchdog import NOT_WORN, SEEN, Seen
from vitalwatch.errors import DatabaseError
from vitalwatch.guarding import Post, folder_of, seen_elsewhere
from vitalwatch.tables import MINUTE
from vitalwatch.ui.clock import VARIABLE, FastClock, wall
from vitalwatch.ui.source import source_of

ROWS = 300


def eventually(what) -> bool:
    end = time.monotonic() + 20
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(what())


def test_the_watch_is_had_by_one_and_free_when_that_one_leaves(tmp_path: Path) -> None:
    first, second = Post(tmp_path / "a.watch"), Post(tmp_path / "a.watch")

    assert first.take()
    assert first.take()
    assert not second.take()
    first.leave()
    assert second.take()
    second.leave()


def test_a_database_that_cannot_be_reached_leaves_the_watchdog_where_it_is(
    tmp_path: Path, tiny_bundle: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells the outside of the silence; nobody else can have taken the watch meanwhile."""
    ward = Ward(tmp_path, tiny_bundle)
    ward.engine.vigil.stand()
    guarding = ward.engine.vigil.guarding

    def unreachable() -> bool:
        raise DatabaseError("here", "broke the connection", "try again")

    monkeypatch.setattr(ward.engine.vigil._post, "take", unreachable)
    with pytest.raises(DatabaseError):
        ward.engine.vigil.stand()
    assert guarding is not None
    assert guarding is ward.engine.vigil.guarding
    assert guarding._dog.alive
    ward.engine.close()


def test_of_two_engines_on_one_database_one_stands_guard_and_the_other_takes_over(
    tmp_path: Path, tiny_bundle: tuple[Path, Path]
) -> None:
    ward = Ward(tmp_path, tiny_bundle)
    other = ward.open()
    try:
        ward.engine.start()
        other.start()
        assert ward.engine.vigil.guarding is not None
        assert other.vigil.guarding is None
        ward.engine.close()
        assert eventually(lambda: other.vigil.guarding is not None)
    finally:
        other.close()


def test_a_page_alone_lets_time_pass_for_alarms(
    tmp_path: Path, tiny_bundle: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snoozed alarm comes back with no server running."""
    ward = Ward(tmp_path, tiny_bundle)
    readings = somebody(1).readings.rows(slice(0, ROWS))
    sick = [{**one, "oxygen_saturation": 82.0, "heart_rate": 165.0} for one in messages(readings)[-9:]]
    now = int(readings.time[-1])
    ward.clock.ms = now + MINUTE
    ward.send([*messages(readings)[:-9], *sick])
    alarm = next(one for one in ward.engine.alarms() if one["priority"] in ("high", "medium"))
    ward.engine.act(alarm["id"], "snooze", "nurse")
    ward.engine.close()
    FastClock(wall(), now + 40 * MINUTE, 0.0).write(tmp_path / "clock")  # the usual snooze is half an hour
    monkeypatch.setenv(VARIABLE, str(tmp_path / "clock"))
    page = source_of(ward.settings, "127.0.0.1", {})
    try:
        states = lambda: [one["after"] for one in page.engine.alarm(alarm["id"])["history"]]  # noqa: E731
        assert eventually(lambda: "audio_paused" != states()[-1]), states()
    finally:
        page.close()


def test_what_another_process_watches_is_seen_while_it_is_fresh(tmp_path: Path) -> None:
    ward = Ward(tmp_path, None)
    folder = folder_of(ward.settings)
    folder.mkdir(parents=True)
    (folder / SEEN).write_text(json.dumps(Seen((), {"p-a": NOT_WORN}, False).to_json()))

    assert {"p-a": NOT_WORN} == ward.engine.vigil.wear()
    old = time.time() - 60
    os.utime(folder / SEEN, (old, old))
    assert seen_elsewhere(ward.settings) is None
    assert {} == ward.engine.vigil.wear()
    ward.engine.close()


def test_everybody_is_told_with_what_the_watchdog_sees(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> None:
    ward = Ward(tmp_path, tiny_bundle)
    ward.send(messages(somebody(1).readings.rows(slice(0, 20))))
    person = ward.engine.people()[0].person
    folder = folder_of(ward.settings)
    folder.mkdir(parents=True)
    (folder / SEEN).write_text(json.dumps(Seen((), {person: NOT_WORN}, False).to_json()))

    assert [NOT_WORN] == [one.wear for one in ward.engine.people()]
    ward.engine.close()


@pytest.mark.parametrize("hours", [4])
def test_not_worn_is_shown_as_such_and_not_as_stale(hours: int) -> None:
    from tiny import small_settings
    from ui.world import NOW, seen
    from vitalwatch.ui.ward import lines

    schema = small_settings().schema
    long_ago = {"heard": NOW - hours * 60 * MINUTE, "time": NOW - hours * 60 * MINUTE}
    told = {wear: lines([seen(wear=wear, **long_ago)], schema, NOW)[0] for wear in ("", "silent", NOT_WORN)}

    assert {"": "stale", "silent": "stale", NOT_WORN: "not_worn"} == {w: line.state for w, line in told.items()}
    assert all(line.old for line in told.values())
    assert "unknown" == lines([seen(wear="worn", worn=False, score=None)], schema, NOW)[0].state
    assert "not_worn" == lines([seen(wear="", worn=False)], schema, NOW)[0].state
