from __future__ import annotations

import json

import numpy as np
import pytest

from vitalwatch.studies.costs import Cost, total
from vitalwatch.studies.table import HEAD, Alternative, Line, cells, markdown, shown, verdict

FREE = Cost(1.5, 2000, 3.0, 0.5)


def line(name: str, sums: list[list[float]], figure: str = "event_f1", cost: Cost = FREE) -> Line:
    return Alternative("Group", name, figure, lambda: (np.asarray(sums, np.float64), cost)).line()


def errors(absolute: float, people: int = 4) -> list[list[float]]:
    """Return error sums of people with ten rows each."""
    return [[10, 10 * absolute, 10 * absolute**2, 700, 49_000]] * people


def test_a_line_survives_its_way_through_json():
    told = line("a", [[4, 2, 1, 20.5], [3, 3, 0, 21.0]])

    assert told == Line.from_json(json.loads(json.dumps(told.to_json())))


def test_the_figure_is_pooled_over_people():
    (one,) = shown([line("a", [[4, 2, 1, 20], [4, 4, 0, 20]])], 50, 0.95, 1)["Group"]

    assert 2 * 6 / (8 + 6 + 1) == pytest.approx(one.value.value)
    assert 1 / 40 == pytest.approx(one.false_alarms.value)


def test_the_first_line_of_a_group_is_what_the_others_are_held_against_on_the_same_people():
    first, same, worse = shown(
        [line("first", errors(2.0), "mae"), line("same", errors(2.0), "mae"), line("worse", errors(3.0), "mae")],
        50,
        0.95,
        1,
    )["Group"]

    assert first.against is None
    assert (0, 0, 0) == (same.against.value, same.against.low, same.against.high)
    assert 1 == pytest.approx(worse.against.low)
    assert worse.false_alarms is None


def test_an_error_is_better_when_it_is_smaller_and_f1_when_it_is_larger():
    smaller = shown([line("a", errors(3.0), "mae"), line("b", errors(2.0), "mae")], 50, 0.95, 1)["Group"]
    larger = shown([line("a", [[4, 4, 0, 9]] * 4), line("b", [[4, 1, 5, 9]] * 4)], 50, 0.95, 1)["Group"]

    assert "Better than a beyond chance: b." == verdict(smaller)
    assert "Nothing here is better than a beyond chance." == verdict(larger)


def test_the_markdown_has_a_row_an_alternative_and_says_what_is_not_known():
    lines = [line("a", errors(2.0), "mae"), line("b", errors(2.5), "mae", Cost())]
    page = markdown(shown(lines, 50, 0.95, 1), {"Group": "On the same windows."})
    rows = [row for row in page.splitlines() if row.startswith("|")]

    assert "## Group" == page.splitlines()[0]
    assert "On the same windows." in page
    assert 4 == len(rows)
    assert {len(HEAD) + 1} == {row.count("|") for row in rows}
    assert "| - | - | - | - | - |" in rows[-1]


def test_a_bar_in_a_name_does_not_break_the_table():
    (one,) = shown([line("largest |z|", errors(1.0), "mae")], 50, 0.95, 1)["Group"]

    assert "largest \\|z\\|" in markdown({"Group": [one]}, {})
    assert "largest |z|" == cells(one)[0]


def test_what_is_not_known_of_one_model_is_not_known_of_all():
    assert Cost(2.0, None, 5.0, 1.5) == total(Cost(1.0, 10, 2.0, 0.5), Cost(1.0, None, 3.0, 1.0))
