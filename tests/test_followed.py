"""Whoever is watched without asking for forecasts gets intervals of their own all the same, by one row in two hours."""

from __future__ import annotations

import numpy as np

from tiny import somebody
from vitalwatch.monitor import Monitor, State
from vitalwatch.synthetic import SyntheticPerson
from vitalwatch.tables import MINUTE

STEP = 5 * MINUTE
DAYS = 10


def watched(monitor: Monitor, one: SyntheticPerson, *, cut: int = 0, follow: bool = True) -> State:
    """Return the state of a person who was watched without a forecast, in two pieces."""
    state = monitor.begin(one.readings.person, one.profile)
    for piece in (slice(0, cut), slice(cut, None)):
        state, _ = monitor.advance(state, one.readings.rows(piece), forecast=False, detect=False, follow=follow)
    return state


def widths(monitor: Monitor, state: State) -> np.ndarray:
    ahead = monitor.again(state, detect=False).forecast[-1]
    return ahead[..., 2] - ahead[..., 0]


def test_who_is_followed_gets_intervals_of_their_own(tiny_monitor: Monitor):
    one = somebody(3, days=DAYS)
    followed, not_followed = (watched(tiny_monitor, one, follow=follow) for follow in (True, False))
    factor = followed.body.recent.kept.factor

    assert (not_followed.body.recent.kept.factor == 1.0).all()
    assert (factor[0] != 1.0).all()  # each horizon and side of the heart rate
    assert not np.allclose(widths(tiny_monitor, followed)[0], widths(tiny_monitor, not_followed)[0], rtol=0.02)


def test_one_row_in_two_hours_fits_nearly_as_well_as_every_row(tiny_monitor: Monitor):
    """A forecaster trained in seconds has intervals far too narrow or wide: after a fortnight most of that is gone."""
    left, at_first = [], []
    for index in (3, 4, 6):
        one = somebody(index, days=14)
        every = tiny_monitor.advance(tiny_monitor.begin("anna", one.profile), one.readings, detect=False)[0]
        wanted = np.log(every.body.recent.kept.factor[0])
        at_first.append(np.abs(wanted))
        left.append(np.abs(np.log(watched(tiny_monitor, one).body.recent.kept.factor[0]) - wanted))

    assert np.mean(left) < 0.5 * np.mean(at_first)


def test_in_pieces_and_in_one_the_intervals_are_equal_to_the_bit(tiny_monitor: Monitor):
    one = somebody(5, days=3)
    states = [watched(tiny_monitor, one, cut=cut) for cut in (0, 1, 200)]
    single = tiny_monitor.begin(one.readings.person, one.profile)
    for row in range(150):
        single, _ = tiny_monitor.advance(
            single, one.readings.rows(slice(row, row + 1)), forecast=False, detect=False, follow=True
        )
    single, _ = tiny_monitor.advance(
        single, one.readings.rows(slice(150, None)), forecast=False, detect=False, follow=True
    )

    for state in (*states[1:], single):
        np.testing.assert_array_equal(states[0].body.recent.kept.factor, state.body.recent.kept.factor)
        np.testing.assert_array_equal(states[0].body.recent.kept.waiting, state.body.recent.kept.waiting)


def test_one_row_in_two_hours_is_asked_for(tiny_monitor: Monitor):
    one = somebody(5, days=2)
    rows = one.readings.rows(slice(0, 60))
    state, asked = tiny_monitor.begin("anna", one.profile), []
    for row in range(len(rows)):
        state, _ = tiny_monitor.advance(
            state, rows.rows(slice(row, row + 1)), forecast=False, detect=False, follow=True
        )
        if np.isfinite(state.body.recent.kept.waiting[-1]).any():
            asked.append(state.newest)

    assert len(asked) >= 2
    assert (np.asarray(asked) % (120 * MINUTE) == 0).all()
