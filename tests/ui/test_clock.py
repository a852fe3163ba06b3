from __future__ import annotations

from pathlib import Path

from vitalwatch.ui import clock
from vitalwatch.ui.clock import FastClock, clock_of, wall


def test_a_fast_clock_shows_more_time_than_passed() -> None:
    shown = FastClock(wall() - 10_000, 0, 300.0)()

    assert 3_000_000 <= shown < 3_600_000


def test_a_clock_of_no_speed_stands() -> None:
    assert 7 == FastClock(wall() - 10_000, 7, 0.0)()


def test_other_processes_read_the_clock_from_its_file(tmp_path: Path) -> None:
    FastClock(wall(), 5_000_000, 0.0).write(tmp_path / "clock")
    read = clock_of({clock.VARIABLE: str(tmp_path / "clock")})
    before = read()
    FastClock(wall(), 6_000_000, 0.0).write(tmp_path / "clock")

    assert (5_000_000, 6_000_000) == (before, read())


def test_without_a_demonstration_the_clock_is_the_walls() -> None:
    assert clock_of({}) is wall
