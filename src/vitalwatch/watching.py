"""Rows over a threshold -> alarms of one person, one row or a month at a time with equal answers.

An alarm begins when `need` of the last `of` rows are over, goes on while the next such row is at most `merge` away,
and is cut into pieces of at most `cut`: what lasts longer raises its hand again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vitalwatch import params
from vitalwatch.alarms import persistent
from vitalwatch.schema import minutes
from vitalwatch.tables import MINUTE, Alarm, Bools, Times


@dataclass(frozen=True)
class Channel:
    """What is remembered of one channel of alarms.

    Attributes:
        recent: Whether each of the last `of` - 1 rows was over.
        open: The piece that may still grow, if any.
    """

    recent: tuple[bool, ...] = ()
    open: Alarm | None = None


@dataclass(frozen=True)
class Rule:
    """How rows become alarms, in rows and milliseconds.

    Attributes:
        need, of: Rows over the threshold, among how many.
        merge_ms: Longest pause within an alarm.
        cut_ms: Longest alarm.
        step_ms: Length of a row.
    """

    need: int
    of: int
    merge_ms: int
    cut_ms: int
    step_ms: int

    @staticmethod
    def of_params(chosen: params.Alarms, step_ms: int) -> Rule:
        """Return the rule of params.yaml for a grid step."""
        return Rule(chosen.need, chosen.of, minutes(chosen.merge) * MINUTE, minutes(chosen.cut) * MINUTE, step_ms)


def calm(channel: Channel, rule: Rule) -> bool:
    """Return whether a row that is not over leaves a channel as it is."""
    return channel.open is None and len(channel.recent) == rule.of - 1 and True not in channel.recent


def watch(
    channel: Channel,
    over: Bools,
    time: Times,
    rule: Rule,
    begin: Callable[[int, int], Alarm],
) -> tuple[Channel, Bools, list[Alarm]]:
    """Return the next state of a channel, the rows that alarm, and the alarms that began, grew or ended.

    Args:
        channel: State before these rows.
        over: Rows over the channel's threshold, (n,).
        time: Their starts, UTC ms (n,).
        rule: Persistence, merging, cutting.
        begin: Makes an alarm from the row number and the start in ms; its end is set here.
    """
    keep = rule.of - 1
    if not any(channel.recent) and not np.count_nonzero(over):  # nothing to do, nearly always
        if channel.open is None and len(channel.recent) == keep:
            return channel, over, []
        quiet = (False,) * min(keep, len(channel.recent) + len(over))
        return Channel(quiet, _still_open(channel.open, time, rule)), over, []
    before = len(channel.recent)
    flags = np.concatenate((np.asarray(channel.recent, np.bool_), over))
    alarming = persistent(flags, rule.need, rule.of)[before:]
    ended: list[Alarm] = []
    current = channel.open
    for row in np.flatnonzero(alarming).tolist():
        start = int(time[row])
        if current is not None and start - current.end > rule.merge_ms:
            ended.append(current)
            current = None
        if current is None:
            current = begin(row, start)
        while start + rule.step_ms > current.start + rule.cut_ms:
            ended.append(replace(current, end=current.start + rule.cut_ms))
            current = begin(row, current.start + rule.cut_ms)
        current = replace(current, end=start + rule.step_ms)
    recent = tuple(flags[-keep:].tolist()) if keep else ()
    told = [*ended, current] if current is not None and current is not channel.open else ended
    return Channel(recent, _still_open(current, time, rule)), alarming, told


def _still_open(alarm: Alarm | None, time: Times, rule: Rule) -> Alarm | None:
    """Return the alarm while a later row could still join it."""
    over = alarm is None or (len(time) > 0 and time[-1] + rule.step_ms - alarm.end > rule.merge_ms)
    return None if over else alarm
