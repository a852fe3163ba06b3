"""Late readings begin at a landmark: a state well before the newest row, however many readings there were before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import delete, func, select

from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.database import judgements, landmarks
from vitalwatch.database.tables import landmarks as landmarks_table
from vitalwatch.database.tables import readings as readings_table
from vitalwatch.tables import MINUTE, Readings

FOREVER = 1 << 60
LATE = slice(1390, 1394)  # of 1,400 rows


@pytest.fixture
def ward(tmp_path, tiny_bundle, both) -> Iterator[Ward]:
    ward = Ward(tmp_path, tiny_bundle, both)
    yield ward
    ward.engine.close()


@pytest.fixture
def ordered(tmp_path, tiny_bundle) -> Iterator[Ward]:
    (tmp_path / "ordered").mkdir()
    ward = Ward(tmp_path / "ordered", tiny_bundle)
    yield ward
    ward.engine.close()


def rows() -> list[dict[str, object]]:
    told = messages(somebody(0).readings.rows(slice(0, 1_400)))
    return [one | ({"oxygen_saturation": 80.0 + i % 2} if 1_370 <= i else {}) for i, one in enumerate(told)]


def lived(ward: Ward, told: list[dict[str, object]]) -> None:
    for start in range(0, len(told), 200):
        ward.send(told[start : start + 200])


def put_in_order(ward: Ward) -> int:
    return ward.engine.ordering.run(ward.engine.production.answering())


def marked(ward: Ward) -> list[int]:
    """Return the newest rows of the landmarks."""
    with ward.engine.database.reading() as connection:
        return sorted(connection.execute(select(landmarks_table.c.newest)).scalars())


def known(ward: Ward) -> tuple[bytes, ...]:
    line = ward.engine.timeline("anna", 0, FOREVER)
    return (line.time.tobytes(), *(line.values[name].tobytes() for name in ("score", "p_value", "expected_heart_rate")))


def remembered(ward: Ward) -> object:
    with ward.engine.database.reading() as connection:
        return judgements.read(connection, [ward.engine.person("anna")])[1]


def test_late_readings_begin_at_a_landmark_and_need_no_reading_before_it(ward, ordered):
    told = rows()
    lived(ordered, told)
    lived(ward, told[: LATE.start] + told[LATE.stop :])
    ward.again()
    with ward.engine.database.writing() as connection:
        mark = landmarks.before(connection, ward.engine.person("anna"), ward.engine.run(), FOREVER)
        connection.execute(delete(readings_table).where(readings_table.c.no <= mark.snapshot.through))
    ward.send(told[LATE])

    assert 4 == put_in_order(ward)
    assert known(ordered) == known(ward)
    assert remembered(ordered) == remembered(ward)


def test_a_landmark_stays_behind_whatever_may_still_be_put_in_order(ward):
    lived(ward, rows())
    there, newest = marked(ward), ward.engine.person("anna").newest

    assert 1 <= len(there) <= 3
    assert there[0] < newest - ward.engine.intake.within_ms
    ward.send(rows()[:1])
    assert there == marked(ward)


def test_landmarks_that_know_a_late_row_are_gone_and_those_before_it_stay(ward):
    told = rows()
    lived(ward, told[: LATE.start] + told[LATE.stop :])
    with ward.engine.database.writing() as connection:
        anna = ward.engine.person("anna")
        mark = landmarks.before(connection, anna, ward.engine.run(), FOREVER)
        snapshot = type(mark.snapshot)(mark.snapshot.run, anna.scored, anna.newest, mark.snapshot.body)
        landmarks.write(connection, anna, landmarks.Landmark(snapshot, mark.judged), 120 * MINUTE)
    before = marked(ward)
    ward.send(told[LATE])
    put_in_order(ward)

    assert before[:-1] == marked(ward)


def test_changed_rules_have_no_landmark_and_the_readings_say_what_they_would_remember(ward, ordered):
    own = {"own": {"own_1": {"when": {"mean": "heart_rate", "over": "3d", "above": 30}, "priority": "low"}}}
    told = rows()
    lived(ordered, told[:-1])
    lived(ward, [*told[: LATE.start], *told[LATE.stop : -1]])
    for each in (ordered, ward):
        each.engine.set_limits("anna", own, "nurse")
    assert [] == marked(ward)
    ward.send(told[LATE])
    assert 4 == put_in_order(ward)
    for each in (ordered, ward):
        each.send(told[-1:])

    assert known(ordered) == known(ward)
    assert remembered(ordered) == remembered(ward)


def test_erasing_a_person_takes_their_landmarks_along(ward):
    lived(ward, rows())
    with ward.engine.database.writing() as connection:
        from vitalwatch.database.erasure import erase

        erase(connection, ward.engine.person("anna"))
        assert 0 == connection.execute(select(func.count()).select_from(landmarks_table)).scalar_one()


@pytest.mark.slow
def test_somebody_with_more_than_a_hundred_thousand_readings_is_put_in_order_as_anybody(ward, ordered):
    rng, n = np.random.default_rng(5), 104_000
    day = Readings(
        "anna",
        1_767_571_200_000 + np.arange(n, dtype=np.int64) * 1_000,
        np.zeros(n, np.int16),
        {"heart_rate": np.round(70 + 5 * np.sin(np.arange(n) / 9_000) + rng.normal(0, 2, n)).astype(np.float32)},
    )
    told = messages(day)
    late = slice(n - 4_000, n - 3_990)
    for each, some in ((ordered, told), (ward, told[: late.start] + told[late.stop :])):
        for start in range(0, len(some), 5_000):
            each.send(some[start : start + 5_000])
    assert 10 == len(ward.send(told[late]).late)

    assert 10 == put_in_order(ward)
    assert known(ordered) == known(ward)
