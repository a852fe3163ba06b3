"""How high a person's own ordinary days score, so that nobody's alarms ring more often than was promised.

Scores are put on one scale by calibration people, and some people's quiet days lie higher on it than others'. After
`after_days`, a channel's score is divided by the person's own level: the mean of the highest persisted score of quiet
blocks of hours, over that of calibration people, drawn towards 1 by `pull` blocks of theirs. The score is minus the
logarithm of a frequency, and block maxima of it fall off exponentially, so its mean is all there is to learn. A block
that holds an alarm teaches nothing (the level is frozen), nor do the days of enrolment; old blocks fade over a month.

One row or a month at a time gives equal factors to the bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.alarms import persisted
from vitalwatch.records import record
from vitalwatch.schema import minutes
from vitalwatch.tables import DAY, MINUTE, Doubles, Floats, Times

MEMORY = 28 * DAY  # within which an old block loses two thirds of its weight


@dataclass(frozen=True)
class Usual:
    """What quiet blocks of calibration people are like on one channel.

    Attributes:
        cut: A block whose highest persisted score is above (times the own level) is not quiet.
        mean: Mean of the quiet blocks' highest scores; 0 where there are none, and nobody has an own level.
    """

    cut: float
    mean: float

    def to_json(self) -> dict[str, float | None]:
        """Return plain numbers; no cut is null."""
        return {"cut": self.cut if isfinite(self.cut) else None, "mean": self.mean}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Usual:
        """Read back what `to_json` wrote."""
        return Usual(inf if data["cut"] is None else float(data["cut"]), float(data["mean"]))


NOBODYS = Usual(inf, 0.0)  # nobody has an own level


@dataclass(frozen=True)
class Plan:
    """When blocks count and what they weigh.

    Attributes:
        need, of: Rows over a threshold, among how many, for an alarm.
        block_ms: Length of a block.
        counted_ms: From the first row to the first block that counts.
        used_ms: From the first row to the first block that is judged by the own level.
        pull: Weight of calibration people, in blocks.
        keep: What remains of a block's weight when another comes.
    """

    need: int
    of: int
    block_ms: int
    counted_ms: int
    used_ms: int
    pull: float
    keep: float

    @staticmethod
    def of_params(alarms: params.Alarms, chosen: params.OwnLevel, enrolment_days: int) -> Plan:
        """Return the plan of params.yaml."""
        block = minutes(chosen.block) * MINUTE
        counted = min(enrolment_days, chosen.after_days) * DAY
        return Plan(
            alarms.need, alarms.of, block, counted, chosen.after_days * DAY, chosen.pull, max(1.0 - block / MEMORY, 0.0)
        )


NONE = -1.0  # below every score: not judged, or no row yet


@record
class Level:
    """What is remembered of one person on one channel.

    Attributes:
        begun: First row, UTC ms, -1 before it.
        block: Number of the open block, -1 before the first.
        recent: Scores of the last rows that may still be among those over, at most of - 1; NONE where not judged.
        highest: Highest persisted score of the open block.
        total, count: Weighted sum of quiet blocks' highest scores, and their weight.
        factor: Own level that the open block is judged by, 1 is the population's.
    """

    begun: int = -1
    block: int = -1
    recent: tuple[float, ...] = ()
    highest: float = NONE
    total: float = 0.0
    count: float = 0.0
    factor: float = 1.0


def advance(level: Level, score: NDArray[np.floating], time: Times, usual: Usual, plan: Plan) -> tuple[Level, Doubles]:
    """Return the next state and the own level of each new row, float64 (n,).

    Args:
        level: `Level()` or from an earlier call.
        score: Of one channel, never below 0, NaN where a row cannot be judged, (n,).
        time: Starts of the rows, UTC ms (n,).
        usual: Of that channel.
        plan: From `Plan.of_params`.
    """
    if len(score) == 1:
        level = advance_one(level, score.item(), time.item(), usual, plan)
        return level, np.array([level.factor])
    factors = np.empty(len(score))
    told = [*level.recent, *np.where(np.isnan(score), NONE, score).tolist()]
    recent = tuple(told[max(len(told) - plan.of + 1, 0) :])
    lasting = np.maximum(persisted(np.asarray(told), plan.need, plan.of)[len(level.recent) :], NONE).tolist()
    block = (time // plan.block_ms).tolist()
    start = 0
    while start < len(block):
        stop = bisect_right(block, block[start], lo=start)
        if block[start] != level.block:
            level = _opened(level, block[start], time.item(start), usual, plan)
        factors[start:stop] = level.factor
        highest = max(level.highest, *lasting[start:stop])
        level = Level(level.begun, level.block, recent, highest, level.total, level.count, level.factor)
        start = stop
    return level, factors


def advance_one(level: Level, score: float, now: int, usual: Usual, plan: Plan) -> Level:
    """Return the next state after one row, whose own level is its `factor`; arguments as in `advance`."""
    told = (*level.recent, score if score == score else NONE)  # NaN is not itself
    lasting = sorted(told)[-plan.need] if len(told) >= plan.need else NONE
    block = now // plan.block_ms
    if block != level.block:
        level = _opened(level, block, now, usual, plan)
    highest = lasting if lasting > level.highest else level.highest
    recent = told if len(told) < plan.of else told[1:]
    return Level(level.begun, block, recent, highest, level.total, level.count, level.factor)


def _opened(level: Level, block: int, now: int, usual: Usual, plan: Plan) -> Level:
    """Return the state at the first row of a block, with what the one before it taught."""
    begun, total, count = level.begun, level.total, level.count
    if begun < 0:
        begun = now
    counted = level.block * plan.block_ms >= begun + plan.counted_ms
    if counted and NONE < level.highest <= usual.cut * level.factor:
        total, count = plan.keep * total + level.highest, plan.keep * count + 1.0
    factor = 1.0
    if now >= begun + plan.used_ms and usual.mean > 0:
        factor = (total / usual.mean + plan.pull) / (count + plan.pull)
    return Level(begun, block, level.recent, NONE, total, count, factor)


def on_own_level(score: Floats, factors: Doubles) -> Floats:
    """Return scores divided by the own level, float32 (n,)."""
    return (score.astype(np.float64) / factors).astype(np.float32)


def usual_of(score: Doubles, time: Sequence[Times], cut: float, plan: Plan) -> Usual:
    """Return what quiet blocks of calibration people are like.

    Args:
        score: One channel's score of their rows after enrolment, one person after the other, (n,).
        time: Starts of each person's rows, n in all.
        cut: Threshold of the channel without own levels.
        plan: From `Plan.of_params`.
    """
    highest: list[float] = []
    for mine, rows in zip(_by_person(score, time), time, strict=True):
        lasting = persisted(mine, plan.need, plan.of)
        starts = np.flatnonzero(np.diff(rows // plan.block_ms, prepend=-1))
        if len(starts):
            found = np.maximum.reduceat(lasting, starts)
            highest.extend(found[np.isfinite(found) & (found <= cut)].tolist())
    return Usual(cut, float(np.mean(highest)) if highest else 0.0)


def factors_of(score: Doubles, time: Sequence[Times], usual: Usual, plan: Plan) -> Doubles:
    """Return the own level of each row, (n,); arguments as in `usual_of`, whose rows begin enrolled."""
    found = []
    for mine, rows in zip(_by_person(score, time), time, strict=True):
        begun = Level(begun=int(rows[0]) - plan.counted_ms) if len(rows) else Level()
        found.append(advance(begun, mine, rows, usual, plan)[1])
    return np.concatenate(found) if found else np.ones(len(score))


def _by_person(score: Doubles, time: Sequence[Times]) -> list[Doubles]:
    return np.split(score, np.cumsum([len(rows) for rows in time])[:-1])
