"""Means over the last rows: rows that cannot be judged add nothing, and the chunks make no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vitalwatch import averaging

ALONE = (3,)  # of five outputs


def in_chunks(outputs: np.ndarray, judged: np.ndarray, rows: int, cuts: list[int]) -> np.ndarray:
    kept, found = averaging.begin(rows, outputs.shape[1]), []
    for a, b in zip([0, *cuts], [*cuts, len(outputs)], strict=True):
        if b - a == 1:
            kept, mean = averaging.advance_one(kept, [outputs[a, :2], outputs[a, 2:]], bool(judged[a]), ALONE)
            found.append(np.array([mean]))
        else:
            kept, mean = averaging.advance(kept, outputs[a:b], judged[a:b], ALONE)
            found.append(mean)
    return np.concatenate(found)


@examples(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 40), max_size=12),
    kept=st.floats(0, 1),
)
def test_any_chunks_give_the_same_means_to_the_bit(seed, rows, cuts, kept):
    rng = np.random.default_rng(seed)
    outputs, judged = rng.normal(size=(40, 5)).astype(np.float32), rng.random(40) < kept
    outputs[~judged] = np.nan

    whole = averaging.advance(averaging.begin(rows, 5), outputs, judged, ALONE)[1]

    assert np.array_equal(outputs[judged, 3], whole[judged, 3].astype(np.float32))
    assert whole.tobytes() == in_chunks(outputs, judged, rows, sorted(cuts)).tobytes()
    assert whole.tobytes() == in_chunks(outputs, judged, rows, list(range(1, 40))).tobytes()


def test_a_mean_is_of_the_judged_rows_of_its_window():
    outputs = np.array([[1.0], [np.nan], [3.0], [8.0]])
    judged = np.array([True, False, True, True])

    mean = averaging.advance(averaging.begin(3, 1), outputs, judged)[1]

    assert [[1.0], [1.0], [2.0], [5.5]] == mean.tolist()


def test_nothing_judged_is_no_evidence():
    kept, mean = averaging.advance_one(averaging.begin(3, 1), [np.array([np.nan])], False)

    assert [0.0] == mean
    assert not kept.any()


def test_people_do_not_reach_into_each_other():
    outputs = np.array([[4.0], [6.0], [1.0], [3.0]])

    mean = averaging.of_people(outputs, np.ones(4, bool), [2, 2], rows=9)

    assert [4.0, 5.0, 1.0, 2.0] == mean.ravel().tolist()


@pytest.mark.parametrize("rows", [1, 3])
def test_what_is_kept_is_as_long_as_a_window_needs(rows):
    kept, _ = averaging.advance(averaging.begin(rows, 2), np.ones((7, 2)), np.ones(7, bool))

    assert (rows - 1, 3) == kept.shape
