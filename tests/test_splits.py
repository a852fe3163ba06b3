from __future__ import annotations

import numpy as np

from vitalwatch import params
from vitalwatch.splits import CALIBRATION, TEST, TRAIN, split_people
from vitalwatch.tables import DAY, MINUTE

ASKED = params.Splits(
    test_people=42, calibration_people=36, test_share=0.25, calibration_share=0.15, test_days_share=0.3
)


def people(n: int) -> list[str]:
    return [f"p{i:03d}" for i in range(n)]


def test_nobody_is_in_two_parts_and_everybody_is_in_one():
    split = split_people(people(152), ASKED, seed=1)
    parts = [set(split.people(part)) for part in ("train", "calibration", "test")]

    assert [74, 36, 42] == [len(part) for part in parts]
    assert set(people(152)) == set.union(*parts)
    assert "person" == split.how


def test_the_order_in_which_people_come_does_not_matter():
    assert split_people(people(60), ASKED, seed=1).part == split_people(people(60)[::-1] * 2, ASKED, seed=1).part


def test_another_seed_divides_differently():
    assert split_people(people(60), ASKED, seed=1).part != split_people(people(60), ASKED, seed=2).part


def test_fewer_people_than_asked_keep_two_fifths_for_training():
    for n in range(10, 130):
        split = split_people(people(n), ASKED, seed=3)
        sizes = [len(split.people(part)) for part in ("train", "calibration", "test")]

        assert min(sizes) >= 1
        assert sizes[0] >= 0.4 * n
        assert n == sum(sizes)


def test_a_scaled_split_says_so():
    assert "scaled down" in split_people(people(20), ASKED, seed=1).note
    assert "scaled down" not in split_people(people(152), ASKED, seed=1).note


def test_below_ten_people_the_last_days_of_everybody_are_the_test_and_it_says_so():
    split = split_people(people(9), ASKED, seed=1)
    time = np.arange(0, 20 * DAY, 30 * MINUTE)
    rows = split.rows("p000", time)

    assert "time" == split.how
    assert "By time" in split.note
    assert [11.0, 3.0, 6.0] == [(rows == part).sum() / 48 for part in (TRAIN, CALIBRATION, TEST)]
    assert (np.diff(rows) >= 0).all()


def test_by_person_every_row_has_its_persons_part():
    split = split_people(people(30), ASKED, seed=1)
    someone = split.people("test")[0]

    assert {TEST} == set(split.rows(someone, np.arange(5) * DAY).tolist())


def test_one_day_of_one_person_is_test():
    assert [TEST] * 3 == split_people(["a"], ASKED, 1).rows("a", np.array([0, 5, 10]) * MINUTE).tolist()


def test_of_many_people_a_share_is_held_out_instead_of_the_asked_counts():
    split = split_people(people(2000), ASKED, seed=1)

    assert [1200, 300, 500] == [len(split.people(part)) for part in ("train", "calibration", "test")]
    assert "scaled down" not in split.note
