"""Window sums: sums of their rows, few additions, and to the bit the same in any chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vitalwatch import features
from vitalwatch.windows import chain_of, window_lowest, window_sums

SEEDED = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller seed is no simpler life: nothing to shrink


@examples(max_examples=50, deadline=None, phases=SEEDED)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.integers(1, 80),
    st.sets(st.integers(1, 79), max_size=8),
    st.integers(0, 99),
)
def test_window_sums_are_sums_and_the_same_in_any_chunks(widths: list[int], n: int, cuts: set[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(n, 2))
    chain = chain_of(widths)
    _, whole = window_sums(chain, chain.begin(2), values)
    for i, width in enumerate(widths):
        expected = [values[max(t - width + 1, 0) : t + 1].sum(axis=0) for t in range(n)]
        np.testing.assert_allclose(expected, whole[:, i], atol=1e-12)
    tails, parts = chain.begin(2), []
    inside = sorted(cut for cut in cuts if cut < n) if cuts else range(1, n)  # no cuts: row by row
    for start, stop in zip([0, *inside], [*inside, n], strict=True):
        tails, sums = window_sums(chain, tails, values[start:stop])
        parts.append(sums)

    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("step", [1, 5, 15, 60])
def test_a_new_row_costs_few_additions_for_any_grid_step(step: int) -> None:
    chain = features.detector_plan(step).chain
    widest = 1440 // step

    assert sum(max(len(parts) - 1, 0) for parts in chain.terms) <= 2 * len(chain.widths)
    assert sum(chain.keep) <= 1.5 * widest + 30


@pytest.mark.parametrize("width", [1, 2, 3, 6, 30])
def test_the_lowest_of_a_window(width: int) -> None:
    values = np.random.default_rng(width).normal(size=60)

    assert [values[t - width + 1 : t + 1].min() for t in range(width - 1, 60)] == window_lowest(values, width).tolist()
