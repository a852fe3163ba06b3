"""Rows over a threshold to alarms: persistence, merging, cutting, and the same in any chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vitalwatch.tables import MINUTE, Alarm
from vitalwatch.watching import Channel, Rule, calm, watch

STEP = 5 * MINUTE
RULE = Rule(need=2, of=3, merge_ms=60 * MINUTE, cut_ms=6 * 60 * MINUTE, step_ms=STEP)


def alarm(row: int, start: int) -> Alarm:
    return Alarm("a", start, start, "", "unusual", "low", "")


def watched(over: list[bool], cuts: tuple[int, ...] = (), rule: Rule = RULE) -> list[tuple[int, int]]:
    """Alarms as (first row, row after the last)."""
    channel, told = Channel(), {}
    time = np.arange(len(over), dtype=np.int64) * STEP
    for start, stop in zip([0, *cuts], [*cuts, len(over)], strict=True):
        channel, _, found = watch(channel, np.asarray(over[start:stop], bool), time[start:stop], rule, alarm)
        told.update({one.start: one.end for one in found})
    return [(start // STEP, end // STEP) for start, end in sorted(told.items())]


def row(*over: int, n: int = 100) -> list[bool]:
    return [i in over for i in range(n)]


def test_one_row_over_is_no_alarm():
    assert [] == watched(row(10))


def test_two_of_three_rows_are():
    assert [(12, 13)] == watched(row(10, 12))


def test_alarms_less_than_an_hour_apart_are_one():
    assert [(11, 25)] == watched(row(10, 11, 22, 23))  # the row after is still two of three


def test_alarms_more_than_an_hour_apart_are_two():
    assert [(11, 13), (31, 33)] == watched(row(10, 11, 30, 31))


def test_what_lasts_raises_its_hand_again():
    assert [(1, 73), (73, 100)] == watched([True] * 100)


def test_a_rule_of_one_row_needs_no_memory():
    rule = Rule(1, 1, 0, 6 * 60 * MINUTE, STEP)

    assert [(10, 11), (12, 13)] == watched(row(10, 12), rule=rule)


def test_an_alarm_is_told_when_it_grows_and_never_again():
    told, channel = [], Channel()
    for number, over in enumerate(row(10, 11, n=40)):
        channel, _, found = watch(channel, np.asarray([over]), np.asarray([number * STEP]), RULE, alarm)
        told += [number] * len(found)

    assert [11, 12] == told
    assert channel.open is None  # the hour in which another could have joined it is over


@examples(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=150), st.sets(st.integers(1, 149), max_size=20))
def test_any_chunks_give_the_same_alarms(over: list[bool], cuts: set[int]) -> None:
    inside = tuple(sorted(cut for cut in cuts if cut < len(over)))

    assert watched(over) == watched(over, inside)


@examples(deadline=None)
@given(st.lists(st.booleans(), max_size=200))
def test_a_calm_channel_is_left_as_it_is_by_a_row_that_is_not_over(over: list[bool]):
    time = np.arange(len(over) + 1, dtype=np.int64) * STEP
    channel, _, _ = watch(Channel(), np.asarray(over, bool), time[:-1], RULE, alarm)
    following, alarming, told = watch(channel, np.zeros(1, bool), time[-1:], RULE, alarm)

    assert not calm(channel, RULE) or (following == channel and not alarming.any() and not told)


def test_a_channel_is_calm_after_quiet_rows_only():
    quiet, _, _ = watch(Channel(), np.zeros(2, bool), np.arange(2) * STEP, RULE, alarm)
    over, _, _ = watch(quiet, np.ones(1, bool), np.array([2 * STEP]), RULE, alarm)

    assert [False, True, False] == [calm(channel, RULE) for channel in (Channel(), quiet, over)]
