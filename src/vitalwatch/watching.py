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


def watch(
    channel: Channel,
    over: Bools,
    time: Times,
    step_ms: int,
    chosen: params.Alarms,
    begin: Callable[[int, int], Alarm],
) -> tuple[Channel, Bools, list[Alarm]]:
    """Return the next state of a channel, the rows that alarm, and the alarms that began, grew or ended.

    Args:
        channel: State before these rows.
        over: Rows over the channel's threshold, (n,).
        time: Their starts, UTC ms (n,).
        step_ms: Length of a row.
        chosen: Persistence, merging, cutting.
        begin: Makes an alarm from the row number and the start in ms; its end is set here.
    """
    before = len(channel.recent)
    flags = np.concatenate((np.asarray(channel.recent, np.bool_), over))
    alarming = persistent(flags, chosen.need, chosen.of)[before:]
    merge, cut = minutes(chosen.merge) * MINUTE, minutes(chosen.cut) * MINUTE
    ended: list[Alarm] = []
    current = channel.open
    for row in np.flatnonzero(alarming).tolist():
        start = int(time[row])
        if current is not None and start - current.end > merge:
            ended.append(current)
            current = None
        if current is None:
            current = begin(row, start)
        while start + step_ms > current.start + cut:
            ended.append(replace(current, end=current.start + cut))
            current = begin(row, current.start + cut)
        current = replace(current, end=start + step_ms)
    keep = chosen.of - 1
    recent = tuple(bool(flag) for flag in flags[-keep:]) if keep else ()
    told = [*ended, current] if current is not None else ended
    return Channel(recent, current), alarming, told
